"""Where versions of `_thread` differ, one object can't serve all, and lowthreads is in its place.

`import lowthreads` has one behaviour; in `_thread`'s place it has the interpreter's, which
its standard library and tests expect.
"""

from __future__ import annotations

import sys

from ._host import host

STARTED_BY: str | None = None
"""With what message `sys.unraisablehook` gets a thread's function as the object; None where
the message itself tells of the function."""

if sys.implementation.name != "cpython":
    STARTED_BY = "Exception ignored in thread {ident} started by "
elif sys.version_info < (3, 13):
    STARTED_BY = "Exception ignored in thread started by"


def in_place() -> bool:
    """Return whether something else than the interpreter's own module is `_thread`."""
    return sys.modules.get("_thread") is not host
