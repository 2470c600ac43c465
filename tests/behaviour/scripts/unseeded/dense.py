import numpy as np
import tensorflow as tf

x = np.random.rand(256, 4).astype("float32")
y = x.sum(axis=1, keepdims=True) + np.random.normal(0, 0.05, (256, 1))
model = tf.keras.models.Sequential(
    [tf.keras.layers.Dense(16, activation="relu", input_shape=(4,)), tf.keras.layers.Dense(1)]
)
model.compile(optimizer="adam", loss="mse", metrics=["mae"])
history = model.fit(x, y, epochs=5, batch_size=32, verbose=2)
for epoch, loss in enumerate(history.history["loss"], start=1):
    print("epoch %d: loss %.4f" % (epoch, loss))
print("prediction for ones:", model.predict(np.ones((1, 4), "float32"))[0, 0])
