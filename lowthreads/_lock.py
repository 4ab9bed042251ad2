"""Lock objects.

Guarantees
- A refused call leaves the lock as it was.
- Either `acquire` returns and the lock is taken, or it raises and the lock is not: if a
  signal handler raises after the shim took the lock and before `acquire` could return,
  the lock is given back (`lt_lock_undo`).

`LockMethods` is what a lock does.  On CPython, `csrc/ffi/cpython/lock_object.h` does what
succeeds at once, and calls it for the rest; on PyPy it is all there is.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NoReturn

from ._errors import raise_release_unlocked
from ._expel import pending
from ._lib import LockHandle, document_natives, ffi, lib, native, own_methods
from ._timeout import DEFAULT, TIMEOUT_MAX, UNBOUNDED, check_timeout, limit_of
from ._wait import go_on, wait

__all__ = ["TIMEOUT_MAX", "LockType", "allocate", "allocate_lock", "error", "lock"]

error = RuntimeError
"""Raised on thread-specific errors."""

_try = lib.lt_lock_try_marked
_release = lib.lt_ffi_lock_release
_settle = lib.lt_lock_settle
_undo = lib.lt_lock_undo
_locked = lib.lt_lock_locked

_FRESH = lib.LT_FRESH
_FRESH_SCOPED = lib.LT_FRESH | lib.LT_SCOPED


class LockMethods:
    """The methods of a lock, on the `lt_lock` that `_handle` points to."""

    __slots__ = ()

    _awaited = lib.LT_FOR_LOCK

    if TYPE_CHECKING:

        @property
        def _handle(self) -> LockHandle: ...

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
            RuntimeError: if it would wait while the interpreter ends, when other threads no
                longer run (from 3.13 on, `PythonFinalizationError`).

        A signal whose handler raises ends the wait, with the lock not taken.

        Source: `lock.acquire` of the library reference.
        """
        nanoseconds = UNBOUNDED
        if timeout is not DEFAULT or blocking is not True:
            nanoseconds = check_timeout(blocking, timeout)
        handle = self._handle
        _settle(handle)
        try:
            return _try(handle, _FRESH) or (
                nanoseconds != 0 and wait(handle, nanoseconds, self._awaited)
            )
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

    @property
    def address(self) -> int:
        """Where the lock is for C code: an `lt_lock` of `lowthreads.h`.

        Valid as long as the object lives.

        Source: lowthreads' own.
        """
        return int(ffi.cast("uintptr_t", self._handle))

    def __enter__(self) -> bool:
        """Take the lock, waiting until it is free if need be."""
        # As acquire: to call it would be one more place to be torn away.
        handle = self._handle
        _settle(handle)
        try:
            return _try(handle, _FRESH_SCOPED) or wait(
                handle, UNBOUNDED, self._awaited, _FRESH_SCOPED
            )
        except BaseException:
            _undo(handle)
            raise

    def __exit__(self, *exc_info: object) -> None:
        """Unlock the lock."""
        self.release()

    acquire_lock = acquire
    release_lock = release
    locked_lock = locked


for _method in (LockMethods.acquire, LockMethods.release, LockMethods.locked):
    _method.__qualname__ = f"lock.{_method.__name__}"  # as error messages name them

if TYPE_CHECKING:
    _Base = LockMethods
elif sys.implementation.name == "cpython":
    document_natives(False, LockMethods)
    _cast = ffi.cast
    _POINTER = ffi.typeof("lt_lock *")

    class _Base(native.LockMemory):
        __slots__ = ()

        _lt_limit = limit_of("lock.acquire")
        _lt_release = LockMethods.release
        _lt_pending = pending
        _lt_go_on = staticmethod(go_on)

        @property
        def _handle(self):
            return _cast(_POINTER, self._address)

else:
    _new = ffi.new
    _MEMORY = ffi.typeof("lt_lock[1]")

    class _Base(LockMethods):
        __slots__ = ("__weakref__", "_handle")

        def __new__(cls):
            self = object.__new__(cls)
            self._handle = _new(_MEMORY)
            return self


@own_methods
class lock(_Base):
    """A lock, unlocked at first; any thread may release it.

    Source: "lock objects" of the `_thread` page of the library reference.
    """

    __slots__ = ()
    __module__ = __package__

    def _at_fork_reinit(self) -> None:
        """Make the lock as new, in the child after a fork."""
        lib.lt_lock_reinit(self._handle)

    def __repr__(self) -> str:
        state = "locked" if self.locked() else "unlocked"
        return f"<{state} {full_name(type(self))} object at {id(self):#x}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle '{full_name(type(self))}' object")

    def __init_subclass__(cls, twin: bool = False, **kwargs: Any) -> None:
        # A twin is lowthreads' own: the lock under the name that it has when installed.
        if not twin:
            raise TypeError(f"type '{full_name(cls.__mro__[1])}' is not an acceptable base type")


def full_name(cls: type) -> str:
    """Return a type's name as CPython's C code prints it."""
    return f"{cls.__module__}.{cls.__qualname__}"


LockType = lock
allocate_lock = lock
allocate = lock
