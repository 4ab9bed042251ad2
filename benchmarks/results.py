"""What `measure.py` wrote, read back: values by load, figure and peer, and ratios of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import pyperf

POOLED = {"wait": 99}
"""Figures whose values are pooled over all rounds, and the percentile of them that counts."""


@dataclass(frozen=True)
class Ratio:
    """A peer's figure divided into that of lowthreads."""

    middle: float
    low: float
    """The quartiles of the rounds; of a pooled figure, all three are the same."""
    high: float
    rounds: int

    def inverse(self) -> Ratio:
        return Ratio(1 / self.middle, 1 / self.high, 1 / self.low, self.rounds)


class Result:
    """The result of one interpreter."""

    def __init__(self, path: Path) -> None:
        self._by_key: dict[tuple[str, str, str], pyperf.Benchmark] = {}
        for benchmark in pyperf.BenchmarkSuite.load(str(path)).get_benchmarks():
            known = benchmark.get_metadata()
            self._by_key[known["load"], known["figure"], known["peer"]] = benchmark
        self.facts: dict[str, Any] = next(iter(self._by_key.values())).get_metadata()

    @property
    def interpreter(self) -> str:
        return str(self.facts["interpreter_name"])

    @property
    def kind(self) -> str:
        """Which targets hold: "pypy", "free-threaded", or "gil" and "gil, 3.14+"."""
        if self.facts["lowthreads_interpreter_implementation"] == "PyPy":
            return "pypy"
        if self.facts["lowthreads_interpreter_free_threaded"] in {True, "True"}:
            return "free-threaded"
        major, minor = str(self.facts["lowthreads_interpreter_python"]).split(".")[:2]
        return "gil, 3.14+" if (int(major), int(minor)) >= (3, 14) else "gil"

    @property
    def place(self) -> str:
        names = ["system", "release", "machine", "libc", "cores", "cpu"]
        return " ".join(str(self.facts.get(f"lowthreads_platform_{name}", "")) for name in names)

    def loads(self) -> list[str]:
        return list(dict.fromkeys(load for load, _figure, _peer in self._by_key))

    def figures(self, load: str) -> list[str]:
        return list(dict.fromkeys(figure for name, figure, _peer in self._by_key if name == load))

    def peers(self) -> list[str]:
        return list(dict.fromkeys(peer for _load, _figure, peer in self._by_key))

    def shown(self, load: str, figure: str, peer: str) -> str:
        """Return the median (of a pooled figure, the percentile), with its unit."""
        benchmark = self._by_key.get((load, figure, peer))
        if benchmark is None:
            return ""
        pooled = POOLED.get(figure)
        value = benchmark.median() if pooled is None else benchmark.percentile(pooled)
        unit = benchmark.get_unit()
        return f"{value:.2f}" if unit == "integer" else str(benchmark.format_value(value))

    def ratio(
        self, load: str, figure: str, peer: str = "_thread", ours: str = "lowthreads"
    ) -> Ratio | None:
        """Return lowthreads' figure relative to the peer's; None if there are not both."""
        own, other = (self._by_key.get((load, figure, name)) for name in (ours, peer))
        if own is None or other is None:
            return None
        pooled = POOLED.get(figure)
        if pooled is not None:
            middle = own.percentile(pooled) / other.percentile(pooled)
            return Ratio(middle, middle, middle, len(own.get_values()))
        ratios = [a / b for a, b in zip(own.get_values(), other.get_values())]
        low, _middle, high = quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
        return Ratio(median(ratios), low, high, len(ratios))
