import numpy as np
import tensorflow as tf

x = np.random.rand(120, 3)
y = x.dot([1.0, -2.0, 0.5]) + np.random.normal(0, 0.2, 120)
model = tf.keras.Sequential([tf.keras.layers.Dense(1, input_shape=(3,))])
model.compile(tf.keras.optimizers.Adam(0.3), "mse")
best, patience, losses = None, 0, []
while patience < 2 and len(losses) < 25:
    loss = model.fit(x, y, epochs=1, batch_size=30, verbose=0).history["loss"][0]
    losses.append(loss)
    print("epoch %d loss %.4f" % (len(losses), loss))
    patience = 0 if best is None or loss < best else patience + 1
    best = loss if best is None else min(best, loss)
print("stopped after %d epochs, best %.4f" % (len(losses), best))
