"""The shim's lock, without Python, beside those of C and C++: `python benchmarks/c`.

Debian has what it needs: g++, libnsync-dev, libabsl-dev, pkg-config.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median

from tabulate import tabulate

import shim

HERE = Path(__file__).resolve().parent

FLAGS = [*shim.FLAGS, "-DLT_SPIN=64"]

OURS = "lowthreads"
UNCONTENDED, CONTENDED = 1.2, 1.0
"""At most so much of the fastest peer's time; at least so much of the median peer's throughput."""

Times = dict[tuple[int, int], dict[str, list[float]]]
"""By steps and threads, then by lock: seconds a turn, of each round."""


def build(folder: Path) -> Path:
    objects = []
    for source in shim.SOURCES:
        objects.append(str(folder / f"{source.stem}.o"))
        compile_c = ["gcc", "-std=c11", *FLAGS, "-c", str(source), "-o", objects[-1]]
        subprocess.run(compile_c, check=True)
    asked = ["pkg-config", "--libs", "absl_synchronization"]
    absl = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split()
    libraries = ["-lnsync_cpp", *absl]
    program = folder / "locks"
    compile_cpp = ["g++", "-std=c++17", *FLAGS, str(HERE / "locks.cpp"), *objects, *libraries]
    subprocess.run([*compile_cpp, "-o", str(program)], check=True)
    return program


def run(program: Path, rounds: int, seconds: float) -> Times:
    command = [str(program), str(rounds), str(seconds)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    times: Times = defaultdict(lambda: defaultdict(list))
    for row in csv.DictReader(done.stdout.splitlines(), delimiter=" "):
        load = int(row["steps"]), int(row["threads"])
        times[load][row["lock"]].append(float(row["seconds"]))
    return times


def table(times: Times) -> str:
    rows = []
    for (steps, threads), by_lock in sorted(times.items()):
        ours = by_lock[OURS]
        rounds = list(zip(*(values for lock, values in by_lock.items() if lock != OURS)))
        if threads == 1:
            figure = median(own / min(peers) for own, peers in zip(ours, rounds))
            verdict, met = "of the fastest's time, ≤", figure <= UNCONTENDED
            bound = UNCONTENDED
        else:
            figure = median(median(peers) / own for own, peers in zip(ours, rounds))
            verdict, met = "of the median's throughput, ≥", figure >= CONTENDED
            bound = CONTENDED
        shown = [f"{median(values) * 1e9:.1f}" for values in by_lock.values()]
        row = f"{figure:.2f} {verdict} {bound:g}" + ("" if met else ": **missed**")
        rows.append([threads, steps, *shown, row])
    locks = next(iter(times.values()))
    headers = ["threads", "steps", *(f"{lock}, ns" for lock in locks), "lowthreads"]
    return str(tabulate(rows, headers, tablefmt="pipe", disable_numparse=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=21, help="(default: 21)")
    parser.add_argument("--seconds", type=float, default=0.1, help="of each (default: 0.1)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(table(run(build(Path(folder)), given.rounds, given.seconds)))


if __name__ == "__main__":
    main()
