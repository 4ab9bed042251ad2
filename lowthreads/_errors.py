"""Where failures of the shim become exceptions, in CPython's words."""

from __future__ import annotations

import builtins
from typing import NoReturn

FinalizationError: type[RuntimeError] = getattr(builtins, "PythonFinalizationError", RuntimeError)
"""What a thread start raises while the interpreter ends."""


def raise_release_unlocked() -> NoReturn:
    """For `lt_lock_release`, when it returns false."""
    raise RuntimeError("release unlocked lock")


def raise_cannot_start(errno: int) -> NoReturn:
    """For `lt_ffi_thread_start`, when it returns a negative errno."""
    raise RuntimeError("can't start new thread")


def raise_at_shutdown() -> NoReturn:
    """For a thread that would start too late to be waited for."""
    raise FinalizationError("can't create new thread at interpreter shutdown")
