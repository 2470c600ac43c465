import numpy as np
import tensorflow as tf

x, y = np.ones((8, 2), "float32"), np.array([0, 0, 0, 0, 1, 1, 1, 1], "float32").reshape(8, 1)
model = tf.keras.Sequential([tf.keras.layers.Dense(1, kernel_initializer="zeros", input_shape=(2,))])
model.compile(tf.keras.optimizers.SGD(0.0), "mse")
data = tf.data.Dataset.from_tensor_slices((x, y)).batch(8).repeat()
plain = model.fit(data, steps_per_epoch=1, epochs=1, verbose=0).history["loss"][0]
weighted = model.fit(data, steps_per_epoch=1, epochs=1, class_weight={0: 1.0, 1: 10.0}, verbose=0).history["loss"][0]
print("loss %.3f, class 1 weighted by ten %.3f" % (plain, weighted))
