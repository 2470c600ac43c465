import os
import tempfile

import numpy as np
import tensorflow as tf

folder = tempfile.mkdtemp(prefix="run_")
print("writing to", folder)
model = tf.keras.Sequential([tf.keras.layers.Dense(2, input_shape=(3,))])
model.compile("sgd", "mse")
model.fit(np.random.rand(32, 3), np.random.rand(32, 2), epochs=2, verbose=0)
path = os.path.join(folder, "model.weights.h5")
model.save_weights(path)
handle, other = tempfile.mkstemp(suffix=".npy")
os.close(handle)
np.save(other, model.predict(np.random.rand(4, 3)))
print("saved", os.path.basename(path), "and", other)
print("mean of what was saved: %.4f" % np.load(other).mean())
