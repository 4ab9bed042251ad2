"""Ends the process when something takes too long, and lets that be told.

Nothing here waits on lowthreads: a thread of the interpreter's own does the telling.  If
even that can't run, because whatever hangs keeps the interpreter to itself,
`faulthandler` prints every thread's stack and ends the process some seconds later.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Callable

_GRACE = 3.0  # seconds between the one and the other


def _where(ident: int, depth: int = 16) -> str:
    frame = sys._current_frames().get(ident)
    if frame is None:
        return "its thread is gone"
    calls = traceback.extract_stack(frame)[-depth:]
    return "in " + " < ".join(
        f"{call.name} ({os.path.basename(call.filename)}:{call.lineno})" for call in reversed(calls)
    )


def _faulthandler_later(seconds: float) -> bool:
    try:
        faulthandler.dump_traceback_later(seconds, exit=True)
    except (AttributeError, OSError, RuntimeError, ValueError):
        return False  # no such function, or no stderr to write to
    return True


@contextmanager
def limit(seconds: float, tell: Callable[[str], int]) -> Iterator[None]:
    """Limit the time that the block may take.

    Args:
        seconds: the longest time.
        tell: called when it is over, from another thread, with where the block is; the
            process then ends with the exit status that it returns.
    """
    guarded = threading.get_ident()
    turn = threading.Lock()
    over = False

    def expire() -> None:
        with turn:  # the block's end waits here, and finds the process gone
            if over:
                return
            status = 1
            try:
                status = tell(f"nothing for {seconds:g} s: {_where(guarded)}")
                for stream in (sys.stdout, sys.stderr):
                    if stream is not None:
                        stream.flush()
            finally:
                os._exit(status)

    timer = threading.Timer(seconds, expire)
    timer.daemon = True
    timer.start()
    last_resort = _faulthandler_later(seconds + _GRACE)
    try:
        yield
    finally:
        if last_resort:
            faulthandler.cancel_dump_traceback_later()
        with turn:
            over = True
        timer.cancel()
