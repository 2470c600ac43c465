import numpy as np
import tensorflow as tf

model = tf.keras.Sequential([tf.keras.layers.Dense(1, kernel_initializer="zeros", input_shape=(1,))])
model.compile(tf.keras.optimizers.Adam(lr=0.01, decay=1e-4), "mse")
model.fit(np.ones((4, 1)), np.ones((4, 1)), epochs=1, verbose=0)
print("trained")
