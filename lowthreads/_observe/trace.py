"""Waits and holds of each thread in the Chrome trace event format, for Perfetto and speedscope.

Each thread adds to a list of its own.  The first `MAX_EVENTS` are kept.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import count
from typing import Any, NamedTuple

from .._lib import lib
from .observer import Hold, Observer, Release, Thread, Wait
from .sites import Site

MAX_EVENTS = 200_000
"""Some 250 bytes each, here and in the file."""


class _Span(NamedTuple):
    """From when to when a thread waited for a lock, or held it."""

    start: int
    end: int
    what: str
    made: Site
    at: Site
    holder: Hold | None = None
    released: Release | None = None


class Trace(Observer):
    """Keeps what happened, and when."""

    def __init__(self) -> None:
        self._began = lib.lt_now()
        self._threads: list[Thread] = []
        self._numbers = count()
        self._arrow_ids = count(1)
        self.dropped = False

    def _add(self, me: Thread, *span: Any) -> None:
        if next(self._numbers) >= MAX_EVENTS:
            self.dropped = True
            return
        if me.events is None:
            me.events = []
            self._threads.append(me)
        me.events.append(span)
        if not me.named or me.named.startswith("thread 0x"):
            me.name()

    def acquired(self, lock: Any, hold: Hold, waited: Wait | None) -> None:
        """Note the wait."""
        if waited is not None:
            me, site, since = hold
            began, holder, released = waited
            what = "wait for signal" if lock._signal else "wait"
            self._add(me, began, since, what, lock._made, site, holder, released)

    def gave_up(self, lock: Any, me: Thread, site: Site, now: int, waited: Wait) -> None:
        """Note the wait."""
        what = "wait for signal" if lock._signal else "wait"
        self._add(me, waited[0], now, what, lock._made, site, waited[1])

    def released(self, lock: Any, hold: Hold, now: int, me: Thread) -> None:
        """Note how long it was held."""
        taker, site, since = hold
        if taker is me and not lock._signal:
            self._add(me, since, now, "hold", lock._made, site)

    def forked(self, me: Thread) -> None:
        """Begin anew: what was noted is the parent's."""
        self.__init__()  # type: ignore[misc]
        me.events = None

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield the format's events, in no order."""
        process = os.getpid()
        numbers = {thread: number for number, thread in enumerate(list(self._threads), 1)}
        lanes: list[_Lane] = []
        for thread, number in numbers.items():
            spans = [_Span(*each) for each in list(thread.events)]
            arrows = self._arrows(spans, thread, numbers, process)
            spans.sort(key=lambda span: (span.start, -span.end))
            first = _Lane(process, number, thread.named)
            for event in (*_lay_out(spans, first, lanes, len(numbers)), *arrows):
                event["ts"] = (event["ts"] - self._began) / 1000  # microseconds
                if "dur" in event:
                    event["dur"] /= 1000
                yield event
        yield from _names(process, lanes)

    def _arrows(
        self, spans: list[_Span], thread: Thread, numbers: dict[Thread, int], process: int
    ) -> Iterator[dict[str, Any]]:
        """From each release that ended a wait to that wait."""
        for span in spans:
            if span.released is None or not span.start <= span.released[1] <= span.end:
                continue
            releaser, at, _ = span.released
            if releaser not in numbers or releaser is thread:
                continue
            number = next(self._arrow_ids)
            common = {"cat": "lock", "name": "release", "id": number, "pid": process}
            # A moment before the ends: an arrow is tied to what goes on at either one.
            yield {**common, "ph": "s", "tid": numbers[releaser], "ts": at - 1}
            yield {**common, "ph": "f", "bp": "e", "tid": numbers[thread], "ts": span.end - 1}

    def write(self, path: str) -> None:
        """Write it to a file, in the format's object form."""
        dropped = f"all but the first {MAX_EVENTS:,} events" if self.dropped else "none"
        head = {"made by": "lowthreads", "dropped": dropped}
        with open(path, "w", encoding="utf-8") as file:
            # Event by event: all at once, they would take far more memory than here.
            file.write(f'{{"displayTimeUnit":"ns","otherData":{json.dumps(head)},"traceEvents":[')
            for number, event in enumerate(self.events()):
                file.write((",\n" if number else "\n") + json.dumps(event))
            file.write("\n]}\n")


class _Lane:
    """Spans of a thread each of which lies within or apart from each other."""

    def __init__(self, process: int, number: int, name: str) -> None:
        self.process = process
        self.number = number
        self.name = name
        self.open: list[int] = []  # the ends of spans that lie within each other

    def takes(self, span: _Span) -> bool:
        """Take the span, of those in the order of their start, if it fits."""
        while self.open and self.open[-1] <= span.start:
            self.open.pop()
        if self.open and self.open[-1] < span.end:
            return False
        self.open.append(span.end)
        return True


def _lay_out(
    spans: list[_Span], first: _Lane, lanes: list[_Lane], threads: int
) -> Iterator[dict[str, Any]]:
    """Locks need not be released in turn; what overlaps is shown in a line of its own."""
    mine = [first]
    lanes.append(first)
    for span in spans:
        lane = next((each for each in mine if each.takes(span)), None)
        if lane is None:
            extra = threads + 1 + sum(each.number > threads for each in lanes)
            lane = _Lane(first.process, extra, f"{first.name} (overlapping)")
            lane.takes(span)
            mine.append(lane)
            lanes.append(lane)
        yield _event(span, lane)


def _event(span: _Span, lane: _Lane) -> dict[str, Any]:
    args = {"made at": str(span.made), "at": str(span.at), "in": span.at.place.function}
    if span.holder is not None:
        args["held by"] = span.holder[0].named
        args["held at"] = str(span.holder[1])
    return {
        "ph": "X",
        "cat": span.what.split()[0],
        "name": f"{span.what}: {span.made}",
        "pid": lane.process,
        "tid": lane.number,
        "ts": span.start,
        "dur": span.end - span.start,
        "args": args,
    }


def _names(process: int, lanes: list[_Lane]) -> Iterator[dict[str, Any]]:
    yield _metadata("process_name", process, 0, "lowthreads")
    for lane in lanes:
        yield _metadata("thread_name", process, lane.number, lane.name)


def _metadata(what: str, process: int, number: int, name: str) -> dict[str, Any]:
    args = {"name": name}
    return {"ph": "M", "name": what, "pid": process, "tid": number, "args": args}
