import numpy as np
import tensorflow as tf

x, y = np.random.rand(200, 5), np.random.rand(200)
model = tf.keras.Sequential(
    [tf.keras.layers.Dense(4, activation="tanh", input_shape=(5,)), tf.keras.layers.Dense(1)]
)
model.compile("adam", "mse")
stopping = tf.keras.callbacks.EarlyStopping(monitor="val_loss", patience=1, restore_best_weights=True)
history = model.fit(x, y, validation_split=0.3, epochs=30, callbacks=[stopping], verbose=0)
print("best validation loss", min(history.history["val_loss"]))
print("at epoch", int(np.argmin(history.history["val_loss"])) + 1)
