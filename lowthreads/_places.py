"""Where a thread is, in the words of whoever wrote the program.

A thread that waits in lowthreads is mostly there by way of `threading`, `queue` or
`concurrent.futures`.  What it does is what it called there, and the line is its own.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any, NamedTuple

# By the names of modules: of files, there are too many, and in an archive they have none.
WAITED_IN = ("threading", "queue", "concurrent.futures")
IMPORTED_BY = ("importlib._bootstrap", "_frozen_importlib")
_BOOTSTRAPS = {
    "threading": {"_bootstrap", "_bootstrap_inner", "run"},
    "concurrent.futures.thread": {"_worker", "run"},
    f"{__package__}._start": {"lt_ffi_run_thread"},
}

_LIBRARY = os.path.dirname(os.__file__) + os.sep


class Place(NamedTuple):
    """What a thread does, and where."""

    call: str | None
    """What it called to wait, such as "Event.wait"; None if not the library's."""
    object: Any
    """What it called that on; None if not known."""
    frame: FrameType | None
    """Where; None if the thread runs no Python, or only the library's."""


if sys.version_info[:2] == (3, 11):

    def current_frames() -> dict[int, FrameType]:
        """Return the innermost frame of each thread that runs Python, by the thread's ident.

        On 3.11, which makes these frames under a lock of its own, not while the collector may run:
        what that calls may wait for a thread that has the GIL, and waits for this lock.
        """
        was_enabled = gc.isenabled()
        gc.disable()
        try:
            return sys._current_frames()
        finally:
            if was_enabled:
                gc.enable()

else:
    current_frames = sys._current_frames


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        try:
            frame = frame.f_back
        except SystemError:  # PyPy, of a thread that runs on meanwhile
            return


def is_in(frame: FrameType, *modules: str) -> bool:
    """Whether that runs code of one of the modules, or of what is in them."""
    name = str(frame.f_globals.get("__name__"))
    return any(name == module or name.startswith(module + ".") for module in modules)


def is_bootstrap(frame: FrameType) -> bool:
    """Whether that is how a thread of the library comes to call what it was given."""
    module = str(frame.f_globals.get("__name__"))
    return frame.f_code.co_name in _BOOTSTRAPS.get(module, ())


def skip_package(frame: FrameType | None) -> FrameType | None:
    """Return the innermost frame that isn't lowthreads' own."""
    for each in _outwards(frame):
        if not is_in(each, __package__):
            return each
    return None


def place_of(frame: FrameType | None) -> Place:
    """Return where the thread is whose innermost frame this is."""
    call, on = None, None
    for each in _outwards(skip_package(frame)):
        if not is_in(each, *WAITED_IN, *IMPORTED_BY):
            return Place(call, on, each)
        if is_bootstrap(each):
            break
        owner = each.f_locals.get("self")
        if owner is not None:
            call, on = f"{type(owner).__name__}.{each.f_code.co_name}", owner
    return Place(call, on, None)


def called_from(frame: FrameType) -> FrameType | None:
    """Return where the standard library was called that the frame is in; None if it isn't."""
    for each in _outwards(frame):
        file = each.f_code.co_filename
        own = file.startswith(_LIBRARY) and os.sep + "site-packages" + os.sep not in file
        if not own and not file.startswith("<frozen "):
            return None if each is frame else each
    return None


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
