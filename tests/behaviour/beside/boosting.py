import lightgbm
import numpy as np

data = lightgbm.Dataset(np.arange(200).reshape(100, 2).astype(float), label=np.arange(100) % 2)
booster = lightgbm.train({"objective": "binary", "verbose": -1, "num_threads": 1}, data, 3)
print(booster.num_trees())
