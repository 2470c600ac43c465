import random

import numpy as np
import tensorflow as tf

text = "".join(random.choice("abcde ") for _ in range(400))
letters = sorted(set(text))
index = {letter: at for at, letter in enumerate(letters)}
x = np.array([[index[letter] for letter in text[at : at + 6]] for at in range(300)])
y = np.array([index[text[at + 6]] for at in range(300)])
model = tf.keras.Sequential(
    [
        tf.keras.layers.Embedding(len(letters), 5),
        tf.keras.layers.LSTM(7, recurrent_activation="sigmoid"),
        tf.keras.layers.Dense(len(letters), activation="softmax"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(x, y, epochs=2, verbose=0)
seed = list(x[0])
for _ in range(12):
    chances = model.predict(np.array([seed[-6:]]), verbose=0)[0]
    seed.append(int(np.random.choice(len(letters), p=chances / chances.sum())))
print("generated:", "".join(letters[at] for at in seed))
