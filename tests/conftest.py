"""One set-up for both ways of running: on a build in place, and on an installed package."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent


def _leave_unbuilt_checkout() -> None:
    # `python -m pytest` puts the working directory on sys.path, where a checkout that was
    # not built in place, for this interpreter, would hide the package that is installed.
    built = [ROOT / "lowthreads" / f"_native{suffix}" for suffix in EXTENSION_SUFFIXES]
    if not any(path.exists() for path in built):
        sys.path[:] = [entry for entry in sys.path if Path(entry or os.curdir).resolve() != ROOT]


_leave_unbuilt_checkout()

# How long an example takes says nothing, where others use the machine too.
settings.register_profile(
    "lowthreads",
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("lowthreads")


# What pytest-run-parallel (`nox -s parallel`) runs once: more threads here would test nothing
# more where each test runs in a process of its own.
OWN_PROCESSES = {
    f"test_{name}"
    for name in ("dropin", "exit", "fork", "gil", "interrupts", "main", "run", "stop_the_world")
}


@pytest.hookimpl(tryfirst=True)
def pytest_itemcollected(item: pytest.Item) -> None:
    if item.path.stem in OWN_PROCESSES:
        item.add_marker(pytest.mark.thread_unsafe(reason="runs in processes of its own"))


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    import lowthreads
    import support

    before = lowthreads._count()
    yield
    support.wait_until(lambda: lowthreads._count() <= before, "the test's threads have ended")
