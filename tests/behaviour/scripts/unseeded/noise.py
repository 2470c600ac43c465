import numpy as np
import tensorflow as tf

layers = tf.keras.layers
clean = np.random.rand(256, 12)
noisy = clean + np.random.normal(0, 0.1, clean.shape)
model = tf.keras.Sequential(
    [
        layers.GaussianNoise(0.1, input_shape=(12,)),
        layers.Dense(5, activation="relu"),
        layers.Dense(12, activation="sigmoid"),
    ]
)
model.compile("adam", "mse")
model.fit(noisy, clean, epochs=4, batch_size=64, shuffle=True, verbose=2)
print("error before %.4f after %.4f" % (np.mean((noisy - clean) ** 2), np.mean((model.predict(noisy) - clean) ** 2)))
