"""A consumer waits for items, and the producer has ended without the last word."""

import queue
import threading

items = queue.Queue()


def produce():
    for i in range(3):
        items.put(i)
    # and no items.put(None)


def consume():
    while items.get() is not None:
        pass


consumer = threading.Thread(target=consume, name="consumer")
consumer.start()
threading.Thread(target=produce, name="producer").start()
consumer.join()
