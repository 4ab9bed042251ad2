"""Thread-locals on PyPy, which end with their thread.

PyPy keeps what a thread stored until the `local` object itself goes, if it is a thread that
PyPy did not start.  So each thread of lowthreads' notes which locals it uses, and empties
them at its end.
"""

from __future__ import annotations

from _thread import _local as _host_local
from functools import wraps
from typing import Any
from weakref import WeakValueDictionary

from ._idents import get_ident

_attributes_of = vars(_host_local)["__dict__"].__get__

_used: dict[int, WeakValueDictionary[int, Any]] = {}  # by the thread, and by the local's id


class _local(_host_local):
    """Attributes that each thread has its own values of.

    Source: `threading.local` of the library reference.
    """

    __module__ = "_thread"

    # PyPy calls it once in each thread, when that first uses the local.
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _note(self)
        super_init: Any = super().__init__
        if (args or kwargs) and super_init.__func__ is object.__init__:
            raise TypeError("Initialization arguments are not supported")
        super_init(*args, **kwargs)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        owner = next(each for each in cls.__mro__ if "__init__" in vars(each))
        if owner is not cls and issubclass(owner, _local):
            return  # it notes
        init = cls.__init__

        @wraps(init)
        def noting(self: Any, *args: Any, **kwargs: Any) -> None:
            _note(self)
            init(self, *args, **kwargs)

        cls.__init__ = noting  # type: ignore[method-assign]


def _note(local: Any) -> None:
    used = _used.get(get_ident())
    if used is not None:  # else it is not one of lowthreads' threads
        used[id(local)] = local


def begin() -> None:
    """Let the calling thread note which locals it uses; to be called first of all."""
    _used[get_ident()] = WeakValueDictionary()


def end() -> None:
    """Empty the locals that the calling thread used; to be called last of all."""
    for local in _used.pop(get_ident()).values():
        _attributes_of(local).clear()
