"""Waiting for a lock, and what signals do to it.

Guarantees
- A signal whose handler raises ends the wait at once, with the lock not taken; one whose
  handler returns does not, and the wait goes on for the time that is left.
- No signal is missed: not one that comes just before the thread sleeps, nor one that the
  system gives to another thread.  The first `LT_BRIEF` sleep may miss it, and is over within
  5 ms.  All later ones are `LT_PATIENT`: the interpreter's wake-up descriptor is the
  shim's for that time, so that each signal ends the sleep, also one that only begins.
- Whoever has a wake-up descriptor of their own (an event loop) gets what they would have.

Only the main thread runs handlers.  The shim lets all other threads wait in one go.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from importlib import import_module
from typing import Any, Callable

from ._errors import raise_acquire_at_shutdown, raise_count_overflow, raise_orphaned
from ._expel import pending, raise_expelled, takes_back
from ._host import _is_main_interpreter
from ._idents import get_ident, main_thread
from ._lib import ffi, lib, native
from ._timeout import UNBOUNDED

_now = lib.lt_now
_wait = lib.lt_ffi_wait
_wait_on = lib.lt_ffi_wait_on
_wait_end = lib.lt__wait_end

_ACQUIRED = lib.LT_ACQUIRED
_INTERRUPTED = lib.LT_INTERRUPTED
_ORPHANED = lib.LT_ORPHANED
_OVERFLOW = lib.LT_OVERFLOW
_EXPELLED = lib.LT_EXPELLED
_PLAIN = lib.LT_PLAIN
_BRIEF = lib.LT_BRIEF
_PATIENT = lib.LT_PATIENT
_FIRM = lib.LT_FIRM
_FRESH = lib.LT_FRESH
_FOR_LOCK = lib.LT_FOR_LOCK

FOREVER = (1 << 63) - 1

_WAIT = ffi.typeof("lt__wait *")

try:
    # PyPy, for which a thread that forked isn't the main one yet when hooks run.
    _signals_enabled: AbstractContextManager[Any] = import_module("__pypy__.thread").signals_enabled
except ImportError:
    _signals_enabled = nullcontext()


if sys.implementation.name == "cpython":
    # While the interpreter ends: whoever holds a lock or is to be joined won't go on.
    others_are_stopped = sys.is_finalizing
else:  # PyPy lets threads run to its very end

    def others_are_stopped() -> bool:
        return False


def wait(
    handle: Any,
    nanoseconds: int = UNBOUNDED,
    awaited: int = _FOR_LOCK,
    marks: int = _FRESH,
    passes: bool = False,
) -> bool:
    """Wait until the lock is taken or the time is over; return whether it was taken.

    `handle` points to what `awaited`, an `lt_awaited`, says.  If the caller only `passes`, it
    is not kept.
    """
    if others_are_stopped():
        raise_acquire_at_shutdown()
    since = _now()
    deadline = FOREVER if nanoseconds < 0 else min(since + nanoseconds, FOREVER)
    return _wait_for(handle, awaited, marks, deadline, since, passes)


def go_on(address: int, marks: int, status: int, passes: bool) -> bool:
    """Go on with a wait that was begun in C, and has that status now.

    There it is ended, what `interrupt` gave is raised, and a lock is given back that was taken
    though this raises.
    """
    wait = ffi.cast(_WAIT, address)
    if status == _INTERRUPTED:
        if others_are_stopped():
            raise_acquire_at_shutdown()
        if get_ident() == main_thread():
            status = _wait_as_main(wait, status, marks, passes)
        else:  # who is the main thread wasn't known when the wait began
            status = _wait_on(wait, marks, _PLAIN, passes)
    if status >= _EXPELLED and takes_back(sys._getframe()):
        lib.lt_ffi_take_back(wait, marks & ~_FRESH)
    return _has_taken(status)


def _wait_as_main(wait: Any, status: int | None, marks: int, passes: bool) -> int:
    """Wait as the thread that runs handlers of signals; `status` is None if it only begins."""
    if status is None:
        status = _wait_on(wait, marks, _BRIEF, passes)
    while status == _INTERRUPTED:
        status = _wait_patiently(wait, marks, passes)
    return status


def _has_taken(status: int) -> bool:
    if status == _ORPHANED:
        raise_orphaned()
    if status == _OVERFLOW:
        raise_count_overflow()
    return status == _ACQUIRED


if sys.implementation.name == "cpython":
    # Of what the extension calls a holder: see csrc/ffi/cpython/object.h.
    native._lt_go_on, native._lt_pending = go_on, pending

    def _wait_for(
        handle: Any, awaited: int, marks: int, deadline: int, since: int, passes: bool
    ) -> bool:
        address = int(ffi.cast("uintptr_t", handle))
        taken: bool = native.wait_for(address, awaited, marks, deadline, since, passes)
        return taken

else:

    def _wait_for(
        handle: Any, awaited: int, marks: int, deadline: int, since: int, passes: bool
    ) -> bool:
        def end(status: int) -> bool:
            if status >= _EXPELLED and takes_back(sys._getframe()):
                _wait(handle, awaited, marks & ~_FRESH, FOREVER, _now(), _FIRM, False)
            return _has_taken(status)

        if get_ident() != main_thread():
            status = _wait(handle, awaited, marks, deadline, since, _PLAIN, passes)
            taken = end(status)
            if status >= _EXPELLED:
                try:
                    raise_expelled(status)
                finally:
                    pending.pop(status, None)
            return taken
        # If a handler raises, the wait ends with this frame at the latest.
        had = len(_found)
        wait = ffi.gc(ffi.new(_WAIT), _wait_end)
        lib.lt_ffi_prepare(wait, handle, awaited, deadline, since)

        def step() -> bool:
            return end(_wait_as_main(wait, None, marks, passes))

        try:
            return _ended(wait, had, lambda: _ended(wait, had, lambda: _ended(wait, had, step)))
        finally:
            pending.pop(_wait_end(wait), None)
            lib.lt_ffi_settle_others(wait)


def _ended(wait: Any, had: int, step: Callable[[], bool]) -> bool:
    """Return or raise what the step does, or raise what `interrupt` gave, after the wait's end.

    A handler may raise in here, between any two steps: the next one around it does it again.
    """
    try:
        taken = step()
    except BaseException as raised:
        _give_back(had)
        raise_expelled(_wait_end(wait), raised)
        raise
    raise_expelled(_wait_end(wait))
    return taken


if sys.implementation.name == "cpython":
    run_handlers: Callable[[], None] = native.run_handlers
else:

    def run_handlers() -> None:
        """Run the handlers of signals that came.

        In between two steps of Python, PyPy runs them when it likes: its compiled code does
        at the end of a loop.  This call does.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, ())


