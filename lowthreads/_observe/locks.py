"""The observed lock and RLock: lowthreads' own, with methods that tell observers.

They take the place of the installed `_thread`'s while there is an observer.  Below their
methods is the same shim's lock: who owns it and who waits is known as ever.

Guarantees
- What is told of a lock is written by whoever holds it, before others can: `_hold` in one
  step.  Nothing here waits for another lock than the one that the caller wants.
- An acquire that an exception leaves, out of a handler, is undone (`_lock.py`).  A handler
  that raises at the very entry or exit of a method leaves the lock as it is just then, as on
  PyPy without observers.
- A thread's own re-entry of an RLock is not told: it is no acquisition, and can't wait.
"""

from __future__ import annotations

import sys
from functools import wraps
from sys import _getframe
from types import FrameType
from typing import Any, Callable

from .. import _dropin, _lock, _rlock
from .._dropin import _Builtin, _rename
from .._errors import raise_release_unacquired, raise_release_unlocked
from .._lib import lib
from .._places import awaits_signal
from .._timeout import DEFAULT, UNBOUNDED, check_timeout
from .._wait import wait
from .observer import Hold, Observer, Thread, Wait, this_thread
from .observer import begin as _begin
from .observer import here as _here
from .observer import told as _told
from .sites import Site, site_of, site_of_lock

_CPYTHON = sys.implementation.name == "cpython"


def _make_take(
    settle: Any, attempt: Any, awaited: int, undo: Any
) -> Callable[[Any, int, int], bool]:
    """Return what takes a lock that the thread doesn't hold: see `LockMethods.acquire`.

    A method of the lock must call it, for it looks at who called that.
    """
    # What is used at exit must not be a module's, which may be no more.
    here, told, begin, now = _here, _told, _begin, lib.lt_now

    def take(self: Any, nanoseconds: int, marks: int) -> bool:
        handle = self._handle
        hold = None
        settle(handle)
        try:
            taken = not nanoseconds and attempt(handle, marks)
            if not (taken or nanoseconds):
                return False
            try:
                me = here.me
            except AttributeError:
                me = begin()
            try:
                frame = _getframe(2)
            except ValueError:  # a thread that does nothing but this
                frame = None
            site, waited = site_of(frame), None
            if not taken:
                if told.taking is not None:
                    told.taking(self, me, site, frame, self._hold)
                if not attempt(handle, marks):
                    waited = await_release(self, handle, nanoseconds, marks, me, site)
                    if waited is None:
                        return False
            self._hold = hold = (me, site, now())
            told.acquired(self, hold, waited)
            return True
        except BaseException:
            if hold is not None and self._hold is hold:
                self._hold = None
            undo(handle)
            raise

    def await_release(
        self: Any, handle: Any, nanoseconds: int, marks: int, me: Thread, site: Site
    ) -> Wait | None:
        began, holder, taken = now(), self._hold, False
        if holder is not None:
            holder[0].name()  # it may have ended when the wait has
            if holder[0] is me:
                self._signal = True  # it is for another thread to release it
        try:
            taken = wait(handle, nanoseconds, awaited, marks)
        finally:
            if not taken:
                told.gave_up(self, me, site, now(), (began, holder, None))
        release = self._released
        if holder is None and release is not None:  # it was on its way to another thread
            holder = release[2]
        return (began, holder, release) if taken else None

    return take


_SLOTS = ("_handle", "_hold", "_made", "_number", "_released", "_signal")


def _fill(lock: Any, frame: FrameType | None) -> Any:
    lock._made = site_of_lock(frame)
    lock._hold = lock._released = lock._number = None
    # One that a Condition waits for is a signal from the start.
    lock._signal = awaits_signal(frame)
    return lock


