import tensorflow as tf

print(tf.keras.utils.to_categorical([0, 1, 2]).dtype)
