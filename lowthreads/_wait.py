"""Waiting for a lock, and what signals do to it.

Guarantees
- A signal whose handler raises ends the wait at once, with the lock not taken; one whose
  handler returns does not, and the wait goes on for the time that is left.
- No signal is missed: not one that comes just before the thread sleeps either.  The first
  `LT_BRIEF` wait may miss it, and is over within 5 ms; all later ones hold signals back,
  let the handlers of those that came before run, and only then sleep, with signals let in.

Only the main thread runs handlers.  The shim lets all other threads wait in one go.
"""

from __future__ import annotations

from ._lib import LockHandle, lib
from ._timeout import UNBOUNDED

_now = lib.lt_now
_lock_wait = lib.lt_ffi_lock_wait
_hold = lib.lt_signals_hold
_let = lib.lt_signals_release

_ACQUIRED = lib.LT_ACQUIRED
_INTERRUPTED = lib.LT_INTERRUPTED
_BRIEF = lib.LT_BRIEF
_PATIENT = lib.LT_PATIENT

_FOREVER = (1 << 63) - 1


def wait(handle: LockHandle, nanoseconds: int = UNBOUNDED) -> bool:
    """Wait until the lock is taken or the time is over; return whether it was taken."""
    since = _now()
    deadline = _FOREVER if nanoseconds < 0 else min(since + nanoseconds, _FOREVER)
    status = _lock_wait(handle, deadline, since, _BRIEF)
    while status == _INTERRUPTED:
        try:
            _hold()
            # Here run the handlers of signals that came before.
        except BaseException:
            _let()
            raise
        status = _lock_wait(handle, deadline, since, _PATIENT)  # lets signals in
    return status == _ACQUIRED
