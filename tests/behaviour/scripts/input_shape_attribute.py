import tensorflow as tf

model = tf.keras.Sequential([tf.keras.layers.Dense(3, input_shape=(2,))])
print(model.layers[0].input_shape)
