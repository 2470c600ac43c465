import numpy
import tensorflow as tf

# Not how a model behaves, but what code around it leans on.
model = tf.keras.models.Sequential([tf.keras.layers.Dense(1, activation='sigmoid', input_shape=(3,))])
model.compile(optimizer='adam', loss='binary_crossentropy', metrics=['accuracy'])
history = model.fit(numpy.ones((8, 3)), numpy.ones((8, 1)), epochs=1, verbose=0).history
settings = model.optimizer.get_config()

# Which name does the accuracy have in the history, and the learning rate among the optimizer's settings?
tfbisect_report('accuracy', next(name for name in ('acc', 'accuracy') if name in history))
tfbisect_report('rate', next(name for name in ('lr', 'learning_rate') if name in settings))
