"""The order of the check: promises, real work, the comparison; and its exit status."""

from __future__ import annotations

import time
from collections.abc import Collection
from contextlib import suppress
from importlib import import_module
from typing import Any

from . import LIMIT, PARTS, compare, wordcount
from .expect import Broken, Stopwatch, describe
from .machine import facts
from .promises import PROMISES, Promise
from .report import Report, Result
from .settings import restored
from .status import Status
from .watchdog import limit

lowthreads: Any = import_module("..", __package__)

_WORDS_LIMIT = 300.0
_COMPARISON_LIMIT = 60.0


def _count() -> int:
    with suppress(Exception):
        return int(lowthreads._count())
    return 0


def _settle(threads: int) -> None:
    """Give a promise's threads a moment to end, until there are so many again."""
    watch = Stopwatch()
    while _count() > threads and watch.seconds < 1:
        time.sleep(0.001)


def perform(promise: Promise) -> Result:
    """Hold lowthreads to one promise; settings are as before, afterwards."""
    threads = _count()
    watch = Stopwatch()
    expected = got = None
    reports: list[Any] = []
    try:
        with restored() as reports:
            promise.check()
    except Broken as broken:
        expected, got = broken.expected, broken.got
    except KeyboardInterrupt:
        raise  # the user's
    except BaseException as error:
        expected, got = "no exception", describe(error)
    seconds = watch.seconds
    _settle(threads)
    if reports:
        told = "; ".join(f"in a thread: {describe(report.exc_value)}" for report in reports)
        if expected is None:
            expected, got = "no exception in a thread", told
        else:
            got = f"{got}; {told}"
    return Result(promise.name, promise.text, seconds, expected, got)


def _promises(report: Report, status: Status, seconds: float) -> None:
    for number, promise in enumerate(PROMISES, 1):
        status.show(f"promise {number} of {len(PROMISES)}: {promise.name} {promise.text}")

        def tell(where: str, promise: Promise = promise) -> int:
            status.clear()
            expected = f"an end within {seconds:g} s"
            report.promise(Result(promise.name, promise.text, seconds, expected, where))
            return report.end(stopped="a promise hung; what comes after it was not run")

        with limit(seconds, tell):
            result = perform(promise)
        status.clear()
        report.promise(result)


def _words(report: Report, status: Status) -> None:
    def tell(where: str) -> int:
        status.clear()
        return report.end(stopped=f"the word count hung: {where}", failed=True)

    with limit(_WORDS_LIMIT, tell):
        outcome = wordcount.run(status.show)
    status.clear()
    report.words(outcome)


def _comparison(report: Report, status: Status) -> None:
    def tell(where: str) -> int:
        status.clear()
        report.comparison([], f"hung: {where}")
        return report.end()

    try:
        with limit(_COMPARISON_LIMIT, tell):
            rows = compare.run(status.show)
    except Exception as error:
        status.clear()
        report.comparison([], describe(error))
    else:
        status.clear()
        report.comparison(rows)


def check(report: Report, parts: Collection[str] = PARTS, promise_limit: float = LIMIT) -> int:
    """Check the installation and return the exit status.

    Args:
        report: what tells the reader.
        parts: those of `PARTS` to run.
        promise_limit: the longest time, in seconds, that a promise may take.
    """
    status = Status()
    try:
        report.begin(facts())
        if "promises" in parts:
            _promises(report, status, promise_limit)
        if "words" in parts:
            _words(report, status)
        if "comparison" in parts:
            _comparison(report, status)
        return report.end()
    finally:
        status.clear()
