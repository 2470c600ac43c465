#: tries = "input that nobody gives"
#: expects = ["measured x == ''"]
import sys

x = sys.stdin.read()
