"""The re-entrant lock.

As for `lock` (`_lock.py`): `RLockMethods` is what an RLock does, and on CPython
`csrc/ffi/cpython/rlock_object.h` does the usual calls and calls it for the rest.
"""

from __future__ import annotations

import sys
from functools import wraps
from operator import index
from typing import TYPE_CHECKING, NoReturn

from ._errors import raise_count_overflow, raise_orphaned, raise_release_unacquired
from ._expel import pending
from ._lib import RLockHandle, document_natives, ffi, lib, native, own_methods
from ._lock import full_name
from ._timeout import DEFAULT, UNBOUNDED, check_timeout, limit_of
from ._wait import FOREVER, go_on, wait

_try = lib.lt_rlock_try_marked
_release = lib.lt_ffi_rlock_release
_settle = lib.lt_rlock_settle
_undo = lib.lt_rlock_undo
_locked = lib.lt_rlock_locked
_owned = lib.lt_rlock_owned

_TIMED_OUT = lib.LT_TIMED_OUT
_ACQUIRED = lib.LT_ACQUIRED
_OVERFLOW = lib.LT_OVERFLOW
_FIRM = lib.LT_FIRM
_FRESH = lib.LT_FRESH
_FOR_RLOCK = lib.LT_FOR_RLOCK


def _acquire(handle: RLockHandle, nanoseconds: int) -> bool:
    _settle(handle)
    try:
        status = _try(handle, _FRESH)
        if status == _TIMED_OUT and nanoseconds != 0:
            return wait(handle, nanoseconds, _FOR_RLOCK)
        if status == _OVERFLOW:
            raise_count_overflow()
        return status == _ACQUIRED
    except BaseException:
        _undo(handle)
        raise


class RLockMethods:
    """The methods of an RLock, on the `lt_rlock` that `_handle` points to."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def _handle(self) -> RLockHandle: ...

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock, waiting while another thread holds it if need be.

        The thread that holds it takes it again at once, and must release it as often.

        Args:
            blocking: whether to wait.
            timeout: the longest time to wait, in seconds, at most `TIMEOUT_MAX`; -1 for
                no limit.

        Returns:
            Whether the lock was taken.

        Raises:
            ValueError: for a negative timeout other than -1, or one with `blocking` false.
            OverflowError: for a timeout above `TIMEOUT_MAX`, or if the thread took the lock
                4,294,967,295 times.
            RuntimeError: if it would wait while the interpreter ends, when other threads no
                longer run (from 3.13 on, `PythonFinalizationError`).

        A signal whose handler raises ends the wait, with the lock not taken.

        Source: `threading.RLock.acquire` of the library reference.
        """
        nanoseconds = UNBOUNDED
        if timeout is not DEFAULT or blocking is not True:
            nanoseconds = check_timeout(blocking, timeout)
        return _acquire(self._handle, nanoseconds)

    def release(self) -> None:
        """Release the lock once; the last time lets others take it.

        Raises:
            RuntimeError: if the calling thread does not hold the lock.

        Source: `threading.RLock.release` of the library reference.
        """
        if not _release(self._handle):
            raise_release_unacquired()

    def locked(self) -> bool:
        """Return whether a thread holds the lock.

        Source: `threading.RLock.locked` of the library reference, from 3.14 on.
        """
        return _locked(self._handle)

    @property
    def address(self) -> int:
        """Where the lock is for C code: an `lt_rlock` of `lowthreads.h`.

        Valid as long as the object lives.

        Source: lowthreads' own.
        """
        return int(ffi.cast("uintptr_t", self._handle))

    def __enter__(self) -> bool:
        """Take the lock, waiting until it is free if need be."""
        return _acquire(self._handle, UNBOUNDED)

    def __exit__(self, *exc_info: object) -> None:
        """Release the lock once."""
        self.release()

    def _is_owned(self) -> bool:
        """Return whether the calling thread holds the lock; for `threading.Condition`."""
        return _owned(self._handle)

    def _release_save(self) -> tuple[int, int]:
        """Release the lock altogether, and return what `_acquire_restore` needs."""
        handle = self._handle
        owner = lib.lt_rlock_owner(handle)
        levels = lib.lt_rlock_release_all(handle)
        if levels == 0:
            raise_release_unacquired()
        return levels, owner

    def _acquire_restore(self, state: tuple[int, int]) -> None:
        """Take the lock as often as `_release_save` said, whatever signals come."""
        if not isinstance(state, tuple):
            raise TypeError(f"argument must be a tuple, not {type(state).__name__}")
        levels, _owner = state
        levels = index(levels)
        if not 0 <= levels <= lib.LT_RLOCK_MAX:
            raise OverflowError(f"lock count {levels} is out of range")
        if levels == 0:  # from a pickler that read it off the lock's repr
            return
        handle = self._handle
        if _try(handle, 0) != _ACQUIRED:
            status = lib.lt_ffi_wait(handle, _FOR_RLOCK, 0, FOREVER, lib.lt_now(), _FIRM, False)
            if status != _ACQUIRED:
                self._lt_refuse()
        lib.lt_rlock_restore(handle, levels)

    def _lt_refuse(self) -> NoReturn:
        """Raise, for `_acquire_restore`: nobody can take the lock."""
        raise_orphaned()


