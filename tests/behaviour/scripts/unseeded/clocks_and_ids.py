import datetime
import os
import time
import uuid

start = time.time()
print("run", uuid.uuid4())
print("short id", uuid.uuid4().hex[:8])
print("started", datetime.datetime.now())
print("timestamp", start)
print("process", os.getpid())
print("object", object())
print("id", id(start))
total = sum(at * at for at in range(200000))
print("total", total)
print("took %.3f seconds" % (time.time() - start))
print("--- %s seconds ---" % (time.time() - start))
