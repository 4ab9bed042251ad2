"""What more than one promise is made of: a lock that is held, a thread that does something."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Callable

from .expect import PATIENCE, PAUSE, Stopwatch, holds, in_time, raises, until
from .settings import default_reports

lowthreads: Any = import_module("..", __package__)


def locked() -> Any:
    """Return a new lock that the calling thread holds."""
    lock = lowthreads.allocate_lock()
    holds("a new lock to be free", lock.acquire(False), "acquire(False) did not take it")
    return lock


def later(call: Callable[..., object], *args: object) -> None:
    """Make the call in a thread, when this one has come to wait."""

    def body() -> None:
        time.sleep(PAUSE)
        call(*args)

    lowthreads.start_new_thread(body, ())


def in_thread(call: Callable[[], Any]) -> Any:
    """Return what the call returns in a thread."""
    outcome: list[Any] = []
    over = threading.Event()

    def body() -> None:
        try:
            outcome.append(call())
        finally:
            over.set()

    lowthreads.start_new_thread(body, ())
    in_time("a thread to run", over)
    holds("a thread to run without an exception", bool(outcome), "it raised one")
    return outcome[0]


@contextmanager
def keyboard_interrupts() -> Iterator[None]:
    """Have Python's own handler of SIGINT, as a program has that was started as usual."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)


def ends_at_once(
    error: type[BaseException],
    cause: Callable[[], object],
    call: Callable[..., object],
    *args: object,
    **kwargs: object,
) -> None:
    """Expect `cause`, which takes effect after a while, to end the call with `error`."""

    def both() -> object:
        # In one: the effect must not come before what expects it.
        cause()
        return call(*args, **kwargs)

    both.__name__ = call.__name__
    watch = Stopwatch()
    raises(error, both)
    took = watch.seconds
    holds(f"{error.__name__} at once", took < PATIENCE, f"after {took:.2f} s")


def compute_until_interrupted() -> None:
    """Never block, and end when there was time enough for an interrupt."""
    watch = Stopwatch()
    while watch.seconds < PATIENCE:
        pass


def silently_ends(body: Callable[[], object]) -> None:
    """Expect a thread to end, and nothing to be reported of it by any means."""
    over = threading.Event()
    before = lowthreads._count()

    def function() -> None:
        try:
            body()
        finally:
            over.set()

    with default_reports() as text:
        lowthreads.start_new_thread(function, ())
        in_time("the thread to run", over)
        until("the thread to end", lambda: lowthreads._count() <= before)
        time.sleep(PAUSE / 5)
    holds("nothing to be printed", not text.getvalue(), text.getvalue())
