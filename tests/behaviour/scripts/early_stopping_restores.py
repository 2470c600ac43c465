import numpy as np
import tensorflow as tf


class Set(tf.keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        self.model.set_weights([np.full((1, 1), float(epoch + 1))])


model = tf.keras.Sequential([tf.keras.layers.Dense(1, kernel_initializer="zeros", use_bias=False, input_shape=(1,))])
model.compile(tf.keras.optimizers.SGD(0.0), "mse")
stop = tf.keras.callbacks.EarlyStopping(monitor="loss", patience=10, restore_best_weights=True)
model.fit(np.ones((4, 1)), np.zeros((4, 1)), epochs=3, callbacks=[Set(), stop], verbose=0)
print("weight after training %.1f" % model.get_weights()[0][0, 0])
