"""A process in which nothing can happen any more: each of its threads waits for another.

No cycle need be in it: a Queue that stays empty has no owner.  But what a thread waits for in
lowthreads comes from another thread of the process.  If all of them wait, without a timeout, it
never comes.

What could still end it, and makes it unsure: the handler of a signal (a program may sleep so
until one comes; the one that raises KeyboardInterrupt doesn't count), and a thread that isn't
Python's and may call into it.  Whether there is one can be told on Linux alone.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Set
from typing import Any

from ._idents import main_thread
from ._lib import lib
from ._places import current_frames
from ._waits import Deadlock, Wait, find_cycles, waits

ordinary_handlers: list[Any] = [signal.default_int_handler]
"""Those of which no program waits for what they do."""

ordinary_modules = {"asyncio.runners"}
"""Whose handlers are such; this one's is for Ctrl-C."""


def find_deadlocks(found: list[Wait], aside: Set[int] = frozenset()) -> list[Deadlock]:
    """Return the deadlocks among the waits; the threads `aside` release no lock."""
    found_cycles = find_cycles(found, aside)
    if any(each.sure for each in found_cycles):
        return found_cycles
    stuck = _find_stuck(found, aside)
    return found_cycles if stuck is None else [*found_cycles, stuck]


def _blocked(found: list[Wait]) -> dict[int, Wait]:
    """The waits that don't end by themselves, each of its thread."""
    last = {wait.ident: wait for wait in found}  # a handler's wait is after what it interrupts
    return {
        ident: wait
        for ident, wait in last.items()
        # A lock that nobody has was just released: the thread is about to take it.
        if wait.timeout is None and not wait.suspended and wait.owner is not None
    }


def _find_stuck(found: list[Wait], aside: Set[int]) -> Deadlock | None:
    """Return the waits of all threads, if that is all that they do, but for those `aside`."""
    before = _blocked(found)
    if main_thread() not in before:  # mostly: spares the rest
        return None
    idents = current_frames().keys() - aside
    if not before.keys() >= idents:
        return None
    sure = _count_threads() == len(idents) + len(aside) and not _has_handlers()
    # Who waits now as before the count has not run meanwhile: at this moment, all wait.
    now = _blocked(waits())
    stuck = [now[ident] for ident in idents & now.keys()]
    if len(stuck) < len(idents) or any(wait.since != before[wait.ident].since for wait in stuck):
        return None
    return Deadlock(tuple(sorted(stuck, key=lambda wait: wait.since)), sure, "stuck")


def _count_threads() -> int | None:
    """How many threads the process has, but for the shim's own; None: can't be told."""
    try:
        return len(os.listdir("/proc/self/task")) - lib.lt_watch_threads()
    except OSError:
        return None


def _has_handlers() -> bool:
    handlers = map(signal.getsignal, signal.valid_signals())
    return any(callable(each) and not _is_ordinary(each) for each in handlers)


def _is_ordinary(handler: Any) -> bool:
    if handler in ordinary_handlers:
        return True
    function = getattr(handler, "func", handler)
    return getattr(function, "__module__", None) in ordinary_modules
