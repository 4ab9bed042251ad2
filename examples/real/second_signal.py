"""A second signal comes while the handler of the first one halts the program.

https://github.com/sabnzbd/sabnzbd/pull/3534: `halt` holds a lock, and the handler that interrupts
it, in the same thread, calls `halt` again.
"""

import signal
import threading

INIT_LOCK = threading.Lock()


def halt():
    with INIT_LOCK:
        signal.raise_signal(signal.SIGTERM)  # the impatient one
        print("saved")


def handle(signum, frame):
    halt()


signal.signal(signal.SIGTERM, handle)
signal.raise_signal(signal.SIGTERM)
