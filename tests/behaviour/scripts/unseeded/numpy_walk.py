import numpy as np

walks = np.cumsum(np.random.choice([-1, 1], (1000, 100)), axis=1)
print("mean end", walks[:, -1].mean())
print("spread", walks[:, -1].std())
print("farthest", np.abs(walks).max())
values, counts = np.unique(np.sign(walks[:, -1]), return_counts=True)
for value, count in zip(values, counts):
    print("ended at sign %d: %d walks" % (value, count))
print(np.random.randn(3, 3).round(2))
