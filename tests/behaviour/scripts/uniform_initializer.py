import tensorflow as tf

model = tf.keras.Sequential(
    [
        tf.keras.layers.Dense(400, kernel_initializer="uniform", input_shape=(400,)),
    ]
)
weights = model.get_weights()[0]
print("all below 0.06: %s, some below 0: %s" % (weights.max() < 0.06, weights.min() < 0))
