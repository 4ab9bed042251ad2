"""Ctrl-C on Windows: real events of a console, which each child has one of its own of."""

from __future__ import annotations

import sys
import textwrap

import pytest
from marks import wine_cannot
from test_interrupts import run

pytestmark = pytest.mark.skipif(sys.platform != "win32", reason="needs a console of Windows")

CONSOLE = """
from lowthreads import RLock, start_joinable_thread

def press_ctrl_c():
    # To all processes of this console, among which there is only this one.  The system then
    # calls the C runtime on a thread of its own.
    os.kill(0, signal.CTRL_C_EVENT)

def never():
    lock = held()
    return lock, lock

def joined():
    from types import SimpleNamespace
    from lowthreads._lib import lib
    handle = start_joinable_thread(held().acquire)
    return handle, SimpleNamespace(_handle=lib.lt_handle_running(handle._shim))

def elsewhere():
    rlock, taken = RLock(), held()
    start_new_thread(lambda: (rlock.acquire(), taken.release(), held().acquire()), ())
    taken.acquire()
    return rlock, rlock

# What makes it, with that which await_waiter can see; and the wait.
BLOCKERS = {
    "lock": (never, lambda it: it.acquire()),
    "lock, timeout": (never, lambda it: it.acquire(timeout=60)),
    "with lock": (never, enter),
    "RLock": (elsewhere, lambda it: it.acquire()),
    "RLock, timeout": (elsewhere, lambda it: it.acquire(timeout=60)),
    "join": (joined, lambda it: it.join()),
    "join, timeout": (joined, lambda it: it.join(60)),
}
"""


def run_console(body: str, *args: object) -> str:
    return run(CONSOLE + textwrap.dedent(body), *args)


@pytest.mark.parametrize("pause", [0, 0.05])
@pytest.mark.parametrize(
    "blocker",
    ["lock", "lock, timeout", "with lock", "RLock", "RLock, timeout", "join", "join, timeout"],
)
def test_ctrl_c_ends_the_wait(blocker: str, pause: float) -> None:
    run_console(
        """
        make, wait = BLOCKERS[sys.argv[1]]
        it, awaited = make()
        pressed, took = [], []

        def press():
            await_waiter(awaited)
            time.sleep(float(sys.argv[2]))  # longer than a brief wait
            pressed.append(time.perf_counter())
            press_ctrl_c()

        for _ in range(11):
            def blocked():
                start_new_thread(press, ())
                wait(it)
            until_hit(blocked, KeyboardInterrupt)
            took.append(time.perf_counter() - pressed[-1])
        took.sort()
        print(f"median {took[5] * 1e3:.2f} ms, worst {took[-1] * 1e3:.2f} ms")
        assert took[5] < 0.05, took
        """,
        blocker,
        pause,
    )


@wine_cannot("its GenerateConsoleCtrlEvent refuses CTRL_BREAK_EVENT")
def test_ctrl_break_ends_the_wait() -> None:
    run_console("""
        lock = held()

        def press():
            await_waiter(lock)
            time.sleep(0.05)
            os.kill(0, signal.CTRL_BREAK_EVENT)

        signal.signal(signal.SIGBREAK, raising)
        for _ in range(5):
            def blocked():
                start_new_thread(press, ())
                lock.acquire()
            until_hit(blocked)
        """)


def test_ctrl_c_is_handled_in_the_wait_which_goes_on() -> None:
    run_console("""
        handled, lock = [], held()

        def handler(signum, frame):
            handled.append(get_ident())
            if len(handled) == 5:
                lock.release()

        def press():
            for number in range(5):
                await_waiter(lock)
                press_ctrl_c()
                wait_until(lambda: len(handled) > number)

        signal.signal(signal.SIGINT, handler)
        start_new_thread(press, ())
        assert lock.acquire(timeout=60) is True
        assert handled == [get_ident()] * 5
        """)


def test_no_ctrl_c_is_missed_at_the_start_of_a_wait() -> None:
    run_console("""
        lock, go, rounds = held(), held(), 300

        def press():
            for number in range(rounds):
                go.acquire()
                spin(number * 7)
                press_ctrl_c()

        def wait():
            go.release()
            lock.acquire()

        start_new_thread(press, ())
        for number in range(rounds):
            until_hit(wait, KeyboardInterrupt)
        """)


def test_ctrl_c_ends_a_process_whose_threads_all_wait_for_ever() -> None:
    run_console("""
        import subprocess

        lock = held()
        for _ in range(3):
            start_new_thread(lock.acquire, ())
        await_waiter(lock)
        # By another process of this console, which is interrupted, too.
        press = "import os, signal; os.kill(0, signal.CTRL_C_EVENT)"
        with subprocess.Popen([sys.executable, "-c", press], stderr=subprocess.DEVNULL):
            until_hit(lock.acquire, KeyboardInterrupt)
        """)


def test_ctrl_c_and_interrupt_main_at_once_leave_the_process_alive() -> None:
    # C's raise takes the handler away for a moment: a Ctrl-C would end the process then.
    run_console("""
        handled, stop, ended = [], [], held()
        signal.signal(signal.SIGINT, lambda *args: handled.append(1))

        def interrupt():
            while not stop:
                interrupt_main()
                time.sleep(0)
            ended.release()

        start_new_thread(interrupt, ())
        for _ in range(300):
            press_ctrl_c()
            held().acquire(timeout=0.001)
        stop.append(1)
        ended.acquire()
        assert handled
        """)
