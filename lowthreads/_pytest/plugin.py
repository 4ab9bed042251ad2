"""The plugin while it is in use: what it does around each test."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

from .._observe.lock_order import Inversion, start
from .guard import GRACE, Guard
from .leaks import LeakWarning, Locks, Threads

_SECTIONS = pytest.StashKey[list[tuple[str, str, str]]]()

_Wrapper = Generator[None, Any, Any]


class Settings(NamedTuple):
    """What the options and the ini file say."""

    version: str
    limit: float
    """Seconds for each phase of a test; 0 for no limit."""
    leaks: str
    lock_order: bool
    accepted: list[str]
    """Pairs of places whose order is accepted."""


def duration(text: Any) -> float:
    """Return the number of seconds that an option or a marker gives."""
    seconds = float(text)
    if not 0 <= seconds <= 86400:
        raise ValueError(f"{text}: not a number of seconds up to a day")
    return seconds


class Plugin:
    """The hooks."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._guard = Guard()
        self._locks = Locks()
        self._threads = Threads()
        self._order = None
        if settings.lock_order:
            self._order = start(settings.accepted, self._add_inversion)

    def pytest_unconfigure(self) -> None:
        """Learn no more of locks."""
        if self._order is not None:
            self._order.stop()

    def _add_inversion(self, inversion: Inversion) -> None:
        self._guard.add("lock order inversion", str(inversion))

    def pytest_report_header(self) -> str:
        """Say that it is in use."""
        limit = f"limit: {self._settings.limit:g} s, " if self._settings.limit else ""
        order = ", lock order" if self._settings.lock_order else ""
        return f"lowthreads: {self._settings.version}, {limit}leaks: {self._settings.leaks}{order}"

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> _Wrapper:
        """Watch while tests run."""
        if session.config.option.collectonly:
            return (yield)
        with self._locks.watched(), self._guard.on_duty(session.config):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> _Wrapper:
        """Watch a test's setup, from where on it may leak."""
        item.stash[_SECTIONS] = []  # it may be run again
        self._threads.begin(self._guard.ident)
        self._locks.begin()
        with self._guarded(item, "setup"):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> _Wrapper:
        """Watch the test itself."""
        with self._guarded(item, "call"):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> _Wrapper:
        """Watch its teardown, and look what is left then."""
        with self._guarded(item, "teardown"):
            result = yield
        if item.stash[_SECTIONS]:
            self._guard.end_threads(self._threads.idents())
        self._look_for_leaks(item)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> _Wrapper:
        """Let fixtures that outlive the test have threads and locks."""
        if fixturedef.scope == "function":
            return (yield)
        with self._locks.spared(), self._threads.spared():
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Add what there is to say about this phase."""
        report = yield
        for when, title, text in item.stash.get(_SECTIONS, []):
            if when == call.when:
                report.sections.append((title, text))
        return report

    def pytest_enter_pdb(self) -> None:
        """Let a test take its time in a debugger."""
        self._guard.pause()

    @contextmanager
    def _guarded(self, item: pytest.Item, when: str) -> Iterator[None]:
        marker = item.get_closest_marker("lowthreads_limit")
        limit = duration(*marker.args) if marker else self._settings.limit
        if item.stash[_SECTIONS]:
            limit = limit or GRACE  # it failed: it must not hang now
        phase = self._guard.enter(item.nodeid, limit, self._threads.idents)
        try:
            yield
        finally:
            self._guard.leave()
            for title, text in phase.sections:
                item.stash[_SECTIONS].append((when, title, text))
        failure = phase.failure or phase.finding
        if failure is not None:  # and nothing was raised
            raise failure

    def _look_for_leaks(self, item: pytest.Item) -> None:
        if self._settings.leaks == "ignore":
            return
        leaks = self._threads.running() + self._locks.held()
        if not leaks:
            return
        text = "left behind: " + "; ".join(leaks)
        if self._settings.leaks == "fail":
            pytest.fail(text, pytrace=False)
        item.warn(LeakWarning(text))
