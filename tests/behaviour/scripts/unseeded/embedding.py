import numpy as np
import tensorflow as tf

words = "good great fine bad awful poor film plot actor scene".split()
rows, labels = [], []
for _ in range(200):
    chosen = np.random.choice(len(words), 5)
    rows.append(chosen)
    labels.append(int(np.isin(chosen, [0, 1, 2]).sum() > np.isin(chosen, [3, 4, 5]).sum()))
model = tf.keras.Sequential(
    [
        tf.keras.layers.Embedding(len(words), 8),
        tf.keras.layers.GlobalAveragePooling1D(),
        tf.keras.layers.Dense(1, activation="sigmoid"),
    ]
)
model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
model.fit(np.array(rows), np.array(labels), epochs=10, batch_size=20, verbose=0)
vectors = model.layers[0].get_weights()[0]
for word, vector in zip(words, vectors):
    print("%-6s %s" % (word, np.round(vector[:4], 3)))
print("a good film:", round(float(model.predict(np.array([[0, 6, 6, 6, 6]]))[0, 0]), 3))
