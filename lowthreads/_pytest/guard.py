"""A thread that ends what hangs in a test: a deadlock at once, anything else at the limit.

Guarantees
- It raises in a test only while a phase of that test (setup, call, teardown) runs, never in
  what pytest does between two.
- A phase ends: if what was raised in its thread didn't end it within `GRACE` seconds, the
  process does.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Set
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Callable
from weakref import WeakSet

import pytest

from .. import _expel, _handles, _lock, _rlock, _wait
from .._deadlock_error import DeadlockError
from .._dump import describe, dump
from .._expel import interrupt, interrupt_wait
from .._handles import start_joinable_thread
from .._host import host
from .._idents import get_ident, main_thread
from .._interrupt import interrupt_main
from .._lock import allocate_lock
from .._places import current_frames
from .._stuck import find_deadlocks, ordinary_handlers, ordinary_modules
from .._waits import Deadlock, waits

if TYPE_CHECKING:
    from types import FrameType

INTERVAL = 0.04
"""Seconds between two looks."""

AGAIN = 0.5
"""Seconds after which another wait of a test that should have ended is ended, too."""

GRACE = 5.0
"""Seconds in which a test may clean up after a deadlock, or when its time is over."""

# What raises in the main thread; programs and other plugins use others.
SIGNAL = signal.SIGINT if sys.platform == "win32" else signal.SIGVTALRM

_HIDDEN = (_expel, _handles, _lock, _rlock, _wait)

_OUTSIDE = frozenset({"pluggy", "_pytest"})
"""Where a test's stack begins."""


_TIMEOUT = "pytest_timeout"
ordinary_modules.add(_TIMEOUT)


def _timers() -> set[int]:
    """The threads in which pytest-timeout waits for a test's end."""
    threads: dict[int, threading.Thread] = threading._active  # type: ignore[attr-defined]
    return {ident for ident, each in list(threads.items()) if each.name.startswith(f"{_TIMEOUT} ")}


class Phase:
    """The setup, call or teardown of a test, while it runs."""

    def __init__(self, nodeid: str, limit: float, started: Callable[[], Set[int]]) -> None:
        self.nodeid = nodeid
        self.ident = get_ident()
        self.limit = limit
        self.started = started
        """The threads that the test started."""
        self.end_at = time.monotonic() + limit if limit else float("inf")
        self.failure: BaseException | None = None
        """Why it is ended."""
        self.finding: BaseException | None = None
        """Why it fails at its end."""
        self.raised_at = 0.0
        self.give_up_at = 0.0
        self.sections: list[tuple[str, str]] = []


