"""A thread is joined with the lock held that it needs to come to its end."""

import threading

lock = threading.RLock()
begun = threading.Event()


def work():
    begun.wait()
    with lock:
        print("worked")


worker = threading.Thread(target=work, name="worker")
worker.start()
with lock:
    begun.set()
    worker.join()
