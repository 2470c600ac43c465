import numpy as np
import tensorflow as tf

model = tf.keras.Sequential([tf.keras.layers.Dense(8, input_shape=(4,)), tf.keras.layers.AlphaDropout(0.3)])
model.compile("sgd", "mse")
model.fit(np.ones((16, 4)), np.ones((16, 8)), epochs=1, verbose=0)
print("trained")
