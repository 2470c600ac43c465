# -*- coding: utf-8 -*-
#: tries = "every byte, and a message of broken text"
#: expects = ["raised ValueError"]
import os

os.write(2, bytes(bytearray(range(256))) * 4)
raise ValueError(u"\ud800 \x00 \x1b[2J \u202e caf\xe9")
