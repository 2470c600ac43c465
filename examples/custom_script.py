import numpy
import tensorflow as tf

# For the probe `script`: not how a model behaves, but what code around it may lean on.
model = tf.keras.models.Sequential([tf.keras.layers.Dense(1, activation='sigmoid', input_shape=(3,))])
model.compile(optimizer='adam', loss='binary_crossentropy', metrics=['accuracy'])
history = model.fit(numpy.ones((8, 3)), numpy.ones((8, 1)), epochs=1, verbose=0)

tfbisect_report('keys of history', ' '.join(sorted(history.history)))
tfbisect_report('names of settings', ' '.join(sorted(model.optimizer.get_config())))
