"""Another thread ends waits by exceptions, while locks are handed on."""

import random
import threading
import time

import lowthreads
from common import check, count, report, run, running

THREADS = 6


class Hit(Exception):
    pass


lock, rlock, held = threading.Lock(), threading.RLock(), threading.Lock()
held.acquire()
guarded = 0
idents: set[int] = set()
sent = received = done = 0
totals_lock = threading.Lock()


def work(chance: random.Random) -> None:
    global guarded, received, done
    mine = hits = 0
    idents.add(threading.get_ident())
    while running():
        try:
            way = chance.randrange(3)
            if way == 0:
                with lock:
                    guarded += 1
                    mine += 1
                    time.sleep(0)
            elif way == 1:
                with rlock, rlock:
                    time.sleep(0)
            else:
                held.acquire(timeout=1e-3)
        except Hit:
            hits += 1
    idents.discard(threading.get_ident())
    while True:
        try:
            with totals_lock:
                received += hits
                done += mine
            return
        except Hit:
            hits += 1


def interrupt() -> None:
    global sent
    chance = random.Random(0)
    while running():
        for ident in list(idents):
            if chance.random() < 0.5:
                sent += lowthreads.interrupt(ident, Hit)
        time.sleep(1e-4)


interrupter = threading.Thread(target=interrupt)
interrupter.start()
run(THREADS, work)
interrupter.join()
check(sent == received, f"{sent} sent, {received} received")
check(done == guarded, f"counted {done}, guarded {guarded}")
check(not lock.locked() and rlock.acquire(False), "a lock is left held")
count(operations=done, interrupts=received)
report()
