"""A fork leaves the child one thread, and a module that is as new.  All in child processes."""

from __future__ import annotations

import sys

import pytest

from forking import forked_by_both, needs_fork, run
from support import PYPY, run_child

pytestmark = needs_fork


@forked_by_both
@pytest.mark.parametrize("others", ["no", "waiting", "running", "starting"])
def test_the_child_uses_locks_and_threads(others: str, by: str) -> None:
    run(
        """
        lock, others = held(), sys.argv[2]
        for _ in range(4):
            if others == "waiting":
                start_new_thread(lock.acquire, ())
                start_new_thread(lock.acquire, (True, 60))
            elif others == "running":
                start_new_thread(run_for_ever, ())
        if others == "waiting":
            await_waiter(lock)
        for _ in range(20 if others == "starting" else 3):
            if others == "starting":
                for _ in range(3):
                    start_new_thread(int, ())
            join(fork_by(use_locks_and_threads))
        if others == "waiting":
            assert _count() >= 8
            for _ in range(8):
                lock.release()
                wait_until(lock.locked)
            wait_until(lambda: _count() == 0)
            assert lock.acquire(False) is False
        """,
        by,
        others,
    )


@forked_by_both
def test_threads_that_waited_do_not_get_the_lock_in_the_child(by: str) -> None:
    run(
        """
        lock = held()
        for _ in range(4):
            start_new_thread(lock.acquire, ())
        await_waiter(lock)
        time.sleep(0.01)  # longer than a waiter waits before it is handed the lock

        def child():
            # The stacks of the threads that waited are free for others.
            done = allocate_lock()
            for _ in range(8):
                done.acquire()
                start_new_thread(done.release, ())
                assert done.acquire(timeout=60)
                done.release()
            lock.release()
            assert lock.acquire(timeout=60)
            start_new_thread(lock.acquire, ())
            await_waiter(lock)
            lock.release()
            wait_until(lambda: _count() == 0)
            assert lock.locked()

        by = sys.argv[1]
        join(fork_by(child))
        for _ in range(4):
            lock.release()
            wait_until(lock.locked)
        """,
        by,
    )


@forked_by_both
def test_the_count_in_the_parent_is_not_changed_by_a_fork(by: str) -> None:
    run(
        """
        gate = held()
        for _ in range(7):
            start_new_thread(gate.acquire, ())
        for _ in range(3):
            join(fork_by(use_locks_and_threads))
            wait_until(lambda: _count() == 7)
        """,
        by,
    )


@forked_by_both
def test_a_child_forks_children(by: str) -> None:
    run(
        """
        start_new_thread(run_for_ever, ())

        def child(depth):
            use_locks_and_threads()
            gate = held()
            start_new_thread(gate.acquire, ())
            if depth:
                join(fork_by(child, depth - 1))
            wait_until(lambda: _count() == 1)

        join(fork_by(child, 3))
        """,
        by,
    )


@forked_by_both
def test_at_fork_reinit_frees_a_lock_that_others_held_and_waited_for(by: str) -> None:
    run(
        """
        lock = allocate_lock()
        taken = held()
        start_new_thread(lambda: (lock.acquire(), taken.release(), time.sleep(600)), ())
        taken.acquire()
        last = 0
        for _ in range(3):
            start_new_thread(lock.acquire, ())
            last = await_waiter(lock, last)

        def child():
            assert lock.locked() and not lock.acquire(False)
            lock._at_fork_reinit()
            assert not lock.locked()
            assert lock.acquire() and not lock.acquire(timeout=0.01)
            start_new_thread(lock.acquire, ())
            await_waiter(lock)
            lock.release()
            wait_until(lambda: _count() == 0)
            assert lock.locked()

        join(fork_by(child))
        assert lock.locked()
        """,
        by,
    )


