"""What the check tells: to people, line by line, or to machines, as one JSON document.

The document (`schema` goes up when something in it changes its meaning; keys may be added):

    {
      "schema": 1,
      "ok": true,               as the exit status: the comparison has no part in it
      "lowthreads": {"version", "parker", "api", "path"},
      "interpreter": {"implementation", "version", "python", "free_threaded", "gil",
                      "cffi", "executable"},
      "platform": {"system", "release", "machine", "libc", "cpu", "cores"},
      "promises": [             in the order of the reference text
        {"name", "text", "ok", "seconds",
         "expected", "got"}     null where the promise holds
      ],
      "words": null or          null: not run
        {"ok", "threads", "files", "bytes", "unreadable", "words", "distinct",
         "expected", "got"},
      "comparison": null or
        {"peer": "_thread",
         "rows": [
           {"load",
            "ratio", "low", "high",      lowthreads' time to the peer's: median, quartiles
            "lowthreads_ns", "peer_ns",  the medians, of one turn
            "rounds", "loops"}           how often it was measured, the turns in each
         ],
         "note"},               null, or why there are no rows
      "stopped": null or        why the check ended before its end
        "text"
    }
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from textwrap import indent
from typing import Any

from .compare import PEER, Row, duration
from .machine import Facts, build_name, interpreter_name, platform_name
from .wordcount import Outcome


@dataclass(frozen=True)
class Result:
    """What came of one promise."""

    name: str
    text: str
    seconds: float
    expected: str | None = None
    got: str | None = None

    @property
    def ok(self) -> bool:
        """Whether it holds."""
        return self.expected is None


def comparison_document(rows: list[Row], note: str | None = None) -> dict[str, Any]:
    """Return the comparison as the document has it."""
    return {
        "peer": PEER,
        "rows": [
            {
                "load": row.load,
                "ratio": round(row.ratio, 4),
                "low": round(row.low, 4),
                "high": round(row.high, 4),
                "lowthreads_ns": round(row.lowthreads * 1e9, 1),
                "peer_ns": round(row.peer * 1e9, 1),
                "rounds": row.rounds,
                "loops": row.loops,
            }
            for row in rows
        ],
        "note": note,
    }


class Report:
    """Takes what came out, in order; `end` gives the exit status."""

    def __init__(self) -> None:
        self.results: list[Result] = []
        self.outcome: Outcome | None = None

    def begin(self, known: Facts) -> None:
        """Take where it runs."""

    def promise(self, result: Result) -> None:
        """Take what came of a promise."""
        self.results.append(result)

    def words(self, outcome: Outcome) -> None:
        """Take what came of the word count."""
        self.outcome = outcome

    def comparison(self, rows: list[Row], note: str | None = None) -> None:
        """Take the comparison, or why there is none."""

    def end(self, stopped: str | None = None, failed: bool = False) -> int:
        """Finish.

        Args:
            stopped: why, if this is not the end of all.
            failed: whether that alone is a failure.
        """
        ok = all(result.ok for result in self.results)
        ok = ok and (self.outcome is None or self.outcome.ok) and not failed
        self._finish(ok, stopped)
        return 0 if ok else 1

    def _finish(self, ok: bool, stopped: str | None) -> None:
        raise NotImplementedError


class JsonReport(Report):
    """One JSON document on stdout, at the end."""

    def __init__(self) -> None:
        super().__init__()
        self._facts: Facts = {}
        self._comparison: dict[str, Any] | None = None

    def begin(self, known: Facts) -> None:
        """Keep it."""
        self._facts = known

    def comparison(self, rows: list[Row], note: str | None = None) -> None:
        """Keep it."""
        self._comparison = comparison_document(rows, note)

    def _finish(self, ok: bool, stopped: str | None) -> None:
        words = self.outcome
        document = {
            "schema": 1,
            "ok": ok,
            **self._facts,
            "promises": [
                {
                    "name": result.name,
                    "text": result.text,
                    "ok": result.ok,
                    "seconds": round(result.seconds, 4),
                    "expected": result.expected,
                    "got": result.got,
                }
                for result in self.results
            ],
            "words": None if words is None else {"ok": words.ok, **asdict(words)},
            "comparison": self._comparison,
            "stopped": stopped,
        }
        print(json.dumps(document, indent=2), flush=True)


class TextReport(Report):
    """Lines on stdout, as it goes on."""

    def __init__(self) -> None:
        super().__init__()
        self._colour = (
            sys.stdout is not None  # closed by who started this
            and sys.stdout.isatty()
            and os.name == "posix"
            and os.environ.get("TERM", "dumb") != "dumb"
            and not os.environ.get("NO_COLOR")
        )

    def _verdict(self, ok: bool, text: str = "") -> str:
        text = text or ("ok" if ok else "FAIL")
        return f"\033[{32 if ok else '1;31'}m{text}\033[0m" if self._colour else text

    def _line(self, ok: bool, text: str, expected: str | None, got: str | None) -> None:
        verdict = self._verdict(ok) + " " * (4 if ok else 2)
        print(f"  {verdict}{text}", flush=True)
        if not ok:
            for label, told in [("expected", expected), ("got", got)]:
                lines = indent((told or "").rstrip(), " " * 18).lstrip()
                print(f"        {label:8}  {lines}", flush=True)

    def begin(self, known: Facts) -> None:
        """Print it."""
        package = __package__.rpartition(".")[0]
        print(f"{package} {known['lowthreads']['version']}: {build_name(known)}")
        print(f"{interpreter_name(known)}, cffi {known['interpreter']['cffi'] or 'unknown'}")
        print(platform_name(known), flush=True)

    def promise(self, result: Result) -> None:
        """Print it in a line, with what was expected and what was got if it is broken."""
        if not self.results:
            print("\nWhat the reference promises")
        super().promise(result)
        text = f"{result.name:17} {result.text}"
        self._line(result.ok, text, result.expected, result.got)

    def words(self, outcome: Outcome) -> None:
        """Print it."""
        super().words(outcome)
        print(
            f"\nReal work: the standard library's words, counted in {outcome.threads} threads"
            " and once more without"
        )
        text = (
            f"{outcome.files:,} files, {outcome.bytes:,} bytes, {outcome.words:,} words, "
            f"{outcome.distinct:,} distinct"
        )
        if outcome.unreadable:
            text += f" ({outcome.unreadable} unreadable)"
        self._line(outcome.ok, text, outcome.expected, outcome.got)

    def comparison(self, rows: list[Row], note: str | None = None) -> None:
        """Print it as a table."""
        print(f"\nBeside the interpreter's own {PEER} (ratio of the times: below 1 is faster)")
        if note is not None:
            print(f"        not measured: {note}")
            return
        print(f"        {'':17} {'ratio':>7} {'quartiles':>15} {'lowthreads':>12} {PEER:>12}")
        for row in rows:
            print(
                f"        {row.load:17} {row.ratio:7.2f} {f'{row.low:.2f} to {row.high:.2f}':>15}"
                f" {duration(row.lowthreads):>12} {duration(row.peer):>12}",
                flush=True,
            )

    def _finish(self, ok: bool, stopped: str | None) -> None:
        kept = sum(result.ok for result in self.results)
        told = []
        if self.results:
            told.append(f"{kept} of {len(self.results)} promises hold")
        if self.outcome is not None:
            told.append("the counts are equal" if self.outcome.ok else "the counts differ")
        if stopped is not None:
            told.append(f"stopped: {stopped}")
        print(f"\n{self._verdict(ok)}: {', '.join(told) or 'nothing was checked'}", flush=True)
