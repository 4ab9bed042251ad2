"""Who waits for what, and who is caught in a deadlock.

Guarantees
- A snapshot is consistent: no thread comes out of its wait while it is taken (`csrc/waits.c`).
  So the owners and the waits in it were true together, and a cycle in it was one.
- It needs nobody's help: it can be taken in a signal handler, and while all others are stuck.

What may be a deadlock
- Only the thread that holds an RLock releases it, and only a thread's own end ends a wait for
  it.  A lock that was taken by `with` is released by the same thread.
- An import is ended by the thread that began it, and so are waits for its module.
- A wait with a timeout ends; it is in no cycle.
- A lock that any thread released which had not taken it is a signal, and so is the one that a
  `threading.Condition` waits for: whoever took it last says nothing about who releases it.
- Any other lock was taken by `acquire()`, and never released by another thread yet.  A cycle of
  several of them is a deadlock.  A thread that waits for such a lock which it took itself, or
  for a thread that waits for such a lock, may well be waiting for a third one to release it:
  then it is `sure` only if there is no third one that runs, nor one of C code that Python doesn't
  know.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Set
from typing import Any, NamedTuple

from . import _capi
from ._host import host
from ._idents import get_ident, main_thread
from ._imports import Import, awaited_imports
from ._lib import ffi, lib
from ._places import awaits_signal, current_frames
from ._wait import FOREVER

_KINDS = {
    lib.LT_FOR_LOCK: "lock",
    lib.LT_FOR_RLOCK: "RLock",
    lib.LT_FOR_THREAD: "thread",
    lib.LT_FOR_EVENT: "event",
}


_RECORDS = ffi.typeof("lt_wait_record[]")
_ = ffi.new(_RECORDS, 1)[0].ident  # cffi makes fields when they are used: not in two threads


class Wait(NamedTuple):
    """A thread that is blocked in lowthreads, and what it waits for.

    Source: lowthreads' own.
    """

    ident: int
    """The waiting thread's, as `get_ident` returns it."""
    native_id: int
    """The waiting thread's, as `get_native_id` returns it."""
    name: str
    """The waiting thread's, as `threading` knows it."""
    kind: str
    """What it waits for: "lock", "RLock", "thread" (for its end), "event" (of the C API) or
    "module" (for the end of its import, by another thread)."""
    address: int
    """Of what it waits for: equal if two threads wait for the same."""
    seconds: float
    """How long it has waited; for a module, since a snapshot found it first."""
    timeout: float | None
    """How long it will wait in all, in seconds; None: without limit."""
    owner: int | None
    """The ident of the thread that took the lock (or whose end is waited for); None if
    nobody has it: it is being taken, or an orphan."""
    owner_name: str | None
    """That thread's name."""
    signal: bool
    """Whether it is for others to release the lock than the one who took it."""
    scoped: bool
    """Whether the lock was taken by a `with` statement."""
    orphan: bool
    """Whether a fork left behind the thread that holds the lock: nobody here will release it."""
    since: int
    """When the wait began, in nanoseconds on the clock of `time.monotonic_ns`."""
    suspended: bool
    """Whether the thread runs handlers of signals, and will go on waiting then."""


class Deadlock(NamedTuple):
    """Waits that nothing will end.

    Source: lowthreads' own.
    """

    waits: tuple[Wait, ...]
    """Of a cycle, each one's for what the next one has, and the last one's for the first's."""
    sure: bool
    """False if something could still end it: see `deadlocks`."""
    kind: str = "cycle"
    """"cycle", or "stuck": all threads of the process wait, and none is left to end that."""


def name_of(ident: int) -> str:
    """Return a thread's name, without waiting for any lock."""
    threading = sys.modules.get("threading")  # importing it is not for us to do
    thread = threading._active.get(ident) if threading is not None else None
    if thread is not None:
        return str(thread.name)
    return "MainThread" if ident == main_thread() else f"thread {ident:#x}"


def waits() -> list[Wait]:
    """Return what each thread that is blocked in lowthreads waits for.

    May be called at any time, in any thread, and in signal handlers.  A wait that a signal
    handler interrupts counts while the handler runs.

    Returns:
        The waits, the longest first.

    Source: lowthreads' own.
    """
    now = lib.lt_now()
    imports = awaited_imports()
    array, count = _snapshot()
    found = [_made(each, now) for each in array[0:count]]
    # What is a signal only by where it is waited for; few waits look so.
    if any(_may_be_signal(wait) for wait in found):
        frames = current_frames()
        found = [
            wait._replace(
                signal=wait.signal
                or (_may_be_signal(wait) and awaits_signal(frames.get(wait.ident)))
            )
            for wait in found
        ]
    if imports:
        found += _import_waits(imports, found, now)
    return sorted(found, key=lambda wait: wait.since)