@forked_by_both
@pytest.mark.parametrize("blocked_in", ["acquire", "acquire with a timeout", "sleep", "code"])
def test_interrupt_main_interrupts_the_thread_that_forked(blocked_in: str, by: str) -> None:
    if (blocked_in, by) == ("code", "thread") and sys.version_info >= (3, 13):
        pytest.skip("there, CPython 3.13+ runs no handlers between steps of Python code")
    run(
        """
        blocked_in = sys.argv[2]
        lock = held()
        # The parent's main thread may be anywhere.
        start_new_thread(lock.acquire, ())
        await_waiter(lock)

        def interrupt(mine):
            if blocked_in.startswith("acquire"):
                await_waiter(mine)
            time.sleep(0.02)  # nothing tells when a thread sleeps
            interrupt_main()

        def child():
            mine = held()
            for _ in range(3):
                began = time.monotonic()
                try:
                    start_new_thread(interrupt, (mine,))
                    if blocked_in == "acquire":
                        mine.acquire()
                    elif blocked_in == "acquire with a timeout":
                        mine.acquire(timeout=60)
                    elif blocked_in == "sleep":
                        time.sleep(60)
                    else:
                        wait_until(lambda: False)
                except KeyboardInterrupt:
                    assert time.monotonic() - began < 5
                else:
                    raise AssertionError("not interrupted")
                assert mine.locked()
            assert threading.main_thread().ident == get_ident()

        join(fork_by(child))
        """,
        by,
        blocked_in,
    )


@pytest.mark.parametrize("waits", ["briefly", "patiently"])
def test_waits_in_the_child_take_signals_as_the_thread_that_forked_did(
    waits: str,
) -> None:
    # The main thread, which waits, has a signal blocked; the one that forks does not.
    run(
        """
        def child():
            signal.signal(signal.SIGUSR1, raising)
            mine = held()
            assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])
            for _ in range(3):
                start_new_thread(send, (mine,))
                began = time.monotonic()
                try:
                    mine.acquire(timeout=20)
                except Hit:
                    assert time.monotonic() - began < 5
                else:
                    raise AssertionError("the signal did not end the wait")
                assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])

        def send(mine):
            await_waiter(mine)
            time.sleep(0.02)  # until it is no brief wait
            interrupt_main(signal.SIGUSR1)

        def forking():
            await_waiter(lock)
            if sys.argv[2] == "patiently":
                time.sleep(0.05)
            try:
                join(fork(child))
            finally:
                lock.release()

        lock = held()
        start_new_thread(forking, ())
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        lock.acquire()
        """,
        "main",
        waits,
    )


def test_no_signal_is_missed_in_a_child_whose_parent_waited_patiently() -> None:
    run(
        """
        def child():
            signal.signal(signal.SIGUSR1, raising)
            signal.signal(signal.SIGUSR2, lambda *args: None)
            me, mine = os.getpid(), held()
            sending = os.fork()
            if sending == 0:
                for number in range(20000):
                    os.kill(me, signal.SIGUSR2)
                    until = time.perf_counter() + number * 0.618034 % 1 * 1e-4
                    while time.perf_counter() < until:
                        pass
                os.kill(me, signal.SIGUSR1)
                os._exit(0)
            began = time.monotonic()
            try:
                mine.acquire(timeout=30)
            except Hit:
                pass
            assert time.monotonic() - began < 25

        def forking():
            await_waiter(lock)
            time.sleep(0.05)
            try:
                join(fork(child))
            finally:
                lock.release()

        lock = held()
        start_new_thread(forking, ())
        lock.acquire()
        """,
        "main",
    )


def test_the_patient_waits_of_parent_and_child_do_not_meet() -> None:
    # Both wait long enough to sleep patiently, again and again, and are woken.
    run(
        """
        ROUNDS = 100

        def give(lock):
            for _ in range(ROUNDS):
                await_waiter(lock)
                time.sleep(0.007)
                lock.release()

        def take():
            lock = held()
            start_new_thread(give, (lock,))
            for number in range(ROUNDS):
                assert lock.acquire(timeout=20), number

        lock = held()
        start_new_thread(lambda: (time.sleep(0.02), lock.release()), ())
        lock.acquire()  # patiently: what such waits need is there when the fork is made
        children = [fork(take), fork_in_thread(take)]
        take()
        for pid in children:
            join(pid)
        """,
        "main",
    )


