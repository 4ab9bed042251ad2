"""Where a thread is, in the words of whoever wrote the program.

A thread that waits in lowthreads is mostly there by way of `threading`, `queue` or
`concurrent.futures`.  What it does is what it called there, and the line is its own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any, NamedTuple

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_LIBRARY = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
_THREADING = _LIBRARY + "threading.py"
_WAITED_IN = (_THREADING, _LIBRARY + "queue.py", _LIBRARY + os.path.join("concurrent", "futures"))
_BOOTSTRAPS = {
    *((_THREADING, name) for name in ("_bootstrap", "_bootstrap_inner", "run")),
    *((os.path.join(_WAITED_IN[2], "thread.py"), name) for name in ("_worker", "run")),
}


class Place(NamedTuple):
    """What a thread does, and where."""

    call: str | None
    """What it called to wait, such as "Event.wait"; None if not the library's."""
    object: Any
    """What it called that on; None if not known."""
    frame: FrameType | None
    """Where; None if the thread runs no Python, or only the library's."""


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def is_bootstrap(filename: str, function: str) -> bool:
    """Whether that is how a thread of the library comes to call what it was given."""
    return (filename, function) in _BOOTSTRAPS


def skip_package(frame: FrameType | None) -> FrameType | None:
    """Return the innermost frame that isn't lowthreads' own."""
    for each in _outwards(frame):
        if not each.f_code.co_filename.startswith(_PACKAGE):
            return each
    return None


def place_of(frame: FrameType | None) -> Place:
    """Return where the thread is whose innermost frame this is."""
    call, on = None, None
    for each in _outwards(skip_package(frame)):
        filename, function = each.f_code.co_filename, each.f_code.co_name
        if not filename.startswith(_WAITED_IN):
            return Place(call, on, each)
        if is_bootstrap(filename, function):
            break
        owner = each.f_locals.get("self")
        if owner is not None:
            call, on = f"{type(owner).__name__}.{function}", owner
    return Place(call, on, None)


def awaits_signal(frame: FrameType | None) -> bool:
    """Whether the thread waits for a lock that another thread is to release for it."""
    inner = skip_package(frame)
    # If nobody has imported it, nobody waits in it.
    threading = sys.modules.get("threading")
    return (
        inner is not None
        and threading is not None
        and inner.f_code is threading.Condition.wait.__code__
    )
