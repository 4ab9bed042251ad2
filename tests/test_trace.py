"""`python -m lowthreads run --trace`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support import run_child, run_on_lowthreads

# `second` waits until `first` releases; then each takes two locks that overlap.
PROGRAM = """
import threading, time
import lowthreads
lock, other = threading.Lock(), threading.Lock()
held = threading.Event()
def first():
    with lock:
        held.set()
        while not [wait for wait in lowthreads.waits() if wait.name == "second"]:
            time.sleep(0.001)
def second():
    held.wait()
    lock.acquire()
    other.acquire()
    lock.release()
    other.release()
threads = [threading.Thread(target=each, name=each.__name__) for each in (first, second)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""

Event = dict[str, Any]


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> list[Event]:
    folder = tmp_path_factory.mktemp("trace")
    run_on_lowthreads(folder, ["--trace=trace.json"], PROGRAM)
    document = json.loads((folder / "trace.json").read_text())
    assert document["otherData"]["dropped"] == "none"
    found: list[Event] = document["traceEvents"]
    return found


def thread_names(events: list[Event]) -> dict[int, str]:
    return {
        event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"
    }


def test_events_have_what_the_format_asks_for(events: list[Event]) -> None:
    names = thread_names(events)
    assert {"MainThread", "first", "second"} <= set(names.values())
    (process,) = {event["pid"] for event in events}
    for event in events:
        assert event["ph"] in "MXsf"
        assert isinstance(event["name"], str)
        if event["ph"] == "M":
            continue
        assert event["tid"] in names
        assert event["ts"] >= 0
        assert event["ph"] != "X" or event["dur"] >= 0
    assert any(event["name"] == "process_name" and event["pid"] == process for event in events)


def test_a_wait_says_who_held_the_lock(events: list[Event]) -> None:
    names = thread_names(events)
    made = "program.py:4"
    (wait,) = [event for event in events if event["name"] == f"wait: {made}"]
    assert names[wait["tid"]] == "second"
    assert wait["args"] == {
        "made at": made,
        "at": "program.py:13",
        "in": "second",
        "held by": "first",
        "held at": "program.py:7",
    }
    holds = [event for event in events if event["name"] == f"hold: {made}"]
    assert [names[event["tid"]].split()[0] for event in holds].count("first") == 1
    by_first = next(event for event in holds if names[event["tid"]] == "first")
    # It ends when the wait does, and began before it.
    assert by_first["ts"] < wait["ts"] < by_first["ts"] + by_first["dur"]
    assert by_first["ts"] + by_first["dur"] <= wait["ts"] + wait["dur"]


def test_an_arrow_goes_from_the_release_to_the_wait(events: list[Event]) -> None:
    names = thread_names(events)
    (wait,) = [event for event in events if event["name"] == "wait: program.py:4"]
    ends: dict[int, dict[str, Event]] = {}
    for event in events:
        if event["ph"] in "sf":
            ends.setdefault(event["id"], {})[event["ph"]] = event
    assert all(set(pair) == {"s", "f"} for pair in ends.values())
    (arrow,) = [
        pair
        for pair in ends.values()
        if pair["f"]["tid"] == wait["tid"]
        and wait["ts"] <= pair["f"]["ts"] <= wait["ts"] + wait["dur"]
    ]
    assert names[arrow["s"]["tid"]] == "first"
    (within,) = [
        event
        for event in events
        if event["ph"] == "X"
        and event["tid"] == arrow["s"]["tid"]
        and event["name"] == "hold: program.py:4"
        and event["ts"] <= arrow["s"]["ts"] <= event["ts"] + event["dur"]
    ]
    assert within["args"]["in"] == "first"


def test_spans_of_a_line_lie_within_each_other(events: list[Event]) -> None:
    names = thread_names(events)
    assert "second (overlapping)" in names.values()
    for line in names:
        spans = sorted(
            (round(event["ts"] * 1000), -round(event["dur"] * 1000))
            for event in events
            if event["ph"] == "X" and event["tid"] == line
        )
        open_ends: list[int] = []
        for start, negative in spans:
            while open_ends and open_ends[-1] <= start:
                open_ends.pop()
            end = start - negative
            assert not open_ends or end <= open_ends[-1]
            open_ends.append(end)


def test_events_are_bounded(tmp_path: Path) -> None:
    run_child(
        """
        import json, sys
        import lowthreads
        lowthreads.install()
        import threading
        from lowthreads._observe import locks, trace
        trace.MAX_EVENTS = 10
        traced = trace.Trace()
        locks.start(traced)
        lock = threading.Lock()
        for _ in range(25):
            with lock: pass
        locks.stop(traced)
        traced.write(sys.argv[1])
        with open(sys.argv[1]) as file:
            document = json.load(file)
        assert sum(event["ph"] == "X" for event in document["traceEvents"]) == 10
        assert document["otherData"]["dropped"] == "all but the first 10 events"
        """,
        tmp_path / "trace.json",
    )
