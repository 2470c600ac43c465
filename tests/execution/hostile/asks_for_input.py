import sys

x = sys.stdin.read()
