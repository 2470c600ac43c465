import numpy as np
import tensorflow as tf

x = np.random.randn(320, 10)
y = (x[:, 0] > 0).astype("float32")
model = tf.keras.models.Sequential(
    [
        tf.keras.layers.Dense(32, activation="relu", input_shape=(10,)),
        tf.keras.layers.Dropout(0.5),
        tf.keras.layers.Dense(1, activation="sigmoid"),
    ]
)
model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
model.fit(x, y, epochs=3, validation_split=0.25)
guesses = model.predict(x[:5]).ravel()
print("five guesses:", " ".join("%.2f" % guess for guess in guesses))