for _method in (RLockMethods.acquire, RLockMethods.release, RLockMethods.locked):
    _method.__qualname__ = f"RLock.{_method.__name__}"  # as error messages name them

if TYPE_CHECKING:
    _Base = RLockMethods
elif sys.implementation.name == "cpython":
    document_natives(True, RLockMethods)
    _cast = ffi.cast
    _POINTER = ffi.typeof("lt_rlock *")

    class _Base(native.RLockMemory):
        __slots__ = ()

        _lt_limit = limit_of("RLock.acquire")
        _lt_overflow = staticmethod(raise_count_overflow)
        _lt_release = RLockMethods.release
        _lt_refuse = RLockMethods._lt_refuse
        _lt_pending = pending
        _lt_go_on = staticmethod(go_on)

        @property
        def _handle(self):
            return _cast(_POINTER, self._address)

else:
    from ._bias import Biased

    class _Base(Biased, RLockMethods):
        __slots__ = ()

        def __new__(cls, *args, **kwargs):
            # Arguments are for object's check, which lets a subclass have its own __init__.
            self = (
                object.__new__(cls)
                if cls.__init__ is not object.__init__
                else (object.__new__(cls, *args, **kwargs))
            )
            self._lt_begin()
            return self

        @wraps(RLockMethods.acquire)
        def acquire(self, blocking=True, timeout=-1):
            # Whatever else may be wrong is for RLockMethods to say.
            return (
                timeout is DEFAULT and (blocking is True or blocking is False) and self._lt_take()
            ) or RLockMethods.acquire(self, blocking, timeout)

        @wraps(RLockMethods.release)
        def release(self):
            if not self._lt_give():
                RLockMethods.release(self)

        def __enter__(self):
            return self._lt_take() or RLockMethods.__enter__(self)

        @wraps(RLockMethods.__exit__)
        def __exit__(self, *exc_info):
            if not self._lt_give():
                RLockMethods.release(self)


@own_methods
class RLock(_Base):
    """A lock that the thread which holds it may take again; may be subclassed.

    Source: "RLock objects" of the `threading` page of the library reference.
    """

    __slots__ = ()
    __module__ = __package__

    def _recursion_count(self) -> int:
        """Return how often the calling thread holds the lock; 0 if it doesn't."""
        handle = self._handle
        return lib.lt_rlock_levels(handle) if _owned(handle) else 0

    def _at_fork_reinit(self) -> None:
        """Make the lock as new, in the child after a fork."""
        lib.lt_rlock_reinit(self._handle)

    def __repr__(self) -> str:
        handle = self._handle
        state = "locked" if _locked(handle) else "unlocked"
        owner, levels = lib.lt_rlock_owner(handle), lib.lt_rlock_levels(handle)
        name = full_name(type(self))
        return f"<{state} {name} object owner={owner} count={levels} at {id(self):#x}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle '{full_name(type(self))}' object")
