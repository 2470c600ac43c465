import tensorflow as tf

model = tf.keras.Sequential([tf.keras.layers.LSTM(4, input_shape=(5, 3))])
print(model.layers[0].recurrent_activation.__name__)
