"""Ends with 0 where TensorFlow has ragged tensors, with 1 where it has not."""
import sys

import tensorflow as tf

sys.exit(0 if hasattr(tf, 'RaggedTensor') else 1)
