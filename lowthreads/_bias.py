"""RLocks on PyPy, biased to the thread that made them.

A call into C is what an RLock would cost most: so as long as no other thread wants it, the
thread that made it takes and releases it here, and the shim's lock is not looked at.

Guarantees
- A thread holds the lock while it is biased if it made it and `_depth` is above 0; after that,
  if the shim says so.  In between, `lt_biased_end` settles which of the maker's last steps
  counts, once and for all.
- A handler that raises within a step undoes an acquire, and completes a release.

| `_bias`     | `_busy` | the lock                                                           |
|-------------|---------|--------------------------------------------------------------------|
| the maker's | no      | biased, held `_depth` times                                        |
| the maker's | yes     | biased, the maker is within a step                                 |
| 0           |         | the shim's, as soon as somebody called `_end`: held `_depth` times |

The maker changes `_depth` and then looks at `_bias`.  Who ends the bias changes `_bias` and
then looks at `_depth`.  PyPy runs one thread at a time, and switches between two steps of
Python: so one of them sees what the other did.  If both do, the maker learns from
`lt_biased_end` whether its step was seen; if not, it does it again on the shim's lock.

In the child of a fork, a thread may have the ident of a maker that the fork left behind.  So
`_forks` says which forks the maker is known to have gone through; whoever finds another number
asks the shim, and ends the bias if the maker is gone.

A step within another one's (in a signal handler, or a finalizer) could not tell its own
changes of `_depth` from the other's: it sees `_busy`, and ends the bias.
"""

from __future__ import annotations

import os
from _thread import get_ident
from typing import Any

from ._lib import RLockHandle, ffi, lib

_MAX = lib.LT_RLOCK_MAX

_new = ffi.new
_addressof = ffi.addressof
_release = lib.lt_ffi_rlock_release
_generation = lib.lt_census_generation
_MEMORY = ffi.typeof("lt_biased *")


_forks = 0  # that led from the process in which this module was loaded to this one


def _after_fork() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Biased:
    """To be put before `RLockMethods`, which does all that a biased lock can't."""

    __slots__ = (
        *("__weakref__", "_bias", "_busy", "_depth", "_ended", "_forks", "_memory", "_shared"),
    )

    _memory: Any
    _shared: RLockHandle

    def _lt_begin(self) -> None:
        self._memory = memory = _new(_MEMORY)
        self._shared = _addressof(memory, "rlock")
        self._depth = 0
        self._busy = self._ended = False
        self._forks = _forks
        memory.generation = _generation()
        self._bias = memory.maker = get_ident()

    def _end(self) -> int:
        """End the bias, and return how often the maker held the lock then."""
        self._bias = 0
        levels = lib.lt_biased_end(self._memory, self._depth)
        self._ended = True
        return levels

    @property
    def _handle(self) -> RLockHandle:
        if not self._ended:
            self._end()
        return self._shared

    def _outlived_fork(self) -> bool:
        """Whether the calling thread, which has the maker's ident, is the maker."""
        if lib.lt_biased_outlived_fork(self._memory):
            self._forks = _forks
            return True
        self._end()
        return False

    def _is_mine(self) -> bool:
        """Whether it is biased to the calling thread, and that is not amid a step."""
        return (
            self._bias == get_ident()
            and not self._busy
            and (self._forks == _forks or self._outlived_fork())
        )

    def _lt_take(self) -> bool:
        """Take the lock, if it is biased to the calling thread."""
        if not self._is_mine():
            return False
        self._busy = True
        depth = self._depth
        try:
            if depth == _MAX:
                return False
            self._depth = depth + 1
            if self._bias:
                self._busy = False
                return True
            return self._end() > depth
        except BaseException:
            self._depth = depth
            if not self._bias and self._end() > depth:
                _release(self._shared)
            self._busy = False
            raise

    def _lt_give(self) -> bool:
        """Release the lock once, if it is biased to the calling thread, which holds it."""
        if not self._is_mine():
            return False
        self._busy = True
        depth = self._depth
        try:
            if depth == 0:
                return False
            self._depth = depth - 1
            if self._bias:
                self._busy = False
                return True
            return self._end() < depth
        except BaseException:
            if depth > 0:
                self._depth = depth - 1
                if not self._bias and self._end() == depth:
                    _release(self._shared)
            self._busy = False
            raise
