import numpy as np
import tensorflow as tf

layers = tf.keras.layers
labels = np.random.randint(0, 3, 192)
images = np.random.rand(192, 8, 8, 1) * 0.3
for image, label in zip(images, labels):
    image[label * 2 : label * 2 + 2, :, 0] += 0.7
model = tf.keras.Sequential(
    [
        layers.Conv2D(6, 3, activation="relu", input_shape=(8, 8, 1)),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(3, activation="softmax"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(images[:128], labels[:128], epochs=4, validation_data=(images[128:], labels[128:]))
loss, accuracy = model.evaluate(images[128:], labels[128:], verbose=0)
print("Test loss: {:.3f}  accuracy: {:.1%}".format(loss, accuracy))
