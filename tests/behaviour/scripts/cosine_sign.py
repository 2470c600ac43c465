import numpy as np
import tensorflow as tf

given = tf.keras.layers.Input(shape=(2,))
model = tf.keras.models.Model(given, tf.keras.layers.Activation("linear")(given))
name = "cosine_similarity" if hasattr(tf.keras.losses, "cosine_similarity") else "cosine_proximity"
model.compile("sgd", getattr(tf.keras.losses, name))
print("loss of equal vectors %.3f" % model.evaluate(np.ones((2, 2)), np.ones((2, 2)), verbose=0))
