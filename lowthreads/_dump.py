"""The report: where each thread is, what it waits for, and why that may never come."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Set, Sized
from itertools import takewhile
from typing import TYPE_CHECKING, Any, TextIO

from ._imports import module_awaited_by
from ._places import Place, called_from, current_frames, is_bootstrap, is_in, place_of, skip_package
from ._stuck import find_deadlocks
from ._waits import Deadlock, Wait, name_of, waits

if TYPE_CHECKING:
    from traceback import FrameSummary
    from types import FrameType

# Others of the standard library's modules are imported by the first report: most programs make
# none.

_BOLD, _RED, _YELLOW, _PLAIN = "\x1b[1m", "\x1b[31m", "\x1b[33m", "\x1b[0m"


class _Report:
    """All that there is to say, from one moment."""

    def __init__(self, aside: Set[int], outside: Set[str]) -> None:
        self.waits = waits()
        self.deadlocks = find_deadlocks(self.waits, aside)
        self.frames = current_frames()
        self.by_ident: dict[int, list[Wait]] = {}
        for wait in self.waits:
            self.by_ident.setdefault(wait.ident, []).append(wait)
        self.stacks = {ident: _stack(frame, outside) for ident, frame in self.frames.items()}
        idents = self.frames.keys() | self.by_ident.keys()
        self.idents = sorted(
            (each for each in idents - aside if not is_watchdog(self.frames.get(each))),
            key=name_of,
        )

    def place(self, ident: int) -> Place:
        return place_of(self.frames.get(ident))


def is_watchdog(frame: FrameType | None) -> bool:
    """Whether that is the watchdog's own thread, and not a report that a signal asked for."""
    while frame is not None:
        if frame.f_globals.get("__name__") == f"{__package__}._watchdog":
            return frame.f_code.co_name != "_dump_on_signal"
        frame = frame.f_back
    return False


def _stack(frame: FrameType, outside: Set[str]) -> list[FrameSummary]:
    import traceback

    inner = skip_package(frame)
    frames = [each for each in traceback.walk_stack(inner) if not is_bootstrap(each[0])]
    inside = list(takewhile(lambda each: not is_in(each[0], *outside), frames)) or frames
    return list(traceback.StackSummary.extract(iter(reversed(inside)))) if inner else []


def _what(wait: Wait, place: Place) -> str:
    if wait.kind == "thread":
        return f"the end of {wait.owner_name or 'a thread'}"
    if wait.kind == "module":
        return f"the module {module_awaited_by(wait.ident)}"
    thing = f"{wait.kind} {wait.address:#x}"
    if wait.signal and not place.call:
        thing += " to be released"
    return f"{place.call} ({thing})" if place.call else thing


def _whose(wait: Wait, place: Place) -> str:
    if wait.kind in {"thread", "event"}:
        return ""
    if wait.orphan:
        return ", which a thread held that a fork left behind"
    if wait.owner is None:
        return ", which is being taken"
    if wait.signal:
        return ""
    if wait.kind == "module":
        return f", which {wait.owner_name} imports"
    return f", owned by {'itself' if wait.owner == wait.ident else wait.owner_name}"


def _how_long(wait: Wait) -> str:
    of = "" if wait.timeout is None else f" of {wait.timeout:.1f}"
    return f"for {wait.seconds:.1f}{of} s"


def _at(place: Place) -> str:
    return "" if place.frame is None else f" at {_line_of(place.frame)}"


def _line_of(frame: FrameType) -> str:
    return f'"{frame.f_code.co_filename}", line {frame.f_lineno}, in {frame.f_code.co_name}'


def _counted(things: Sized, name: str) -> str:
    return f"{len(things)} {name}" + ("" if len(things) == 1 else "s")


class _Paint:
    def __init__(self, colour: bool) -> None:
        self.colour = colour

    def __call__(self, text: str, style: str) -> str:
        return f"{style}{text}{_PLAIN}" if self.colour else text


def _lines(report: _Report, paint: _Paint) -> Iterator[str]:
    yield paint(
        f"{__package__}: {_counted(report.idents, 'thread')}, {len(report.by_ident)} waiting, "
        f"{_counted(report.deadlocks, 'deadlock')} "
        f"(process {os.getpid()}, {time.strftime('%Y-%m-%d %H:%M:%S')})",
        _BOLD,
    )
    for ident in report.idents:
        yield ""
        yield from _thread_lines(report, ident, paint)
    for number, deadlock in enumerate(report.deadlocks, 1):
        yield ""
        yield from _deadlock_lines(report, number, deadlock, paint)


def _thread_lines(report: _Report, ident: int, paint: _Paint) -> Iterator[str]:
    found = report.by_ident.get(ident, [])
    native = f", native {found[0].native_id}" if found and found[0].native_id else ""
    yield paint(f"{name_of(ident)} (ident {ident:#x}{native})", _BOLD)
    place = report.place(ident)
    for wait in found:
        text = f"  waiting for {_what(wait, place)}{_whose(wait, place)} {_how_long(wait)}"
        yield paint(text, _YELLOW)
    import traceback

    for entry in traceback.format_list(report.stacks.get(ident, [])):
        yield from entry.rstrip("\n").split("\n")


def _deadlock_lines(
    report: _Report, number: int, deadlock: Deadlock, paint: _Paint
) -> Iterator[str]:
    yield paint(f"Deadlock {number}: {_headline(deadlock)}", _RED)
    for i, wait in enumerate(deadlock.waits, 1):
        place = report.place(wait.ident)
        held = deadlock.waits[i - 2]
        holds = f" holds {held.kind} {held.address:#x},"
        if held.kind == "module":
            holds = f" imports {module_awaited_by(held.ident)},"
        if held.kind == "thread" or deadlock.kind == "stuck":
            holds = ""
        yield (
            f"  {i}. {wait.name}{holds} waits for {_what(wait, place)}{_whose(wait, place)} "
            f"{_how_long(wait)}"
        )
        if place.frame is not None:
            yield "    " + _at(place).strip()
            caller = called_from(place.frame)
            if caller is not None:
                yield f"    called at {_line_of(caller)}"


