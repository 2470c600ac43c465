import numpy as np
import tensorflow as tf

x = np.random.randn(120, 5)
y = (x.sum(axis=1) > 0).astype(int)
order = np.random.permutation(120)
scores = []
for fold in range(3):
    test = order[fold::3]
    train = np.setdiff1d(order, test)
    model = tf.keras.Sequential([tf.keras.layers.Dense(1, activation="sigmoid", input_shape=(5,))])
    model.compile(tf.keras.optimizers.Adam(0.05), "binary_crossentropy", metrics=["accuracy"])
    model.fit(x[train], y[train], epochs=3, batch_size=16, verbose=0)
    scores.append(model.evaluate(x[test], y[test], verbose=0)[1])
    guessed = (model.predict(x[test], verbose=0).ravel() > 0.5).astype(int)
    table = [[int(((y[test] == a) & (guessed == b)).sum()) for b in (0, 1)] for a in (0, 1)]
    print("fold", fold + 1, "confusion", table)
print("accuracy %.3f +- %.3f" % (np.mean(scores), np.std(scores)))
