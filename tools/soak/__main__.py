"""Everything mixed, for as long as one says: `python tools/soak --minutes 30`.

Each kind of load runs in processes of its own, in turn, a slice of time each, until the time is
over; two at a time, so that they disturb each other.  A process counts what it did, what it
survived and what was lost, and ends with a status other than 0 if anything was, or if it hung.  The
sums are printed as a table, also into a file.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import os
import platform
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lowthreads

HERE = Path(__file__).resolve().parent
KINDS = [
    "contention",
    "signals",
    "interrupts",
    "handles",
    "library",
    *(["forks"] if hasattr(os, "fork") else []),
    "exits",
]
SLICE = 15.0
"""Seconds for which a process runs."""

GRACE = 120.0
"""Seconds that it may take longer: then it hangs."""


def run_slice(kind: str, seconds: float) -> tuple[str, Counter[str], str]:
    """Run a process of the kind; return its counts, and what went wrong, "" if nothing did."""
    command = [sys.executable, "-X", "faulthandler", str(HERE / f"{kind}.py"), str(seconds)]
    path = [str(Path(lowthreads.__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}
    try:
        done = subprocess.run(
            command,
            env=env,
            capture_output=True,
            text=True,
            timeout=seconds + GRACE,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        return kind, Counter(lost=1), f"it hangs\n{error.stderr or ''}"
    if done.returncode != 0 or not done.stdout:
        return kind, Counter(lost=1), f"status {done.returncode}\n{done.stdout}{done.stderr}"
    return kind, Counter(json.loads(done.stdout.splitlines()[-1])), done.stderr


def table(sums: dict[str, Counter[str]], seconds: float) -> str:
    """Return the sums as a table in Markdown."""
    interpreter = f"{platform.python_implementation()} {platform.python_version()}"
    lines = [
        f"{interpreter}, lowthreads {lowthreads.__version__}, {platform.platform()}, "
        f"{datetime.date.today()}: {seconds / 60:.0f} minutes.",
        "",
        "| load | processes | operations | survived | lost |",
        "|---|---:|---:|---|---:|",
    ]
    for kind, counts in sums.items():
        others = counts.keys() - {"processes", "operations", "lost"}
        survived = ", ".join(f"{counts[name]:,} {name}" for name in sorted(others))
        lines.append(
            f"| {kind} | {counts['processes']:,} | {counts['operations']:,} | {survived} "
            f"| {counts['lost']} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run the command line; the exit status is 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--output", type=Path, help="a file for the table")
    parser.add_argument("kinds", nargs="*", default=KINDS, metavar="KIND", help=", ".join(KINDS))
    given = parser.parse_args()
    if unknown := set(given.kinds) - set(KINDS):
        parser.error(f"no such kind: {', '.join(sorted(unknown))}")
    began = time.monotonic()
    until = began + given.minutes * 60
    sums: dict[str, Counter[str]] = {kind: Counter() for kind in given.kinds}
    kinds = itertools.cycle(given.kinds)

    def slices() -> None:
        while (left := until - time.monotonic()) > 0:
            kind, counts, wrong = run_slice(next(kinds), min(SLICE, left))
            sums[kind].update({**counts, "processes": 1})
            if wrong:
                print(f"{kind}: {wrong}", file=sys.stderr, flush=True)

    with ThreadPoolExecutor(2) as pool:
        for ended in [pool.submit(slices) for _ in range(2)]:
            ended.result()
    text = table(sums, time.monotonic() - began)
    print(text, end="")
    if given.output:
        given.output.write_text(text, encoding="utf-8")
    return 1 if any(counts["lost"] for counts in sums.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
