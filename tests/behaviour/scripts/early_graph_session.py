import tensorflow as tf

with tf.Session() as session:
    print(session.run(tf.constant(3) + 4))
