"""The loops whose instructions `instructions.py` counts: `instruction_loops.py MODULE WHAT TIMES`.

All of them run a thousand times first, so that the interpreter has specialised them.
"""

from __future__ import annotations

import gc
import sys
from importlib import import_module
from itertools import repeat
from typing import Any, Callable

WARM_UP = 1000


def empty(threads: Any, times: int) -> None:
    for _ in repeat(None, times):
        pass


def create(threads: Any, times: int) -> None:
    new = threads.allocate_lock
    for _ in repeat(None, times):
        new()


def acquire_release(threads: Any, times: int) -> None:
    lock = threads.allocate_lock()
    for _ in repeat(None, times):
        lock.acquire()
        lock.release()


def try_release(threads: Any, times: int) -> None:
    lock = threads.allocate_lock()
    for _ in repeat(None, times):
        lock.acquire(False)
        lock.release()


def with_lock(threads: Any, times: int) -> None:
    lock = threads.allocate_lock()
    for _ in repeat(None, times):
        with lock:
            pass


def with_rlock(threads: Any, times: int) -> None:
    lock = threads.RLock()
    for _ in repeat(None, times):
        with lock:
            pass


LOOPS: dict[str, Callable[[Any, int], None]] = {
    "empty": empty,
    "create": create,
    "acquire, release": acquire_release,
    "acquire(False), release": try_release,
    "with lock": with_lock,
    "with rlock": with_rlock,
}


def main() -> None:
    module, what, times = sys.argv[1:]
    threads = import_module(module)
    gc.disable()
    for loop in LOOPS.values():
        loop(threads, WARM_UP)
    LOOPS[what](threads, int(times))


if __name__ == "__main__":
    main()
