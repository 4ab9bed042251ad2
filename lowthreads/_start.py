"""How the interpreter's new thread comes to call a Python function.

`start_thread(function, args, kwargs, stack_size, handle, name)` returns the thread's ident,
or an errno, negative.  `kwargs` and `name` (bytes for the operating system) may be None;
`handle` is the address of an `lt_handle`, or 0; it is claimed, in one step with the start.
"""

from __future__ import annotations

import sys
from itertools import count
from typing import Any, Callable

from ._lib import ffi, lib, native
from ._unraisable import report_in_thread

if sys.implementation.name == "cpython":
    native.report_in_thread = report_in_thread
    start_thread: Callable[[Callable[..., object], tuple[Any, ...], Any, int, int, Any], int]
    start_thread = native.start_thread
else:
    _next_key = count(1).__next__
    _todo: dict[int, tuple[Callable[..., object], tuple[Any, ...], Any, Any]] = {}

    @ffi.def_extern()
    def lt_ffi_run_thread(key: int) -> None:
        """Run what was started under this key; the shim calls it in the new thread."""
        function, args, kwargs, name = _todo.pop(key)
        if name is not None:
            lib.lt_thread_set_name(ffi.new("char[]", name))  # a name is worth no failure
        try:
            function(*args, **(kwargs or {}))
        except SystemExit:
            pass
        except BaseException as error:
            if error.__traceback__ is not None:
                error.__traceback__ = error.__traceback__.tb_next  # from the function on
            report_in_thread(function, error)

    def start_thread(
        function: Callable[..., object],
        args: tuple[Any, ...],
        kwargs: Any,
        stack_size: int,
        handle: int,
        name: Any,
    ) -> int:
        key = _next_key()
        _todo[key] = function, args, kwargs, name
        ident = lib.lt_ffi_thread_start(key, stack_size, ffi.cast("lt_handle *", handle))
        if ident < 0:
            del _todo[key]
        return ident
