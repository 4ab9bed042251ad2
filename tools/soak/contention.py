"""Many threads, few locks: every way to take one, with exact counts under each."""

import random
import threading
import time

from common import check, count, report, run, running

THREADS = 8
locks = [threading.Lock() for _ in range(3)] + [threading.RLock() for _ in range(3)]
guarded = [0] * len(locks)


def work(chance: random.Random) -> None:
    done = [0] * len(locks)
    early = timeouts = tries = 0
    while running():
        for _ in range(200):
            at = chance.randrange(len(locks))
            lock, way = locks[at], chance.randrange(4)
            if way == 0:
                lock.acquire()
            elif way == 1:
                if not lock.acquire(False):
                    tries += 1
                    continue
            elif way == 2:
                timeout = chance.choice([1e-6, 1e-4, 2e-3])
                began = time.monotonic()
                if not lock.acquire(timeout=timeout):
                    early += time.monotonic() - began < timeout
                    timeouts += 1
                    continue
            else:
                lock.acquire(True, 60)
            guarded[at] += 1
            if chance.random() < 0.01:
                time.sleep(chance.random() * 2e-3)
            done[at] += 1
            lock.release()
    with totals_lock:
        for at, number in enumerate(done):
            totals[at] += number
    count(operations=sum(done) + timeouts + tries, timeouts=timeouts, lost=early)
    count(**{"tries in vain": tries})


totals = [0] * len(locks)
totals_lock = threading.Lock()
run(THREADS, work)
check(totals == guarded, f"counted {totals}, guarded {guarded}")
check(not any(lock.acquire(False) is False for lock in locks), "a lock is left held")
report()
