"""What tests of forks share: all of it is run in child processes."""

from __future__ import annotations

import os
import textwrap

import pytest

from support import LIMIT, run_child

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")

PRELUDE = """
import os, signal, sys, threading, time, traceback
from lowthreads import _count, allocate_lock, get_ident, interrupt_main, start_new_thread
from support import await_waiter, wait_until

class Hit(Exception):
    pass

def raising(signum, frame):
    raise Hit

def held():
    lock = allocate_lock()
    lock.acquire()
    return lock

def run_for_ever():
    while True:
        sum(range(100))

def fork(function, *args):
    # Forks a process that calls the function; returns its pid.
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            function(*args)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    return pid

def join(pid):
    assert os.waitpid(pid, 0)[1] == 0

def fork_in_thread(function, *args):
    # The same, by another thread than the main one.
    pids = []
    start_new_thread(lambda: pids.append(fork(function, *args)), ())
    wait_until(lambda: pids)
    return pids[0]

fork_by = {"main": fork, "thread": fork_in_thread}[sys.argv[1]]

def use_locks_and_threads():
    # In a process that has one thread.
    assert _count() == 0
    lock, ended, idents = allocate_lock(), held(), []
    assert lock.acquire() and not lock.acquire(False) and not lock.acquire(timeout=0.02)
    lock.release()
    with lock:
        assert lock.locked()

    def function(number):
        with lock:
            idents.append(get_ident())
        ended.release()

    for number in range(20):
        start_new_thread(function, (number,))
        assert ended.acquire(timeout=60)
    wait_until(lambda: _count() == 0)
    assert get_ident() not in idents
    gate = held()
    for _ in range(5):
        start_new_thread(gate.acquire, ())
    assert _count() == 5
    await_waiter(gate)
    for _ in range(5):
        gate.release()
        wait_until(gate.locked)
    wait_until(lambda: _count() == 0)
"""

forked_by_both = pytest.mark.parametrize("by", ["main", "thread"])


def run(body: str, by: str, *args: object, timeout: float = LIMIT) -> str:
    # CPython 3.12+ warns of every fork of a process with threads.
    options = ("-W", "ignore:This process:DeprecationWarning")
    source = PRELUDE + textwrap.dedent(body)
    return run_child(source, by, *args, timeout=timeout, options=options).stdout
