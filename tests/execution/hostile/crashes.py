#: tries = "a null pointer"
#: expects = ["signalled 11"]
#: ci = true
import ctypes

ctypes.string_at(0)
