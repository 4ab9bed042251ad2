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


def _lines(document: _Document) -> Iterator[str]:
    contended = [row for row in document["rows"] if row["contended"]]
    held_up = [row for row in contended if row["kind"] != "signal"]
    waits = sum(row["contended"] for row in held_up)
    total = sum(row["wait"]["total"] for row in held_up)
    yield (
        f"lowthreads: {duration(total)} in {waits:,} waits for locks, in "
        f"{duration(document['seconds'])} (process {document['process']})"
    )
    if held_up:
        heads = ("total wait", "waits", "of", "p50", "p99", "longest", "longest hold")
        yield "  " + "".join(f"{head:>14}" for head in heads)
    for row in held_up[:TOP]:
        yield from _row_lines(row)
    if len(held_up) > TOP:
        yield f"  and at {len(held_up) - TOP:,} other places"
    signals = [row for row in contended if row["kind"] == "signal"]
    if signals:
        count = sum(row["contended"] for row in signals)
        took = sum(row["wait"]["total"] for row in signals)
        yield (
            f"  besides: {duration(took)} in {count:,} waits for a signal "
            "(Condition, Event, Queue and the like)"
        )
    for limit in document["limits"]:
        yield f"  not all is told apart: {limit}"


def _row_lines(row: _Document) -> Iterator[str]:
    wait, hold = row["wait"], row["hold"]
    times = (duration(wait[name]) for name in ("p50", "p99", "longest"))
    cells = (
        duration(wait["total"]),
        f"{row['contended']:,}",
        f"{row['acquisitions'] + row['gave_up']:,}",
        *times,
        duration(hold["longest"]),
    )
    yield "  " + "".join(f"{cell:>14}" for cell in cells)
    within = f" ({row['made']['within']})" if row["made"]["within"] else ""
    yield f"      {row['kind']} made at {_at(row['made'])}{within}, taken at {_at(row['taken'])}"
    for holder in row["held_by"][:2]:
        share = holder["seconds"] / wait["total"] if wait["total"] else 1
        yield f"      held by {holder['thread']} at {_at(holder['at'])}: {share:.0%} of the wait"


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
