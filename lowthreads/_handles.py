"""Handles: threads that can be joined.

The states are those of `csrc/handle.c`:

    not started --start--> starting --> running --> done
         ^                    |
         +----- the start failed

A handle is done after the thread has left the interpreter: its thread-locals are gone when
`join` returns.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any, Callable

from ._errors import raise_join_at_shutdown
from ._idents import get_ident
from ._lib import ffi, lib
from ._lock import LockMethods, lock
from ._names import encode_name
from ._threads import check_stack_size, launch, refuse_when_closed
from ._timeout import UNBOUNDED, to_nanoseconds
from ._unraisable import report
from ._wait import others_are_stopped, wait

_NOT_STARTED = lib.LT_NOT_STARTED
_DONE = lib.LT_DONE


class _ThreadHandle:
    """A thread that can be joined.

    Source: `_thread._ThreadHandle`, from 3.13 on.
    """

    __slots__ = ("__weakref__", "_shim")
    __module__ = __package__

    _shim: Any

    def __new__(cls) -> _ThreadHandle:
        shim = lib.lt_handle_new()
        if shim == ffi.NULL:
            raise MemoryError
        self = object.__new__(cls)
        self._shim = ffi.gc(shim, lib.lt_handle_drop)
        return self

    @property
    def ident(self) -> int:
        """The thread's ident; 0 before it is started."""
        return lib.lt_handle_ident(self._shim)

    def is_done(self) -> bool:
        """Return whether the thread has ended."""
        return lib.lt_handle_progress_of(self._shim) == _DONE

    def join(self, timeout: float | None = None) -> None:
        """Wait until the thread has ended, or the time is over: `is_done` tells.

        Args:
            timeout: the longest time to wait, in seconds; None or a negative number for no
                limit.

        Raises:
            RuntimeError: if the thread is not started, or is the calling one, or can't end
                because the interpreter ends (from 3.13 on, `PythonFinalizationError`).
        """
        nanoseconds = UNBOUNDED if timeout is None else to_nanoseconds(timeout)
        if lib.lt_handle_progress_of(self._shim) == _NOT_STARTED:
            raise RuntimeError("thread not started")
        if self.is_done():
            return
        if self.ident == get_ident():
            raise RuntimeError("Cannot join current thread")
        if others_are_stopped():
            raise_join_at_shutdown()
        self._await_end(nanoseconds)

    def _await_end(self, nanoseconds: int = UNBOUNDED) -> None:
        """Wait until the thread has ended, the time is over or the start has failed."""
        if nanoseconds != 0 and not self.is_done():
            running = lib.lt_handle_running(self._shim)
            wait(running, nanoseconds, lib.LT_FOR_THREAD, 0, passes=True)

    def _set_done(self) -> None:
        """Take the thread for ended; for one that a fork left behind."""
        if lib.lt_handle_progress_of(self._shim) == _NOT_STARTED:
            raise RuntimeError("thread not started")
        lib.lt_handle_finish(self._shim)

    def __repr__(self) -> str:
        return f"<_ThreadHandle object: ident={self.ident}>"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        raise TypeError(f"type '{__package__}._ThreadHandle' is not an acceptable base type")


class _Awaited:
    """The handles of threads that `_shutdown` waits for."""

    def __init__(self) -> None:
        self.handles: list[_ThreadHandle] = []
        self.prune_at = 64

    def add(self, handle: _ThreadHandle) -> None:
        if len(self.handles) >= self.prune_at:
            for each in list(self.handles):
                if each.is_done():
                    self.discard(each)
            self.prune_at = 2 * len(self.handles) + 64
        self.handles.append(handle)

    def discard(self, handle: _ThreadHandle) -> None:
        with suppress(ValueError):  # another thread was first
            self.handles.remove(handle)

    def join(self) -> None:
        me = get_ident()
        while True:
            others = [each for each in list(self.handles) if each.ident != me]
            if not others:
                return
            others[-1]._await_end()
            self.discard(others[-1])


_awaited = _Awaited()


def awaited_threads() -> list[_ThreadHandle]:
    """The handles of running threads that `_shutdown` would wait for."""
    return [each for each in _awaited.handles if not each.is_done()]


