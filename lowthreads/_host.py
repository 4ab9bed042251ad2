"""What only the interpreter itself can give, and what it gives best.

`host_names` says which public names are the interpreter's own objects, and why.
"""

from __future__ import annotations

import _thread as _found
import sys
from types import ModuleType
from typing import Any, NamedTuple, cast

from ._lib import lib

# Another copy of lowthreads, installed in its place, says where it is.
_state = getattr(getattr(_found, "__spec__", None), "loader_state", None)
_thread: Any = _state if isinstance(_state, ModuleType) else _found


class _OwnExceptHookArgs(NamedTuple):
    exc_type: Any
    exc_value: Any
    exc_traceback: Any
    thread: Any


class _ExceptHookArgsMaker(_OwnExceptHookArgs):
    """What `threading.excepthook` gets; made from a sequence, like CPython's."""

    __slots__ = ()
    __module__ = "_thread"

    def __new__(cls, values: Any) -> _ExceptHookArgsMaker:
        return tuple.__new__(cls, values)


def _own_excepthook(args: Any, /) -> None:
    """Print an exception that a `threading.Thread` let out.

    Source: `threading.excepthook` of the library reference.
    """
    if type(args) is not _ExceptHookArgs:
        raise TypeError("_thread.excepthook argument type must be ExceptHookArgs")
    import traceback

    exc_type, exc_value, exc_traceback, thread = args
    if exc_type is SystemExit:
        return
    stderr = sys.stderr if sys.stderr is not None else getattr(thread, "_stderr", None)
    if stderr is None:
        return
    name = _thread.get_ident() if thread is None else thread.name
    print(f"Exception in thread {name}:", file=stderr, flush=True)
    traceback.print_exception(exc_type, exc_value, exc_traceback, file=stderr)
    stderr.flush()


host_names: dict[str, str] = {
    "_local": "the interpreter keeps thread-locals in its thread states, and ends them there",
}
"""The names that are the interpreter's own objects, each with the reason."""

_local = _found._local

_excepthook: Any = getattr(_thread, "_excepthook", _own_excepthook)
_ExceptHookArgs: Any = getattr(_thread, "_ExceptHookArgs", _ExceptHookArgsMaker)
if _excepthook is not _own_excepthook:
    host_names["_excepthook"] = "CPython's threading and its tests tell it by identity"
    host_names["_ExceptHookArgs"] = "the type that the interpreter's _excepthook takes"


def _is_main_interpreter() -> bool:
    """Return whether the calling thread runs in the main interpreter.

    Source: `_thread._is_main_interpreter`, from 3.13 on.
    """
    return lib.lt_is_main_interpreter()


def daemon_threads_allowed() -> bool:
    """Return whether threads may be daemons: in the main interpreter, always.

    Source: `_thread.daemon_threads_allowed`, from 3.12 on.
    """
    ask = getattr(_thread, "daemon_threads_allowed", None)
    return ask is None or bool(ask())


def _are_threads_allowed() -> bool:
    """Return whether this interpreter, perhaps an isolated one, may have threads."""
    if sys.version_info < (3, 12) or _is_main_interpreter():
        return True
    try:
        if sys.version_info >= (3, 13):
            interpreters = cast(Any, __import__("_interpreters"))
            current = interpreters.get_current()[0]
            return bool(interpreters.get_config(current).allow_threads)
        return _has_feature(1 << 10)  # Py_RTFLAGS_THREADS
    except (ImportError, AttributeError):
        return True


def _has_feature(flag: int) -> bool:
    """Return what 3.12 alone exports of an interpreter's configuration."""
    import ctypes

    python: Any = ctypes.pythonapi
    python.PyInterpreterState_Get.restype = ctypes.c_void_p
    python._PyInterpreterState_HasFeature.argtypes = [ctypes.c_void_p, ctypes.c_ulong]
    return bool(python._PyInterpreterState_HasFeature(python.PyInterpreterState_Get(), flag))


threads_allowed = _are_threads_allowed()

host: ModuleType = _thread
"""The interpreter's own module."""
