"""A display is stopped with the lock held that its refreshing thread needs.

https://github.com/Textualize/rich/pull/928: `Live.stop` joins the refresh thread under the lock.
"""

import threading


class Live:
    def __init__(self):
        self.lock = threading.RLock()
        self.stopping = threading.Event()
        self.refresher = threading.Thread(target=self.refresh, name="refresher")

    def refresh(self):
        self.stopping.wait()
        with self.lock:
            print("a last time")

    def stop(self):
        with self.lock:
            self.stopping.set()
            self.refresher.join()


live = Live()
live.refresher.start()
live.stop()
