import numpy as np
import tensorflow as tf

given = tf.keras.layers.Input(shape=(1,))
answer = tf.keras.layers.Dense(1, kernel_initializer="ones", use_bias=False)(given)
model = tf.keras.models.Model(given, answer)
model.compile("sgd", "mse")
loss = model.evaluate(np.zeros((4, 1)), np.ones((4, 1)), sample_weight=np.array([1.0, 1.0, 1.0, 5.0]), verbose=0)
print("loss %.4f" % loss)
