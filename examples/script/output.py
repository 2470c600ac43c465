"""Prints what a layer is called by default; to be judged by its output."""
import tensorflow as tf

print('TensorFlow', tf.__version__)
print(tf.keras.layers.BatchNormalization().name)
