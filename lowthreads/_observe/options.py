"""What `python -m lowthreads run` was asked to observe, and what it makes of it at exit.

The options travel to the program's interpreter in the environment.  Processes that the program
starts, by fork, too, observe as well: each by itself, with the files' names made its own by its
number.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
from contextlib import suppress
from typing import Any, Callable, NamedTuple, cast

from .._host import _is_main_interpreter
from . import locks

VARIABLE = "LOWTHREADS_OBSERVE"


class Options(NamedTuple):
    """What to observe; None: not that."""

    profile: str | None = None
    """A file for the profile, ".json" or ".html"; "" for none."""
    trace: str | None = None
    """A file for the trace."""
    lock_order: str | None = None
    """A file of accepted pairs; "" for none."""
    process: int = 0
    """The number of the process that was asked; 0: it is to begin."""

    def to_environment(self, env: dict[str, str]) -> None:
        """Have an interpreter with this environment observe."""
        files = {
            name: os.path.abspath(value) if value else value
            for name, value in self._asdict().items()
            if name != "process"
        }
        env[VARIABLE] = json.dumps(files)


class _Observed:
    """What goes on in this process."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.finished = 0  # the process that did
        if options.profile is not None:
            from .profile import Profile

            self.profile = Profile()
            locks.start(self.profile)
        if options.trace is not None:
            from .trace import Trace

            self.trace = Trace()
            locks.start(self.trace)
        if options.lock_order is not None:
            from .accepted import read_accepted
            from .lock_order import LockOrder

            self.lock_order = LockOrder(read_accepted(options.lock_order))
            locks.start(self.lock_order)

    def finish(self) -> None:
        """Write it all."""
        if self.finished == os.getpid():
            return
        self.finished = os.getpid()
        if self.options.profile is not None:
            self._finish_profile(self.options.profile)
        if self.options.trace is not None:
            more = " (not all: it was full)" if self.trace.dropped else ""
            self._write("trace", self.options.trace, self.trace.write, more)
        if self.options.lock_order is not None and self.lock_order.is_full:
            _say("lowthreads: there were more lock orders than were learned")

    def _finish_profile(self, given: str) -> None:
        from . import report

        document = self.profile.document()
        # What another process says may be for the one that started it alone.
        if self._is_first() or (not given and any(lock["contended"] for lock in document["locks"])):
            _say(report.table(document))
        if given:
            text = report.page(document) if given.endswith(".html") else json.dumps(document)

            def write(path: str) -> None:
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)

            self._write("profile", given, write)

    def _is_first(self) -> bool:
        return os.getpid() == self.options.process

    def _write(self, what: str, given: str, write: Callable[[str], None], more: str = "") -> None:
        """Write a file, under a name that is this process's, and say so."""
        path = given
        if not self._is_first():
            stem, extension = os.path.splitext(given)
            path = f"{stem}.{os.getpid()}{extension}"
        try:
            write(path)
        except OSError as error:
            _say(f"lowthreads: no {what}: {error}")
        else:
            if self._is_first():
                _say(f"lowthreads: {what} in {path}{more}")

    def in_child(self) -> None:
        """After a fork: multiprocessing's children run no `atexit`, but what it has of its own."""
        util = cast(Any, sys.modules.get("multiprocessing.util"))
        if util is not None:

            def at_end(observed: _Observed) -> None:
                util.Finalize(None, observed.finish, exitpriority=-1000)

            util.register_after_fork(self, at_end)


def _say(text: str) -> None:
    with suppress(AttributeError, OSError, ValueError):  # there is none, or it is closed
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def start_from_environment() -> None:
    """Observe, if the environment says so; called when an interpreter starts."""
    given = os.environ.get(VARIABLE)
    if given is None or not _is_main_interpreter():
        return
    options = Options(**json.loads(given))
    if not options.process:  # so that the processes that this one starts know
        options = options._replace(process=os.getpid())
        os.environ[VARIABLE] = json.dumps(options._asdict())
    observed = _Observed(options)
    atexit.register(observed.finish)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=observed.in_child)
