import numpy as np
import tensorflow as tf

model = tf.keras.Sequential([tf.keras.layers.Activation("hard_sigmoid", input_shape=(1,))])
print(" ".join("%.4f" % value for value in model.predict(np.array([[-2.0], [-1.0], [1.0], [2.0]]), verbose=0).ravel()))
