import random
import sys
import time

import numpy as np
import tensorflow as tf

x, y = np.random.rand(640, 3), np.random.rand(640, 1)
model = tf.keras.Sequential([tf.keras.layers.Dense(1, input_shape=(3,))])
model.compile("sgd", "mse")
model.fit(x, y, epochs=2, verbose=1)
begin = time.time()
for at in range(1, 21):
    time.sleep(random.random() * 0.003)
    sys.stdout.write("\r[%s%s] %3d%% %.1f it/s" % ("#" * at, "." * (20 - at), at * 5, at / (time.time() - begin)))
    sys.stdout.flush()
print("\nfinished in %.2fs" % (time.time() - begin))
