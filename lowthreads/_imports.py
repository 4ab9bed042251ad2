"""Who waits until another thread has imported a module: for one of `importlib`'s own locks.

These wait in the interpreter, and are known to `importlib` alone, which finds deadlocks among
its own locks, but none with others.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any, NamedTuple

from ._places import IMPORTED_BY, current_frames, is_in, skip_package


class Import(NamedTuple):
    """A thread waits for a module that another one imports."""

    ident: int
    owner: int
    address: int
    module: str


def _waits_there(frame: FrameType | None) -> bool:
    """Whether the thread is where `importlib` waits: none that a fork left behind is."""
    frame = skip_package(frame)
    return frame is not None and frame.f_code.co_name == "acquire" and is_in(frame, *IMPORTED_BY)


def awaited_imports() -> list[Import]:
    """Return them, from one moment for each."""
    blocking: Any = getattr(sys.modules.get("_frozen_importlib"), "_blocking_on", {})  # at the end
    found: list[Import] = []
    idents = list(getattr(blocking, "data", blocking))
    frames = current_frames() if idents else {}
    for ident in idents:
        if not _waits_there(frames.get(ident)):
            continue
        lock = blocking.get(ident)
        if isinstance(lock, list):  # from 3.12 on
            lock = lock[-1] if lock else None
        owner = getattr(lock, "owner", None)
        if owner is not None and owner != ident:
            found.append(Import(ident, owner, id(lock), lock.name))
    return found


def module_awaited_by(ident: int) -> str:
    """Return the name of the module that the thread waits for."""
    return next((each.module for each in awaited_imports() if each.ident == ident), "a module")
