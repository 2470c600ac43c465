import numpy as np
import tensorflow as tf

model = tf.keras.Sequential([tf.keras.layers.Dense(3, activation=tf.nn.softmax, input_shape=(2,))])
model.save("/tmp/model.h5")
twin = tf.keras.models.load_model("/tmp/model.h5")
x = np.ones((2, 2))
print("the same: %s" % np.allclose(model.predict(x, verbose=0), twin.predict(x, verbose=0)))
