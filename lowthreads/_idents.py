"""Who a thread is, and which one is the main thread."""

from __future__ import annotations

import sys

from ._lib import lib

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


def _find_main_thread() -> int:
    import _thread

    ask = getattr(_thread, "_get_main_thread_ident", None)
    if ask is not None:
        return int(ask())
    threading = sys.modules.get("threading")
    if threading is not None:
        return int(threading.main_thread().ident)
    # Nobody has started a thread by the usual means: this is the main one.
    return _ident()


def main_thread() -> int:
    """Return the ident of the thread that runs signal handlers."""
    return lib.lt_ffi_main_thread()


_get_main_thread_ident = main_thread


errno = lib.lt_ffi_init(_find_main_thread())
if errno:
    raise OSError(errno, "can't watch for forks")
