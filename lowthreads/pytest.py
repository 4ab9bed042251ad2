"""A pytest plugin: tests run on lowthreads, and one that hangs fails with the reason.

It is used by `-p lowthreads.pytest`, on the command line or in `addopts`. It is no entry point:
that would import lowthreads in every run of pytest, wanted or not. Loaded by a conftest's
`pytest_plugins`, it does nothing until one of its options or `lowthreads = true` in the ini file
asks for it.

Source: lowthreads' own, by the hooks that pytest documents.
"""

from __future__ import annotations

from typing import Any

import pytest

from . import __version__, install
from ._pytest.leaks import MODES, LeakWarning
from ._pytest.plugin import Plugin, Settings, duration

__all__ = ["LeakWarning"]

_LIMIT = "seconds that a test's setup, call or teardown may take each; 0, the default: any"
_LEAKS = f"what becomes of leaked threads and of locks still held: {', '.join(MODES)} (default)"
_LOCK_ORDER = "fail a test that takes locks in another order than it, or an earlier one, did"
_ACCEPTED = "pairs of places FILE:LINE where locks are made that may be taken in either order"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options, and their counterparts in the ini file."""
    group = parser.getgroup("lowthreads", "tests on lowthreads; one that hangs says why")
    asked = "run the tests on lowthreads"
    group.addoption("--lowthreads", action="store_true", help=asked)
    group.addoption("--lowthreads-limit", type=duration, metavar="SECONDS", help=_LIMIT)
    group.addoption("--lowthreads-leaks", choices=MODES, help=_LEAKS)
    group.addoption("--lowthreads-lock-order", action="store_true", help=_LOCK_ORDER)
    parser.addini("lowthreads", asked, type="bool", default=False)
    parser.addini("lowthreads_limit", _LIMIT)
    parser.addini("lowthreads_leaks", _LEAKS)
    parser.addini("lowthreads_lock_order", _LOCK_ORDER, type="bool", default=False)
    parser.addini("lowthreads_accepted_orders", _ACCEPTED, type="linelist")


def _is_asked_for(config: pytest.Config) -> bool:
    given = vars(config.known_args_namespace)
    options = any(value for name, value in given.items() if name.startswith("lowthreads"))
    return options or __name__ in given["plugins"] or bool(config.getini("lowthreads"))


def _install() -> None:
    try:
        install()
    except RuntimeError as error:
        raise pytest.UsageError(str(error)) from error


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Put lowthreads in place before any of the project's own modules is imported."""
    if _is_asked_for(early_config):
        _install()


def pytest_configure(config: pytest.Config) -> None:
    """Start, if asked for."""
    config.addinivalue_line(
        "markers", "lowthreads_limit(seconds): how long setup, call and teardown may take each"
    )
    if _is_asked_for(config):
        _install()  # a worker of pytest-xdist may load plugins late
        config.pluginmanager.register(Plugin(_settings(config)), "lowthreads-plugin")


def _settings(config: pytest.Config) -> Settings:
    def value(name: str, default: Any) -> Any:
        given = config.getoption(name)
        return (config.getini(name) or default) if given is None else given

    leaks = value("lowthreads_leaks", "warn")
    if leaks not in MODES:
        raise pytest.UsageError(f"lowthreads_leaks: {leaks!r} is none of {', '.join(MODES)}")
    try:
        limit = duration(value("lowthreads_limit", 0))
    except ValueError as error:
        raise pytest.UsageError(f"lowthreads_limit: {error}") from None
    return Settings(
        __version__,
        limit,
        leaks,
        bool(config.getoption("lowthreads_lock_order") or config.getini("lowthreads_lock_order")),
        config.getini("lowthreads_accepted_orders"),
    )
