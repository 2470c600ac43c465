import numpy as np
import tensorflow as tf

if hasattr(tf, "enable_eager_execution"):
    tf.enable_eager_execution()

x = np.random.uniform(-1, 1, (100, 1)).astype("float32")
y = 3 * x + 2 + np.random.normal(0, 0.1, (100, 1)).astype("float32")
w = tf.Variable(tf.random.normal((1, 1)))
b = tf.Variable(tf.zeros((1,)))
for step in range(61):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(tf.matmul(x, w) + b - y))
    for variable, gradient in zip((w, b), tape.gradient(loss, (w, b))):
        variable.assign_sub(0.3 * gradient)
    if step % 20 == 0:
        print("step", step, "loss", float(loss))
print("w = %.3f, b = %.3f" % (w.numpy()[0, 0], b.numpy()[0]))
