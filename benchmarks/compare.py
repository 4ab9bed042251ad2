"""lowthreads beside the interpreter's own `_thread`, measured longer than the check does.

    python benchmarks/compare.py                       a Markdown table
    python benchmarks/compare.py --json result.json    and a JSON document beside it
    python benchmarks/compare.py --merge *.json        one table of several results

The loads and the way of measuring are those of `python -m lowthreads`.  A speed claim is
a ratio against a peer, never an absolute time: what one machine takes says nothing about
another one.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from lowthreads._check import compare, machine
from lowthreads._check.report import comparison_document
from lowthreads._check.status import Status


def measure(rounds: int, seconds: float) -> dict[str, Any]:
    """Measure, and return a document of the same form as the check's."""
    status = Status()
    try:
        rows = compare.run(status.show, rounds, seconds, budget=float("inf"))
    finally:
        status.clear()
    return {"schema": 1, **machine.facts(), "comparison": comparison_document(rows)}


def table(documents: list[dict[str, Any]]) -> str:
    """Return a Markdown table, and below it where its figures come from."""
    loads = [row["load"] for row in documents[0]["comparison"]["rows"]]
    lines = [
        "| | " + " | ".join(loads) + " |",
        "|---|" + "---:|" * len(loads),
    ]
    for document in documents:
        by_load = {row["load"]: row for row in document["comparison"]["rows"]}
        cells = [
            f"**{row['ratio']:.2f}** ({row['low']:.2f}–{row['high']:.2f})"  # noqa: RUF001
            for row in (by_load[load] for load in loads)
        ]
        lines.append(f"| {machine.interpreter_name(document)} | " + " | ".join(cells) + " |")
    rows = [row for document in documents for row in document["comparison"]["rows"]]
    rounds = sorted({row["rounds"] for row in rows})
    versions = sorted({document["lowthreads"]["version"] for document in documents})
    builds = sorted({machine.build_name(document) for document in documents})
    places = sorted({machine.platform_name(document) for document in documents})
    lines += [
        "",
        "lowthreads' time divided by that of the interpreter's own `_thread`, below 1 is faster:"
        f" the median of {' or '.join(map(str, rounds))} rounds (and the quartiles), the two"
        " measured in turn.",
        f"lowthreads {', '.join(versions)} ({'; '.join(builds)}), on {'; '.join(places)}.",
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=61, help="of each load (default: 61)")
    parser.add_argument(
        "--seconds", type=float, default=0.05, help="that a round takes, for each (default: 0.05)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON document there")
    parser.add_argument(
        "--merge", type=Path, nargs="+", metavar="FILE", help="measure nothing; show these results"
    )
    given = parser.parse_args()
    if given.rounds < 1 or not given.seconds > 0:
        parser.error("--rounds and --seconds must be positive")
    if given.merge:
        documents = [json.loads(path.read_text(encoding="utf-8")) for path in given.merge]
    else:
        documents = [measure(given.rounds, given.seconds)]
    if given.json:
        text = json.dumps(documents[0] if len(documents) == 1 else documents, indent=2)
        given.json.write_text(text + "\n", encoding="utf-8")
    print(table(documents))
    return 0


if __name__ == "__main__":
    sys.exit(main())
