import tensorflow as tf
from scipy import sparse

print(tf.__version__, sparse.eye(2).shape)
