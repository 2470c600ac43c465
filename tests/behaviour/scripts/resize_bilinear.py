import numpy as np
import tensorflow as tf

picture = tf.constant(np.arange(4.0).reshape(1, 1, 4, 1), "float32")
resize = getattr(tf.image, "resize", None) or tf.image.resize_images
resized = resize(picture, (1, 8))
values = resized.numpy() if hasattr(resized, "numpy") else tf.Session().run(resized)
print(" ".join("%.3f" % value for value in values.ravel()))
