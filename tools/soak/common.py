"""What the loads share: the time they have, threads, and the report of what they counted."""

from __future__ import annotations

import faulthandler
import json
import random
import sys
import threading
import time
from collections import Counter
from typing import Any, Callable

import lowthreads

lowthreads.install()

SECONDS = float(sys.argv[1])
UNTIL = time.monotonic() + SECONDS
LIMIT = 100.0
"""Seconds after the end in which all threads must have ended."""

counts: Counter[str] = Counter(operations=0, lost=0)
_counting = threading.Lock()

faulthandler.dump_traceback_later(SECONDS + LIMIT, exit=True)


def running() -> bool:
    """Whether there is time left."""
    return time.monotonic() < UNTIL


def count(**numbers: int) -> None:
    """Add to the counts, from any thread."""
    with _counting:
        counts.update(numbers)


def run(threads: int, function: Callable[[random.Random], Any]) -> None:
    """Run the function in so many threads, each with its own source of chance, to their ends."""

    def call(seed: int) -> None:
        try:
            function(random.Random(seed))
        except BaseException:
            count(lost=1)
            raise

    started = [threading.Thread(target=call, args=(number,)) for number in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()


def check(right: bool, what: str) -> None:
    """Count what was lost, and say it."""
    if not right:
        count(lost=1)
        print(what, file=sys.stderr, flush=True)


def report() -> None:
    """Print the counts, as the last thing."""
    print(json.dumps(counts), flush=True)
    sys.exit(1 if counts["lost"] else 0)
