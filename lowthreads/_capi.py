"""The C API: `include/lowthreads.h` is its reference, docs/c-api.md the way in."""

from __future__ import annotations

import os
import sys
from typing import Any

from ._lib import lib, native

_CPYTHON = sys.implementation.name == "cpython"

in_use = False
"""Whether C code has been given the table: threads that Python doesn't know may use locks."""


def get_include() -> str:
    """Return the folder of `lowthreads.h`, for a C compiler's `-I`.

    Source: lowthreads' own, after `numpy.get_include`.
    """
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "include")


def c_api() -> int:
    """Return the address of the C API's table of functions, an `lt_api` of `lowthreads.h`.

    It is the same each time, and valid until the process ends.

    Source: lowthreads' own.
    """
    global in_use
    in_use = True
    return lib.lt_ffi_table()


def make_capsule() -> Any:
    """What `PyCapsule_Import("lowthreads._C_API", 0)` finds, on CPython."""
    if not _CPYTHON:
        raise AttributeError("no capsule here: call c_api()")
    return native.api_capsule((f"{__package__}._C_API", c_api()))