_known: dict[Import, int] = {}
"""Since when."""


def _import_waits(imports: list[Import], found: list[Wait], now: int) -> Iterator[Wait]:
    """Return the waits for modules, which were asked for after `now` and before the others.

    Who has waited since before then has not ended an import since.
    """
    global _known
    _known = {each: _known.get(each, now) for each in imports}
    late = {wait.ident for wait in found if wait.since > now}
    for each, since in _known.items():
        if each.owner not in late:
            yield Wait(
                ident=each.ident,
                native_id=0,
                name=name_of(each.ident),
                kind="module",
                address=each.address,
                seconds=(now - since) / 1e9,
                timeout=None,
                owner=each.owner,
                owner_name=name_of(each.owner),
                orphan=False,
                signal=False,
                scoped=True,
                since=since,
                suspended=False,
            )


def _may_be_signal(wait: Wait) -> bool:
    return wait.kind == "lock" and wait.owner == wait.ident and not wait.scoped


def _snapshot() -> tuple[Any, int]:
    room = 16
    while True:
        array = ffi.new(_RECORDS, room)
        count = lib.lt_waits(array, room)
        if count <= room:
            return array, count
        room = count + 16


def _made(record: Any, now: int) -> Wait:
    owner = None if record.orphan else int(record.owner) or None  # its ident may be another's
    return Wait(
        ident=int(record.ident),
        native_id=int(record.native_id),
        name=name_of(record.ident),
        kind=_KINDS[record.awaited],
        address=int(ffi.cast("uintptr_t", record.lock)),
        seconds=max(now - record.since, 0) / 1e9,
        timeout=None if record.deadline == FOREVER else (record.deadline - record.since) / 1e9,
        owner=owner,
        owner_name=None if owner is None else name_of(owner),
        signal=bool(record.signal),
        scoped=bool(record.scoped),
        orphan=bool(record.orphan),
        since=int(record.since),
        suspended=bool(record.suspended),
    )


def deadlocks() -> list[Deadlock]:
    """Return the deadlocks that there are now.

    May be called as `waits` may.  A deadlock that is not `sure` is one if no thread that runs
    releases a lock which another thread took, which none has done to this lock yet.  All are
    cycles: while a thread calls this, the process isn't stuck.

    Source: lowthreads' own, after the JVM's `findDeadlockedThreads`.
    """
    return find_cycles(waits())


def find_cycles(found: list[Wait], aside: Set[int] = frozenset()) -> list[Deadlock]:
    """Return the cycles among the waits; the threads `aside` release no lock."""
    return [Deadlock(cycle, _is_sure(cycle, found, aside)) for cycle in _cycles(_blocking(found))]


def _blocking(found: list[Wait]) -> dict[int, Wait]:
    """The wait that each thread is blocked in, if only its owner can end it."""
    last = {wait.ident: wait for wait in found}  # a handler's wait is after what it interrupts
    me = get_ident()
    return {
        ident: wait
        for ident, wait in last.items()
        if wait.owner is not None
        and wait.timeout is None
        and not wait.signal
        and (not wait.suspended or ident == me)  # else a handler runs, and may end it
    }


def _cycles(blocking: dict[int, Wait]) -> list[tuple[Wait, ...]]:
    cycles: list[tuple[Wait, ...]] = []
    seen: set[int] = set()
    for start in blocking:
        path: list[Wait] = []
        ident: int | None = start
        while ident in blocking and ident not in seen:
            seen.add(ident)
            path.append(blocking[ident])
            ident = path[-1].owner
        idents = [wait.ident for wait in path]
        if ident in idents:
            cycles.append(tuple(path[idents.index(ident) :]))
    return cycles


def _is_sure(cycle: tuple[Wait, ...], found: list[Wait], aside: Set[int]) -> bool:
    taken_by_call = [wait for wait in cycle if wait.kind == "lock" and not wait.scoped]
    if not taken_by_call or (len(cycle) > 1 and all(wait.kind != "thread" for wait in cycle)):
        return True
    if _capi.in_use:
        return False
    before = _stuck(found)
    started = 1 + lib.lt_census_count() + int(host._count())
    frames = current_frames()
    threads = frames.keys() - aside
    if not before.keys() >= threads or len(frames) < started:  # one runs, or is about to
        return False
    # Who is in the same wait still has not run meanwhile; the others had ended by then.
    now = _stuck(waits())
    return all(now.get(ident) == before[ident] for ident in {*threads, *(w.ident for w in cycle)})


def _stuck(found: list[Wait]) -> dict[int, tuple[int, int | None]]:
    """Of each thread that waits without a timeout, since when, and for whom."""
    me = get_ident()
    return {
        wait.ident: (wait.since, wait.owner)
        for wait in found
        if wait.timeout is None and (not wait.suspended or wait.ident == me)
    }
