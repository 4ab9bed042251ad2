"""shutdown() waits for all threads, and names those that don't end."""

from __future__ import annotations

import os
import threading

import pytest

import lowthreads
from support import PYPY, run_child, wait_until


def test_it_returns_when_all_have_ended() -> None:
    child = run_child("""
        import time
        from lowthreads import allocate_lock, shutdown, start_joinable_thread, start_new_thread

        ended = []
        def function(seconds):
            time.sleep(seconds)
            ended.append(seconds)

        assert shutdown(0) == shutdown(-1) == []
        for number in range(5):
            start_new_thread(function, (0.02 * number,))
            start_joinable_thread(lambda: function(0.03), daemon=bool(number % 2))
        start_new_thread(time.sleep, (0.1,))
        assert shutdown(30) == []
        assert len(ended) == 10
        """)
    assert child.stdout == ""


def test_it_names_the_others() -> None:
    child = run_child("""
        import os, sys, threading, time
        from lowthreads import shutdown

        running = threading.Event()

        def run_for_ever():
            running.set()
            while True:
                sum(range(100))

        threading.Thread(target=run_for_ever, name="a runner", daemon=True).start()
        running.wait()
        began = time.monotonic()
        (found,) = shutdown(0.2)
        assert time.monotonic() - began >= 0.2
        print(found.name, found.doing)
        sys.stdout.flush()
        os._exit(0)
        """)
    assert child.stdout.startswith('a runner runs at "<string>", line ')
    assert child.stdout.endswith(", in run_for_ever\n")


def test_what_waits_in_lowthreads_is_told_with_its_owner() -> None:
    child = run_child("""
        import os, sys, time
        from lowthreads import allocate_lock, shutdown, start_new_thread
        from support import await_waiter

        lock = allocate_lock()

        def wait_for_lock():
            with lock:
                pass

        with lock:
            start_new_thread(wait_for_lock, ())
            start_new_thread(time.sleep, (60,))
            await_waiter(lock)
            print(*sorted(each.doing for each in shutdown(0.05)), sep="\\n")
        sys.stdout.flush()
        os._exit(0)
        """)
    sleeps, waits = child.stdout.splitlines()
    assert waits.startswith("waits for lock 0x")
    assert ", owned by MainThread for 0.1 s at " in waits or " for 0.0 s at " in waits
    assert "in wait_for_lock" in waits
    assert sleeps == "runs no Python code"


def test_a_thread_does_not_wait_for_itself_or_the_main_one() -> None:
    found: list[object] = []
    before = threading.active_count()
    thread = threading.Thread(target=lambda: found.append(lowthreads.shutdown(0.01)))
    lowthreads_thread = lowthreads.start_joinable_thread(
        lambda: found.append(lowthreads.shutdown(0.01))
    )
    lowthreads_thread.join()
    thread.start()
    thread.join()
    wait_until(lambda: threading.active_count() <= before)
    names = [each.name for each in found[0] + found[1]]  # type: ignore[operator]
    assert "MainThread" not in names


def test_wrong_timeouts() -> None:
    for wrong in (-2, float("nan")):
        with pytest.raises(ValueError, match=r"timeout value|Invalid value NaN"):
            lowthreads.shutdown(wrong)
    with pytest.raises(OverflowError):
        lowthreads.shutdown(1e300)
    with pytest.raises(TypeError):
        lowthreads.shutdown("1")  # type: ignore[arg-type]


def test_those_of_the_interpreters_own_module_are_told_too() -> None:
    child = run_child("""
        import _thread, os, sys, time
        from lowthreads import shutdown, start_joinable_thread, start_new_thread
        from support import wait_until

        def run_for_ever():
            running.append(True)
            while True:
                sum(range(100))

        def tell():
            told.append([each.doing.partition(" at ")[0] for each in shutdown(0)])

        running, told = [], []
        _thread.start_new_thread(run_for_ever, ())
        _thread.start_new_thread(time.sleep, (60,))
        wait_until(lambda: running and _thread._count() == 2)
        start_new_thread(time.sleep, (60,))
        tell()
        start_joinable_thread(tell).join()
        for each in told:
            print(*sorted(each), sep=", ")
        sys.stdout.flush()
        os._exit(0)
        """)
    first, second = child.stdout.splitlines()
    assert first == second == "runs, runs no Python code, runs no Python code"


@pytest.mark.skipif(PYPY, reason="no finalizers run at the end, and threads go on")
def test_it_names_them_as_late_as_in_a_finalizer() -> None:
    child = run_child(
        """
        import lowthreads
        from support import collect_at_the_end

        class Ending:
            def __init__(self):
                self.itself = self

            def __del__(self, shutdown=lowthreads.shutdown):
                print(len(shutdown(0)), len(shutdown(0.05)))

        lock = lowthreads.allocate_lock()
        lock.acquire()
        lowthreads.start_new_thread(lock.acquire, ())
        collect_at_the_end()
        Ending()
        """
    )
    assert child.stdout == "1 1\n"


@pytest.mark.skipif(os.name == "nt", reason="pthread_create")
def test_they_are_told_to_a_thread_that_other_c_code_started() -> None:
    child = run_child("""
        import ctypes, time
        from lowthreads import allocate_lock, shutdown, start_new_thread
        from support import await_waiter

        def tell(nothing):
            for each in shutdown(0):
                print(each.doing.partition(" 0x")[0])
            told.release()
            return 0

        told, lock = allocate_lock(), allocate_lock()
        told.acquire(), lock.acquire()
        start_new_thread(lock.acquire, ())
        await_waiter(lock)
        start_new_thread(time.sleep, (60,))
        libc, thread = ctypes.CDLL(None), ctypes.c_ulong()
        body = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(tell)
        assert libc.pthread_create(ctypes.byref(thread), None, body, None) == 0
        assert told.acquire(timeout=60)
        libc.pthread_join(thread, None)
        lock.release()
        """)
    assert sorted(child.stdout.splitlines()) == ["runs no Python code", "waits for lock"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_the_child_of_a_fork_has_none_of_its_parents() -> None:
    child = run_child(
        """
        import _thread, os, time
        from lowthreads import shutdown
        from support import wait_until

        def fork():
            pid = os.fork()
            if pid == 0:
                assert shutdown(0) == []
                _thread.start_new_thread(time.sleep, (60,))
                wait_until(lambda: shutdown(0))
                (found,) = shutdown(0)
                os._exit(0 if found.doing == "runs no Python code" else 1)
            return os.waitpid(pid, 0)[1] == 0

        for _ in range(3):
            _thread.start_new_thread(time.sleep, (60,))
        wait_until(lambda: _thread._count() == 3)
        assert fork()
        forked = []
        _thread.start_new_thread(lambda: forked.append(fork()), ())
        wait_until(lambda: forked)
        assert forked == [True]
        os._exit(0)
        """,
        options=["-W", "ignore:This process:DeprecationWarning"],
    )
    assert child.stdout == ""
