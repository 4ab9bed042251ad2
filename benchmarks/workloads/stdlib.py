"""The standard library's queue and pool on `_thread`, and on lowthreads in its place.

As a script, prints the figures of the interpreter that it runs on: `stdlib.py queue|pool`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

ITEMS, TASKS, ROUNDS = 20_000, 4_000, 3


def queue_items() -> float:
    import queue
    import threading

    between: queue.Queue[int] = queue.Queue(100)

    def put() -> None:
        for number in range(ITEMS):
            between.put(number)

    began = time.perf_counter()
    putter = threading.Thread(target=put)
    putter.start()
    for _ in range(ITEMS):
        between.get()
    took = time.perf_counter() - began
    putter.join()
    return took / ITEMS


def pool_tasks() -> float:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        began = time.perf_counter()
        for _ in pool.map(abs, range(TASKS)):
            pass
        return (time.perf_counter() - began) / TASKS


if __name__ == "__main__":
    work = {"queue": queue_items, "pool": pool_tasks}[sys.argv[1]]
    print(json.dumps({"time": [min(work() for _ in range(ROUNDS))]}))
else:
    from .load import Child, Load, has_threads

    LOADS = [
        Load(name, Child(Path(__file__), (what,), installed=True), has_threads)
        for name, what in (
            ("queue.Queue, an item", "queue"),
            ("ThreadPoolExecutor, a task", "pool"),
        )
    ]
