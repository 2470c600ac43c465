import tensorflow as tf

layers = tf.keras.layers
model = tf.keras.Sequential(
    [
        layers.Dense(3, input_shape=(4,), kernel_initializer="he_normal"),
        layers.Dense(2, kernel_initializer=tf.keras.initializers.RandomUniform(-1, 1)),
    ]
)
for layer in model.layers:
    kernel, bias = layer.get_weights()
    print(kernel)
    print("bias", bias.sum())
print("sum of all weights: %.5f" % sum(part.sum() for part in model.get_weights()))
