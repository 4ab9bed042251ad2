"""The contention profile: which locks are waited for, where, for how long, and because of whom.

Each thread counts in a table of its own, by where the lock was made and where it was taken; a
thread that ends leaves its table to the next one that begins.  So nothing is waited for, and
there are no more tables than there were threads at a time.  Within a thread, a handler or a
finalizer that takes a lock between two steps of a count may cost that count.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from .._lib import lib
from .._waits import name_of
from .observer import Hold, Observer, Thread, Wait
from .sites import MAX_SITES, OTHER, Place, Site, shown_file, sites_are_full

MAX_ROWS = 20_000
"""In the table of a thread; what is beyond is counted in one row."""
MAX_HOLDERS = 100
"""That are told apart for a row."""

_NOBODY = ("", OTHER.place)


class Row:
    """What came of taking locks made at one place at another place."""

    __slots__ = (
        "acquisitions",
        "buckets",
        "contended",
        "gave_up",
        "held",
        "holders",
        "kind",
        "longest_hold",
        "longest_holder",
        "longest_wait",
        "signal",
        "waited",
    )

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.signal = False
        self.acquisitions = self.contended = self.gave_up = 0
        self.waited = self.longest_wait = self.held = self.longest_hold = 0
        self.longest_holder = ""
        self.buckets: dict[int, int] = {}
        self.holders: dict[tuple[str, Place], list[int]] = {}

    def note_wait(self, waited: int, holder: tuple[str, Place]) -> None:
        """Count a wait, and who had the lock when it began."""
        self.waited += waited
        if waited > self.longest_wait:
            self.longest_wait = waited
        bucket = bucket_of(waited)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1
        if holder not in self.holders and len(self.holders) >= MAX_HOLDERS:
            holder = ("(other holders)", OTHER.place)
        counts = self.holders.setdefault(holder, [0, 0])
        counts[0] += 1
        counts[1] += waited

    def add(self, other: Row) -> None:
        """Count what the other one has."""
        for name in ("acquisitions", "contended", "gave_up", "waited", "held"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.longest_wait = max(self.longest_wait, other.longest_wait)
        if other.longest_hold >= self.longest_hold:
            self.longest_hold, self.longest_holder = other.longest_hold, other.longest_holder
        for bucket, count in other.buckets.copy().items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + count
        for holder, (count, waited) in other.holders.copy().items():
            counts = self.holders.setdefault(holder, [0, 0])
            counts[0] += count
            counts[1] += waited


def bucket_of(nanoseconds: int) -> int:
    """Return the number of the bucket for a time: 16 for each power of two."""
    shift = max(nanoseconds.bit_length() - 5, 0)
    return shift << 5 | nanoseconds >> shift


def percentile(buckets: Mapping[int, int], percent: float, longest: int) -> int:
    """Return a time that so many percent are not above, to within 3 percent."""
    rank = percent / 100 * sum(buckets.values())
    seen = 0
    for bucket in sorted(buckets):
        seen += buckets[bucket]
        if seen >= rank:
            shift = bucket >> 5
            return min((bucket & 31) << shift | (1 << shift) >> 1, longest)
    return 0


class Profile(Observer):
    """Counts."""

    def __init__(self) -> None:
        self._began = lib.lt_now()
        self._tables: list[dict[tuple[Site, Site], Row]] = []
        self._spare: list[dict[tuple[Site, Site], Row]] = []

    def _row(self, me: Thread, lock: Any, site: Site) -> Row:
        if me.rows is None:
            try:
                me.rows = self._spare.pop()
            except IndexError:
                me.rows = {}
                self._tables.append(me.rows)
        made = lock._made
        row: Row | None = me.rows.get((made, site))
        if row is None:
            if len(me.rows) >= MAX_ROWS:
                made = site = OTHER
            kind = "RLock" if hasattr(lock, "_is_owned") else "lock"
            row = me.rows.setdefault((made, site), Row(kind))
        return row

    def acquired(self, lock: Any, hold: Hold, waited: Wait | None) -> None:
        """Count it, and the wait."""
        me, site, since = hold
        try:
            row = me.rows[lock._made, site]
        except (KeyError, TypeError):
            row = self._row(me, lock, site)
        row.acquisitions += 1
        if waited is not None:
            self._note_wait(row, lock, since, waited)

    def gave_up(self, lock: Any, me: Thread, site: Site, now: int, waited: Wait) -> None:
        """Count the wait."""
        row = self._row(me, lock, site)
        row.gave_up += 1
        self._note_wait(row, lock, now, waited)

    def _note_wait(self, row: Row, lock: Any, end: int, waited: Wait) -> None:
        began, holder, _ = waited
        row.contended += 1
        if lock._signal:
            row.signal = True
        if lock._signal or holder is None:
            row.note_wait(end - began, _NOBODY)
        else:
            row.note_wait(end - began, (holder[0].name(), holder[1].place))

    def released(self, lock: Any, hold: Hold, now: int, me: Thread) -> None:
        """Count how long it was held."""
        taker, site, since = hold
        if taker is not me or lock._signal:
            self._row(me, lock, site).signal = True
            return
        try:
            row = me.rows[lock._made, site]
        except (KeyError, TypeError):
            row = self._row(me, lock, site)
        held = now - since
        row.held += held
        if held > row.longest_hold:
            row.longest_hold = held
            row.longest_holder = name_of(me.ident)

    def thread_ended(self, me: Thread) -> None:
        """Leave its table to another."""
        if me.rows is not None:
            self._spare.append(me.rows)
            me.rows = None

    def forked(self, me: Thread) -> None:
        """Begin anew: what was counted is the parent's."""
        self.__init__()  # type: ignore[misc]
        me.rows = None

    def document(self) -> dict[str, Any]:
        """Return all that is known, as JSON has it: docs/profile.md says what is what."""
        tables = [table.copy() for table in list(self._tables)]
        signals = {made for each in tables for (made, _), row in each.items() if row.signal}
        rows: dict[_LockPlace, dict[Place, Row]] = {}
        for table in tables:
            for (made, site), row in table.items():
                kind = "signal" if made in signals else row.kind
                of_lock = rows.setdefault((kind, made.place, made.within), {})
                of_lock.setdefault(site.place, Row(kind)).add(row)
        limits = []
        if any(len(table) >= MAX_ROWS for table in tables):
            limits.append(f"more than {MAX_ROWS:,} pairs of places in a thread")
        if sites_are_full():
            limits.append(f"more than {MAX_SITES:,} places")
        locks = [_lock_document(*made, of_lock) for made, of_lock in rows.items()]
        return {
            "schema": 1,
            "process": os.getpid(),
            "program": list(getattr(sys, "argv", [])),
            "seconds": (lib.lt_now() - self._began) / 1e9,
            "locks": sorted(locks, key=lambda each: -each["wait"]),
            "limits": limits,
        }


