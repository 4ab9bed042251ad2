"""No deadlock: one thread keeps a lock while it waits for something slow, and others starve."""

import threading
import time

cache = threading.Lock()
kept = threading.Event()


def refresh():
    with cache:
        kept.set()
        time.sleep(1)  # a query, say


def request():
    kept.wait()
    with cache:
        pass


threads = [threading.Thread(target=refresh, name="refresher")]
threads += [threading.Thread(target=request, name=f"request-{i}") for i in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("done")
