"""Threads that start, end, and are joined by several at once, with and without time."""

import random
from functools import partial

import lowthreads
from common import check, count, report, run, running


def work(chance: random.Random) -> None:
    started = joins = timeouts = 0
    while running():
        results: list[int] = []
        handles = [
            lowthreads.start_joinable_thread(partial(results.append, number)) for number in range(5)
        ]
        started += 5
        for handle in chance.sample(handles, 5):
            if chance.random() < 0.3:
                handle.join(chance.random() * 1e-4)
                timeouts += not handle.is_done()
            handle.join()
            joins += 1
            check(handle.is_done(), "a joined thread is not done")
        check(sorted(results) == list(range(5)), f"results: {results}")
    count(operations=started + joins, timeouts=timeouts)


run(4, work)
check(lowthreads._count() == 0, f"{lowthreads._count()} threads are left")
report()
