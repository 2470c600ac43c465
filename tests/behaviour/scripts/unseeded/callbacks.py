import numpy as np
import tensorflow as tf


class Report(tf.keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.batches = 0

    def on_batch_end(self, batch, logs=None):
        self.batches += 1

    def on_epoch_end(self, epoch, logs=None):
        print("after epoch %d: %d batches, loss %.3f" % (epoch + 1, self.batches, logs["loss"]))


x = np.random.rand(96, 4)
y = np.random.randint(0, 2, 96)
model = tf.keras.Sequential([tf.keras.layers.Dense(1, activation="sigmoid", input_shape=(4,))])
model.compile(tf.keras.optimizers.SGD(0.1), "binary_crossentropy")
rates = tf.keras.callbacks.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1))
model.fit(x, y, epochs=3, batch_size=16, callbacks=[Report(), rates], verbose=0)
