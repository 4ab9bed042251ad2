"""Measure lowthreads and its peers side by side, on the interpreter that runs this.

    python benchmarks/measure.py --json result.json [--minutes 6] [--only "with lock"]

Each round does one load with all peers, right after one another and beginning with another one
each time, so that what slows the machine down for a while slows all of them; the next round is of
the load that had the least time so far, until the time is over.  So the n-th values of all peers
belong together, and what counts is the median of their ratios.

That is what pyperf's Runner can't do, which measures one benchmark after the other, in processes
of their own: on a shared machine the ratio of two such medians moves by more than the difference
to be seen.  The result is a pyperf suite all the same: `python -m pyperf stats result.json` and
pyperf's other commands read it, and its metadata says on what machine it was made.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections import defaultdict
from pathlib import Path

import pyperf

from lowthreads._check import machine
from lowthreads._check.compare import no_collections
from lowthreads._check.status import Status
from peers import Peer, peers
from workloads import ALL
from workloads.load import Load, clock

UNITS = {"bytes": "byte", "fairness": "integer"}  # pyperf's word for "none"

Values = dict[tuple[str, str, str], list[float]]
"""Of each load, figure and peer."""


def measure_round(load: Load, fitting: list[Peer], number: int, values: Values) -> float:
    """Measure a load with each peer; return the seconds it took."""
    began = clock()
    first = number % len(fitting)
    with no_collections():
        for peer in fitting[first:] + fitting[:first]:
            for figure, found in load.run(peer).items():
                values[load.name, figure, peer.name] += found
    return clock() - began


def measure(loads: list[Load], minutes: float, status: Status) -> Values:
    """Measure until the time is over, each load at least once after a round to warm up."""
    everyone = peers()
    end = clock() + minutes * 60
    values: Values = defaultdict(list)
    fitting = {load.name: [peer for peer in everyone if load.fits(peer)] for load in loads}
    spent = dict.fromkeys(fitting, 0.0)
    rounds = dict.fromkeys(fitting, 0)
    for load in loads:
        status.show(f"warming up: {load.name}")
        spent[load.name] = measure_round(load, fitting[load.name], 0, defaultdict(list))
    while clock() < end or 0 in rounds.values():
        unmeasured = [load for load in loads if rounds[load.name] == 0]
        load = (unmeasured or [min(loads, key=lambda each: spent[each.name])])[0]
        status.show(f"{max(end - clock(), 0):.0f} s left: {load.name}")
        spent[load.name] += measure_round(load, fitting[load.name], rounds[load.name], values)
        rounds[load.name] += 1
    return values


def suite(values: Values) -> pyperf.BenchmarkSuite:
    """Return a benchmark for each load, figure and peer."""
    facts = {
        f"lowthreads_{part}_{name}": value
        for part, known in machine.facts().items()
        for name, value in known.items()
        if isinstance(value, (str, int, float)) and name not in {"path", "executable"}
    }
    facts["interpreter_name"] = machine.interpreter_name(machine.facts())
    benchmarks = []
    for (load, figure, peer), found in values.items():
        metadata = {
            "name": f"{load}: {figure} [{peer}]",
            "load": load,
            "figure": figure,
            "peer": peer,
            "unit": UNITS.get(figure, "second"),
            **facts,
        }
        benchmarks.append(pyperf.Benchmark([pyperf.Run(found, metadata=metadata)]))
    return pyperf.BenchmarkSuite(benchmarks)


PRIVATE = {"hostname", "python_executable", "python_config_args"}
"""What pyperf notes of the machine that says nothing about the figures."""


def strip(path: Path) -> None:
    """Take that out of a result."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        result = json.load(file)
    runs = [run for benchmark in result["benchmarks"] for run in benchmark["runs"]]
    for part in [result, *result["benchmarks"], *runs]:
        for name in PRIVATE:
            part.get("metadata", {}).pop(name, None)
    with opened(path, "wt", encoding="utf-8") as file:
        json.dump(result, file, separators=(",", ":"))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="FILE", required=True, help="the result")
    parser.add_argument("--minutes", type=float, default=6, help="to take (default: 6)")
    parser.add_argument("--only", metavar="TEXT", default="", help="loads with that in their name")
    given = parser.parse_args()
    loads = [load for load in ALL if given.only in load.name]
    if not loads:
        parser.error(f"--only: no load has {given.only!r} in its name")
    status = Status()
    try:
        values = measure(loads, given.minutes, status)
    finally:
        status.clear()
    suite(values).dump(str(given.json), replace=True)
    strip(given.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