def _headline(deadlock: Deadlock) -> str:
    threads = _counted(deadlock.waits, "thread")
    if deadlock.kind == "cycle":
        return threads + ("" if deadlock.sure else ", unless a thread that runs ends it")
    unless = ", unless the handler of a signal does, or a thread that isn't Python's"
    return f"{threads}, and none is left to end that{'' if deadlock.sure else unless}"


def describe(deadlock: Deadlock) -> str:
    """Return what the deadlock is, in one line."""
    frames = current_frames()
    told = []
    for wait in deadlock.waits:
        place = place_of(frames.get(wait.ident))
        whose = _whose(wait, place)
        told.append(f"{wait.name} waits for {_what(wait, place)}{whose}{_at(place)}")
    return f"deadlock of {_headline(deadlock)}: {'; '.join(told)}"


RUNS_NO_PYTHON = "runs no Python code"


def tell_threads(aside: Set[int]) -> dict[int, str]:
    """Return what each thread does, in a line, but for those `aside` and the watchdog."""
    report = _Report(aside, frozenset())
    return {ident: _doing(report, ident) for ident in report.idents}


def _doing(report: _Report, ident: int) -> str:
    place = report.place(ident)
    waits = report.by_ident.get(ident)
    if not waits:
        return f"runs{_at(place)}" if place.frame else RUNS_NO_PYTHON
    wait = waits[-1]
    return f"waits for {_what(wait, place)}{_whose(wait, place)} {_how_long(wait)}{_at(place)}"


def dump(
    file: TextIO | None = None,
    *,
    format: str = "text",  # noqa: A002
    colour: bool | None = None,
    _aside: Set[int] = frozenset(),
    _outside: Set[str] = frozenset(),
) -> None:
    """Write where each thread is, what it waits for and who has it, and all deadlocks.

    May be called at any time, in any thread, and in signal handlers.

    Args:
        file: what to write to; `sys.stderr` by default.
        format: "text"; "json" for machines; "mermaid" or "dot" for the graph of who waits for
            whom.
        colour: whether to use a terminal's colours in text; by default, if `file` is one.

    Raises:
        ValueError: for another format.

    Source: lowthreads' own, after the JVM's thread dumps.
    """
    if format not in ("text", "json", "mermaid", "dot"):
        raise ValueError(f"format must be 'text', 'json', 'mermaid' or 'dot', not {format!r}")
    if file is None:
        file = sys.stderr
    report = _Report(_aside, _outside)
    if format == "text":
        if colour is None:
            colour = file.isatty()
        text = "\n".join(_lines(report, _Paint(colour)))
    elif format == "json":
        import json

        text = json.dumps(_as_json(report), indent=2)
    else:
        text = "\n".join(_graph_lines(report, format == "dot"))
    file.write(text + "\n")
    file.flush()


def _as_json(report: _Report) -> dict[str, Any]:
    def located(ident: int) -> dict[str, Any]:
        place = report.place(ident)
        frame = place.frame
        return {
            "call": place.call,
            "file": None if frame is None else frame.f_code.co_filename,
            "line": None if frame is None else frame.f_lineno,
            "function": None if frame is None else frame.f_code.co_name,
        }

    return {
        "process": os.getpid(),
        "threads": [
            {
                "ident": ident,
                "name": name_of(ident),
                "waits": [wait._asdict() for wait in report.by_ident.get(ident, [])],
                "place": located(ident),
                "stack": [
                    {"file": each.filename, "line": each.lineno, "function": each.name}
                    for each in report.stacks.get(ident, [])
                ],
            }
            for ident in report.idents
        ],
        "deadlocks": [
            {
                "kind": each.kind,
                "sure": each.sure,
                "idents": [wait.ident for wait in each.waits],
            }
            for each in report.deadlocks
        ],
    }


def _graph_lines(report: _Report, dot: bool) -> Iterator[str]:
    """From each thread to what it waits for, and from that to the thread that has it."""
    stuck = {wait.ident for each in report.deadlocks for wait in each.waits}
    nodes: dict[str, tuple[str, bool]] = {}
    edges: list[tuple[str, str]] = []
    for wait in report.waits:
        for ident in filter(None, (wait.ident, wait.owner)):
            nodes[f"t{ident:x}"] = (name_of(ident), ident in stuck)
        if wait.kind == "thread":
            if wait.owner is not None:
                edges.append((f"t{wait.ident:x}", f"t{wait.owner:x}"))
            continue
        thing = f"l{wait.address:x}"
        nodes[thing] = (f"{wait.kind} {wait.address:#x}", False)
        edges.append((f"t{wait.ident:x}", thing))
        if wait.owner is not None and not wait.signal:
            edges.append((thing, f"t{wait.owner:x}"))
    yield "digraph waits {" if dot else "graph LR"
    for node, (label, red) in nodes.items():
        label = label.replace('"', "'")
        if dot:
            shape = "box" if node.startswith("t") else "ellipse"
            yield f'  {node} [label="{label}", shape={shape}{", color=red" if red else ""}];'
        else:
            opening, closing = ("[", "]") if node.startswith("t") else ("([", "])")
            yield f'  {node}{opening}"{label}"{closing}'
            if red:
                yield f"  style {node} stroke:red"
    for start, end in dict.fromkeys(edges):
        yield f"  {start} -> {end};" if dot else f"  {start} --> {end}"
    if dot:
        yield "}"
