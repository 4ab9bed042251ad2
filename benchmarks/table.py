"""Tables, in Markdown, of what `measure.py` wrote.

python benchmarks/table.py result.json ...          lowthreads beside `_thread`, with targets
python benchmarks/table.py --peers result.json ...  every figure of every peer
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from results import Result


@dataclass(frozen=True)
class Target:
    """A bound on a ratio to `_thread`."""

    title: str
    load: str
    figure: str
    most: dict[str, float]
    """By `Result.kind`; "gil, 3.14+" where it is not that of "gil"."""
    rate: bool = False
    """Whether the figure is a time and the bound is on what is done in a time: at least that."""

    def bound(self, kind: str) -> float:
        return self.most.get(kind, self.most["gil"])


def bounds(gil: float, pypy: float, free_threaded: float) -> dict[str, float]:
    return {"gil": gil, "pypy": pypy, "free-threaded": free_threaded}


BESIDE = bounds(1.0, 1.5, 1.1)

TARGETS = [
    Target("`with lock:`", "with lock", "time", bounds(0.9, 0.6, 1.1)),
    Target("`acquire(); release()`", "acquire, release", "time", bounds(1.05, 0.6, 1.1)),
    *(
        Target(
            f"{title}, beside {count} CPU-bound",
            f"{load}, beside {count} CPU-bound",
            "time",
            BESIDE,
        )
        for title, load in (
            ("`with lock:`", "with lock"),
            ("`acquire(); release()`", "acquire, release"),
        )
        for count in (1, 3)
    ),
    Target("create a lock", "create", "time", bounds(3, 1.0, 3)),
    Target("hand-off and back", "hand-off and back", "time", bounds(1.0, 0.3, 1.0)),
    *(
        Target(
            f"throughput, 4 threads, {section} section",
            f"4 threads contend, {section} section",
            "time",
            bounds(1.0, 4, 1.0),
            rate=True,
        )
        for section in ("short", "long")
    ),
    *(
        Target(
            f"p99 wait against a spinner, {hold} ms",
            f"waiter against a spinner, {hold} ms",
            "wait",
            {**bounds(before, pypy, 1.0), "gil, 3.14+": 1.0},
        )
        for hold, before, pypy in (("0.5", 0.1, 0.05), ("2", 0.2, 0.2))
    ),
    Target("thread start and join", "thread start and join", "time", bounds(1.0, 0.7, 1.0)),
    Target("bytes of a lock", "memory of a lock", "bytes", bounds(1.25, 1.0, 1.25)),
]


def shown(value: float) -> str:
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def judged(results: list[Result], with_bounds: bool = True) -> str:
    """A row for each target, a column for each interpreter: the ratio, its bound, a verdict."""
    rows = []
    for target in TARGETS:
        row = [target.title]
        for result in results:
            ratio = result.ratio(target.load, target.figure)
            if ratio is None:
                row.append("")
                continue
            bound = target.bound(result.kind)
            if target.rate:
                ratio = ratio.inverse()
            met = ratio.middle >= bound if target.rate else ratio.middle <= bound
            sign = "≥" if target.rate else "≤"
            spread = f"{shown(ratio.low)} to {shown(ratio.high)}"
            verdict = f"; {sign} {bound:g}{'' if met else ', **missed**'}" if with_bounds else ""
            row.append(f"**{shown(ratio.middle)}** ({spread}{verdict})")
        if any(row[1:]):
            rows.append(row)
    headers = ["lowthreads / `_thread`", *(result.interpreter for result in results)]
    return str(tabulate(rows, headers, tablefmt="pipe", disable_numparse=True))


def all_peers(result: Result) -> str:
    """A row for each figure of each load, a column for each peer."""
    peers = result.peers()
    rows = [
        [load if figure == "time" else f"{load}: {figure}"]
        + [result.shown(load, figure, peer) for peer in peers]
        for load in result.loads()
        for figure in result.figures(load)
    ]
    return str(tabulate(rows, [result.interpreter, *peers], tablefmt="pipe", disable_numparse=True))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, nargs="+", metavar="RESULT.json")
    parser.add_argument("--peers", action="store_true", help="every figure of every peer")
    parser.add_argument("--brief", action="store_true", help="without the targets")
    given = parser.parse_args()
    results = [Result(path) for path in given.results]
    if given.peers:
        print("\n\n".join(all_peers(result) for result in results))
        return
    print(judged(results, not given.brief))
    print(
        "\nThe medians of the rounds' ratios, and the quartiles; all measured in turn in one run."
        "\nThroughput is what is done in a time, above 1 is faster; all else is time, waits or"
        f" bytes, below 1 is better.\n{'; '.join(sorted({result.place for result in results}))}."
    )


if __name__ == "__main__":
    main()
