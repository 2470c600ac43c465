"""Uses a function that became deprecated; to be judged by a pattern."""
import tensorflow as tf

tf.to_float(tf.constant(1))
