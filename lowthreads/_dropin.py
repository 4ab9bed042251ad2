"""lowthreads in `_thread`'s place.

`make_module` builds the module that stands there.  It has all the names of the newest
`_thread`, on every interpreter; where a name behaves differently from version to version,
it does as the interpreter that it runs on, for that is what its standard library expects.
So it holds twins of some of lowthreads' objects, which say that they come from `_thread`.
"""

from __future__ import annotations

import platform
import sys
from functools import partial, wraps
from importlib.machinery import ModuleSpec
from types import FunctionType, ModuleType
from typing import Any, Callable, cast

from . import _handles, _threads
from ._host import host
from ._lock import full_name, lock
from ._rlock import RLock
from ._style import Style

_VERSION = sys.version_info[:2]
_CPYTHON = platform.python_implementation() == "CPython"

_NAME = "_thread"


def _as_thread(value: Any) -> Any:
    """Return the function, as one of `_thread`'s."""
    if not isinstance(value, FunctionType):
        return value
    twin = FunctionType(
        value.__code__, value.__globals__, value.__name__, value.__defaults__, value.__closure__
    )
    twin.__kwdefaults__ = value.__kwdefaults__
    twin.__doc__ = value.__doc__
    twin.__annotations__ = value.__annotations__
    twin.__module__ = _NAME
    return twin


