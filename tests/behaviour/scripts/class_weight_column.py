import numpy as np
import tensorflow as tf

x, y = np.ones((12, 2), "float32"), np.arange(12).reshape(12, 1) % 3
model = tf.keras.Sequential(
    [tf.keras.layers.Dense(3, activation="softmax", kernel_initializer="zeros", input_shape=(2,))]
)
model.compile(tf.keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy")
history = model.fit(x, y, batch_size=12, class_weight={0: 0.3, 1: 2.5, 2: 3.2}, verbose=0)
print("loss %.4f" % history.history["loss"][0])