class _LockKind(type):
    """Locks that were made before are of this type, too."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, cls.__mro__[1])


def _make_lock(plain: Any, with_calls: bool) -> tuple[type, Any]:
    """Return the type of observed locks, and what allocates one."""
    take = _make_take(lib.lt_lock_settle, lib.lt_lock_try_marked, lib.LT_FOR_LOCK, lib.lt_lock_undo)
    here, told, begin, now, unlock = _here, _told, _begin, lib.lt_now, lib.lt_ffi_lock_release
    fresh, scoped = lib.LT_FRESH, lib.LT_FRESH | lib.LT_SCOPED
    fill, new, reinit = _fill, _lock.lock.__new__, plain._at_fork_reinit

    class ObservedLock(plain, metaclass=_LockKind, twin=True):  # type: ignore[misc]
        __slots__ = _SLOTS

        @wraps(_lock.LockMethods.acquire)
        def acquire(self: Any, blocking: bool = True, timeout: float = -1) -> bool:
            nanoseconds = UNBOUNDED
            if timeout is not DEFAULT or blocking is not True:
                nanoseconds = check_timeout(blocking, timeout)
            return take(self, nanoseconds, fresh)

        @wraps(_lock.LockMethods.__enter__)
        def __enter__(self: Any) -> bool:
            return take(self, UNBOUNDED, scoped)

        @wraps(_lock.LockMethods.release)
        def release(self: Any) -> None:
            hold = self._hold
            try:
                at = now()
                try:
                    me = here.me
                except AttributeError:
                    me = begin()
                if hold is not None:
                    if hold[0] is not me:
                        self._signal = True
                    self._released = (me, at, hold)
                    self._hold = None
            finally:
                if not unlock(self._handle):
                    raise_release_unlocked()
            if hold is not None:
                told.released(self, hold, at, me)

        @wraps(_lock.LockMethods.__exit__)
        def __exit__(self: Any, *exc_info: object) -> None:
            self.release()

        acquire_lock = acquire
        release_lock = release

        def _at_fork_reinit(self: Any) -> None:
            reinit(self)
            self._hold = self._released = None

    def make(cls: Any, frame: FrameType | None) -> Any:
        lock: Any = new(cls)
        if _CPYTHON:  # where it would be made anew for each call
            lock._handle = plain._handle.__get__(lock)
        return fill(lock, frame)

    _rename(ObservedLock, "lock", plain)
    if with_calls:
        ObservedLock.__new__ = lambda cls: make(cls, _getframe().f_back)  # type: ignore[method-assign]
        return ObservedLock, ObservedLock

    def allocate_lock() -> Any:
        return make(ObservedLock, _getframe().f_back)

    return ObservedLock, _Builtin(allocate_lock)


def _make_rlock(plain: Any) -> type:
    take = _make_take(
        lib.lt_rlock_settle, lib.lt_rlock_try_marked, lib.LT_FOR_RLOCK, lib.lt_rlock_undo
    )
    told, now, me_of, unlock = _told, lib.lt_now, this_thread, lib.lt_ffi_rlock_release
    levels, owned, locked = lib.lt_rlock_levels, lib.lt_rlock_owned, lib.lt_rlock_locked
    fresh, fill = lib.LT_FRESH, _fill
    take_again, handle_of = _rlock._acquire, plain._handle.__get__
    release_save, acquire_restore = plain._release_save, plain._acquire_restore
    reinit = plain._at_fork_reinit

    def end(lock: Any) -> tuple[Hold, int, Thread] | None:
        """Note that the thread is about to release it for the last time."""
        hold, me = lock._hold, me_of()
        if hold is None or hold[0] is not me:
            return None
        at = now()
        lock._released = (me, at, hold)
        lock._hold = None
        return hold, at, me

    class ObservedRLock(plain):  # type: ignore[misc]
        __slots__ = _SLOTS

        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            lock = plain.__new__(cls, *args, **kwargs)
            lock._handle = handle_of(lock)
            return fill(lock, _getframe().f_back)

        @wraps(_rlock.RLockMethods.acquire)
        def acquire(self: Any, blocking: bool = True, timeout: float = -1) -> bool:
            nanoseconds = UNBOUNDED
            if timeout is not DEFAULT or blocking is not True:
                nanoseconds = check_timeout(blocking, timeout)
            hold = self._hold
            if hold is not None and hold[0] is me_of():
                return take_again(self._handle, nanoseconds)
            return take(self, nanoseconds, fresh)

        @wraps(_rlock.RLockMethods.__enter__)
        def __enter__(self: Any) -> bool:
            hold = self._hold
            if hold is not None and hold[0] is me_of():
                return take_again(self._handle, UNBOUNDED)
            return take(self, UNBOUNDED, fresh)

        @wraps(_rlock.RLockMethods.release)
        def release(self: Any) -> None:
            handle, ended = self._handle, None
            try:
                if levels(handle) == 1:
                    ended = end(self)
            finally:
                if not unlock(handle):
                    raise_release_unacquired()
            if ended is not None:
                told.released(self, *ended)

        @wraps(_rlock.RLockMethods.__exit__)
        def __exit__(self: Any, *exc_info: object) -> None:
            self.release()

        @wraps(_rlock.RLockMethods._release_save)
        def _release_save(self: Any) -> tuple[int, int]:
            ended = end(self)
            saved: tuple[int, int] = release_save(self)
            if ended is not None:
                told.released(self, *ended)
            return saved

        @wraps(_rlock.RLockMethods._acquire_restore)
        def _acquire_restore(self: Any, state: tuple[int, int]) -> None:
            waited = site = None
            try:
                me, frame = me_of(), _getframe().f_back
                site = site_of(frame)
                if told.taking is not None:
                    told.taking(self, me, site, frame, None)
                if locked(self._handle):
                    waited = now(), self._hold
            finally:
                acquire_restore(self, state)
            if owned(self._handle):
                self._hold = hold = (me, site, now())
                told.acquired(self, hold, waited and (*waited, self._released))

        def _at_fork_reinit(self: Any) -> None:
            reinit(self)
            self._hold = self._released = None

    _rename(ObservedRLock, "RLock", plain)
    return ObservedRLock


class _InPlace:
    """What stands in the place of what, in which installed module."""

    module: Any = None
    pairs: tuple[tuple[Any, Any], ...] = ()  # of a plain object and its observed twin


def _make_pairs(module: Any) -> None:
    """Make the observed types, once for each installed module: a lock is of one of them."""
    if _InPlace.module is not module:
        plain, calls = module.lock, module.allocate_lock is module.lock
        lock, allocate = _make_lock(plain, calls)
        _InPlace.pairs = (
            (plain, lock),
            (module.allocate_lock, allocate),
            (module.RLock, _make_rlock(module.RLock)),
        )
        _InPlace.module = module


def _put(new: dict[int, Any]) -> None:
    """Replace what has one of these ids, in the module and in `threading`."""
    for place in (_InPlace.module, sys.modules.get("threading")):
        for name, value in list(vars(place).items()) if place is not None else ():
            if id(value) in new and not name.startswith("__"):
                setattr(place, name, new[id(value)])


def start(observer: Observer) -> None:
    """Tell the observer of all locks that are made from now on.

    Raises:
        RuntimeError: if lowthreads isn't installed in `_thread`'s place.
    """
    module = _dropin.installed()
    if module is None:
        raise RuntimeError("lowthreads isn't installed: its locks are not those of threading")
    _make_pairs(module)
    _told.set((*_told.observers, observer))
    _put({id(plain): observed for plain, observed in _InPlace.pairs})


def stop(observer: Observer) -> None:
    """Tell the observer nothing any more; the locks stay."""
    _told.set(tuple(each for each in _told.observers if each is not observer))
    if not _told.observers:
        _put({id(observed): plain for plain, observed in _InPlace.pairs})
