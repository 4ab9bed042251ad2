"""The contention profile as text, and as a page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import read_text
from typing import Any

TOP = 10
"""Rows of the table."""

_Document = dict[str, Any]


def table(document: _Document) -> str:
    """Return the places where most time was spent waiting for locks."""
    return "\n".join(_lines(document))


def _contended(document: _Document, signals: bool) -> list[tuple[_Document, _Document]]:
    """Return the places of waits for locks, or for signals, with their locks."""
    found = [
        (lock, place)
        for lock in document["locks"]
        if (lock["kind"] == "signal") is signals
        for place in lock["places"]
        if place["contended"]
    ]
    return sorted(found, key=lambda pair: -pair[1]["wait"]["total"])


def _sum(found: list[tuple[_Document, _Document]]) -> str:
    waits = sum(place["contended"] for _, place in found)
    total = sum(place["wait"]["total"] for _, place in found)
    return f"{duration(total)} in {waits:,} {'wait' if waits == 1 else 'waits'}"


def _lines(document: _Document) -> Iterator[str]:
    found = _contended(document, signals=False)
    yield (
        f"lowthreads: {_sum(found)} for locks, over {duration(document['seconds'])} "
        f"(process {document['process']})"
    )
    if found:
        heads = ("total wait", "waits", "of", "p50", "p99", "longest")
        yield "  " + "".join(f"{head:>12}" for head in heads)
    for lock, place in found[:TOP]:
        yield from _place_lines(lock, place)
    if len(found) > TOP:
        yield f"  and at {len(found) - TOP:,} other places"
    signals = _contended(document, signals=True)
    if signals:
        yield f"  besides: {_sum(signals)} for a signal (Condition, Event, Queue and the like)"
    for limit in document["limits"]:
        yield f"  not all is told apart: {limit}"


def _place_lines(lock: _Document, place: _Document) -> Iterator[str]:
    wait, longest = place["wait"], lock["longest_hold"]
    cells = (
        duration(wait["total"]),
        f"{place['contended']:,}",
        f"{place['acquisitions'] + place['gave_up']:,}",
        *(duration(wait[name]) for name in ("p50", "p99", "longest")),
    )
    yield "  " + "".join(f"{cell:>12}" for cell in cells)
    within = lock["made"]["within"]
    within = f" ({within})" if within not in (None, lock["kind"]) else ""
    yield f"      {lock['kind']} made at {_at(lock['made'])}{within}"
    yield f"      waited for at {_at(place['taken'])}"
    for at, (seconds, threads) in _holders(place)[:2]:
        share = f"{seconds / wait['total']:.0%} of the wait" if wait["total"] else "no time"
        more = f" and {len(threads) - 2} more" if len(threads) > 2 else ""
        yield f"      held at {at} by {', '.join(threads[:2])}{more}: {share}"
    if longest["thread"]:
        yield (
            f"      longest hold: {duration(longest['seconds'])} by {longest['thread']} "
            f"at {_at(longest['at'])}"
        )


def _holders(place: _Document) -> list[tuple[str, tuple[float, list[str]]]]:
    """Return where it was held, for how long of the wait, and by whom, most first."""
    found: dict[str, tuple[float, list[str]]] = {}
    for holder in place["held_by"]:
        at = _at(holder["at"])
        seconds, threads = found.get(at, (0.0, []))
        found[at] = seconds + holder["seconds"], [*threads, holder["thread"]]
    return sorted(found.items(), key=lambda pair: -pair[1][0])


def _at(place: _Document) -> str:
    if not place["line"]:
        return str(place["file"])
    return f"{place['file']}:{place['line']} in {place['function']}"


def duration(seconds: float) -> str:
    """Return a time with its unit."""
    for unit, factor in (("s", 1), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}" if seconds < 1000 else f"{seconds:,.0f} s"
    return f"{seconds * 1e9:.0f} ns"


def page(document: _Document) -> str:
    """Return a page that shows the profile, and needs no other file."""
    data = json.dumps(document).replace("<", "\\u003c")  # which would end the script
    template = read_text(__package__, "page.html")
    return template.replace("null /* the profile */", data)
