import random

import numpy as np

names = ["ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen"]
random.shuffle(names)
for place, name in enumerate(names, start=1):
    print(place, name)
order = np.random.permutation(20)
train, test = order[:15], order[15:]
print("train", sorted(train.tolist()))
print("test", test.tolist())
for name in random.sample(names, 3):
    print("drawn:", name)
for name in names:
    if random.random() < 0.5:
        print("kept:", name)
