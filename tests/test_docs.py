"""What the pages say that a program can check."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

import lowthreads
from support import run_child

DOCS = Path(__file__).resolve().parents[1] / "docs"

pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="not run in a clone or an sdist")


def read(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", lowthreads.__all__)
def test_the_table_of_names_has_each(name: str) -> None:
    cells = [row.split("|")[1] for row in read("semantics.md").splitlines() if row.startswith("|")]
    named = {found for cell in cells for found in re.findall(r"`(\w+)", cell)}
    assert name in named


def test_the_tutorial_runs() -> None:
    pieces = re.findall(r"^```python\n(.*?)^```", read("tutorial.md"), re.DOTALL | re.MULTILINE)
    assert len(pieces) > 4
    done = run_child(textwrap.dedent("\n".join(pieces)))
    assert (done.stdout, done.stderr) == ("", "")


def test_the_page_on_vendoring_lists_the_packages_folders() -> None:
    package = Path(lowthreads.__file__).resolve().parent
    folders = {path.parent.name for path in package.glob("*/*.py")} - {"_source"}
    listed = re.findall(r'"sample\._vendor\.lowthreads\.(\w+)"', read("vendoring.md"))
    assert set(listed) == folders


def test_the_tests_that_hold_the_guarantees_are_there() -> None:
    named = re.findall(r"`(test_\w+)::(test_\w+)`", read("guarantees.md"))
    assert len(named) > 30
    tests = Path(__file__).parent
    missing = [
        f"{file}::{test}"
        for file, test in named
        if f"def {test}(" not in (tests / f"{file}.py").read_text(encoding="utf-8")
    ]
    assert not missing
