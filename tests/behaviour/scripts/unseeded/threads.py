import random
import threading
import time

lock = threading.Lock()
done = []


def work(number):
    time.sleep(random.random() * 0.02)
    with lock:
        done.append(number)
        print("worker %d finished as number %d" % (number, len(done)))


workers = [threading.Thread(target=work, args=(number,)) for number in range(6)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
print("all done:", sorted(done))
