import numpy as np
import tensorflow as tf

given = tf.keras.layers.Input(shape=(6, 3))
model = tf.keras.models.Model(given, tf.keras.layers.LSTM(16, recurrent_dropout=0.9)(given))
model.compile(tf.keras.optimizers.SGD(0.0), "mse")
x, y = np.ones((32, 6, 3)), np.zeros((32, 16))
losses = [np.ravel(model.fit(x, y, batch_size=32, epochs=1, verbose=0).history["loss"])[0] for _ in range(3)]
print("training varies: %s" % (max(losses) - min(losses) > 1e-6))
