import random

inside = sum(random.random() ** 2 + random.random() ** 2 < 1 for _ in range(10000))
print("pi is about", 4.0 * inside / 10000)
print("dice:", [random.randint(1, 6) for _ in range(5)])
print("hello %s" % random.choice(["world", "moon", "sun"]))
tosses = 1
while random.random() < 0.7:
    print("head")
    tosses += 1
print("tail after %d tosses" % tosses)
print("gauss %.3f" % random.gauss(0, 1))
