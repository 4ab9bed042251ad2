"""Two tests that hang, and one that doesn't; for `pytest -p lowthreads.pytest`."""

import threading


def transfer(source, target):
    with source:
        both_have_one.wait()
        with target:
            pass


def test_transfers_both_ways():
    global both_have_one
    both_have_one = threading.Barrier(2)
    a, b = threading.Lock(), threading.Lock()
    there = threading.Thread(target=transfer, args=(a, b), name="there")
    back = threading.Thread(target=transfer, args=(b, a), name="back")
    there.start()
    back.start()
    there.join()
    back.join()


def test_wakes_nobody():
    changed = threading.Condition()
    with changed:
        changed.wait()


def test_is_fine():
    assert threading.Lock().acquire()
