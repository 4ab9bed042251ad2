"""Each program in `examples/` hangs, and the report says why."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lowthreads
from support import LIMIT, PYPY

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"

sys.path.append(str(ROOT / "tools"))

import doc_output  # noqa: E402

DOCUMENT = (ROOT / "docs" / "hangs.md").read_text(encoding="utf-8")

LOCK = "0x[0-9a-f]+"


def run(*arguments: str, status: int) -> str:
    """Run an example; return what it printed."""
    path = os.pathsep.join(
        filter(None, [str(Path(lowthreads.__file__).parents[1]), os.environ.get("PYTHONPATH")])
    )
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        env={**os.environ, "PYTHONPATH": path},
        cwd=EXAMPLES,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == status, done.stdout
    return done.stdout


def holds(one: str, other: str, kind: str = "lock") -> str:
    return f"{one} holds {kind} {LOCK}, waits for {kind} {LOCK}, owned by {other} for .* s"


STUCK = "none is left to end that"

# What the report must say of each, and the line of code there.
DEADLOCKS = {
    "two_locks.py": [
        ("2 threads", ""),
        (holds("payer", "auditor"), "in pay"),
        (holds("auditor", "payer"), "in audit"),
    ],
    "lock_and_join.py": [
        ("2 threads", ""),
        (f"MainThread holds RLock {LOCK}, waits for the end of worker", "in <module>"),
        (f"worker waits for RLock {LOCK}, owned by MainThread", "in work"),
    ],
    "empty_queue.py": [
        (f"2 threads, and {STUCK}", ""),
        ("MainThread waits for the end of consumer", "in <module>"),
        (r"consumer waits for Queue\.get \(lock .*\)", "in consume"),
    ],
    "own_pool.py": [
        (f"3 threads, and {STUCK}", ""),
        (r"pool_0 waits for Future\.result \(lock .*\)", "in <genexpr>"),
        (r"pool_1 waits for Future\.result \(lock .*\)", "in <genexpr>"),
    ],
    "real/queue_in_finalizer.py": [
        ("1 thread", ""),
        (r"reporter holds lock .*, waits for Transport\.put \(.*\), owned by itself", "in __del__"),
    ],
    "real/logging_config.py": [
        ("2 threads", ""),
        (holds("MainThread", "configurer", "RLock"), "in emit"),
        (holds("configurer", "MainThread", "RLock"), "in acquire"),
    ],
    "real/loop_waits_for_itself.py": [
        (f"1 thread, and {STUCK}", ""),
        (r"MainThread waits for Future\.result \(lock .*\)", "in on_socket_register_write"),
    ],
    "real/cached_property.py": [
        ("2 threads", ""),
        (holds("reader", "writer", "RLock"), "in extent_type"),
        (holds("writer", "reader", "RLock"), "in write"),
    ],
    "real/second_signal.py": [
        ("1 thread", ""),
        (f"MainThread holds lock {LOCK}, waits for lock {LOCK}, owned by itself", "in halt"),
    ],
    "real/nested_exchanges.py": [
        (f"4 threads, and {STUCK}", ""),
        (r"exchange_2 waits for Future\.result \(lock .*\)", "in do_exchange"),
    ],
    "real/live_display.py": [
        ("2 threads", ""),
        (f"MainThread holds RLock {LOCK}, waits for the end of refresher", "in stop"),
        (f"refresher waits for RLock {LOCK}, owned by MainThread", "in refresh"),
    ],
    "real/import_and_join.py": [
        ("2 threads", ""),
        ("MainThread imports import_and_join, waits for the end of user", "in <module>"),
        ("user waits for the module import_and_join, which MainThread imports", "in use"),
    ],
}

# Of threads that wait for no owner: who else runs can't be told everywhere.
SURE_ON_LINUX = pytest.mark.skipif(
    not os.path.isdir("/proc/self/task"), reason="without /proc, no wait without an owner is sure"
)


def marks(name: str) -> list[pytest.MarkDecorator]:
    if any(STUCK in line for line, _ in DEADLOCKS[name]):
        return [SURE_ON_LINUX]
    if name == "real/cached_property.py":
        reason = "from 3.12 on, functools.cached_property has no lock"
        return [pytest.mark.skipif(sys.version_info >= (3, 12), reason=reason)]
    return []


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks(name)) for name in DEADLOCKS])
def test_a_deadlock_is_explained(name: str) -> None:
    report = run("lowthreads", "run", "--on-deadlock=abort", name, status=70)
    assert report.count("\nDeadlock ") == 1
    deadlock = report.partition("\nDeadlock ")[2]
    (headline, _), *lines = DEADLOCKS[name]
    assert re.match(f"1: {headline}\n", deadlock)
    file = re.escape(Path(name).name)
    for line, place in lines:
        where = f'(    at ".*\n)?    (called )?at ".*{file}", line [0-9]+, {place}\n'
        assert re.search(rf"  [0-9]\. {line}.*\n{where}", deadlock), (line, report)


def test_all_examples_are_tested() -> None:
    programs = [*EXAMPLES.glob("*.py"), *EXAMPLES.glob("real/*.py")]
    found = {path.relative_to(EXAMPLES).as_posix() for path in programs}
    others = {
        "slow_owner.py",
        "test_hangs.py",
        "slow_lock.py",
        "slow_lock_mended.py",
        "inversion.py",
    }
    assert found - others == set(DEADLOCKS)


def test_a_slow_owner_is_named() -> None:
    report = run("lowthreads", "run", "--report-after=0.3", "slow_owner.py", status=0)
    assert report.endswith("done\n")
    assert "Deadlock" not in report
    line = rf"request-[01] \(.*\)\n  waiting for lock {LOCK}, owned by refresher for 0\..* s\n"
    assert re.search(line, report)
    assert re.search(r'refresher \(.*\)\n  File ".*slow_owner.py", line .*, in refresh\n', report)


def test_the_plugin() -> None:
    report = run("pytest", "-p", "lowthreads.pytest", "test_hangs.py", status=1)
    assert re.search(r"2 failed, 1 passed", report)
    assert re.search(holds("there", "back"), report)
    assert re.search(r"MainThread waits for Condition\.wait \(.*\)", report) or os.name == "nt"


@pytest.mark.skipif(
    PYPY or sys.version_info[:2] != (3, 11),
    reason="the lines of threading.py in the document are those of CPython 3.11",
)
@pytest.mark.parametrize(
    "block", [pytest.param(each, id=each.command) for each in doc_output.blocks(DOCUMENT)]
)
def test_the_document_shows_what_is_printed(block: doc_output.Block) -> None:
    printed = doc_output.normalised(doc_output.output(block))
    assert printed == doc_output.normalised(block.text)
