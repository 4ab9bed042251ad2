"""Interrupting the main thread: by the real signal on POSIX, as one is noted on Windows."""

from __future__ import annotations

import os
import signal
import sys
from operator import index

from ._host import host
from ._idents import main_thread
from ._lib import lib
from ._wait import others_are_stopped

_INT_MAX = (1 << 31) - 1


if sys.platform == "win32":

    def _send(signum: int) -> None:
        # Not by C's raise: it takes the handler away for a moment, in which another signal
        # ends the process; and for some signals each thread has a handler of its own.
        if signum == signal.SIGINT:
            host.interrupt_main()
            lib.lt_ffi_end_sleep(sys.dllhandle)
        elif sys.version_info >= (3, 10):
            host.interrupt_main(signum)
        else:
            signal.raise_signal(signum)

else:

    def _send(signum: int) -> None:
        ident = main_thread()
        if ident != 0:
            errno = lib.lt_thread_signal(ident, signum)
            if errno == 0:
                return
            if sys.version_info < (3, 10):  # a real-time one, of which too many wait
                raise OSError(errno, os.strerror(errno))
            host.interrupt_main(signum)
        else:
            os.kill(os.getpid(), signum)


def interrupt_main(signum: int = signal.SIGINT, /) -> None:
    """Send the main thread a signal, so that what it is blocked in ends.

    Args:
        signum: the signal's number; with `SIGINT`, Python's own handler raises
            `KeyboardInterrupt` in the main thread.

    Raises:
        ValueError: if there is no signal of that number.
        OSError: if the interpreter ends, and has given up its handlers; on 3.9, if too many signals
            wait to be handled.

    On Windows, what is ended is a wait for a lock or a thread, and by `SIGINT` also
    `time.sleep`.

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
