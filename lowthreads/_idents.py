"""Who a thread is, and which one is the main thread."""

from __future__ import annotations

import _thread
from importlib import import_module
from typing import Any

from ._lib import lib

_signal: Any = import_module("_signal")  # not what the program may have made of signal.signal

_ident = lib.lt_thread_ident
_native_id = lib.lt_thread_native_id


def get_ident() -> int:
    """Return the calling thread's identifier.

    Returns:
        A nonzero integer, the same as `threading.get_ident()` gives in this thread.  It
        may be given to a new thread after this one has ended.

    Source: `_thread.get_ident` of the library reference.
    """
    return _ident()


def get_native_id() -> int:
    """Return the number that the operating system knows the calling thread by.

    Source: `_thread.get_native_id` of the library reference.
    """
    return _native_id()


def _runs_handlers() -> bool:
    """Return whether the calling thread is the one that runs signal handlers."""
    try:
        _signal.signal(_signal.SIGINT, "no handler")
    except TypeError:
        return True
    except ValueError:  # which comes first, in any other thread
        return False
    raise AssertionError("a string is taken for a handler")


_ask_host = getattr(_thread, "_get_main_thread_ident", None)


def main_thread() -> int:
    """Return the ident of the thread that runs signal handlers.

    Up to 3.12, and on PyPy, only that thread itself can tell.  As long as it hasn't called this or
    waited, nor imported this module, the answer is 0.

    Source: `_thread._get_main_thread_ident`, from 3.13 on.
    """
    known = lib.lt_ffi_main_thread()
    if known == 0 and _runs_handlers():
        known = _ident()
        lib.lt_ffi_set_main_thread(known)
    return known


_get_main_thread_ident = main_thread


def _begin() -> None:
    """Note who is who in a process that begins, or whose main interpreter is another one now."""
    errno = lib.lt_ffi_watch_forks()
    if errno:
        raise OSError(errno, "can't watch for forks")
    if _ask_host is not None:
        lib.lt_ffi_set_main_thread(int(_ask_host()))
    elif lib.lt_is_main_interpreter():
        lib.lt_ffi_set_main_thread(0)
        main_thread()


_begin()
