"""Resident memory of locks and of threads that do nothing, each in a process of its own.

As a script, prints the figures: `memory.py lock|thread PEER COUNT`.
"""

from __future__ import annotations

import json
import mmap
import sys
from pathlib import Path

THREADS = 500


def resident() -> int:
    """Return the process's memory that is there, in bytes."""
    if sys.platform.startswith("linux"):  # psutil doesn't load on every PyPy
        pages = Path("/proc/self/statm").read_text().split()[1]
        return int(pages) * mmap.PAGESIZE
    import psutil

    return int(psutil.Process().memory_info().rss)


def bytes_per_lock(name: str, count: int) -> float:
    import gc

    from peers import peers

    new = next(peer for peer in peers() if peer.name == name).new_lock
    warm_up = [new() for _ in range(100)]
    del warm_up
    keep = [None] * count
    gc.collect()
    before = resident()
    for index in range(count):
        keep[index] = new()
    gc.collect()
    return (resident() - before) / count


def bytes_per_thread(name: str, count: int) -> float:
    from peers import peers

    module = next(peer for peer in peers() if peer.name == name).module
    idle, arrived = module.allocate_lock(), module.allocate_lock()
    idle.acquire()
    arrived.acquire()

    def body() -> None:
        arrived.release()
        with idle:
            pass

    def start() -> None:
        module.start_new_thread(body, ())
        arrived.acquire()

    start()
    before = resident()
    for _ in range(THREADS):
        start()
    after = resident()
    idle.release()
    return (after - before) / THREADS


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    what, name, count = sys.argv[1:]
    measure = {"lock": bytes_per_lock, "thread": bytes_per_thread}[what]
    print(json.dumps({"bytes": [measure(name, int(count))]}), flush=True)
else:
    from .load import Child, Load, has_threads

    LOADS = [
        Load("memory of a lock", Child(Path(__file__), ("lock",))),
        Load("memory of an idle thread", Child(Path(__file__), ("thread",)), has_threads),
    ]
