"""What a test leaves behind: threads that run, and locks that are held.

Locks are known from the moment that they are made, by an `__init__` which their types have only
while the plugin is in use.
"""

from __future__ import annotations

import contextlib
import gc
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from functools import partial
from typing import Any, Callable

import pytest

from .._lib import lib
from .._lock import lock
from .._places import awaits_signal, current_frames, place_of, skip_package
from .._rlock import RLock
from .._waits import name_of

MODES = ("fail", "ignore", "warn")

GRACE = 0.2
"""Seconds in which a thread may still end that the test has told to."""


class LeakWarning(pytest.PytestWarning):
    """A test left threads running or locks held."""

    __module__ = f"{__package__.rpartition('.')[0]}.pytest"


class _Made:
    """A lock that a test made."""

    def __init__(self, made: Any, place: str, forget: Callable[[Any], object]) -> None:
        self.ref = weakref.ref(made, forget)
        self.place = place

    def leak(self) -> str | None:
        """Describe the lock, if it is still held."""
        held = self.ref()
        if held is None or not held.locked():
            return None
        reentrant = isinstance(held, RLock)
        owner = (lib.lt_rlock_owner if reentrant else lib.lt_lock_owner)(held._handle)
        by = name_of(owner) if owner in current_frames() else "a thread that has ended"
        return f"{'RLock' if reentrant else 'lock'} held by {by}, made at {self.place}"


class Locks:
    """The locks that are alive and were made since a test began."""

    def __init__(self) -> None:
        self._made: dict[int, _Made] = {}
        self._recording = False

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Learn of each lock that is made meanwhile."""
        installed: Any = sys.modules["_thread"]
        allocate = installed.allocate_lock
        with contextlib.ExitStack() as undo:
            for cls in (lock, RLock, installed.RLock):
                undo.callback(self._note_init(cls))
            if isinstance(allocate, partial):  # which calls no `__init__`
                undo.callback(self._note_partial(allocate))
            elif not isinstance(allocate, type):
                undo.callback(self._note_builtin(allocate))
            yield

    def _note_init(self, cls: Any) -> Callable[[], None]:
        own = vars(cls).get("__init__")

        def __init__(made: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
            if own is not None:
                own(made, *args, **kwargs)
            self._note(made)

        def undo() -> None:
            if own is None:
                del cls.__init__
            else:
                cls.__init__ = own

        cls.__init__ = __init__
        return undo

    # The others are changed in place, for many have them by name.

    def _note_partial(self, allocate: Any) -> Callable[[], None]:
        state = allocate.__reduce__()[2]
        call, args, kwargs, attributes = state
        allocate.__setstate__((self._noted(partial(call, *args, **kwargs)), (), {}, attributes))
        return partial(allocate.__setstate__, state)

    def _note_builtin(self, allocate: Any) -> Callable[[], None]:
        call = allocate._Builtin__call
        allocate._Builtin__call = self._noted(call)
        return partial(setattr, allocate, "_Builtin__call", call)

    def _noted(self, allocate: Callable[[], Any]) -> Callable[[], Any]:
        def allocate_noted() -> Any:
            made = allocate()
            self._note(made)
            return made

        return allocate_noted

    def _note(self, made: Any) -> None:
        if not self._recording:
            return
        frame = skip_package(sys._getframe())
        if frame is None or awaits_signal(frame):  # which it does while it is locked
            return
        place = place_of(frame).frame or frame
        where = f"{place.f_code.co_filename}:{place.f_lineno}"
        key = id(made)
        self._made[key] = _Made(made, where, lambda _: self._made.pop(key, None))

    def begin(self) -> None:
        """Begin anew, with a test."""
        self._made.clear()
        self._recording = True

    @contextlib.contextmanager
    def spared(self) -> Iterator[None]:
        """Don't note what is made meanwhile."""
        before, self._recording = self._recording, False
        try:
            yield
        finally:
            self._recording = before

    def held(self) -> list[str]:
        """Describe the locks that are still held, and note no more."""
        self._recording = False
        if not self._leaks():
            return []
        gc.collect()
        return self._leaks()

    def _leaks(self) -> list[str]:
        return [leak for each in list(self._made.values()) if (leak := each.leak())]


class Threads:
    """The threads that a test started."""

    def __init__(self) -> None:
        self.begin(0)

    def begin(self, aside: int) -> None:
        """Begin anew, with a test; don't count the thread `aside`."""
        self._before = set(threading.enumerate())
        self._idents = {*current_frames(), aside}

    @contextlib.contextmanager
    def spared(self) -> Iterator[None]:
        """Don't count those that are started meanwhile."""
        before = self.idents()
        try:
            yield
        finally:
            new = self.idents() - before
            self._idents |= new
            self._before.update(each for each in threading.enumerate() if each.ident in new)

    def idents(self) -> set[int]:
        """Those that run."""
        known = {each.ident for each in threading.enumerate()}
        started = {each.ident for each in set(threading.enumerate()) - self._before}
        raw = current_frames().keys() - known - self._idents
        return {ident for ident in started | raw if ident is not None}

    def running(self) -> list[str]:
        """Describe those that still run, after a moment in which they may end."""
        end = time.monotonic() + GRACE
        while (idents := self.idents()) and time.monotonic() < end:
            time.sleep(0.005)
        frames = current_frames()
        return [_describe(ident, frames[ident]) for ident in idents if ident in frames]


def _describe(ident: int, frame: Any) -> str:
    place = place_of(frame)
    inner = place.frame or frame
    doing = place.call or inner.f_code.co_name
    where = f" at {inner.f_code.co_filename}:{inner.f_lineno}" if place.frame else ""
    name = name_of(ident)
    thread = name if name.startswith("thread ") else f"thread {name}"
    return f"{thread} runs, in {doing}{where}"