def start_joinable_thread(
    function: Callable[[], object],
    handle: _ThreadHandle | None = None,
    daemon: bool = True,
    *,
    name: str | None = None,
    stack_size: int | None = None,
) -> _ThreadHandle:
    """Start a thread that can be joined, and return its handle.

    Args:
        function: what the thread calls, without arguments.
        handle: the handle to use, of a thread that is not started; a new one by default.
        daemon: if false, `_shutdown` waits for the thread.
        name: the thread's name in the operating system; as it comes by default.
        stack_size: this thread's stack size in bytes, as for `stack_size`; what that has
            set by default.

    Raises:
        TypeError: for arguments of other types.
        ValueError: for a stack size that the platform doesn't take.
        RuntimeError: if the handle was used before, or the thread can't be started.

    Source: `_thread.start_joinable_thread`, from 3.13 on; `name` and `stack_size` are
    lowthreads' own.
    """
    if not callable(function):
        raise TypeError("thread function must be callable")
    if handle is not None and not isinstance(handle, _ThreadHandle):
        raise TypeError("'handle' must be a _ThreadHandle")
    if name is not None and not isinstance(name, str):
        raise TypeError(f"'name' must be a str, not {type(name).__name__}")
    size = None if stack_size is None else check_stack_size(stack_size)
    awaited = not daemon
    sys.audit("_thread.start_joinable_thread", function, not awaited, handle)
    refuse_when_closed()
    if handle is None:
        handle = _ThreadHandle()
    encoded = None if name is None else encode_name(name)
    address = int(ffi.cast("uintptr_t", handle._shim))
    if awaited:
        _awaited.add(handle)
    try:
        launch(function, (), None, size, address, encoded)
    except BaseException:
        if awaited:
            _awaited.discard(handle)
        raise
    return handle


def _make_thread_handle(ident: int) -> _ThreadHandle:
    """Return a handle of a thread that runs already: the main one, for `threading`."""
    handle = _ThreadHandle()
    lib.lt_handle_claim(handle._shim)
    lib.lt_handle_adopt(handle._shim, ident)
    return handle


def _shutdown() -> None:
    """Wait for all threads that are not daemons to end."""
    try:
        _awaited.join()
    except BaseException as error:
        report("Exception ignored while joining a thread in _thread._shutdown()", error, None)


class _Sentinel(LockMethods):
    """A lock that is released when the thread that made it has ended.

    `threading` also releases the main thread's itself, and then asserts that it isn't locked;
    so does each thread that has joined another.  The next one that waits for it may have it
    by then, which the GIL hides in the interpreter's own.  So a sentinel that was released is
    not locked any more.

    When an exception has ended its wait, `threading` looks whether it got the lock all the same,
    and releases it then, and takes the thread for ended: while that one has it.  So whoever was
    refused it is told that it isn't locked.
    """

    __slots__ = ("__weakref__", "_over", "_refused", "_shim")

    _awaited = lib.LT_FOR_THREAD

    def __init__(self, shim: Any) -> None:
        self._shim = ffi.gc(shim, lib.lt_handle_drop)
        self._over = False
        self._refused = 0

    @property
    def _handle(self) -> Any:
        return lib.lt_handle_running(self._shim)

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Wait until the thread has ended."""
        try:
            return LockMethods.acquire(self, blocking, timeout)
        except BaseException:
            lib.lt_lock_undo(self._handle)  # it may have been taken, and torn away here
            self._refused = get_ident()
            raise

    def release(self) -> None:
        """Unlock it, for good."""
        LockMethods.release(self)
        self._over = True

    def locked(self) -> bool:
        """Return whether the thread has not ended."""
        if self._refused == get_ident():
            self._refused = 0
            return False
        return not self._over and LockMethods.locked(self)

    def _at_fork_reinit(self) -> None:
        """Make it as new, in the child after a fork."""
        self._over = False
        lib.lt_lock_reinit(self._handle)

    __repr__ = lock.__repr__


def _set_sentinel() -> LockMethods:
    """Return a lock that will be released when the calling thread has ended.

    Source: `_thread._set_sentinel`, up to 3.12.
    """
    # One of a thread that isn't lowthreads' is released by hand.
    shim = lib.lt_handle_of_self() if lib.lt_thread_is_ours() else lib.lt_handle_new()
    if shim == ffi.NULL:
        raise MemoryError
    return _Sentinel(shim)
