"""Exceptions that no one can catch, given to `sys.unraisablehook` as CPython does."""

from __future__ import annotations

import sys
from typing import Any, Callable

from ._idents import get_ident
from ._style import STARTED_BY, in_place

# The type of the hook's argument, which no module has a name for.
_HookArgs: Any = next(cls for cls in tuple.__subclasses__() if cls.__name__ == "UnraisableHookArgs")


def _hook_args(message: str, error: BaseException, obj: object) -> Any:
    values = (type(error), error, error.__traceback__, message, obj)
    if hasattr(_HookArgs, "extra_line"):  # PyPy
        return _HookArgs(values, {"extra_line": ""})
    return _HookArgs(values)


def report(message: str, error: BaseException, obj: object) -> None:
    """Give the hook an exception.  Raises nothing."""
    hook = getattr(sys, "unraisablehook", None)
    if hook is None:
        hook = sys.__unraisablehook__
    try:
        hook(_hook_args(message, error, obj))
    except BaseException as second:
        sys.__unraisablehook__(_hook_args("Exception ignored in sys.unraisablehook", second, hook))


def report_in_thread(function: Callable[..., object], error: BaseException) -> None:
    """Report what a thread's function let out.  Raises nothing."""
    if STARTED_BY is not None and in_place():
        report(STARTED_BY.format(ident=get_ident()), error, function)
        return
    try:
        name = repr(function)
    except BaseException:
        name = object.__repr__(function)
    report(f"Exception ignored in thread started by {name}", error, None)
