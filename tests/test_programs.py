"""Whole programs, as somebody else would write them: timeouts, interrupts, stacks, crowds."""

from __future__ import annotations

import sys

import pytest

from support import run_child


def test_timeouts_are_kept_and_never_early() -> None:
    run_child("""
        import time
        import lowthreads

        lock = lowthreads.allocate_lock()
        lock.acquire()
        for timeout in (0.0001, 0.0005, 0.001, 0.0015, 0.007, 0.02, 0.1, 0.25):
            late = []
            for _ in range(5):
                began = time.perf_counter()
                assert lock.acquire(timeout=timeout) is False
                late.append(time.perf_counter() - began - timeout)
            print(timeout, sorted(late))
            assert min(late) >= 0, "early"
            assert sorted(late)[2] < 0.05, "late"
        assert lock.acquire(True, 0) is False and lock.acquire(False) is False
        """)


LONGEST = """
    import sys, time
    from lowthreads import TIMEOUT_MAX, allocate_lock, start_new_thread
    from support import await_waiter, wait_until

    lock, got = allocate_lock(), []
    lock.acquire()
    timeout = eval(sys.argv[1])

    def wait():
        got.append(lock.acquire(True, timeout))

    def release():
        await_waiter(lock)
        time.sleep(0.2)
        assert not got
        lock.release()

    start_new_thread(release, ())
    wait()  # the main thread waits otherwise than others
    assert got == [True]
    got.clear()
    start_new_thread(wait, ())
    release()
    wait_until(lambda: got)
    assert got == [True]
    try:
        lock.acquire(True, TIMEOUT_MAX * 1.01)
    except OverflowError:
        pass
    else:
        raise AssertionError("accepted")
    """


@pytest.mark.parametrize("timeout", ["2.0 ** 31", "2.0 ** 32 / 1000 + 1", "TIMEOUT_MAX", "-1"])
def test_the_longest_timeouts_end_by_the_release_alone(timeout: str) -> None:
    run_child(LONGEST, timeout)


def test_two_thousand_threads_at_once() -> None:
    run_child("""
        import lowthreads
        from support import wait_until

        COUNT = 2000
        lowthreads.stack_size(128 << 10)
        gate, mutex = lowthreads.allocate_lock(), lowthreads.allocate_lock()
        idents, ended = [], 0

        def work():
            global ended
            idents.append(lowthreads.get_ident())
            with gate:
                pass
            with mutex:
                ended += 1

        with gate:
            started = {lowthreads.start_new_thread(work, ()) for _ in range(COUNT)}
            wait_until(lambda: len(idents) == COUNT)
            assert lowthreads._count() == COUNT
            assert started == set(idents) and len(started) == COUNT
        wait_until(lambda: lowthreads._count() == 0)
        assert ended == COUNT
        """)


def test_two_thousand_threads_one_after_the_other() -> None:
    run_child("""
        import lowthreads

        done = 0

        def work():
            global done
            done += 1

        for _ in range(2000):
            lowthreads.start_joinable_thread(work, name="worker").join()
        assert done == 2000 and lowthreads._count() == 0
        """)


@pytest.mark.skipif(sys.platform != "win32", reason="counts the handles of Windows")
def test_threads_and_waits_leave_no_handles_behind() -> None:
    run_child("""
        import ctypes, time
        import lowthreads
        from support import wait_until

        kernel = ctypes.WinDLL("kernel32")
        kernel.GetCurrentProcess.restype = ctypes.c_void_p

        def handles():
            count = ctypes.c_ulong()
            process = ctypes.c_void_p(kernel.GetCurrentProcess())
            assert kernel.GetProcessHandleCount(process, ctypes.byref(count))
            return count.value

        lock = lowthreads.allocate_lock()
        lock.acquire()

        def work():
            lock.acquire(timeout=0.001)

        def work_often():
            for _ in range(10):
                threads = [lowthreads.start_joinable_thread(work) for _ in range(50)]
                for thread in threads:
                    thread.join()
            lock.acquire(timeout=0.05)  # patiently

        work_often()
        before = handles()
        for _ in range(3):
            work_often()
        wait_until(lambda: handles() < before + 50)  # threads end soon after they have run
        """)


def test_a_pipeline_of_threads_that_ctrl_c_ends() -> None:
    # interrupt_main stands for Ctrl-C; tests/test_console.py presses it.
    run_child("""
        import queue, time
        import lowthreads

        lowthreads.install()
        import threading

        jobs, results = queue.Queue(), queue.Queue()

        def worker():
            while (job := jobs.get()) is not None:
                results.put(job * job)

        workers = [threading.Thread(target=worker) for _ in range(8)]
        for thread in workers:
            thread.start()
        for number in range(1000):
            jobs.put(number)
        assert sum(results.get() for _ in range(1000)) == sum(n * n for n in range(1000))
        threading.Timer(0.1, lowthreads.interrupt_main).start()
        began = time.monotonic()
        try:
            results.get()
        except KeyboardInterrupt:
            took = time.monotonic() - began
        for _ in workers:
            jobs.put(None)
        for thread in workers:
            thread.join()
        assert 0.09 < took < 5, took
        """)


@pytest.mark.skipif(sys.platform != "win32", reason="the C runtime's signals of Windows")
@pytest.mark.parametrize("name", ["SIGINT", "SIGBREAK", "SIGTERM", "SIGABRT"])
@pytest.mark.parametrize("how", ["signal.raise_signal", "_thread.interrupt_main"])
def test_others_ways_to_interrupt_end_waits_as_well(how: str, name: str) -> None:
    run_child(
        """
        import _thread, signal, sys, time
        import lowthreads
        from support import await_waiter

        interrupt, signum = eval(sys.argv[1]), getattr(signal, sys.argv[2])
        lock, sent = lowthreads.allocate_lock(), []
        lock.acquire()

        def stop(signum, frame):
            raise InterruptedError

        def send():
            await_waiter(lock)
            time.sleep(0.02)
            sent.append(time.perf_counter())
            interrupt(signum)

        signal.signal(signum, stop)
        took = []
        for number in range(9):
            lowthreads.start_new_thread(send, ())
            try:
                lock.acquire() if number % 2 else lock.acquire(timeout=60)
            except InterruptedError:
                took.append(time.perf_counter() - sent[-1])
        print(sorted(took))
        assert len(took) == 9 and sorted(took)[4] < 0.05
        """,
        how,
        name,
    )
