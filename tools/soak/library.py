"""The standard library on top: queues, executors, conditions, barriers, events."""

import queue
import random
import threading
from concurrent.futures import ThreadPoolExecutor

from common import check, count, report, run, running


def pass_numbers(size: int) -> None:
    passed: queue.Queue[int] = queue.Queue(size)

    def put() -> None:
        for number in range(50):
            passed.put(number)

    def add() -> int:
        return sum(passed.get(timeout=60) for _ in range(50))

    with ThreadPoolExecutor(4) as pool:
        sums = [pool.submit(add) for _ in range(2)]
        puts = [pool.submit(put) for _ in range(2)]
        for each in puts:
            each.result(60)
        check(sum(each.result(60) for each in sums) == 2 * 1225, "a queue lost something")


def meet_all() -> None:
    barrier, ready, seen = threading.Barrier(3), threading.Event(), []

    def meet() -> None:
        barrier.wait(60)
        check(ready.wait(60), "an event was lost")
        seen.append(1)

    threads = [threading.Thread(target=meet) for _ in range(3)]
    for thread in threads:
        thread.start()
    ready.set()
    for thread in threads:
        thread.join(60)
    check(len(seen) == 3, "a barrier lost a thread")


def work(chance: random.Random) -> None:
    while running():
        pass_numbers(chance.choice([0, 1, 10]))
        meet_all()
        count(operations=206)


run(3, work)
report()