def _make_lock() -> tuple[type, Callable[[], Any]]:
    """Return the type of locks, and what allocates one."""

    class Lock(lock, twin=True):
        __slots__ = ()

    _rename(Lock, "lock", lock)
    if not (_CPYTHON and (3, 10) <= _VERSION < (3, 13)):
        return Lock, Lock

    def refuse(cls: type, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(f"cannot create '{full_name(cls)}' instances")

    Lock.__new__ = refuse  # type: ignore[method-assign]
    # A partial, for a function would become a method of a class that keeps it.
    allocate: Any = partial(object.__new__, Lock)
    allocate.__module__ = _NAME
    return Lock, allocate


def _make_rlock() -> type:
    class TwinRLock(RLock):
        __slots__ = ()

        if _VERSION < (3, 15):  # any arguments, which mean nothing

            def __new__(cls, *args: Any, **kwargs: Any) -> Any:
                return super().__new__(cls)

            def __init__(self, *args: Any, **kwargs: Any) -> None:
                pass

    _rename(TwinRLock, "RLock", RLock)
    return TwinRLock


def _rename(twin: type, name: str, original: type) -> None:
    twin.__name__ = twin.__qualname__ = name
    twin.__module__ = _NAME
    twin.__doc__ = original.__doc__


def _shutdown() -> None:
    """Wait for all threads that are not daemons, also those that the host started."""
    _handles._shutdown()
    if hasattr(host, "_shutdown"):
        host._shutdown()


def _count() -> int:
    """Return how many threads have not ended, also those that the host started."""
    return _threads._count() + int(host._count())


def start_joinable_thread(
    function: Callable[[], object], handle: Any = None, daemon: bool = True, **own: Any
) -> Any:
    """Start a thread that can be joined; the host does if the handle is one of its own.

    That is the handle of a `threading.Thread` made before lowthreads was installed.
    """
    if handle is not None and isinstance(handle, getattr(host, "_ThreadHandle", ())):
        return host.start_joinable_thread(function, handle=handle, daemon=daemon)
    return _handles.start_joinable_thread(function, handle, daemon, **own)


def make_module() -> ModuleType:
    """Return the module that can stand in `_thread`'s place."""
    package: Any = sys.modules[__package__]
    module: Any = ModuleType(_NAME, package.__doc__)
    module.__spec__ = ModuleSpec(_NAME, None, origin=__package__)
    for name in package.__all__:
        if name not in {"host_names", "install", "uninstall"}:
            setattr(module, name, _as_thread(getattr(package, name)))
    module.lock, module.allocate_lock = _make_lock()
    module.LockType = module.lock
    module.allocate = module.allocate_lock
    module.RLock = _make_rlock()
    module._shutdown = _as_thread(_shutdown)
    module._count = _as_thread(_count)
    module.start_joinable_thread = _as_thread(start_joinable_thread)
    return cast(ModuleType, module)


class _Installed:
    module: ModuleType | None = None
    replaced: dict[str, Any]  # names of threading, and what they were


def _threading() -> Any:
    return sys.modules.get("threading")


_changing = RLock()


def _one_at_a_time(change: Callable[[], None]) -> Callable[[], None]:
    """Let no thread change what stands in `_thread`'s place while another one does."""

    @wraps(change)
    def change_alone() -> None:
        with _changing:
            change()

    return change_alone


def _refuse_while_starting(threading: Any, what: str) -> None:
    if threading._limbo:
        names = ", ".join(str(thread.name) for thread in threading._limbo)
        raise RuntimeError(f"can't {what} lowthreads while threads start: {names}")


@_one_at_a_time
def install() -> None:
    """Put lowthreads in `_thread`'s place, for all that is imported from now on.

    If `threading` was imported already, its names are changed, so that it starts threads and
    makes locks with lowthreads from now on, also for those who imported it before.
    Threads that run already, and locks that were made, go on as they are.  Call it early:
    what a module took from `_thread` or `threading` by name stays with that module.

    Does nothing if it is installed already.

    Raises:
        RuntimeError: if something else is in `_thread`'s place, or a thread is just being
            started by `threading`; nothing is changed then.
    """
    if _Installed.module is not None:
        return
    if sys.modules.get(_NAME, host) is not host:
        raise RuntimeError(
            f"can't install lowthreads: {sys.modules[_NAME]!r} is in _thread's place"
        )
    module = make_module()
    threading = _threading()
    if threading is not None:
        with threading._active_limbo_lock:
            _refuse_while_starting(threading, "install")
            _Installed.replaced = _replace(threading, module)
    else:
        _Installed.replaced = {}
    Style.function_is_object = _CPYTHON and _VERSION < (3, 13)
    Style.name_is_cut_anywhere = True
    sys.modules[_NAME] = module
    _Installed.module = module


def _is_told_by_identity(name: str, value: Any) -> bool:
    return not name.startswith("__") and (callable(value) or name == "TIMEOUT_MAX")


def _replace(threading: Any, module: ModuleType) -> dict[str, Any]:
    """Put the module's objects where `threading` has the host's; return what was there."""
    twins = {
        id(value): getattr(module, name)
        for name, value in vars(host).items()
        if _is_told_by_identity(name, value) and hasattr(module, name)
    }
    replaced = {
        name: value
        for name, value in vars(threading).items()
        if not name.startswith("__") and id(value) in twins
    }
    for name, value in replaced.items():
        setattr(threading, name, twins[id(value)])
    return replaced


@_one_at_a_time
def uninstall() -> None:
    """Put the interpreter's `_thread` back, as `install` found it.

    Threads that run and locks that were made go on as they are.  Does nothing if lowthreads
    isn't installed.

    Raises:
        RuntimeError: if something else was put in its place since, or a thread is just being
            started by `threading`, or runs and isn't a daemon; nothing is changed then.
    """
    if _Installed.module is None:
        return
    if sys.modules.get(_NAME) is not _Installed.module:
        raise RuntimeError(f"can't uninstall lowthreads: {sys.modules.get(_NAME)!r} took its place")
    if _handles.awaited_threads() and hasattr(host, "_shutdown"):
        # The host's threading._shutdown would not wait for them.
        raise RuntimeError("can't uninstall lowthreads while threads run that are not daemons")
    threading = _threading()
    if threading is not None:
        with threading._active_limbo_lock:
            _refuse_while_starting(threading, "uninstall")
            _restore(threading, _Installed.module)
    Style.function_is_object = Style.name_is_cut_anywhere = False
    sys.modules[_NAME] = host
    _Installed.module = None


def _restore(threading: Any, module: ModuleType) -> None:
    """Put the host's objects where `threading` has the module's."""
    originals = {
        id(value): getattr(host, name)
        for name, value in vars(module).items()
        if _is_told_by_identity(name, value) and hasattr(host, name)
    }
    for name, value in list(vars(threading).items()):
        if name in _Installed.replaced:
            setattr(threading, name, _Installed.replaced[name])
        elif not name.startswith("__") and id(value) in originals:
            setattr(threading, name, originals[id(value)])
