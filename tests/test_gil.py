"""What can't block keeps the GIL; what may block lets it go, for as long as it waits.

With a switch interval of 1000 s a thread has the GIL until it lets it go itself: then
another thread's progress tells whether it did.  Everything runs in child processes, where
a wait that keeps the GIL hangs until the child's limit.
"""

from __future__ import annotations

import os
import signal
import sys
import textwrap

import pytest

from support import PYPY, WITH_GIL, end_child, run_child, start_child

with_a_gil = pytest.mark.skipif(
    PYPY or not WITH_GIL,
    reason="only CPython with a GIL keeps it",
)

PRELUDE = """
import sys, time
import lowthreads
from lowthreads import allocate_lock, get_ident, start_new_thread
from support import await_waiter, wait_until

def held():
    lock = allocate_lock()
    lock.acquire()
    return lock
"""

KEEPS = {
    "acquire and release": "lock.acquire(); lock.release()",
    "acquire(True, 60) and release": "lock.acquire(True, 60); lock.release()",
    "with": "with lock: pass",
    "acquire(False), taken": "taken.acquire(False)",
    "acquire(timeout=0), taken": "taken.acquire(timeout=0)",
    "locked": "taken.locked()",
    "get_ident": "get_ident()",
    "get_native_id": "lowthreads.get_native_id()",
    "allocate_lock": "allocate_lock()",
    "stack_size": "lowthreads.stack_size(0)",
    "_count": "lowthreads._count()",
}

COUNTS = """
    lock, taken = allocate_lock(), held()
    count = stop = 0

    def counter():
        global count
        while not stop:
            count += 1
            time.sleep(0.00001)  # gives the GIL back to who waits for it

    start_new_thread(counter, ())
    wait_until(lambda: count)
    sys.setswitchinterval(1000)
    time.sleep(0.01)  # now the counter waits for the GIL for that interval
    before = count
    for _ in range(int(sys.argv[1])):
        {statement}
    print(count - before)
    stop = 1
    wait_until(lambda: not lowthreads._count())
"""


def count_while(statement: str, times: int) -> int:
    """Return how often another thread had the GIL while a statement ran many times."""
    body = textwrap.dedent(COUNTS).replace("{statement}", statement)
    return int(run_child(PRELUDE + body, times).stdout)


@with_a_gil
@pytest.mark.parametrize("name", KEEPS)
def test_what_can_not_block_keeps_the_gil(name: str) -> None:
    assert count_while(KEEPS[name], 100_000) == 0


@with_a_gil
def test_the_start_of_a_thread_keeps_the_gil() -> None:
    assert count_while("start_new_thread(int, ())", 50) == 0


@with_a_gil
@pytest.mark.parametrize("statement", ["time.sleep(0.0001)", "taken.acquire(timeout=0.0001)"])
def test_what_lets_the_gil_go_is_noticed(statement: str) -> None:
    assert count_while(statement, 2000) > 0


@pytest.mark.parametrize("waiter", ["main", "thread"])
@pytest.mark.parametrize(
    "wait", ["lock.acquire()", "lock.acquire(True)", "lock.acquire(timeout=60)", "with lock: pass"]
)
def test_a_wait_lets_other_threads_run_python_code(wait: str, waiter: str) -> None:
    body = textwrap.dedent("""
        lock, ended = held(), held()

        def waiting():
            {wait}
            ended.release()

        def working():
            await_waiter(lock)  # many bytecodes, and more than a brief wait
            for _ in range(30):
                time.sleep(0.001)
                sum(range(1000))
            lock.release()

        sys.setswitchinterval(1000)
        if sys.argv[1] == "main":
            start_new_thread(working, ())
            waiting()
        else:
            start_new_thread(waiting, ())
            working()
        assert ended.acquire(timeout=60)
        """).replace("{wait}", wait)
    run_child(PRELUDE + body, waiter)


def test_a_wait_that_times_out_lets_other_threads_run_python_code() -> None:
    run_child(
        PRELUDE
        + textwrap.dedent("""
        lock, worked = held(), []

        def working():
            await_waiter(lock)
            worked.append(lock.locked())

        sys.setswitchinterval(1000)
        start_new_thread(working, ())
        while not worked:
            assert not lock.acquire(timeout=0.05)
        """)
    )


@pytest.mark.parametrize("start", ["last", "atexit", "late atexit"])
def test_the_wait_for_starting_threads_at_exit_lets_them_run(start: str) -> None:
    # They need the GIL to arrive; that the interpreter waits for it, they could prevent.
    child = run_child(
        """
        import atexit, sys

        late = []

        @atexit.register  # before lowthreads does so: runs after it
        def run_late():
            for function in late:
                function()

        from lowthreads import start_new_thread

        def start():
            for _ in range(5):
                start_new_thread(int, ())
            print("started")

        sys.setswitchinterval(1000)
        if sys.argv[1] == "late atexit":
            late.append(start)
        elif sys.argv[1] == "atexit":
            atexit.register(start)
        else:
            start()
        """,
        start,
    )
    assert child.stdout == "started\n"


@pytest.mark.skipif(
    os.name == "nt", reason="Windows: no signal from one process to another; test_console.py has it"
)
@pytest.mark.parametrize("others", [0, 2])
def test_a_process_whose_threads_all_wait_for_ever_can_be_interrupted(others: int) -> None:
    child = start_child(
        PRELUDE
        + textwrap.dedent("""
        lock = held()
        for _ in range(int(sys.argv[1])):
            start_new_thread(lock.acquire, ())
        wait_until(lambda: lowthreads._count() == int(sys.argv[1]))
        try:
            print("waiting", flush=True)
            lock.acquire()
        except KeyboardInterrupt:
            print("interrupted", lock.locked())
        """),
        others,
    )
    assert child.stdout is not None
    if child.stdout.readline() == "waiting\n":
        os.kill(child.pid, signal.SIGINT)
    stdout, stderr = end_child(child)
    assert (stdout, stderr, child.returncode) == ("interrupted True\n", "", 0)


@with_a_gil
@pytest.mark.skipif(sys.version_info < (3, 14), reason="it takes the lock first: docs/design.md")
@pytest.mark.skipif(sys.platform != "linux", reason="tells by /proc that a thread sleeps")
def test_a_thread_that_was_woken_takes_the_lock_when_it_has_the_gil() -> None:
    # Unless it has waited for 1 ms, and is handed the lock: then once more.
    run_child(
        PRELUDE
        + """
import ctypes, os
from support import newest_waiter

keeps_gil = ctypes.PyDLL(None)

def status(file):
    # Its state (S: it sleeps), and how often it has gone to sleep.
    text = ctypes.create_string_buffer(5000)
    assert keeps_gil.pread(file, text, 4999, 0) > 0
    fields = dict(line.split(":", 1) for line in text.value.decode().splitlines())
    return fields["State"].split()[0], int(fields["voluntary_ctxt_switches"])

def try_once():
    lock, begins, threads = held(), held(), []

    def wait():
        threads.append(lowthreads.get_native_id())
        begins.acquire()
        lock.acquire()

    start_new_thread(wait, ())
    await_waiter(begins)
    file = os.open(f"/proc/self/task/{threads[0]}/status", os.O_RDONLY)
    begins.release()
    while not newest_waiter(lock) or status(file)[0] != "S":
        time.sleep(0)
    slept = status(file)[1]
    lock.release()
    while status(file)[1] == slept:
        pass
    free = not lock.locked()  # and so it sleeps for the GIL
    os.close(file)
    return free

sys.setswitchinterval(1000)
wait_until(try_once)
"""
    )
