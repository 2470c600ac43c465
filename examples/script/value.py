"""Reports the cross-entropy of a prediction that is as wrong as can be."""
import tensorflow as tf

wrong = tf.keras.losses.binary_crossentropy(tf.constant([[1.0]]), tf.constant([[0.0]]))
with tf.Session() as session:
    tfbisect_report('loss', session.run(wrong)[0])
