import numpy as np
import tensorflow as tf

dropped = tf.nn.dropout(tf.ones((1000,)), 0.9)
values = dropped.numpy() if hasattr(dropped, "numpy") else tf.Session().run(dropped)
print("most are dropped: %s" % (np.mean(values == 0) > 0.5))
