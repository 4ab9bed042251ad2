"""Real work: the words of the standard library, counted by threads and once more without.

The threads are lowthreads', and so are the locks: one for the queue of files, one for
the common count, and one that says that all is done.
"""

from __future__ import annotations

import os
import sysconfig
from collections import Counter
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Callable

lowthreads: Any = import_module("..", __package__)

THREADS = 8

Progress = Callable[[str], None]

_SKIPPED = {"__pycache__", "site-packages", "dist-packages"}


def standard_library() -> list[Path]:
    """Return the `.py` files of the running interpreter's standard library."""
    found: list[Path] = []
    for folder, folders, names in os.walk(sysconfig.get_path("stdlib")):
        folders[:] = sorted(set(folders) - _SKIPPED)
        found += [Path(folder, name) for name in sorted(names) if name.endswith(".py")]
    # An interpreter may have it in a zip file: then this package must do.
    return found or sorted(Path(lowthreads.__file__).parent.rglob("*.py"))


@dataclass
class Count:
    """What was counted."""

    words: Counter[str] = field(default_factory=Counter)
    files: int = 0
    bytes: int = 0
    unreadable: int = 0

    def add(self, path: Path) -> None:
        """Count one more file."""
        try:
            data = path.read_bytes()
        except OSError:
            self.unreadable += 1
            return
        try:
            text = data.decode()
        except UnicodeDecodeError:
            text = data.decode("latin-1")  # a character for each byte
        self.files += 1
        self.bytes += len(data)
        self.words.update(text.split())

    def merge(self, other: Count) -> None:
        """Add another count to this one."""
        self.words.update(other.words)
        self.files += other.files
        self.bytes += other.bytes
        self.unreadable += other.unreadable


def count_serially(paths: list[Path], progress: Progress) -> Count:
    """Count in this thread alone."""
    count = Count()
    for number, path in enumerate(paths):
        if number % 64 == 0:
            progress(f"words, one after the other: {number} of {len(paths)} files")
        count.add(path)
    return count


def count_in_threads(paths: list[Path], progress: Progress, threads: int = THREADS) -> Count:
    """Count in so many of lowthreads' threads."""
    total = Count()
    queue, result, done = (lowthreads.allocate_lock() for _ in range(3))
    position = 0
    running = threads
    failures: list[BaseException] = []

    def take() -> Path | None:
        nonlocal position
        with queue:
            if position >= len(paths):
                return None
            position += 1
            return paths[position - 1]

    def work() -> None:
        nonlocal running
        try:
            while (path := take()) is not None:
                own = Count()
                own.add(path)
                with result:
                    total.merge(own)
        except BaseException as error:
            failures.append(error)
        finally:
            with result:
                running -= 1
                last = running == 0
            if last:
                done.release()

    done.acquire()
    try:
        for _ in range(threads):
            lowthreads.start_new_thread(work, ())
        while not done.acquire(timeout=0.1):
            progress(f"words, in {threads} threads: {position} of {len(paths)} files")
    finally:
        with queue:
            position = len(paths)  # so that they end, also if this was interrupted
    if failures:
        raise RuntimeError(f"a thread failed: {failures[0]!r}") from failures[0]
    return total


@dataclass
class Outcome:
    """Both counts, compared."""

    threads: int
    files: int
    bytes: int
    unreadable: int
    words: int
    distinct: int
    expected: str | None = None
    got: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the threads counted what was to be counted."""
        return self.expected is None


def _figures(count: Count) -> str:
    return (
        f"{count.files} files, {count.bytes} bytes, {sum(count.words.values())} words, "
        f"{len(count.words)} distinct"
    )


def _difference(serial: Count, threaded: Count) -> tuple[str, str] | None:
    if serial == threaded:
        return None
    words = {*serial.words, *threaded.words}
    wrong = sorted(word for word in words if serial.words[word] != threaded.words[word])[:3]
    expected, got = (
        ", ".join([_figures(count), *(f"{count.words[word]} x {word!r}" for word in wrong)])
        for count in (serial, threaded)
    )
    return expected, got


def run(progress: Progress) -> Outcome:
    """Count both ways."""
    paths = standard_library()
    serial = count_serially(paths, progress)
    outcome = Outcome(
        threads=THREADS,
        files=serial.files,
        bytes=serial.bytes,
        unreadable=serial.unreadable,
        words=sum(serial.words.values()),
        distinct=len(serial.words),
    )
    try:
        threaded = count_in_threads(paths, progress)
    except Exception as error:
        outcome.expected = _figures(serial)
        outcome.got = f"{type(error).__name__}: {error}"
        return outcome
    difference = _difference(serial, threaded)
    if difference is not None:
        outcome.expected, outcome.got = difference
    return outcome
