"""Marks of tests: what an interpreter or a system can't do."""

from __future__ import annotations

import sys

import pytest

from support import PYPY, WITH_GIL

# On PyPy the methods of locks are Python: there a handler may raise between any two steps.
torn = pytest.mark.xfail(
    PYPY,
    reason="torn at a method's entry or exit: README, known limits",
    strict=False,
)

freed_at_once = pytest.mark.skipif(
    PYPY or not WITH_GIL,
    reason="the collector (PyPy), or the thread that made it (without a GIL), frees it later",
)

other_interpreters = pytest.mark.skipif(
    PYPY or not WITH_GIL,
    reason="none (PyPy), or, free-threaded, they refuse cffi's extensions",
)

# For pytest-run-parallel: other threads start and end meanwhile.
counts_threads = pytest.mark.thread_unsafe(reason="counts all threads of the process")


def _runs_on_wine() -> bool:
    if sys.platform != "win32":
        return False
    import ctypes

    return hasattr(ctypes.WinDLL("ntdll"), "wine_get_version")


WINE = _runs_on_wine()


def wine_cannot(reason: str) -> pytest.MarkDecorator:
    """Mark a test that real Windows passes, or should, and Wine can't run."""
    return pytest.mark.skipif(WINE, reason=f"not run on Wine: {reason}")
