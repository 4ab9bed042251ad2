"""How a promise says what it expects, and waits for it without waiting for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Callable

PAUSE = 0.05
"""Seconds in which the other side has come to wait, on any machine that isn't overloaded."""

PATIENCE = 5.0
"""Seconds in which what should happen at once has happened, on an overloaded one too."""


class Broken(Exception):
    """A promise that does not hold."""

    def __init__(self, expected: str, got: str) -> None:
        super().__init__(f"expected {expected}, got {got}")
        self.expected = expected
        self.got = got


def spell(call: Callable[..., object], *args: object, **kwargs: object) -> str:
    """Return the call as it would be written."""
    given = [repr(arg) for arg in args] + [f"{key}={value!r}" for key, value in kwargs.items()]
    return f"{getattr(call, '__name__', repr(call))}({', '.join(given)})"


def describe(error: BaseException) -> str:
    """Return an exception as a traceback's last line has it."""
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def same(what: str, got: object, expected: object) -> None:
    """Expect `got` to be equal to, and of the same type as, `expected`."""
    if type(got) is not type(expected) or got != expected:
        raise Broken(f"{what} to be {expected!r}", repr(got))


def holds(expected: str, truth: bool, got: object) -> None:
    """Expect `truth`; the other two say what is expected and what there is."""
    if not truth:
        raise Broken(expected, got if isinstance(got, str) else repr(got))


def raises(
    error: type[BaseException], call: Callable[..., object], *args: object, **kwargs: object
) -> BaseException:
    """Expect the call to raise `error`, and return what it raised."""
    expected = f"{error.__name__} from {spell(call, *args, **kwargs)}"
    began = time.monotonic()
    try:
        got = call(*args, **kwargs)
    except error as raised:
        return raised
    except Exception as raised:
        raise Broken(expected, describe(raised)) from raised
    took = time.monotonic() - began
    after = f" after {took:.2f} s" if took > PAUSE / 2 else ""
    raise Broken(expected, f"it returned {got!r}{after}")


def in_time(what: str, event: threading.Event) -> None:
    """Expect the event to come."""
    if not event.wait(PATIENCE):
        raise Broken(what, f"not within {PATIENCE:g} s")


def until(what: str, true: Callable[[], bool]) -> None:
    """Expect what nobody announces to come true."""
    end = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > end:
            raise Broken(what, f"not within {PATIENCE:g} s")
        time.sleep(0.001)


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """The time until now."""
        return time.monotonic() - self._began


@contextmanager
def rescue(release: Callable[[], object]) -> Iterator[None]:
    """End a wait in the block that nothing else ended, so that it can be told about."""
    timer = threading.Timer(PATIENCE, release)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def same_result(
    what: str, expected: object, call: Callable[..., object], *args: object, **kwargs: object
) -> None:
    """Expect the call to return `expected`, in time."""
    watch = Stopwatch()
    same(what, call(*args, **kwargs), expected)
    took = watch.seconds
    holds(f"{what} at once or in a while", took < PATIENCE, f"after {took:.2f} s")