_LockPlace = tuple[str, Place, "str | None"]


def _place_document(place: Place) -> dict[str, Any]:
    return {"file": shown_file(place.file), "line": place.line, "function": place.function}


def _lock_document(
    kind: str, made: Place, within: str | None, rows: dict[Place, Row]
) -> dict[str, Any]:
    taken, longest = max(rows.items(), key=lambda pair: pair[1].longest_hold)
    ordered = sorted(rows.items(), key=lambda pair: -pair[1].waited)
    return {
        "kind": kind,
        "made": {**_place_document(made), "within": within},
        "acquisitions": sum(row.acquisitions for row in rows.values()),
        "contended": sum(row.contended for row in rows.values()),
        "wait": sum(row.waited for row in rows.values()) / 1e9,
        "longest_hold": {
            "seconds": longest.longest_hold / 1e9,
            "thread": longest.longest_holder,
            "at": _place_document(taken),
        },
        "places": [_row_document(place, row) for place, row in ordered],
    }


def _row_document(taken: Place, row: Row) -> dict[str, Any]:
    def seconds(percent: float) -> float:
        return percentile(row.buckets, percent, row.longest_wait) / 1e9

    holders = sorted(row.holders.items(), key=lambda pair: -pair[1][1])
    return {
        "taken": _place_document(taken),
        "acquisitions": row.acquisitions,
        "contended": row.contended,
        "gave_up": row.gave_up,
        "wait": {
            "total": row.waited / 1e9,
            "p50": seconds(50),
            "p99": seconds(99),
            "longest": row.longest_wait / 1e9,
        },
        "hold": {
            "total": row.held / 1e9,
            "longest": row.longest_hold / 1e9,
            "longest_by": row.longest_holder,
        },
        "held_by": [
            {"thread": name, "at": _place_document(place), "waits": count, "seconds": waited / 1e9}
            for (name, place), (count, waited) in holders
            if name != _NOBODY[0]
        ],
    }
