"""What is compared: lowthreads and its peers, on the interpreter that runs this."""

from __future__ import annotations

import _thread
import multiprocessing
import threading
from dataclasses import dataclass
from typing import Any, Callable

import lowthreads
import plain_binding


@dataclass(frozen=True)
class Peer:
    """Something that has locks, and perhaps threads."""

    name: str
    new_lock: Callable[[], Any]
    module: Any = None
    """Like `_thread`; None for those that have only locks."""
    owned: bool = False
    """Whether only the thread that took a lock can release it."""
    most_locks: int = 100_000
    """How many a process can have at once, and more."""


OURS = Peer("lowthreads", lowthreads.allocate_lock, lowthreads)
STOCK = Peer("_thread", _thread.allocate_lock, _thread)


def peers() -> list[Peer]:
    """Return all of them; builds what isn't built yet."""
    return [
        OURS,
        STOCK,
        Peer("plain cffi", plain_binding.lock_type()),
        Peer("lowthreads.RLock", lowthreads.RLock, owned=True),
        Peer("threading.RLock", threading.RLock, owned=True),
        # Each is a mapping of memory, of which Linux allows 65,530.
        Peer("multiprocessing.Lock", multiprocessing.Lock, most_locks=10_000),
    ]
