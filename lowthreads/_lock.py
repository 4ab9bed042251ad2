"""Lock objects.

Guarantees
- A refused call leaves the lock as it was.
- Either `acquire` returns and the lock is taken, or it raises and the lock is not: if a
  signal handler raises after the shim took the lock and before `acquire` could return,
  the lock is given back (`lt_lock_undo`).

The methods that a program calls most are one expression over a C call.  They are written
out each, and bind the C functions to globals, for each step more shows in their time.
"""

from __future__ import annotations

from typing import Any, NoReturn

from ._errors import raise_release_unlocked
from ._lib import LockHandle, ffi, lib
from ._timeout import TIMEOUT_MAX, check_timeout
from ._wait import wait

__all__ = ["TIMEOUT_MAX", "LockType", "allocate", "allocate_lock", "error", "lock"]

error = RuntimeError
"""Raised on thread-specific errors."""

_new = ffi.new
_LOCK = ffi.typeof("lt_lock[1]")
_try = lib.lt_lock_try
_release = lib.lt_lock_release
_undo = lib.lt_lock_undo
_locked = lib.lt_lock_locked
_reinit = lib.lt_lock_reinit

_DEFAULT = -1  # of timeout; compared by identity, to keep the usual call free of checks


class lock:
    """A lock, unlocked at first; any thread may release it.

    Source: "lock objects" of the `_thread` page of the library reference.
    """

    __slots__ = ("__weakref__", "_handle")
    __module__ = __package__

    _handle: LockHandle

    def __new__(cls) -> lock:
        """Return a new lock, unlocked."""
        self = object.__new__(cls)
        self._handle = _new(_LOCK)
        return self

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock, waiting until it is free if need be.

        Args:
            blocking: whether to wait; if not, the lock is only taken if it is free.
            timeout: the longest time to wait, in seconds, at most `TIMEOUT_MAX`; -1 for
                no limit.

        Returns:
            Whether the lock was taken.

        Raises:
            ValueError: for a negative timeout other than -1, or one with `blocking` false.
            OverflowError: for a timeout above `TIMEOUT_MAX`.

        A signal whose handler raises ends the wait, with the lock not taken.

        Source: `lock.acquire` of the library reference.
        """
        handle = self._handle
        if timeout is not _DEFAULT or blocking is not True:
            return _acquire_within(handle, check_timeout(blocking, timeout))
        try:
            return _try(handle) or wait(handle)
        except BaseException:
            _undo(handle)
            raise

    def release(self) -> None:
        """Unlock the lock.  Any thread may do so.

        Raises:
            RuntimeError: if the lock is not locked.

        Source: `lock.release` of the library reference.
        """
        if not _release(self._handle):
            raise_release_unlocked()

    def locked(self) -> bool:
        """Return whether a thread holds the lock.

        Source: `lock.locked` of the library reference.
        """
        return _locked(self._handle)

    def __enter__(self) -> bool:
        handle = self._handle
        try:
            return _try(handle) or wait(handle)
        except BaseException:
            _undo(handle)
            raise

    def __exit__(self, exc_type: object, exc_value: object, traceback: object) -> None:
        if not _release(self._handle):
            raise_release_unlocked()

    acquire_lock = acquire
    release_lock = release
    locked_lock = locked

    def _at_fork_reinit(self) -> None:
        """Make the lock as new, in the child after a fork."""
        _reinit(self._handle)

    def __repr__(self) -> str:
        state = "locked" if _locked(self._handle) else "unlocked"
        cls = type(self)
        return f"<{state} {cls.__module__}.{cls.__qualname__} object at {id(self):#x}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        cls = type(self)
        raise TypeError(f"cannot pickle {cls.__module__ + '.' + cls.__qualname__!r} object")

    def __init_subclass__(cls, **kwargs: Any) -> NoReturn:
        raise TypeError(f"type '{__package__}.lock' is not an acceptable base type")


def _acquire_within(handle: LockHandle, nanoseconds: int) -> bool:
    try:
        return _try(handle) or (nanoseconds != 0 and wait(handle, nanoseconds))
    except BaseException:
        _undo(handle)
        raise


LockType = lock
allocate_lock = lock
allocate = lock
