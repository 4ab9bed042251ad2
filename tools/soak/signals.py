"""Signals all the time, whose handlers raise or return, in waits of every kind."""

import random
import signal
import sys
import threading
import time

from common import check, count, report, running

if sys.platform == "win32":
    report()  # there is no timer that sends signals


class Hit(Exception):
    pass


handled = raised = 0
armed = False


def handle(*_: object) -> None:
    global handled, raised, armed
    handled += 1
    if armed and handled % 2:
        armed = False  # a second one would take the first one's place on its way out
        raised += 1
        raise Hit


lock, other, ping, pong = (threading.Lock() for _ in range(4))
for each in other, ping, pong:
    each.acquire()
operations = caught = passed = 0
over = False


def hand_over() -> None:
    while ping.acquire() and not over:
        pong.release()


partner = threading.Thread(target=hand_over)
partner.start()
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)
chance = random.Random(1)
while running():
    for _ in range(100):
        operations += 1
        way = chance.randrange(3)
        if way == 0:  # a held lock: over by time, or by a handler
            timeout = chance.choice([1e-4, 1e-3, 8e-3])
            began = time.monotonic()
            try:
                armed = True
                taken = other.acquire(timeout=timeout)
                armed = False
                check(not taken, "a held lock was taken")
                check(time.monotonic() - began >= timeout, "a time-out was early")
            except Hit:
                caught += 1
            armed = False
        elif way == 1:  # a free one
            with lock:
                pass
            check(not lock.locked(), "a lock is left held")
        else:  # hand-overs with another thread
            ping.release()
            pong.acquire()
            passed += 1
signal.setitimer(signal.ITIMER_REAL, 0)
over = True
ping.release()
partner.join()
check(raised == caught, f"{raised} raised, {caught} caught")
count(operations=operations, signals=handled, exceptions=caught)
count(**{"hand-overs": passed})
report()
