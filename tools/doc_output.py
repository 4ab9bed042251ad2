"""Keep the output in a document equal to what the programs print.

In the document, a comment says what is run, and which part of its output is shown; the block of
code after it is that output:

    <!-- output of: lowthreads run --on-deadlock=abort examples/two_locks.py -->
    <!-- output from "Deadlock" of: lowthreads run examples/two_locks.py -->

    python tools/doc_output.py docs/hangs.md    writes all blocks anew
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent

_BLOCK = re.compile(
    r'<!-- output(?: from "(?P<start>.*)")? of: (?P<command>.*) -->\n'
    r"```text\n(?P<text>(?:.*\n)*?)```\n"
)

# What differs each time, and what stands for it when two outputs are compared.
_CHANGING = [
    (r"0x[0-9a-f]+", "0x0"),
    (r"(native|process|pid) \d+", r"\1 1"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "(time)"),
    (r"\d+\.\d+ ?s\b", "0.0 s"),
    (r"(deadlock of \d+ threads?).*", r"\1"),
    (r"(-|=)+( .* )(-|=)+", r"-\2-"),
]


class Block(NamedTuple):
    """An output in a document."""

    command: str
    start: str
    """A line's beginning, from which on it is shown; "" for all."""
    text: str
    span: tuple[int, int]
    """Where in the document the text is."""


def blocks(document: str) -> Iterator[Block]:
    for match in _BLOCK.finditer(document):
        yield Block(match["command"], match["start"] or "", match["text"], match.span("text"))


def output(block: Block) -> str:
    """Run the block's command; return what is shown of its output."""
    spec = find_spec("lowthreads")
    assert spec is not None
    assert spec.origin is not None
    found_in = str(Path(spec.origin).parents[1])
    path = os.pathsep.join(filter(None, [found_in, os.environ.get("PYTHONPATH")]))
    # Not in the root, where a checkout that isn't built would hide an installed package.
    done = subprocess.run(
        [sys.executable, "-m", *shlex.split(block.command.replace("examples/", ""))],
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "80"},
        cwd=ROOT / "examples",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    text = done.stdout.replace(f"{ROOT}{os.sep}", "")
    text = text.replace(sysconfig.get_path("stdlib"), "lib")
    found = re.search(rf"^{re.escape(block.start)}", text, re.M)
    assert found is not None, text
    return text[found.start() :]


def normalised(text: str) -> set[str]:
    """Return an output's lines without what differs each time.

    The order of threads in a deadlock is that in which they came to it.
    """
    for pattern, constant in _CHANGING:
        text = re.sub(pattern, constant, text)
    return {re.sub(r"^  \d+\. ", "  1. ", line) for line in text.splitlines()}


def main() -> None:
    for name in sys.argv[1:]:
        path = Path(name)
        document = path.read_text(encoding="utf-8")
        for block in reversed(list(blocks(document))):
            start, end = block.span
            document = document[:start] + output(block) + document[end:]
        path.write_text(document, encoding="utf-8")


if __name__ == "__main__":
    main()
