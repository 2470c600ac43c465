import matplotlib
import pandas as pd
import tensorflow as tf
from sklearn.linear_model import LinearRegression

matplotlib.use("Agg")
import matplotlib.pyplot as plt

frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [2.0, 4.0, 6.0]})
fitted = LinearRegression().fit(frame[["a"]], frame["b"])
figure = plt.figure()
plt.plot(frame["a"])
figure.canvas.draw()
print(tf.__version__, round(float(fitted.coef_[0]), 3))
