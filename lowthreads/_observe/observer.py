"""Whom an observed lock tells what, and what is known of the threads that use it."""

from __future__ import annotations

import os
from types import FrameType
from typing import Any, Callable

from .._host import _local
from .._idents import get_ident
from .._waits import name_of
from .sites import Site


class Thread:
    """A thread that has used an observed lock, and what observers note of it."""

    __slots__ = ("busy", "ended", "events", "held", "ident", "named", "rows")

    def __init__(self) -> None:
        self.ident = get_ident()
        self.named = ""
        self.ended = False
        self.rows: Any = None  # profile.py
        self.events: Any = None  # trace.py
        self.held: list[Any] = []  # lock_order.py
        self.busy = False

    def name(self) -> str:
        """Return the name that `threading` has for it now, or had at the last call."""
        if not self.ended:  # else the ident may be another one's
            name = name_of(self.ident)
            if not self.named or not name.startswith("thread 0x"):
                self.named = name
        return self.named or f"thread {self.ident:#x}"


Hold = tuple[Thread, Site, int]
"""Who holds a lock, where it was taken, and since when, in nanoseconds."""

Release = tuple[Thread, int, Hold]
"""Who released a lock, when, and who had held it."""

Wait = tuple[int, "Hold | None", "Release | None"]
"""Since when a lock was waited for, who held it then, and the release that ended the wait."""


class Observer:
    """What can be told; each method is called by the thread that does it.

    It must be quick, wait for no lock that others may hold for long, and bear to be called
    within itself, by a handler of a signal or a finalizer.
    """

    def taking(
        self, lock: Any, me: Thread, site: Site, frame: FrameType | None, hold: Hold | None
    ) -> None:
        """The thread will take the lock, and wait if need be; `hold` is who has it."""

    def acquired(self, lock: Any, hold: Hold, waited: Wait | None) -> None:
        """The thread has taken the lock; `waited` is None if it was free."""

    def gave_up(self, lock: Any, me: Thread, site: Site, now: int, waited: Wait) -> None:
        """The thread has waited without taking the lock."""

    def released(self, lock: Any, hold: Hold, now: int, me: Thread) -> None:
        """The thread has released the lock, which another one may have taken before."""

    def thread_ended(self, me: Thread) -> None:
        """The thread uses no more locks."""

    def forked(self, me: Thread) -> None:
        """This is a child process, and the thread its only one."""


class Told:
    """Whom to tell; without observers, nobody."""

    def __init__(self) -> None:
        self.observers: tuple[Observer, ...] = ()
        self.set(())

    def set(self, observers: tuple[Observer, ...]) -> None:
        """Tell these, and no others."""
        self.observers = observers
        for name in (name for name in vars(Observer) if not name.startswith("_")):
            setattr(self, name, self._to_each(name))

    def _to_each(self, name: str) -> Callable[..., None] | None:
        calls = [
            getattr(each, name)
            for each in self.observers
            if getattr(type(each), name) is not getattr(Observer, name)
        ]
        if len(calls) == 1:
            return calls[0]  # type: ignore[no-any-return]
        if not calls and name == "taking":
            return None  # few want it

        def tell(*args: Any) -> None:
            for call in calls:
                call(*args)

        return tell

    def __getattr__(self, name: str) -> Callable[..., None]:
        raise AttributeError(name)  # for the type checker: `set` makes them


told = Told()

here = _local()
"""Of each thread: `me`, once it has begun."""


class _End:
    """In a thread's locals: gone when the thread has ended."""

    def __init__(self, me: Thread) -> None:
        self.me = me

    def __del__(self, told: Told = told) -> None:  # the module may be no more
        self.me.ended = True
        told.thread_ended(self.me)


def begin() -> Thread:
    """Return what is noted of the calling thread from now on."""
    me = here.me = Thread()
    here.end = _End(me)
    return me


def this_thread() -> Thread:
    """Return what is noted of the calling thread."""
    me: Thread | None = getattr(here, "me", None)
    return me or begin()


def _after_fork() -> None:
    if told.observers:
        told.forked(this_thread())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