class Guard:
    """The thread, and what it knows of the test that runs."""

    def __init__(self) -> None:
        # The host's: a wait for it is none of a test's.
        self._mutex = host.allocate_lock()
        self.ident = 0
        """The thread's."""
        self._phase: Phase | None = None
        self._pending: BaseException | None = None
        self._sent = False
        self._previous: Any = None
        self._others: frozenset[int] = frozenset()
        self._told: set[tuple[int, int]] = set()
        self._raised: WeakSet[BaseException] = WeakSet()

    @contextmanager
    def on_duty(self, config: pytest.Config) -> Iterator[None]:
        """Watch the phases of tests meanwhile."""
        self._config = config
        for module in _HIDDEN:  # pytest's tracebacks end there
            vars(module)["__tracebackhide__"] = True
        self._others = frozenset(current_frames()) - {main_thread()}
        if get_ident() == main_thread():
            self._previous = signal.signal(SIGNAL, self._raise_pending)
            ordinary_handlers.append(self._raise_pending)
        self._stop = allocate_lock()
        self._stop.acquire()
        thread = start_joinable_thread(self._run, name="lt-pytest")
        self.ident = thread.ident
        excepthook = threading.excepthook
        threading.excepthook = partial(self._excepthook, excepthook)
        try:
            yield
        finally:
            threading.excepthook = excepthook
            self._stop.release()
            thread.join()
            if self._previous is not None:
                signal.signal(SIGNAL, self._previous)
                ordinary_handlers.remove(self._raise_pending)

    def _excepthook(self, report: Callable[[Any], object], args: Any) -> None:
        """Report what ended a thread, unless the test's failure says it already."""
        if args.exc_value not in self._raised:
            report(args)

    def enter(self, nodeid: str, limit: float, started: Callable[[], Set[int]]) -> Phase:
        """Watch what the calling thread does until it leaves."""
        phase = Phase(nodeid, limit, started)
        with self._mutex:
            self._pending = None
            self._phase = phase
        return phase

    def leave(self) -> None:
        """End the phase: nothing is raised any more."""
        self._phase = None
        with self._mutex:
            self._pending = None

    def add(self, what: str, text: str) -> None:
        """Have what runs now fail at its end, with this text in its report."""
        phase = self._phase
        if phase is not None:
            phase.sections.append((f"lowthreads: {what}", text))
            phase.finding = pytest.fail.Exception(f"lowthreads: {what}", pytrace=False)

    def pause(self) -> None:
        """Let this phase last as long as it likes."""
        phase = self._phase
        if phase is not None:
            phase.end_at = float("inf")

    def _run(self) -> None:
        while not self._stop.acquire(timeout=INTERVAL):
            with self._mutex:
                if self._phase is not None:
                    self._look(self._phase)

    def _look(self, phase: Phase) -> None:
        aside = self._aside()
        found = [wait for wait in waits() if wait.ident not in aside]
        now = time.monotonic()
        for deadlock in find_deadlocks(found, aside):
            if deadlock.sure and self._end_deadlock(phase, deadlock):
                waits_too = any(wait.ident == phase.ident for wait in found)
                phase.end_at = min(phase.end_at, now if waits_too else now + GRACE)
        if now < max(phase.end_at, phase.raised_at + AGAIN):
            return
        if phase.failure is None:
            text = f"over the limit of {phase.limit:g} s"
            self._fail(phase, pytest.fail.Exception(f"lowthreads: {text}"), text)
        if phase.raised_at == 0.0:
            phase.give_up_at = now + GRACE
        elif now >= phase.give_up_at:
            self._give_up(phase)
        else:
            self.end_threads(phase.started())
        phase.raised_at = now
        self._raise(phase)

    def _aside(self) -> set[int]:
        """The threads that have none of the tests' locks: other plugins', and this one."""
        return {self.ident, *self._others, *_timers()} & current_frames().keys()

    def _end_deadlock(self, phase: Phase, deadlock: Deadlock) -> bool:
        """End the waits of all threads but the test's own; return whether it is a new one."""
        key = {(wait.ident, wait.since) for wait in deadlock.waits}
        if key <= self._told:
            return False
        self._told |= key
        message = describe(deadlock)
        self._fail(phase, DeadlockError(message, deadlock), "deadlock")
        if deadlock.kind == "cycle":  # if all are stuck, none is more to blame than others
            for wait in deadlock.waits:
                if wait.ident != phase.ident:
                    error = DeadlockError(message, deadlock)
                    self._raised.add(error)
                    interrupt_wait(wait.ident, wait.since, error)
        return True

    def end_threads(self, idents: Set[int]) -> None:
        """End the waits of threads that a test started."""
        for ident in idents:
            interrupt(ident, SystemExit())

    def _fail(self, phase: Phase, failure: BaseException, what: str) -> None:
        phase.failure = phase.failure or failure
        phase.sections.append((f"lowthreads: {what}", self._dump()))

    def _dump(self) -> str:
        file = io.StringIO()
        dump(file, colour=False, _aside=self._aside(), _outside=_OUTSIDE)
        return file.getvalue()

    def _raise(self, phase: Phase) -> None:
        """Raise in the thread that runs the test."""
        if phase.ident == main_thread() and signal.getsignal(SIGNAL) == self._raise_pending:
            self._pending, self._sent = phase.failure, True
            interrupt_main(SIGNAL)
        else:
            assert phase.failure is not None
            interrupt(phase.ident, phase.failure)

    def _raise_pending(self, signum: int, frame: FrameType | None) -> None:
        __tracebackhide__ = True
        pending, self._pending = self._pending, None
        sent, self._sent = self._sent, False
        if pending is not None and self._phase is not None:
            raise pending
        if not sent and callable(self._previous):
            self._previous(signum, frame)

    def _give_up(self, phase: Phase) -> None:
        """End the process: nothing else helps."""
        capture = self._config.pluginmanager.getplugin("capturemanager")
        if capture is not None:
            capture.suspend_global_capture(in_=True)
            for text in capture.read_global_capture():
                sys.stderr.write(text)
        sys.stderr.write(f"\nlowthreads: {phase.nodeid} can't be ended\n")
        for title, text in phase.sections:
            sys.stderr.write(f"{title}\n{text}\n")
        sys.stderr.write(self._dump())
        sys.stderr.flush()
        os._exit(1)
