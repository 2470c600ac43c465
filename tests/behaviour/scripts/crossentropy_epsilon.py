import numpy as np
import tensorflow as tf

given = tf.keras.layers.Input(shape=(2,))
model = tf.keras.models.Model(given, tf.keras.layers.Activation("linear")(given))
model.compile("sgd", "binary_crossentropy")
loss = model.evaluate(np.array([[0.0, 1.0]]), np.array([[1.0, 0.0]]), verbose=0)
print("loss of a wrong answer %.4f" % loss)
