import tensorflow as tf

given = tf.keras.layers.Input(shape=(10, 4))
model = tf.keras.models.Model(given, tf.keras.layers.GRU(5)(given))
print("%d parameters" % model.count_params())
