"""What promises change for the whole process, and how it gets restored."""

from __future__ import annotations

import io
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from types import FrameType
from typing import Any, Callable

lowthreads: Any = import_module("..", __package__)

_HAS_TIMER = hasattr(signal, "setitimer")
_SIGNALS = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGALRM", "SIGUSR1", "SIGWINCH", "SIGBREAK")
    if hasattr(signal, name)
]


@contextmanager
def restored_signals() -> Iterator[None]:
    """Put back every handler and the timer."""
    handlers = {signum: signal.getsignal(signum) for signum in _SIGNALS}
    timer = signal.setitimer(signal.ITIMER_REAL, 0) if _HAS_TIMER else (0.0, 0.0)
    try:
        yield
    finally:
        if _HAS_TIMER:  # before the handlers: SIGALRM's default is to end the process
            signal.setitimer(signal.ITIMER_REAL, 0)
        for signum, handler in handlers.items():
            if handler is not None:  # None: set by other than Python
                signal.signal(signum, handler)
        if timer[0] > 0:
            signal.setitimer(signal.ITIMER_REAL, *timer)


@contextmanager
def restored_stack_size() -> Iterator[None]:
    """Put back lowthreads' stack size."""
    before = lowthreads.stack_size()
    lowthreads.stack_size(before)
    try:
        yield
    finally:
        lowthreads.stack_size(before)


@contextmanager
def thread_reports() -> Iterator[list[Any]]:
    """Collect what `sys.unraisablehook` is told of threads, in place of printing it."""
    reports: list[Any] = []
    before = sys.unraisablehook

    def hook(report: Any, /) -> None:
        if (report.err_msg or "").startswith("Exception ignored in thread"):
            reports.append(report)
        else:
            before(report)

    sys.unraisablehook = hook
    try:
        yield reports
    finally:
        sys.unraisablehook = before


@contextmanager
def default_reports() -> Iterator[io.StringIO]:
    """Collect what the interpreter's own `sys.unraisablehook` prints."""
    hook, stderr = sys.unraisablehook, sys.stderr
    text = io.StringIO()
    sys.unraisablehook, sys.stderr = sys.__unraisablehook__, text
    try:
        yield text
    finally:
        sys.unraisablehook, sys.stderr = hook, stderr


@contextmanager
def restored() -> Iterator[list[Any]]:
    """Put back all of it; yields the exceptions that threads in the block let out."""
    with ExitStack() as stack:
        stack.enter_context(restored_signals())
        stack.enter_context(restored_stack_size())
        yield stack.enter_context(thread_reports())


class Rang(Exception):
    """What an `Alarm`'s handler raises."""


class Alarm:
    """A real signal that comes after a while, and counts how often it was handled.

    It comes from the system's timer; where there is none (Windows), it is `SIGINT` from a
    thread that calls `interrupt_main`.
    """

    def __init__(self, then: Callable[[], object] | None = None) -> None:
        """Make the handler call `then`; without it, raise `Rang`."""
        self._then = then
        self._armed = False
        self.times = 0

    def __enter__(self) -> Alarm:
        self._signum = signal.SIGALRM if _HAS_TIMER else signal.SIGINT
        signal.signal(self._signum, self._ring)
        self._armed = True
        return self

    def __exit__(self, exc_type: object, exc_value: object, traceback: object) -> None:
        self._armed = False
        if _HAS_TIMER:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _ring(self, signum: int, frame: FrameType | None) -> None:
        if not self._armed:
            return
        self.times += 1
        if self._then is None:
            raise Rang
        self._then()

    def ring_in(self, seconds: float, again_every: float = 0) -> None:
        """Let the signal come, once or, where there is a timer, again and again."""
        if _HAS_TIMER:
            signal.setitimer(signal.ITIMER_REAL, seconds, again_every)
        else:
            lowthreads.start_new_thread(self._sleep_and_interrupt, (seconds,))

    def _sleep_and_interrupt(self, seconds: float) -> None:
        time.sleep(seconds)
        lowthreads.interrupt_main(self._signum)
