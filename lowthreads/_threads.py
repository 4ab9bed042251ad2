"""Starting threads, and how they end.

Guarantees
- A thread's function and arguments are freed before the thread is no longer counted, and
  its thread-locals with the thread.
- While the interpreter ends, no thread is between its creation and its arrival in the
  interpreter: at exit they are waited for.  After that the main thread waits for each
  thread that it starts, and other threads can't start any; no one can once the interpreter
  lets no other thread run.
"""

from __future__ import annotations

import atexit
import sys
from contextlib import suppress
from errno import EALREADY, ECANCELED
from functools import lru_cache
from operator import index
from typing import Any, Callable, NoReturn, overload

from ._errors import raise_at_shutdown, raise_cannot_start
from ._host import _is_main_interpreter, host, threads_allowed
from ._idents import get_ident, main_thread
from ._lib import lib
from ._start import start_thread
from ._wait import others_are_stopped

_audit = sys.audit

_stack_sizes = [0]
"""The last one is set.  To add the new one and take out the oldest is to exchange them: both
steps are atomic, and no lock is needed that a fork or a signal handler could find taken."""

_closing = False


def refuse_when_closed() -> None:
    """Raise if a thread that the caller starts could not run, or not be waited for."""
    if not threads_allowed:
        raise RuntimeError("thread is not supported for isolated subinterpreters")
    if _closing and (others_are_stopped() or get_ident() != main_thread()):
        raise_at_shutdown()


def launch(
    function: Callable[..., object],
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None,
    size: int | None,
    handle: int,
    name: bytes | None,
) -> int:
    """Start a thread, with checked arguments: `start_thread`'s, None for the usual size."""
    if size is None:
        size = _stack_sizes[-1]
    ident = start_thread(function, args, kwargs, size, handle, name)
    if ident < 0:
        if ident == -ECANCELED:
            raise_at_shutdown()
        if ident == -EALREADY:
            raise RuntimeError("thread already started")
        raise_cannot_start(-ident, size)
    if _closing and get_ident() == main_thread():
        lib.lt_ffi_await_arrivals()
    return ident


@overload
def start_new_thread(
    function: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any], /
) -> int: ...
@overload
def start_new_thread(function: Callable[..., object], args: tuple[Any, ...], /) -> int: ...
def start_new_thread(*arguments: Any) -> int:
    """Start a thread and return its identifier.

    Args:
        *arguments: `function, args[, kwargs]`: the thread calls
            `function(*args, **kwargs)`.  `args` must be a tuple, `kwargs` a dict.

    Returns:
        What `get_ident()` returns in the new thread.

    Raises:
        TypeError: for arguments of other types or another number of them.
        RuntimeError: if the thread can't be started.

    The thread ends when the function returns, silently also if it raises `SystemExit`;
    any other exception is given to `sys.unraisablehook`.

    Source: `_thread.start_new_thread` of the library reference.
    """
    given = len(arguments)
    if given < 2:
        raise TypeError(f"start_new_thread expected at least 2 arguments, got {given}")
    if given > 3:
        raise TypeError(f"start_new_thread expected at most 3 arguments, got {given}")
    function, args = arguments[:2]
    if not callable(function):
        raise TypeError("first arg must be callable")
    if not isinstance(args, tuple):
        raise TypeError("2nd arg must be a tuple")
    kwargs = None  # most have none, and each object costs
    if given == 3:
        kwargs = arguments[2]
        if not isinstance(kwargs, dict):
            raise TypeError("optional 3rd arg must be a dictionary")
    _audit("_thread.start_new_thread", function, args, kwargs)
    refuse_when_closed()
    return launch(function, args, kwargs, None, 0, None)


start_new = start_new_thread


def _count() -> int:
    """Return how many threads started by this module have not ended."""
    return lib.lt_census_count()


def exit() -> NoReturn:
    """End the calling thread, by raising `SystemExit`.

    Source: `_thread.exit` of the library reference.
    """
    raise SystemExit


exit_thread = exit


def stack_size(size: int = 0, /) -> int:
    """Set the stack size of threads that are started from now on.

    Args:
        size: in bytes; 0, also when left out, for the platform's default; otherwise at
            least 32,768 and what the platform and the interpreter ask for.

    Returns:
        The size that was set before.

    Raises:
        ValueError: if the size is negative or not one that the platform takes; the
            setting stays as it was.

    Source: `_thread.stack_size` of the library reference.
    """
    _stack_sizes.append(check_stack_size(size))
    return _stack_sizes.pop(0)


def check_stack_size(size: int) -> int:
    """Return the size as an int; raise what `stack_size` documents."""
    new = int(index(size))  # a bool's index is a bool on some
    if not -sys.maxsize - 1 <= new <= sys.maxsize:
        raise OverflowError("Python int too large to convert to C ssize_t")
    if new < 0:
        raise ValueError("size must be 0 or a positive value")
    if new > 0 and (new < _least_stack_size() or not lib.lt_stack_size_valid(new)):
        raise ValueError(f"size not valid: {new} bytes")
    return new


@lru_cache
def _least_stack_size() -> int:
    """Return what the interpreter asks for its own threads: in less, 3.15 can't run anything."""
    before = host.stack_size()
    try:
        for size in range(32768, 1 << 20, 4096):
            with suppress(ValueError):
                host.stack_size(size)
                return size
        return 1 << 20
    finally:
        host.stack_size(before)


def _close() -> None:
    global _closing
    _closing = True
    if _is_main_interpreter():  # the end of another one is not the end of threads
        lib.lt_census_close(main_thread() or get_ident())
    lib.lt_ffi_await_arrivals()


if _is_main_interpreter():
    lib.lt_census_close(0)  # one of before, in a program that embeds Python, may have ended
atexit.register(_close)
_threading = sys.modules.get("threading")
if _threading is not None and not _threading.main_thread().is_alive():
    _close()  # this is imported at exit, when it may be too late to register anything
