"""Threads that all want one lock all the time."""

from __future__ import annotations

import _thread
import itertools
from typing import Callable

from peers import Peer

from .load import Figures, Load, clock

SHORT, LONG = 1, 200
"""Steps of Python, some 20 ns each, while the lock is held; and as many without it."""

SAMPLED = 16
"""One wait in so many is timed: a look at the clock is as long as a short hold."""


def work(steps: int) -> None:
    for _ in itertools.repeat(None, steps):
        pass


class Contenders:
    """Threads that take and release a lock until a time has passed."""

    def __init__(self, lock: object, count: int, steps: int, seconds: float) -> None:
        self.lock, self.steps, self.seconds = lock, steps, seconds
        self.until = 0.0
        self.go = _thread.allocate_lock()
        self.ends = [_thread.allocate_lock() for _ in range(count)]
        self.counts = [0] * count
        self.waits: list[float] = []
        self.last = 0.0

    def body(self, number: int, end: Callable[[], None]) -> None:
        lock, steps, taken = self.lock, self.steps, 0
        waits: list[float] = []
        with self.go:
            pass
        until = self.until
        while True:
            began = clock()
            if began > until and taken:
                break
            with lock:  # type: ignore[attr-defined]
                waits.append(clock() - began)
                work(steps)
            work(steps)
            for _ in range(SAMPLED - 1):
                with lock:  # type: ignore[attr-defined]
                    work(steps)
                work(steps)
            taken += SAMPLED
        self.counts[number] = taken
        self.waits += waits
        self.last = max(self.last, clock())
        end()

    def run(self) -> Figures:
        self.go.acquire()
        for number, end in enumerate(self.ends):
            end.acquire()
            _thread.start_new_thread(self.body, (number, end.release))
        began = clock()
        self.until = began + self.seconds
        self.go.release()
        for end in self.ends:
            end.acquire()
        took = self.last - began
        waits = sorted(self.waits)
        return {
            "time": [took / sum(self.counts)],
            "fairness": [jain(self.counts)],
            "wait p50": [waits[len(waits) // 2]],
            "wait p99": [waits[int(len(waits) * 0.99)]],
            "wait max": [waits[-1]],
        }


def jain(shares: list[int]) -> float:
    """Jain's index: 1 if all have the same, 1/n if one has all."""
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))


def contend(count: int, steps: int) -> Callable[[Peer], Figures]:
    # Longer for many: with a GIL, each gets it for 5 ms at a time.
    seconds = 0.1 if count <= 4 else 0.02 * count

    def run(peer: Peer) -> Figures:
        return Contenders(peer.new_lock(), count, steps, seconds).run()

    return run


LOADS = [
    Load(f"{count} threads contend, {name} section", contend(count, steps))
    for name, steps in (("short", SHORT), ("long", LONG))
    for count in (2, 4, 8, 32)
]
