import numpy as np
import tensorflow as tf

steps = np.cumsum(np.random.randn(300, 10, 1), axis=1)
target = steps[:, -1] + 0.1
model = tf.keras.Sequential()
model.add(tf.keras.layers.SimpleRNN(8, input_shape=(10, 1)))
model.add(tf.keras.layers.Dense(1))
model.compile(loss="mean_absolute_error", optimizer=tf.keras.optimizers.RMSprop(0.01))
result = model.fit(steps, target, validation_split=0.2, epochs=3, verbose=0)
print("train", ["%.3f" % value for value in result.history["loss"]])
print("valid", ["%.3f" % value for value in result.history["val_loss"]])
