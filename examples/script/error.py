"""Asks for the summary of a model without an input shape, which every release refuses, each in its own words."""
import tensorflow as tf

tf.keras.Sequential([tf.keras.layers.Dense(3)]).summary()
