"""The same beside threads that only compute: a lock that lets the GIL go waits for it then."""

from __future__ import annotations

import _thread
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Callable

from lowthreads._check.compare import own
from peers import Peer

from .load import Load, Timed
from .uncontended import acquire_release, create, non_blocking, timed, with_lock

SECONDS = 0.03  # of work, a round: several times as long as a thread keeps the GIL


def compute(stop: list[bool], end: Callable[[], None]) -> None:
    number = 0
    while not stop:
        number = (number + 1) & 0xFFFF
    end()


@contextmanager
def computing(count: int) -> Iterator[None]:
    """Let threads compute meanwhile."""
    stop: list[bool] = []
    ends = [_thread.allocate_lock() for _ in range(count)]
    for end in ends:
        end.acquire()
        _thread.start_new_thread(compute, (stop, end.release))
    try:
        yield
    finally:
        stop.append(True)
        for end in ends:
            end.acquire()


def beside(count: int, work: Callable[[Peer, int], float]) -> Timed:
    copies: dict[str, Callable[[Peer, int], float]] = {}

    def with_neighbours(peer: Peer, turns: int) -> float:
        copy = copies.setdefault(peer.name, own(work))
        with computing(count):
            return copy(peer, turns)

    return Timed(with_neighbours, SECONDS)


LOADS = [
    Load(f"{name}, beside {count} CPU-bound", beside(count, work))
    for name, work in {
        "create": create,
        "acquire, release": acquire_release,
        "with lock": with_lock,
        "acquire(False), release": non_blocking,
        "acquire(True, 10), release": timed,
    }.items()
    for count in (1, 3)
]
