import tensorflow as tf

if hasattr(tf, "enable_eager_execution"):
    tf.enable_eager_execution()

print(tf.random.uniform((2, 3)).numpy())
print("mean of a thousand:", float(tf.reduce_mean(tf.random.normal((1000,)))))
print("integers:", tf.random.uniform((5,), maxval=10, dtype=tf.int32).numpy())
print("shuffled:", tf.random.shuffle(tf.range(6)).numpy())
data = tf.data.Dataset.range(8).shuffle(8).batch(4)
for batch in data:
    print("batch:", batch.numpy())
