#: tries = "two hundred thousand names in one result"
#: expects = ["untestable the probe's result has"]
x = dict(("name %d" % number, number) for number in range(200000))
