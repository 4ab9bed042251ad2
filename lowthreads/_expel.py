"""Interrupting any thread that waits, by raising an exception there.

Guarantees
- `interrupt` returns True exactly if the exception is raised in the thread, which happens once;
  or, for a wait of C code, if that is told to give up.
- The wait that it ends is over as if its time were: the lock is not taken, no wake-up is lost.

The shim ends the wait with a code as its status (`lt_interrupt`); the exception of each code
waits here.

The main thread runs handlers of signals meanwhile, which may raise, too.  Then both come out, one
as the other's context.
"""

from __future__ import annotations

import sys
from operator import index
from types import FrameType
from typing import Union

from ._lib import lib
from ._places import skip_package

_UINTPTR_MAX = 2 * sys.maxsize + 1

Raisable = Union[BaseException, "type[BaseException]"]

pending: dict[int, BaseException] = {}


def interrupt(ident: int, exception: Raisable, /) -> bool:
    """End what a thread waits for, by raising an exception there.

    What can be ended is a wait for a lock, an RLock or a thread's end, and so what
    `threading`, `queue` and `concurrent.futures` do on top of these.  The lock is not taken.
    A wait of C code, by lowthreads' C API, ends as well: with a result that says so.
    Of the waits of signal handlers and what they interrupt, the innermost is ended.  A
    `threading.Condition` that takes its lock back before its `wait` returns does so first: its
    lock is an RLock, and this returns False, or another, and the exception comes after that.

    Args:
        ident: the thread's, as `get_ident` returns it.
        exception: an exception, or a class of exceptions, of which one is made.

    Returns:
        Whether the thread waited, and so the exception is raised there.  If not, nothing
        happens.

    Raises:
        TypeError: if `ident` is not an integer, or `exception` is no exception.
        ValueError: if `ident` can't be a thread's.
        Exception: whatever the class raises when it is called.

    Source: lowthreads' own.
    """
    return interrupt_wait(ident, -1, exception)


def interrupt_wait(ident: int, since: int, exception: Raisable) -> bool:
    """Do so if the thread's wait began at `since`, or, with -1, whenever it began."""
    ident = index(ident)
    if not 0 < ident <= _UINTPTR_MAX:
        raise ValueError(f"{ident} is not a thread's ident")
    cls = exception if isinstance(exception, type) else type(exception)
    if not issubclass(cls, BaseException):
        raise TypeError("exceptions must derive from BaseException")
    # Here, not there, where handlers of signals may raise meanwhile.
    made = exception() if isinstance(exception, type) else exception
    if not issubclass(type(made), BaseException):  # isinstance believes what a mock says
        raise TypeError("exceptions must derive from BaseException")
    code = lib.lt_ffi_new_code()
    pending[code] = made
    ended = lib.lt_ffi_interrupt(ident, since, code)
    if ended in (0, lib.LT_IN_C):
        del pending[code]
    return ended != 0


def raise_expelled(code: int, raised: BaseException | None = None) -> None:
    """Raise what `interrupt` gave for a wait that ended with this status, unless it was raised.

    For PyPy; on CPython, the extension does that.  `raised` is the exception that is on its way:
    if what is to be raised led to it, that was raised.  It stays in `pending`.
    """
    exception = pending.get(code)
    if exception is None:
        return
    while raised is not None and raised is not exception:
        raised = raised.__context__
    if raised is None:
        raise exception


def takes_back(frame: FrameType | None) -> bool:
    """Whether a thread is to take a lock that a `threading.Condition` counts on."""
    threading = sys.modules.get("threading")
    inner = skip_package(frame)
    return (
        inner is not None
        and threading is not None
        and inner.f_code is threading.Condition._acquire_restore.__code__
    )
