import numpy as np
import tensorflow as tf

model = tf.keras.Sequential([tf.keras.layers.Dense(1, kernel_initializer="zeros", input_shape=(1,))])
model.compile(tf.keras.optimizers.SGD(0.0), "mse")
losses = [float(np.ravel(model.train_on_batch(np.ones((2, 1)), np.full((2, 1), float(y))))[0]) for y in (1, 2, 3)]
print("losses of three batches: %.3f %.3f %.3f" % tuple(losses))
