"""What observing costs: `run --profile`, `--trace` and `--lock-order` beside nothing.

    python benchmarks/observe.py
    python benchmarks/observe.py --rounds 41

Each figure is the median of the ratios of the processor's times with and without, measured in
turn in one process: what else the machine does then hardly matters.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from typing import Any, Callable

import lowthreads

lowthreads.install()

import queue  # noqa: E402
import threading  # noqa: E402
from concurrent.futures import ThreadPoolExecutor  # noqa: E402

from lowthreads._check import machine  # noqa: E402
from lowthreads._observe import locks  # noqa: E402
from lowthreads._observe.lock_order import LockOrder  # noqa: E402
from lowthreads._observe.profile import Profile  # noqa: E402
from lowthreads._observe.trace import Trace  # noqa: E402

OBSERVERS: dict[str, tuple[Callable[[], Any], ...]] = {
    "profile": (Profile,),
    "trace": (Trace,),
    "lock order": (LockOrder,),
    "all three": (Profile, Trace, LockOrder),
}


def with_lock() -> None:
    lock = threading.Lock()
    for _ in range(2000):
        with lock:
            pass


def with_two() -> None:
    first = threading.Lock()
    then = threading.RLock()
    for _ in range(1000):
        with first, then:
            pass


def contended() -> None:
    lock = threading.Lock()

    def take() -> None:
        for _ in range(500):
            with lock:
                pass

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def put_and_get() -> None:
    items: queue.Queue[int] = queue.Queue()
    for i in range(300):
        items.put(i)
        items.get()


def pool() -> None:
    with ThreadPoolExecutor(4) as executor:
        list(executor.map(str, range(100)))


def pool_that_works() -> None:
    with ThreadPoolExecutor(2) as executor:
        list(executor.map(lambda n: sum(range(n)), [20_000] * 30))


LOADS = {
    "with lock": with_lock,
    "with two locks": with_two,
    "contended by 4": contended,
    "Queue put, get": put_and_get,
    "executor, empty tasks": pool,
    "executor, tasks of 0.3 ms": pool_that_works,
}


def timed(load: Callable[[], None]) -> float:
    start = time.process_time()
    load()
    return time.process_time() - start


def timed_observed(load: Callable[[], None], makers: tuple[Callable[[], Any], ...]) -> float:
    observers = [make() for make in makers]
    for observer in observers:
        locks.start(observer)
    try:
        return timed(load)
    finally:
        for observer in observers:
            locks.stop(observer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=21)
    rounds = parser.parse_args().rounds
    print("| | " + " | ".join(OBSERVERS) + " |")
    print("|---|" + "---:|" * len(OBSERVERS), flush=True)
    for name, load in LOADS.items():
        ratios: dict[str, list[float]] = {each: [] for each in OBSERVERS}
        for _ in range(rounds + 2):
            for each, makers in OBSERVERS.items():
                ratios[each].append(timed_observed(load, makers) / timed(load))
        cells = (f"{statistics.median(each[2:]):.2f}" for each in ratios.values())
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    print(f"\n{machine.interpreter_name(machine.facts())}, {rounds} rounds.", file=sys.stderr)


if __name__ == "__main__":
    main()
