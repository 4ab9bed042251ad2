"""Nothing waits while attached to the interpreter.

A free-threaded CPython stops all threads for a garbage collection: one that waits while it
is attached would stop the collection until its wait is over.  Here that is only after the
collection, so that it would hang, until the child's limit.  With a GIL, a wait that keeps it
hangs as well: the thread that collects could not run.
"""

from __future__ import annotations

import textwrap

import pytest

from support import WITH_GIL, run_child

PRELUDE = """
import gc, os, sys, time
from types import SimpleNamespace

import lowthreads
from lowthreads import RLock, _wait, allocate_lock, start_joinable_thread, start_new_thread
from lowthreads._lib import lib
from support import await_waiter, wait_until

def held(lock):
    # By another thread, until it is told to release it.
    told = allocate_lock()
    told.acquire()

    def hold():
        with lock, told:
            pass

    start_new_thread(hold, ())
    wait_until(lock.locked)
    return lock, told.release

def held_thread():
    # A thread that ends when it may, its handle, and what stands for the lock of its joiners.
    end = allocate_lock()
    end.acquire()
    handle = start_joinable_thread(end.acquire, daemon=False)
    return SimpleNamespace(_handle=lib.lt_handle_running(handle._shim)), handle, end.release
"""

LOCK = "it, release = held(allocate_lock())"
RLOCK = "it, release = held(RLock())"
THREAD = "it, handle, release = held_thread()"

WAITS = {
    "lock.acquire()": (LOCK, "it.acquire()"),
    "lock.acquire(True)": (LOCK, "it.acquire(True)"),
    "lock.acquire(timeout=60)": (LOCK, "it.acquire(timeout=60)"),
    "with lock": (LOCK, "it.__enter__()"),
    "RLock.acquire()": (RLOCK, "it.acquire()"),
    "RLock.acquire(timeout=60)": (RLOCK, "it.acquire(timeout=60)"),
    "with RLock": (RLOCK, "it.__enter__()"),
    "RLock._acquire_restore": (RLOCK, "it._acquire_restore((1, 0))"),
    "join()": (THREAD, "handle.join()"),
    "join(60)": (THREAD, "handle.join(60)"),
    "_shutdown()": (THREAD, "lowthreads._shutdown()"),
}

BODY = """
    {before}

    def waiting():
        {wait}
        ended.append(True)

    def patient():
        # The main thread's wait has gone on to its second kind.
        return os.name != "posix" or bool(_wait._found)

    def collecting():
        await_waiter(it)
        for _ in range(3):
            gc.collect()
        if sys.argv[1] == "patient":
            wait_until(patient)
            gc.collect()
        assert not ended
        release()

    ended = []
    if sys.argv[1] == "thread":
        start_new_thread(waiting, ())
        collecting()
        wait_until(lambda: ended)
    else:
        start_new_thread(collecting, ())
        waiting()
    print("ended")
"""


# _acquire_restore looks at no signals, and so has no patient part.
CASES = [
    (wait, waiter)
    for wait in WAITS
    for waiter in ("thread", "brief", "patient")
    if (wait, waiter) != ("RLock._acquire_restore", "patient")
]


@pytest.mark.parametrize(("wait", "waiter"), CASES)
def test_the_world_can_be_stopped_during_a_wait(wait: str, waiter: str) -> None:
    before, statement = WAITS[wait]
    body = textwrap.dedent(BODY).replace("{before}", before).replace("{wait}", statement)
    assert run_child(PRELUDE + body, waiter).stdout == "ended\n"


def test_the_world_can_be_stopped_while_threads_start() -> None:
    run_child(
        PRELUDE
        + textwrap.dedent("""
        started, ends = [], []

        def collecting():
            while not ends:
                gc.collect()
                time.sleep(0.0001)  # PyPy lets others run once in thousands of steps
                started.append(len(started))

        start_new_thread(collecting, ())
        for number in range(50):
            for _ in range(4):
                start_new_thread(int, ())
            lib.lt_ffi_await_arrivals()  # as at exit
            wait_until(lambda: len(started) > number)
        ends.append(True)
        """)
    )


def test_the_world_can_be_stopped_while_the_interpreter_ends() -> None:
    run_child(
        PRELUDE
        + textwrap.dedent("""
        def collecting():
            while True:
                gc.collect()
                time.sleep(0.0001)

        for _ in range(2):
            start_new_thread(collecting, ())
        handles = [start_joinable_thread(gc.collect, daemon=False) for _ in range(4)]
        """)
    )


@pytest.mark.skipif(WITH_GIL, reason="there is a GIL, or it was turned on")
def test_the_extension_leaves_the_gil_off() -> None:
    child = run_child(
        """
        import sys
        import lowthreads

        lock = lowthreads.allocate_lock()
        with lock:
            pass
        print(sys._is_gil_enabled())
        """
    )
    assert child.stdout == "False\n"
