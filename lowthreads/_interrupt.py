"""Interrupting the main thread, by the real signal."""

from __future__ import annotations

import signal
from operator import index

from ._idents import main_thread
from ._lib import lib
from ._wait import others_are_stopped

_INT_MAX = (1 << 31) - 1


def _send(signum: int) -> None:
    lib.lt_thread_signal(main_thread(), signum)


def interrupt_main(signum: int = signal.SIGINT, /) -> None:
    """Send the main thread a signal, so that what it is blocked in ends.

    Args:
        signum: the signal's number; with `SIGINT`, Python's own handler raises
            `KeyboardInterrupt` in the main thread.

    Raises:
        ValueError: if there is no signal of that number.
        OSError: if the interpreter ends, and has given up its handlers.

    Nothing happens where Python doesn't handle the signal (`SIG_DFL`, `SIG_IGN`).  Any
    thread may call it.

    Source: `_thread.interrupt_main` of the library reference.
    """
    number = index(signum)
    if not -_INT_MAX - 1 <= number <= _INT_MAX:
        raise OverflowError("Python int too large to convert to C int")
    if not 1 <= number < signal.NSIG:
        raise ValueError("signal number out of range")
    handler = signal.getsignal(number)
    if callable(handler):
        _send(number)
    elif handler is None and others_are_stopped():
        raise OSError(f"Signal {number} ignored due to race condition")
