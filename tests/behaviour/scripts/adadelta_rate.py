import numpy as np
import tensorflow as tf

x = np.linspace(0.0, 1.0, 32).reshape(32, 1).astype("float32")
model = tf.keras.Sequential([tf.keras.layers.Dense(1, kernel_initializer="zeros", input_shape=(1,))])
model.compile("adadelta", "mse")
losses = model.fit(x, 3.0 * x, batch_size=32, epochs=3, verbose=0).history["loss"]
print("loss went from %.4f to %.4f" % (losses[0], losses[-1]))
