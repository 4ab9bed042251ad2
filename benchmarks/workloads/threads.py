"""Starting threads, and waiting for their ends."""

from __future__ import annotations

import _thread
from itertools import repeat
from typing import Any, Callable

from peers import Peer

from .load import Figures, Load, Timed, clock, has_threads

MANY = 1000

# Up to 3.12, and on PyPy, `_thread` has no joinable threads: both peers release a lock there.
JOINABLE = hasattr(_thread, "start_joinable_thread")


def nothing() -> None:
    pass


def starter(module: Any) -> Callable[[], Callable[[], object]]:
    """Return what starts a thread, and returns what waits for its end."""
    if JOINABLE:
        start_joinable = module.start_joinable_thread
        return lambda: start_joinable(nothing).join
    start, new_lock = module.start_new_thread, module.allocate_lock

    def start_one() -> Callable[[], object]:
        running = new_lock()
        running.acquire()
        start(running.release, ())
        return running.acquire  # type: ignore[no-any-return]

    return start_one


def start_join(peer: Peer, turns: int) -> float:
    start = starter(peer.module)
    began = clock()
    for _ in repeat(None, turns):
        start()()
    return clock() - began


def start_join_many(peer: Peer) -> Figures:
    start = starter(peer.module)
    began = clock()
    joins = [start() for _ in range(MANY)]
    for join in joins:
        join()
    return {"time": [(clock() - began) / MANY]}


def first_line(peer: Peer) -> Figures:
    start = peer.module.start_new_thread
    times = []
    ran = _thread.allocate_lock()
    ran.acquire()

    def body() -> None:
        times.append(clock() - began)
        ran.release()

    for _ in range(100):
        began = clock()
        start(body, ())
        ran.acquire()
    return {"time": [sum(times) / len(times)]}


LOADS = [
    Load("thread start to its first line", first_line, has_threads),
    Load("thread start and join", Timed(start_join), has_threads),
    Load("thread start and join, 1,000 at a time", start_join_many, has_threads),
]
