"""How many instructions the hot paths take, counted by valgrind: the guard against slow decay.

    python benchmarks/instructions.py                compare with benchmarks/instructions.json
    python benchmarks/instructions.py --record       count, and keep the figures there

A count doesn't depend on what else the machine does, but on the compiler, the interpreter and
the C library: the table has a column for each set of them.  For one that it doesn't know, nothing
can be compared: that is said, and is no failure.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from instruction_loops import LOOPS

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "c"))

import shim  # noqa: E402

TABLE = HERE / "instructions.json"

TOLERANCE = 0.03
TIMES = 20_000

C_LOOPS = ["try, release", "rlock: try, release", "wait for a free lock, release"]
Counts = dict[str, float]


def output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def key() -> str:
    """What the counts depend on."""
    from lowthreads._lib import ffi, lib

    parts = [
        f"{platform.python_implementation()} {' '.join(sys.version.split())}",
        f"{ffi.string(lib.lt_ffi_api()).decode()} API",
        f"gcc {output(['gcc', '-dumpfullversion'])}",
        " ".join(platform.libc_ver()),
        platform.machine(),
    ]
    return "; ".join(parts)


def instructions(command: list[str]) -> int:
    """Return how many a process takes, from its start to its end."""
    valgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    done = subprocess.run(
        [*valgrind, *command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONHASHSEED": "0"},  # else searches differ in length
    )
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or found is None:
        raise SystemExit(done.stderr)
    return int(found[1])


def count(program: list[str], loops: Sequence[str]) -> list[float]:
    """Return the instructions of one turn of each loop, without those of the empty one.

    The program runs each loop for a while before, so that all starts are the same.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = pool.map(lambda loop: instructions([*program, loop, str(TIMES)]), ["empty", *loops])
        empty, *totals = runs
    return [round((total - empty) / TIMES, 1) for total in totals]


def build_c(folder: Path) -> Path:
    program = folder / "instructions"
    files = [str(path) for path in (HERE / "c" / "instructions.c", *shim.SOURCES)]
    flags = ["-std=c11", "-DLT_SPIN=0", *shim.FLAGS]
    subprocess.run(["gcc", *flags, *files, "-o", str(program)], check=True)
    return program


def count_all() -> Counts:
    python = [sys.executable, str(HERE / "instruction_loops.py"), "lowthreads"]
    python_loops = [loop for loop in LOOPS if loop != "empty"]
    with tempfile.TemporaryDirectory() as folder:
        in_c = count([str(build_c(Path(folder)))], C_LOOPS)
    in_python = count(python, python_loops)
    names = [f"C: {loop}" for loop in C_LOOPS] + [f"Python: {loop}" for loop in python_loops]
    return dict(zip(names, in_c + in_python))


def compare(counts: Counts, known: Counts) -> bool:
    """Print both; return whether none of the counts is above what is known."""
    good = True
    for name, now in counts.items():
        before = known.get(name)
        change = "" if before is None else f"{(now / before - 1) * 100:+6.1f} %"
        verdict = "new" if before is None else "ok"
        if before is not None and now > before * (1 + TOLERANCE):
            verdict, good = "SLOWER", False
        elif before is not None and now < before * (1 - TOLERANCE):
            verdict = "better: --record it"
        print(f"{name:44} {before or 0:8.1f} {now:8.1f} {change:9} {verdict}")
    return good


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--record", action="store_true", help="keep the counts in the table")
    record = parser.parse_args().record
    table: dict[str, Counts] = json.loads(TABLE.read_text(encoding="utf-8"))
    here = key()
    print(here)
    if here not in table and not record:
        print("Not compared: no counts are known for these; --record adds them. Known are:")
        print("\n".join(f"  {name}" for name in table))
        return 0
    counts = count_all()
    good = compare(counts, table.get(here, {}))
    if record:
        table[here] = counts
        TABLE.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")
        return 0
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
