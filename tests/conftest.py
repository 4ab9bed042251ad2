"""One set-up for both ways of running: on a build in place, and on an installed package."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import wraps
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any, Callable

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

import lowthreads  # noqa: E402
import support  # noqa: E402

# How long an example takes says nothing, where others use the machine too.
settings.register_profile(
    "lowthreads",
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("lowthreads")


# ---- For pytest-run-parallel (`nox -s parallel`): a test's threads share its fixtures ----

# More threads here would test nothing more.
OWN_PROCESSES = {
    f"test_{name}"
    for name in (
        *("dropin", "exit", "fork", "gil", "interrupts", "lock_order", "main", "page", "profile"),
        *("run", "stop_the_world", "trace", "watchdog"),
    )
}

# What only one test can use at a time.
EXCLUSIVE = {"_frequent_switches", "_stack_size", "gate", "hook", "monkeypatch"}


def _held() -> lowthreads.LockType:
    lock = lowthreads.allocate_lock()
    lock.acquire()
    return lock


# What each thread gets one of its own of.
FRESH: dict[str, Callable[[], Any]] = {
    "lock": lowthreads.allocate_lock,
    "held": _held,
    "rlock": lowthreads.RLock,
}


def _with_fresh(test: Callable[..., None], names: set[str]) -> Callable[..., None]:
    @wraps(test)
    def run(**given: Any) -> None:
        test(**{**given, **{name: FRESH[name]() for name in names}})

    return run


@pytest.hookimpl(tryfirst=True)
def pytest_itemcollected(item: pytest.Function) -> None:
    if item.config.getoption("parallel_threads", 1) == 1:
        return
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    used = {name for name in item.fixturenames if name not in parameters}
    if item.path.stem in OWN_PROCESSES:
        item.add_marker(pytest.mark.thread_unsafe(reason="runs in processes of its own"))
    elif used & EXCLUSIVE:
        item.add_marker(pytest.mark.thread_unsafe(reason="changes what all threads share"))
    elif used & set(FRESH):
        item.obj = _with_fresh(item.obj, used & set(FRESH))


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = lowthreads._count()
    yield
    support.wait_until(lambda: lowthreads._count() <= before, "the test's threads have ended")