def test_a_waiting_main_thread_is_not_woken_by_signals_and_waits_in_the_child() -> None:
    run(
        """
        def child():
            mine = held()
            signal.signal(signal.SIGALRM, raising)
            for _ in range(20):
                try:
                    signal.setitimer(signal.ITIMER_REAL, 0.007)
                    mine.acquire()
                except Hit:
                    pass
            assert mine.acquire(timeout=0.02) is False

        def forking():
            await_waiter(lock)
            time.sleep(0.02)
            try:
                join(fork(child))
                ended.append(1)
            finally:
                lock.release()

        ended, lock = [], held()
        start_new_thread(forking, ())
        assert lock.acquire(timeout=60) is True
        assert ended
        """,
        "main",
    )


def test_a_child_ends_the_usual_way_too() -> None:
    # Through the interpreter's end, that is, and not by os._exit.
    run(
        """
        import faulthandler
        # In the child, its thread is gone, and the interpreter's end waits for it.
        faulthandler.cancel_dump_traceback_later()

        lock = held()
        for _ in range(3):
            start_new_thread(lock.acquire, ())
            start_new_thread(run_for_ever, ())
        for number in range(20):
            start_new_thread(int, ())
            pid = os.fork()
            if pid == 0:
                start_new_thread(int, ())
                start_new_thread(run_for_ever, ())
                sys.exit(number)
            status = os.waitpid(pid, 0)[1]
            assert os.WIFEXITED(status), status
            assert os.WEXITSTATUS(status) == number
        """,
        "main",
    )


def test_a_hook_from_before_may_wait_for_a_thread_that_starts() -> None:
    # As that of concurrent.futures.thread does, for a lock of who starts one.
    child = run_child(
        """
        import os

        def hook():
            ended = allocate_lock()
            ended.acquire()
            start_new_thread(ended.release, ())
            assert ended.acquire(timeout=50)

        os.register_at_fork(before=lambda: hook())

        from lowthreads import allocate_lock, start_new_thread

        for _ in range(20):
            pid = os.fork()
            if pid == 0:
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
        print("forked")
        """,
        options=("-W", "ignore:This process:DeprecationWarning"),
    )
    assert child.stdout == "forked\n"


def test_a_join_ends_in_the_child_of_a_handlers_fork() -> None:
    run(
        """
        from lowthreads import start_joinable_thread, waits
        from support import wait_until

        gate, pids, main = held(), [], get_ident()
        handle = start_joinable_thread(gate.acquire)
        signal.signal(signal.SIGUSR1, lambda *_: pids.append(os.fork()))

        def send():
            wait_until(lambda: any(wait.ident == main for wait in waits()))
            signal.pthread_kill(main, signal.SIGUSR1)
            wait_until(lambda: pids)
            gate.release()

        start_new_thread(send, ())
        handle.join()
        assert handle.is_done()
        if pids == [0]:
            os._exit(0)
        join(pids[0])
        """,
        "main",
    )


@pytest.mark.skipif(PYPY, reason="it has no tracemalloc")
@pytest.mark.skipif(sys.version_info >= (3, 13), reason="_thread hangs, too: README, known limits")
def test_a_fork_waits_for_no_thread_whose_start_is_traced() -> None:
    run_child(
        """
        import os, tracemalloc
        from lowthreads import _count, start_joinable_thread, start_new_thread
        from support import wait_until

        def start_for_ever():
            while going:
                for handle in [start_joinable_thread(int) for _ in range(4)]:
                    handle.join()

        going = True
        tracemalloc.start()
        for _ in range(3):
            start_new_thread(start_for_ever, ())
        for _ in range(200):
            pid = os.fork()
            if pid == 0:
                os._exit(0)
            os.waitpid(pid, 0)
        going = False
        wait_until(lambda: _count() == 0)
        """,
        options=["-W", "ignore:This process:DeprecationWarning"],
    )