if sys.platform == "win32":
    import_module("_socket")  # set_wakeup_fd imports it: not in the midst of a wait

_set_wakeup_fd = partial(signal.set_wakeup_fd, warn_on_full_buffer=False)


_found: list[int] = []
"""The wake-up descriptors that patient waits found, and put the shim's in the place of.  Each wait
adds one or more; the last that is not the shim's is the program's."""


class _Lent:
    """The shim's descriptor that was set last, and what it was set instead of."""

    fd = -1
    instead_of = -1


def _programs(had: int) -> list[int]:
    return [each for each in _found[had:] if each != _Lent.fd]


if sys.implementation.name == "cpython":
    _give_back: Callable[[int], None] = native.give_wakeups_back
    if _is_main_interpreter():
        native.lend_wakeups(_found, _set_wakeup_fd, _Lent)
else:

    def _give_back(had: int) -> None:
        """For the waits that took it when so many had it."""
        if len(_found) > had:
            programs = _programs(had)
            if programs:
                current = _set_or_none(programs[-1])
                if current != _Lent.fd:  # a handler has set it meanwhile
                    _set_or_none(current)
            if had == 0:
                lib.lt_signals_flush()
            del _found[had:]


def _lend(had: int) -> bool:
    """Let the interpreter write to the shim's descriptor; return whether it wrote to another."""
    # In one step of Python: no handler can raise before the old one is noted.
    _found.extend(map(_set_wakeup_fd, (_Lent.fd,)))
    if _found == [_Lent.fd]:  # on PyPy, a handler may tear away what was found the last time
        _found[0] = _Lent.instead_of
    programs = _programs(had)
    if programs:
        _Lent.instead_of = programs[-1]
        lib.lt_signals_forward(programs[-1])
    return _found[-1] != _Lent.fd


# Those that call set_wakeup_fd; on PyPy, `partial` is one of Python.
_LENDERS = {_lend.__code__, getattr(partial.__call__, "__code__", None)}


def _was_refused(error: BaseException) -> bool:
    """Whether `set_wakeup_fd` raised it in `_lend`, and no handler."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback is not None and traceback.tb_frame.f_code in _LENDERS


def _wait_patiently(wait: Any, marks: int, passes: bool) -> int:
    fd = lib.lt_signals_fd()
    if fd < 0:  # no descriptors left: look again soon
        run_handlers()
        return _wait_on(wait, marks, _BRIEF, passes)
    had = len(_found)
    _Lent.fd = fd
    run_handlers()
    try:
        _lend(had)
        run_handlers()
        while _lend(had):  # a handler has set it
            run_handlers()
        if lib.lt_signals_fd() != fd:  # a handler forked, and this is the child
            return _INTERRUPTED
        return _wait_on(wait, marks, _PATIENT, passes)
    except (OSError, ValueError) as error:
        if not _was_refused(error):
            raise
        # A handler has closed it: there will be another one.  Or in an interpreter that runs none.
        return _wait_on(wait, marks, _BRIEF if _is_main_interpreter() else _PLAIN, passes)
    finally:  # the end of the wait does it, too, should a handler raise here
        _give_back(had)


def _after_fork() -> None:
    """In the child, take the parent's descriptor away from the interpreter."""
    if not _found:
        return
    with _signals_enabled:
        current = signal.set_wakeup_fd(-1)
        _set_or_none(_Lent.instead_of if current == _Lent.fd else current)
    _found.clear()


def _set_or_none(descriptor: int) -> int:
    try:
        return _set_wakeup_fd(descriptor)
    except (OSError, ValueError):  # closed meanwhile
        return signal.set_wakeup_fd(-1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
