"""A thread that waits for a lock which another one holds, releases, and takes again at once."""

from __future__ import annotations

import _thread
import time
from typing import Callable

from peers import Peer

from .load import Figures, Load, clock

WAITS = 10
"""Of a round, at most."""

SECONDS = 1.0
"""After which no wait begins."""


def starve(hold: float) -> Callable[[Peer], Figures]:
    def run(peer: Peer) -> Figures:
        lock = peer.new_lock()
        stop: list[bool] = []
        began, ended = _thread.allocate_lock(), _thread.allocate_lock()
        began.acquire()
        ended.acquire()

        def spin() -> None:
            began.release()
            while not stop:
                with lock:
                    until = clock() + hold
                    while clock() < until:
                        pass
            ended.release()

        _thread.start_new_thread(spin, ())
        began.acquire()
        waits: list[float] = []
        first = clock()
        while len(waits) < WAITS and clock() - first < SECONDS:
            time.sleep(hold / 2)  # without the GIL, so that the other one has the lock then
            before = clock()
            lock.acquire()
            waits.append(clock() - before)
            lock.release()
        stop.append(True)
        ended.acquire()
        return {"wait": waits}

    return run


LOADS = [
    Load("waiter against a spinner, 0.5 ms", starve(0.0005)),
    Load("waiter against a spinner, 2 ms", starve(0.002)),
]
