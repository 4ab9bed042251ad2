"""The `blocking` and `timeout` arguments, checked in CPython's order and words."""

from __future__ import annotations

from math import ceil, floor
from operator import index
from typing import Callable

TIMEOUT_MAX = 9223372036.0
"""The largest `timeout` for `lock.acquire`, in seconds: 292 years, on every platform."""

UNBOUNDED = -1_000_000_000
"""What `timeout=-1` is in nanoseconds: no limit."""

DEFAULT = -1
"""Of `timeout`; compared by identity, to keep the usual call free of checks."""

_SECOND = 1_000_000_000
_MAX = int(TIMEOUT_MAX) * _SECOND
_INT64 = 1 << 63


def to_nanoseconds(timeout: float) -> int:
    """Convert seconds, as CPython converts them, rounding away from 0."""
    if isinstance(timeout, float):
        timeout = float.__pos__(timeout)  # of a subclass only the value counts, as in C
        if timeout != timeout:
            raise ValueError("Invalid value NaN (not a number)")
        scaled = timeout * 1e9
        # Away from 0: a wait doesn't end early, and a negative number stays one.
        nanoseconds = (floor if scaled < 0 else ceil)(scaled) if abs(scaled) < _INT64 else _INT64
    else:
        nanoseconds = int.__pos__(index(timeout)) * _SECOND
    if not -_INT64 <= nanoseconds < _INT64:
        raise OverflowError("timestamp too large to convert to C PyTime_t")
    return nanoseconds


def check_timeout(blocking: object, timeout: float) -> int:
    """Return how long to wait, in nanoseconds: `UNBOUNDED`, or 0 for not at all.

    Args:
        blocking: any truth value.
        timeout: seconds, or -1 for no limit.

    Raises:
        TypeError, ValueError, OverflowError: as `_thread.lock.acquire` does.
    """
    waits = bool(blocking)
    nanoseconds = to_nanoseconds(timeout)
    if nanoseconds != UNBOUNDED:
        if not waits:
            raise ValueError("can't specify a timeout for a non-blocking call")
        if nanoseconds < 0:
            raise ValueError("timeout value must be a non-negative number")
        if nanoseconds > _MAX:
            raise OverflowError("timeout value is too large")
    return nanoseconds if waits else 0


def limit_of(name: str) -> Callable[..., int]:
    """Return a method with the arguments of `acquire` that returns how long that waits at most.

    Args:
        name: as error messages name the method.
    """

    def acquire(self: object, blocking: bool = True, timeout: float = -1) -> int:
        return check_timeout(blocking, timeout)

    acquire.__qualname__ = name
    return acquire
