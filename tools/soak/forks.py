"""Forks at any moment of threads that use locks, with each policy; each child works."""

import itertools
import os
import random
import threading
import traceback
import warnings

import lowthreads
from common import check, count, report, running

warnings.simplefilter("ignore")  # CPython 3.12 and later warn of each
locks = [threading.Lock() for _ in range(3)] + [threading.RLock() for _ in range(3)]
stop = threading.Event()


def work(seed: int) -> None:
    chance = random.Random(seed)
    while not stop.is_set():
        for _ in range(50):
            lock = chance.choice(locks)
            if lock.acquire(timeout=chance.choice([0, 1e-4, 60])):
                lock.release()


def add(lock: object, total: list[int]) -> None:
    for _ in range(20):
        with lock:  # type: ignore[attr-defined]
            total[0] += 1


def child(policy: str) -> None:
    for lock in locks:
        try:
            if lock.acquire(timeout=0.001 if policy == "block" else 60):
                lock.release()
            else:
                lock._at_fork_reinit()  # type: ignore[union-attr]
        except RuntimeError:
            assert policy == "raise"
            lock._at_fork_reinit()  # type: ignore[union-attr]
        total = [0]
        threads = [threading.Thread(target=add, args=(lock, total)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert total == [60], total


threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
for thread in threads:
    thread.start()
for policy in itertools.cycle(["block", "reset", "raise"]):
    if not running():
        break
    lowthreads.set_fork_policy(policy)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            child(policy)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    check(status == 0, f"a child ended with {status}")
    count(operations=6 * 60, forks=1)
stop.set()
for thread in threads:
    thread.join()
report()
