"""The promises of the reference text, each exercised live.

The reference is the `_thread` page of the library manual.  A promise that doesn't hold
raises: `expect.Broken`, or whatever came out of the call.  Those that need the same means
are in one file: `promised_locks`, `promised_signals`, `promised_threads`.

Where the interpreter has a tool of its own (`threading.Event`, a timer), they wait with it,
so that a fault in lowthreads shows where it is and doesn't spread.  They look names up in
the package at each use: it is the package, as it is at that moment, that is checked.
"""

from __future__ import annotations

# Of one name's promises, those of the first file come first.
from . import promised_locks, promised_signals, promised_threads
from .registry import Promise, declared

__all__ = ["PROMISES", "Promise", "promised_locks", "promised_signals", "promised_threads"]

PROMISES: list[Promise] = declared()
