"""A finalizer logs by a Queue, and runs while this very thread is in that Queue.

https://github.com/getsentry/sentry-python/issues/803: an event is put into a queue.Queue; the
garbage collector runs meanwhile, and an object's `__del__` puts another event there.
"""

import gc
import queue
import threading


class Transport(queue.Queue):
    def _put(self, item):
        gc.collect()  # which may happen at any step
        super()._put(item)


class Connection:
    def __init__(self):
        self.me = self  # only the collector frees it

    def __del__(self):
        events.put("connection lost")


def report():
    Connection()
    events.put("an error")


gc.disable()
events = Transport()
reporter = threading.Thread(target=report, name="reporter")
reporter.start()
reporter.join()
