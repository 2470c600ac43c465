import json

import numpy as np
import tensorflow as tf

x = np.random.rand(160, 2)
y = (x[:, 0] > x[:, 1]).astype("float32")
model = tf.keras.Sequential([tf.keras.layers.Dense(1, activation="sigmoid", input_shape=(2,))])
model.compile(tf.keras.optimizers.SGD(0.5), "binary_crossentropy")
history = model.fit(x, y, epochs=3, verbose=0).history
print(json.dumps({"losses": [float(each) for each in history["loss"]], "seed": int(np.random.randint(2**31))}))
tfbisect_report("final loss", history["loss"][-1])
tfbisect_report("weights", model.get_weights())
