"""An SVG plot of what `measure.py` wrote: `python benchmarks/plot.py out.svg result.json ...`."""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt

from results import Result
from table import TARGETS

BAR = 0.8  # of the room that a load has, for all interpreters


def draw(results: list[Result], path: Path) -> None:
    """Draw a group of bars for each target, one for each interpreter; left of 1 is better."""
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "lowthreads", "font.size": 9})
    height = 1 + len(TARGETS) * (0.12 + 0.14 * len(results))
    figure, axes = plt.subplots(figsize=(8, height), layout="constrained")
    for number, result in enumerate(results):
        shown = [
            (place, ratio)
            for place, target in enumerate(TARGETS)
            if (ratio := result.ratio(target.load, target.figure)) is not None
        ]
        width = BAR / len(results)
        axes.barh(
            [place - BAR / 2 + (number + 0.5) * width for place, _ratio in shown],
            [ratio.middle - 1 for _place, ratio in shown],
            left=1,  # on a logarithmic scale a bar has no zero to begin at
            height=width,
            xerr=[
                [ratio.middle - ratio.low for _place, ratio in shown],
                [ratio.high - ratio.middle for _place, ratio in shown],
            ],
            error_kw={"linewidth": 0.6},
            label=result.interpreter,
        )
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(
        range(len(TARGETS)),
        [
            target.title.replace("`", "").replace("throughput", "a turn")
            if target.rate
            else target.title.replace("`", "")
            for target in TARGETS
        ],
    )
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("lowthreads / the interpreter's own _thread (left of 1: lowthreads is better)")
    axes.grid(axis="x", linewidth=0.3)
    axes.legend(fontsize=8, loc="lower left")
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, metavar="OUT.svg")
    parser.add_argument("results", type=Path, nargs="+", metavar="RESULT.json")
    given = parser.parse_args()
    draw([Result(path) for path in given.results], given.output)


if __name__ == "__main__":
    main()
