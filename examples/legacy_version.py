from packaging.version import parse

# Not a version by PEP 440.
print(parse('1.0-custom-build'))
