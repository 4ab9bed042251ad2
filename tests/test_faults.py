"""What the system refuses, or does at the wrong time: an error, or correct waiting.

Each test runs in a process of its own, into which tests/c/faults.c is loaded first: it lets
calls fail that the shim makes, and no others.  Afterwards all must work as before.
"""

from __future__ import annotations

import ctypes
import errno
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import support

SOURCE = Path(__file__).resolve().parent / "c" / "faults.c"


def _newest_version() -> str:
    """The version of condition variables in this machine's C library."""
    libc = ctypes.CDLL(None)
    find = libc.dlvsym
    find.restype = ctypes.c_void_p
    for version in ("GLIBC_2.3.2", "GLIBC_2.17", "GLIBC_2.27", "GLIBC_2.2"):
        if find(None, b"pthread_cond_wait", version.encode()):
            return version
    pytest.skip("no version of pthread_cond_wait known in this C library")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not sys.platform.startswith("linux"):
        pytest.skip("LD_PRELOAD as on Linux")
    output = tmp_path_factory.mktemp("faults") / "faults.so"
    flags = ["-std=gnu11", "-O1", "-fno-optimize-sibling-calls", "-shared", "-fPIC"]
    command = ["cc", *flags, f'-DVERSION="{_newest_version()}"', str(SOURCE), "-o", str(output)]
    try:
        done = subprocess.run([*command, "-ldl"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no C compiler cc")
    assert done.returncode == 0, done.stderr
    return output


@pytest.fixture(autouse=True)
def _preloaded(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD", str(library))


PRELUDE = """
import ctypes, sys, threading, time
import lowthreads
from support import run_threads, wait_until

NO_THREAD, NO_MEMORY, SPURIOUS, INTERRUPTED, CLOCK, NO_MEMORY_THERE = range(6)
faults = ctypes.CDLL(None)
faults.faults_set.argtypes = [ctypes.c_int, ctypes.c_long]
faults.faults_count.restype = ctypes.c_long


def set_fault(kind, setting):
    faults.faults_set(kind, setting)


def count(kind):
    return faults.faults_count(kind)


def check_all_works():
    lock = lowthreads.allocate_lock()
    assert run_threads(*[lambda i=i: i * i for i in range(4)]) == [0, 1, 4, 9]
    assert lock.acquire() and not lock.acquire(timeout=0.001)
    lock.release()
    result = []
    handle = lowthreads.start_joinable_thread(lambda: result.append(1))
    handle.join()
    assert result == [1]
    wait_until(lambda: lowthreads._count() == 0)
"""


def run(source: str, *args: object) -> str:
    return support.run_child(PRELUDE + textwrap.dedent(source), *args).stdout


def test_no_thread() -> None:
    run(
        """
        import errno

        starts = (
            lambda: lowthreads.start_new_thread(print, ("started",)),
            lambda: lowthreads.start_joinable_thread(lambda: print("started")),
            lambda: lowthreads.start_joinable_thread(lambda: print("started"), handle),
        )
        for error in (errno.EAGAIN, errno.EPERM, errno.EINVAL, errno.ENOMEM):
            handle = lowthreads._ThreadHandle()
            set_fault(NO_THREAD, error)
            for start in starts:
                try:
                    start()
                except RuntimeError as error:
                    assert str(error).startswith("can't start new thread"), error
                else:
                    raise AssertionError("it started")
                assert lowthreads._count() == 0
            assert count(NO_THREAD) == 3
            assert not handle.is_done()
            set_fault(NO_THREAD, 0)
            result = []
            lowthreads.start_joinable_thread(lambda: result.append(2), handle).join()
            assert result == [2] and handle.is_done()
            check_all_works()
        """
    )


@pytest.mark.skipif(support.PYPY, reason="PyPy itself ends the process then")
@pytest.mark.parametrize("refused", [1, 2, 20])
def test_a_thread_that_lacks_memory_for_its_state_begins_when_there_is_some(refused: int) -> None:
    run(
        """
        refused = int(sys.argv[1])
        for start in (lowthreads.start_new_thread, lowthreads.start_joinable_thread):
            ran = lowthreads.allocate_lock()
            ran.acquire()
            set_fault(NO_MEMORY_THERE, refused)
            start(ran.release, *([()] if start is lowthreads.start_new_thread else []))
            assert ran.acquire(timeout=30)
            assert count(NO_MEMORY_THERE) == refused, count(NO_MEMORY_THERE)
            set_fault(NO_MEMORY_THERE, 0)
            check_all_works()
        """,
        refused,
    )


def test_a_program_runs_on_without_the_watchdog_if_there_are_no_threads() -> None:
    body = """
        import os
        from lowthreads._watchdog import Options, start_from_environment

        set_fault(NO_THREAD, 11)
        Options("report", 0.0, "").to_environment(os.environ)
        start_from_environment()
        print("on")
        """
    child = support.run_child(PRELUDE + textwrap.dedent(body), check=False)
    assert (child.returncode, child.stdout) == (0, "on\n")
    assert child.stderr.startswith("lowthreads: no watchdog: can't start new thread: [Errno 11]")


def test_joiners_of_a_start_that_fails() -> None:
    """Whoever waits for a handle whose start fails goes on, each time."""
    run(
        f"""
        handle = lowthreads._ThreadHandle()

        def fails():
            for _ in range(300):
                set_fault(NO_THREAD, {errno.EAGAIN})
                try:
                    lowthreads.start_joinable_thread(lambda: None, handle)
                except RuntimeError:
                    pass
            set_fault(NO_THREAD, 0)
            lowthreads.start_joinable_thread(lambda: None, handle)

        def joins():
            while not handle.is_done():
                try:
                    handle.join()
                except RuntimeError as error:
                    assert str(error) == "thread not started", error

        threads = [threading.Thread(target=joins) for _ in range(2)]  # of the interpreter's
        for thread in threads:
            thread.start()
        fails()
        for thread in threads:
            thread.join()
        check_all_works()
        """
    )


def test_no_memory() -> None:
    """Each allocation of the shim fails once, on every path that starts a thread."""
    output = run(
        """
        def all_paths():
            done = lowthreads.allocate_lock()
            done.acquire()
            lowthreads.start_new_thread(done.release, ())
            done.acquire()
            result = []
            lowthreads.start_joinable_thread(lambda: result.append(1)).join()
            assert result == [1]
            handle = lowthreads._ThreadHandle()
            lowthreads.start_joinable_thread(lambda: None, handle).join()
            run_threads(lambda: threading.get_ident())
            run_threads(lowthreads._set_sentinel)
            wait_until(lambda: lowthreads._count() == 0)

        all_paths()
        set_fault(NO_MEMORY, 1 << 30)
        all_paths()
        allocations = count(NO_MEMORY)
        assert allocations >= 4, allocations
        failed = 0
        for i in range(1, allocations + 1):
            set_fault(NO_MEMORY, i)
            try:
                all_paths()
            except (RuntimeError, MemoryError):
                failed += 1
            assert count(NO_MEMORY) >= i
            set_fault(NO_MEMORY, 0)
            wait_until(lambda: lowthreads._count() == 0)
            check_all_works()
        assert failed > 0
        print(allocations, failed)
        """
    )
    allocations, failed = map(int, output.split())
    assert failed == allocations


@pytest.mark.parametrize("kind", ["SPURIOUS", "INTERRUPTED"])
@pytest.mark.parametrize("patient", [False, True])
def test_sleeps_that_end_early(kind: str, patient: bool) -> None:
    """Two of three sleeps end for no reason, or as if for a signal: waits last as long as ever."""
    output = run(
        """
        kind = {"SPURIOUS": SPURIOUS, "INTERRUPTED": INTERRUPTED}[sys.argv[1]]
        patient = sys.argv[2] == "True"  # the main thread waits: briefly, and in poll

        def use_locks():
            lock, counts = lowthreads.allocate_lock(), [0]
            rlock = lowthreads.RLock()

            def work():
                for _ in range(100):
                    with lock:
                        before = counts[0]
                        time.sleep(0)
                        counts[0] = before + 1
                    with rlock, rlock:
                        pass

            run_threads(*[work] * 4)
            assert counts == [400]

        def time_out():
            lock = lowthreads.allocate_lock()
            lock.acquire()
            start = time.monotonic()
            assert not lock.acquire(timeout=0.2)
            assert 0.2 <= time.monotonic() - start < 20
            rlock = lowthreads.RLock()
            run_threads(rlock.acquire)
            start = time.monotonic()
            assert not rlock.acquire(timeout=0.05)
            assert time.monotonic() - start >= 0.05

        set_fault(kind, 2)
        use_locks()
        if patient:
            time_out()
        else:
            run_threads(time_out)
        print(count(kind))
        set_fault(kind, 0)
        check_all_works()
        """,
        kind,
        patient,
    )
    if kind == "SPURIOUS" or patient:  # a condition variable knows no signals
        assert int(output) > 0


def test_wall_clock() -> None:
    """Time-outs follow a clock that nobody sets."""
    run(
        """
        over = lowthreads.allocate_lock()
        over.acquire()
        wall = []

        def set_clock():
            hours = 3600
            while not over.acquire(timeout=0.01):  # PyPy's own waits follow the wall clock
                set_fault(CLOCK, hours)
                wall.append(time.time())
                hours = -hours

        thread = lowthreads.start_joinable_thread(set_clock)

        def time_out(seconds):
            lock = lowthreads.allocate_lock()
            lock.acquire()
            start = time.monotonic()
            assert not lock.acquire(timeout=seconds)
            assert seconds <= time.monotonic() - start < 20, time.monotonic() - start
            handle = lowthreads.start_joinable_thread(lock.acquire)
            handle.join(seconds)
            assert not handle.is_done()
            lock.release()
            handle.join()

        for seconds in (0.0001, 0.01, 0.3):
            time_out(seconds)
            run_threads(lambda: time_out(seconds))
        over.release()
        thread.join()
        assert max(wall) - min(wall) > 3600  # it was set back and forth
        set_fault(CLOCK, 0)
        check_all_works()
        """
    )


def test_too_large_a_stack() -> None:
    run(
        """
        lowthreads.stack_size(1 << 46)
        for start in (lowthreads.start_new_thread, lowthreads.start_joinable_thread):
            try:
                start(print, *(("started",),) * (start is lowthreads.start_new_thread))
            except RuntimeError as error:
                assert "stack size 70368744177664" in str(error), error
            else:
                raise AssertionError("it started")
        lowthreads.stack_size(0)
        check_all_works()
        """
    )


def test_stack_limit() -> None:
    """With little address space left there is no room for stacks; with some again there is."""
    run(
        """
        import resource
        check_all_works()
        lowthreads.stack_size(64 << 20)
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        with open("/proc/self/statm") as statm:
            used = int(statm.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (32 << 20), hard))
        try:
            lowthreads.start_new_thread(print, ("started",))
        except RuntimeError as error:
            assert str(error).startswith("can't start new thread"), error
        else:
            raise AssertionError("it started")
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        check_all_works()
        """
    )


def test_thread_limit() -> None:
    """RLIMIT_NPROC, which holds for all users but root."""
    run(
        """
        import os, resource
        check_all_works()
        if os.getuid() == 0:
            os.setuid(65534)
        soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
        resource.setrlimit(resource.RLIMIT_NPROC, (1, hard))
        others = []
        try:
            for _ in range(2):  # with nobody else's, one would be allowed
                lowthreads.start_new_thread(time.sleep, (0.2,))
        except RuntimeError as error:
            assert "RLIMIT_NPROC 1" in str(error), error
        else:
            raise AssertionError("both started")
        resource.setrlimit(resource.RLIMIT_NPROC, (soft, hard))
        check_all_works()
        """
    )
