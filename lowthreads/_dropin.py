"""lowthreads in `_thread`'s place.

`make_module` builds the module that stands there.  It has all the names of the newest
`_thread`, on every interpreter; where a name behaves differently from version to version,
it does as the interpreter that it runs on, for that is what its standard library expects.
So it holds twins of some of lowthreads' objects, which say that they come from `_thread`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial, update_wrapper, wraps
from importlib.machinery import ModuleSpec
from types import FunctionType, ModuleType
from typing import Any, Callable, cast

from . import _handles, _threads
from ._host import host
from ._lib import native, own_methods
from ._lock import full_name, lock
from ._rlock import RLock

_VERSION = sys.version_info[:2]
_CPYTHON = sys.implementation.name == "cpython"

_NAME = "_thread"


class _Builtin:
    """A function of the module, which does not become a method of a class that keeps it."""

    __name__: str

    def __init__(self, function: Callable[..., Any]) -> None:
        update_wrapper(self, function)
        self.__module__ = _NAME
        self.__call = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__call(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<built-in function {self.__name__}>"

    def __reduce__(self) -> str:
        return self.__name__


def _as_thread(value: Any) -> Any:
    """Return the function, as one of `_thread`'s."""
    if not isinstance(value, FunctionType):
        return value
    # CPython calls these in C all the time.
    return getattr(native, value.__name__, None) or _Builtin(value)


def _make_lock() -> tuple[type, Callable[[], Any]]:
    """Return the type of locks, and what allocates one."""

    @own_methods
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
    allocate.__name__ = allocate.__qualname__ = "allocate_lock"
    allocate.__doc__ = lock.__doc__
    return Lock, allocate


def _make_rlock() -> type:
    @own_methods
    class TwinRLock(RLock):
        __slots__ = ()

        if _VERSION < (3, 15):  # any arguments, which mean nothing

            def __new__(cls, *args: Any, **kwargs: Any) -> Any:
                return super().__new__(cls)

            def __init__(self, *args: Any, **kwargs: Any) -> None:
                pass

        if not _CPYTHON:  # a copy is a new lock

            def __reduce__(self) -> Any:
                return type(self), (), getattr(self, "__dict__", None)

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
    module.__spec__ = ModuleSpec(_NAME, None, origin=__package__, loader_state=host)
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


_CHANGED = ("threading", "functools")
"""Modules whose names are changed in place if they were imported, as functools always is."""


class _Installed:
    module: ModuleType | None = None
    replaced: dict[str, dict[str, Any]]  # names of these modules, and what they were
    own_stack_size: int  # lowthreads', before it took over the host's


def installed() -> ModuleType | None:
    """Return the module that `install` put in `_thread`'s place; None if it isn't there."""
    return _Installed.module


_changing = RLock()


def _one_at_a_time(change: Callable[[], None]) -> Callable[[], None]:
    """Let no thread change what stands in `_thread`'s place while another one does."""

    @wraps(change)
    def change_alone() -> None:
        with _changing:
            change()

    return change_alone


@contextmanager
def _no_thread_starting(what: str) -> Iterator[None]:
    """Keep `threading` from starting threads meanwhile; refuse if it is just doing so."""
    threading: Any = sys.modules.get("threading")
    if threading is None:
        yield
        return
    with threading._active_limbo_lock:
        if threading._limbo:
            names = ", ".join(str(thread.name) for thread in threading._limbo)
            raise RuntimeError(f"can't {what} {__package__} while threads start: {names}")
        yield


@_one_at_a_time
def install() -> None:
    """Put lowthreads in `_thread`'s place, for all that is imported from now on.

    If `threading` was imported already, its names are changed (and those of `functools`), so
    that it starts threads and makes locks with lowthreads from now on, also for those who
    imported it before.
    Threads that run already, and locks that were made, go on as they are, and a stack size
    that was set holds on.  Call it early: what a module took from `_thread` or `threading`
    by name stays with that module.

    Does nothing if it is installed already.

    Raises:
        RuntimeError: if something else is in `_thread`'s place, another copy of lowthreads for
            one, or a thread is just being started by `threading`; nothing is changed then.
    """
    if _Installed.module is not None:
        return
    if sys.modules.get(_NAME, host) is not host:
        raise RuntimeError(
            f"can't install {__package__}: {sys.modules[_NAME]!r} is in _thread's place"
        )
    module = make_module()
    with _no_thread_starting("install"):
        _Installed.replaced = _replace_all(module)
    _Installed.own_stack_size = _take_over_stack_size()
    sys.modules[_NAME] = module
    _Installed.module = module


def _take_over_stack_size() -> int:
    """Use the size that was set for the host's threads, if any; return lowthreads' own."""
    theirs = host.stack_size()  # which sets 0
    host.stack_size(theirs)
    ours = _threads.stack_size()
    _threads.stack_size(theirs or ours)
    return ours


def _twins(of: ModuleType, to: ModuleType) -> dict[int, Any]:
    """Return what there is in `to` for each object of `of` that is told by its identity."""
    twins: dict[int, Any] = {id(of): to}
    for name, value in vars(of).items():
        if name.startswith("__") or not hasattr(to, name):
            continue
        if callable(value) or name == "TIMEOUT_MAX":
            twins[id(value)] = getattr(to, name)
    return twins


def _names(changed: Any) -> list[tuple[str, Any]]:
    return [pair for pair in vars(changed).items() if not pair[0].startswith("__")]


def _changed_modules() -> list[Any]:
    return [sys.modules[name] for name in _CHANGED if name in sys.modules]


def _replace_all(module: ModuleType) -> dict[str, dict[str, Any]]:
    """Put the module's objects where others have the host's; return what was there."""
    twins = _twins(host, module)
    replaced: dict[str, dict[str, Any]] = {}
    for each in _changed_modules():
        found = {name: value for name, value in _names(each) if id(value) in twins}
        for name, value in found.items():
            setattr(each, name, twins[id(value)])
        replaced[each.__name__] = found
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
        raise RuntimeError(
            f"can't uninstall {__package__}: {sys.modules.get(_NAME)!r} took its place"
        )
    if _handles.awaited_threads() and hasattr(host, "_shutdown"):
        # The host's threading._shutdown would not wait for them.
        raise RuntimeError(f"can't uninstall {__package__} while threads run that are not daemons")
    with _no_thread_starting("uninstall"):
        _restore_all(_Installed.module)
    _threads.stack_size(_Installed.own_stack_size)
    sys.modules[_NAME] = host
    _Installed.module = None


def _restore_all(module: ModuleType) -> None:
    """Put the host's objects where others have the module's."""
    originals = _twins(module, host)
    for each in _changed_modules():
        replaced = _Installed.replaced.get(each.__name__, {})
        for name, value in _names(each):
            if id(value) in originals:
                setattr(each, name, replaced.get(name, originals[id(value)]))
