"""Python's low-level thread module, built anew on the operating system's own threads.

It has the names of `_thread`, with one behaviour on every interpreter and platform: that
of the newest CPython.  Beyond `_thread`, every wait can be interrupted, and
`interrupt_main` wakes what it interrupts.
"""

from ._idents import get_ident, get_native_id
from ._interrupt import interrupt_main
from ._lock import TIMEOUT_MAX, LockType, allocate, allocate_lock, error, lock
from ._threads import (
    _count,
    exit,
    exit_thread,
    stack_size,
    start_new,
    start_new_thread,
)

__version__ = "0.1.0"

__all__ = [
    "TIMEOUT_MAX",
    "LockType",
    "_count",
    "allocate",
    "allocate_lock",
    "error",
    "exit",
    "exit_thread",
    "get_ident",
    "get_native_id",
    "interrupt_main",
    "lock",
    "stack_size",
    "start_new",
    "start_new_thread",
]
