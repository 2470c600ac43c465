#: tries = "json.dumps says something else"
#: expects = ["measured x == 1", "untestable something other than the probe wrote"]
import json

json.dumps = lambda *given, **named: "owned"
json.encoder.JSONEncoder.encode = lambda *given: "owned"
json.encoder.JSONEncoder.iterencode = lambda *given, **named: ["owned"]
x = 1
