#: tries = "numbers at the ends of what a float holds, infinite and none"
#: expects = ["measured"]
x = [1.7e308, -1.7e308, 5e-324, float("inf"), float("-inf"), float("nan"), 10 ** 400, -(2 ** 63) - 1]
