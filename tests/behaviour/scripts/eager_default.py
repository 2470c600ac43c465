import tensorflow as tf

print("sum is a number: %s" % hasattr(tf.constant(1) + 2, "numpy"))
