"""The watchdog: a thread that looks for deadlocks, and waits that last too long.

`python -m lowthreads run` starts it if it is asked to; the options travel to the program's
interpreter, and to the processes that it starts, in the environment.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from typing import Any, NamedTuple

from ._deadlock_error import break_deadlock
from ._dump import dump
from ._handles import start_joinable_thread
from ._idents import get_ident
from ._lib import lib
from ._lock import allocate_lock
from ._stuck import find_deadlocks, ordinary_handlers
from ._waits import Deadlock, Wait, waits

INTERVAL = 0.04
"""Seconds between two looks: a deadlock is reported within 0.1."""

PATIENCE = 4
"""Looks for which the main thread may take to run the handler that reports."""

STALL = 1.0
"""Seconds without a look after which the shim reports itself: see `csrc/watch.c`."""

ABORTED = 70
"""The exit status of a program that was ended for a deadlock."""

_VARIABLE = "LOWTHREADS_WATCH"

Key = frozenset[tuple[int, int]]


class Options(NamedTuple):
    """What the watchdog is to do."""

    on_deadlock: str = "ignore"
    """"report" it; after that "raise" a DeadlockError in one of its threads, or "abort" the
    program; or "ignore" it."""
    report_after: float = 0.0
    """Report waits that have lasted so many seconds; 0: none."""
    dump_signal: str = ""
    """The name of a signal that makes the program report; "" for none."""

    def to_environment(self, env: dict[str, str]) -> None:
        """Have an interpreter with this environment watch."""
        env[_VARIABLE] = f"{self.on_deadlock}:{self.report_after!r}:{self.dump_signal}"


def default_signal() -> str:
    """Return the name of the signal that a terminal's key for it sends."""
    return "SIGBREAK" if sys.platform == "win32" else "SIGQUIT"


class Watchdog:
    """Looks, and remembers what it has reported."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.reported: set[Key] = set()
        self.told_long: set[tuple[int, int]] = set()
        self.asked = 0
        """For how many looks a signal's report is due."""

    def start(self) -> None:
        """Look from now on, in a thread that nobody waits for."""
        start_joinable_thread(self._run, name="lt-watchdog")
        stall = max(STALL, self.options.report_after)
        lib.lt_watch_start(_descriptor(), int(stall * 1e9))

    def _run(self) -> None:
        never = allocate_lock()
        never.acquire()
        while not never.acquire(timeout=INTERVAL):
            self.look()

    def look(self) -> None:
        """Report what was not reported yet."""
        lib.lt_watch_beat()
        me = get_ident()
        found = [wait for wait in waits() if wait.ident != me]
        deadlocks = self._deadlocks(found, me)
        closed = self._closed(deadlocks)
        lasting = self._lasting(found)
        if closed or lasting or self._overdue():
            dump(_aside={me})
        if closed and self.options.on_deadlock == "abort":
            os._exit(ABORTED)
        if self.options.on_deadlock == "raise":
            for each in deadlocks:
                if each.kind == "cycle":  # if all are stuck, none is more to blame than others
                    break_deadlock(each)

    def _deadlocks(self, found: list[Wait], me: int) -> list[Deadlock]:
        if self.options.on_deadlock == "ignore":
            return []
        return [each for each in find_deadlocks(found, {me}) if each.sure]

    def _closed(self, deadlocks: list[Deadlock]) -> bool:
        """Whether there is a deadlock that was not there before."""
        keys: set[Key] = {
            frozenset((wait.ident, wait.address) for wait in each.waits) for each in deadlocks
        }
        new = keys - self.reported
        self.reported = keys
        return bool(new)

    def _overdue(self) -> bool:
        """Whether a signal's report is, for the main thread can't run its handler."""
        self.asked = self.asked + 1 if lib.lt_watch_asked() else 0
        if self.asked <= PATIENCE:
            return False
        lib.lt_watch_answered()
        return True

    def _lasting(self, found: list[Wait]) -> bool:
        """Whether a wait has now lasted too long."""
        after = self.options.report_after
        lasting = {(wait.ident, wait.since) for wait in found if after and wait.seconds >= after}
        new = lasting - self.told_long
        self.told_long = lasting
        return bool(new)


def _descriptor() -> int:
    """Where the shim writes what it has to report itself."""
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        return 2


def _dump_on_signal(*_: Any) -> None:
    lib.lt_watch_answered()
    dump()


ordinary_handlers.append(_dump_on_signal)


def start_from_environment() -> None:
    """Watch, if the environment says so; called when an interpreter starts."""
    given = os.environ.get(_VARIABLE)
    if given is None:
        return
    on_deadlock, report_after, dump_signal = given.split(":")
    options = Options(on_deadlock, float(report_after), dump_signal)
    if options.dump_signal and hasattr(signal, options.dump_signal):
        signum = getattr(signal, options.dump_signal)
        signal.signal(signum, _dump_on_signal)
        lib.lt_watch_signal(signum)
    if options.on_deadlock != "ignore" or options.report_after:
        watchdog = Watchdog(options)
        try:
            watchdog.start()
        except RuntimeError as error:  # the program may do without threads
            print(f"{__package__}: no watchdog: {error}", file=sys.stderr)
            return
        atexit.register(lib.lt_watch_stop)  # from then on, others can't look
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=watchdog.start)
