"""Waiting for all threads before the interpreter ends, and naming those that don't end."""

from __future__ import annotations

import os
import sys
from typing import NamedTuple

from ._dump import RUNS_NO_PYTHON, is_watchdog, tell_threads
from ._host import host
from ._idents import get_ident, main_thread
from ._lib import lib
from ._lock import allocate_lock
from ._places import current_frames
from ._timeout import check_timeout
from ._wait import FOREVER, others_are_stopped
from ._waits import name_of, waits

FIRST_PAUSE, LONGEST_PAUSE = 0.0005, 0.02
"""Seconds between two looks: that a thread ended, of whatever kind, no event tells."""


class Straggler(NamedTuple):
    """A thread that has not ended.

    Source: lowthreads' own.
    """

    ident: int | None
    """As `get_ident` returns it there; None for one that runs no Python code and waits for
    nothing of lowthreads."""
    name: str
    """As `threading` knows it."""
    doing: str
    """What it does and where, as `dump` says it."""


def shutdown(timeout: float) -> list[Straggler]:
    """Wait until all other threads have ended, daemons too, and name those that have not.

    For the end of a program, when whatever tells its threads to end has done so: a thread that
    runs on while the interpreter ends is stopped anywhere, with the locks that it holds.
    Nothing is closed: threads can still be started.

    Args:
        timeout: the longest time to wait, in seconds, at most `TIMEOUT_MAX`; -1 for no limit.

    Returns:
        The threads that have not ended; none of them is the calling one, the main one, or the
        watchdog.

    Raises:
        ValueError: for a negative timeout other than -1.
        OverflowError: for a timeout above `TIMEOUT_MAX`.

    Source: lowthreads' own, after `threading._shutdown`.
    """
    nanoseconds = check_timeout(True, timeout)
    if others_are_stopped():
        return _stragglers()
    deadline = FOREVER if nanoseconds < 0 else min(lib.lt_now() + nanoseconds, FOREVER)
    never = allocate_lock()
    never.acquire()
    pause = FIRST_PAUSE
    while _others():
        left = (deadline - lib.lt_now()) / 1e9
        if left <= 0:
            return _stragglers()
        never.acquire(timeout=min(pause, left))
        pause = min(2 * pause, LONGEST_PAUSE)
    return []


_left_behind = 0
"""How many of the host's threads a fork left behind, with the one that made it, the main one now:
CPython goes on counting them."""


def _after_fork() -> None:
    global _left_behind
    _left_behind = host._count()


if sys.implementation.name == "cpython" and hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _others() -> int:
    """Count the threads that are to end."""
    frames = current_frames()
    known = frames.keys() | {wait.ident for wait in waits()}
    known -= {get_ident(), main_thread()}
    # Some run no Python.  One that was started by other C code isn't counted, and may hide one
    # of the host's.
    ours, hosts = lib.lt_census_count(), max(host._count() - _left_behind, 0)
    counted = get_ident() != main_thread() and (lib.lt_thread_is_ours() or hosts > 0)
    started: int = ours + hosts - counted
    hidden = max(started - len(known), 0)
    return hidden + sum(not is_watchdog(frames.get(ident)) for ident in known)


def _stragglers() -> list[Straggler]:
    others = _others()
    told = tell_threads({get_ident(), main_thread()})
    return [
        *(Straggler(ident, name_of(ident), doing) for ident, doing in told.items()),
        *[Straggler(None, "a thread", RUNS_NO_PYTHON)] * (others - len(told)),
    ]
