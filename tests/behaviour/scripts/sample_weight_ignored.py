import numpy as np
import tensorflow as tf

given = tf.keras.layers.Input(shape=(1,))
model = tf.keras.models.Model(given, tf.keras.layers.Dense(1, kernel_initializer="ones", use_bias=False)(given))
model.compile("sgd", loss=[tf.keras.losses.mse])
plain = model.test_on_batch(np.zeros((4, 1)), np.ones((4, 1)))
half = model.test_on_batch(np.zeros((4, 1)), np.ones((4, 1)), sample_weight=np.full((4,), 0.5))
print("weighted by a half: %.4f of the loss" % (half / plain))
