"""Python's low-level thread module, built anew on the operating system's own threads.

It has the names of `_thread`, with one behaviour on every interpreter and platform: that
of the newest CPython.  Beyond `_thread`, every wait can be interrupted, and
`interrupt_main` wakes what it interrupts.
"""

from typing import TYPE_CHECKING

from ._capi import c_api, get_include, make_capsule
from ._deadlock_error import DeadlockError
from ._dropin import install, uninstall
from ._dump import dump
from ._expel import interrupt
from ._forks import set_fork_policy
from ._handles import (
    _make_thread_handle,
    _set_sentinel,
    _shutdown,
    _ThreadHandle,
    start_joinable_thread,
)
from ._host import (
    _excepthook,
    _ExceptHookArgs,
    _is_main_interpreter,
    _local,
    daemon_threads_allowed,
    host_names,
)
from ._idents import _get_main_thread_ident, get_ident, get_native_id
from ._interrupt import interrupt_main
from ._lock import TIMEOUT_MAX, LockType, allocate, allocate_lock, error, lock
from ._names import _NAME_MAXLEN, _get_name, set_name
from ._rlock import RLock
from ._stragglers import Straggler, shutdown
from ._threads import (
    _count,
    exit,
    exit_thread,
    stack_size,
    start_new,
    start_new_thread,
)
from ._waits import Deadlock, Wait, deadlocks, waits

__version__ = "0.1.0"

if not TYPE_CHECKING:

    def __getattr__(name):
        if name == "_C_API":  # only when it is asked for: few programs do
            return globals().setdefault(name, make_capsule())
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "TIMEOUT_MAX",
    "_NAME_MAXLEN",
    "Deadlock",
    "DeadlockError",
    "LockType",
    "RLock",
    "Straggler",
    "Wait",
    "_ExceptHookArgs",
    "_ThreadHandle",
    "_count",
    "_excepthook",
    "_get_main_thread_ident",
    "_get_name",
    "_is_main_interpreter",
    "_local",
    "_make_thread_handle",
    "_set_sentinel",
    "_shutdown",
    "allocate",
    "allocate_lock",
    "c_api",
    "daemon_threads_allowed",
    "deadlocks",
    "dump",
    "error",
    "exit",
    "exit_thread",
    "get_ident",
    "get_include",
    "get_native_id",
    "host_names",
    "install",
    "interrupt",
    "interrupt_main",
    "lock",
    "set_fork_policy",
    "set_name",
    "shutdown",
    "stack_size",
    "start_joinable_thread",
    "start_new",
    "start_new_thread",
    "uninstall",
    "waits",
]
