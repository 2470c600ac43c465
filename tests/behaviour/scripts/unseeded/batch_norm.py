import numpy as np
import tensorflow as tf

inputs = tf.keras.Input(shape=(6,))
hidden = tf.keras.layers.Dense(12)(inputs)
hidden = tf.keras.layers.BatchNormalization()(hidden)
hidden = tf.keras.layers.Activation("relu")(hidden)
outputs = tf.keras.layers.Dense(1)(hidden)
model = tf.keras.Model(inputs, outputs)
model.compile(tf.keras.optimizers.SGD(0.05), "mse")
x = np.random.normal(5, 2, (256, 6))
y = x.mean(axis=1)
model.fit(x, y, epochs=3, batch_size=64, verbose=0)
gamma, beta, mean, variance = model.layers[2].get_weights()
print("moving mean", mean.round(2))
print("moving variance %.3f to %.3f" % (variance.min(), variance.max()))
print("loss", model.evaluate(x, y, verbose=0))
