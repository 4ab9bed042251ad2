"""Programs that hang, and programs that don't, under `python -m lowthreads run`.

`LOWTHREADS_HEALTHY_SECONDS` (1) and `LOWTHREADS_HAND_OFFS` (10000) are for how long healthy
programs are watched.  `pytest -s` prints how long after it closed a deadlock was reported.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from test_watchdog import command, run

from support import LIMIT, PYPY, WITH_GIL, environment

HEALTHY_SECONDS = float(os.environ.get("LOWTHREADS_HEALTHY_SECONDS", "1"))
HAND_OFFS = int(os.environ.get("LOWTHREADS_HAND_OFFS", "10000"))

IN_TIME = 10.0
"""Seconds for a report that takes less than 0.1 where nobody else uses the machine."""

linux = pytest.mark.skipif(sys.platform != "linux", reason="tells threads that aren't Python's")
posix = pytest.mark.skipif(os.name == "nt", reason="by a signal, or by libc")


@contextmanager
def started(tmp_path: Path, options: list[str], body: str) -> Iterator[subprocess.Popen[str]]:
    """Start a program, and kill it in the end if it hangs."""
    child = subprocess.Popen(
        command(tmp_path, options, body),
        env=environment(),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait(LIMIT)
        for pipe in (child.stdout, child.stderr):
            if pipe is not None:
                pipe.close()


# ---- What hangs -------------------------------------------------------------------------

# Each says `closing()` where it would stop for ever.
HANGS = {
    "two locks": (
        """
        locks, barrier = [threading.Lock(), threading.Lock()], threading.Barrier(2)
        def take(i):
            with locks[i]:
                barrier.wait()
                closing()
                with locks[1 - i]:
                    pass
        for i in range(2):
            threading.Thread(target=take, args=(i,), name=f"t{i}").start()
        """,
        ["Deadlock 1: 2 threads\n", " holds lock 0x", " in take\n"],
    ),
    "64 threads": (
        "cycle(64, at_last=closing); threading.Event().wait(60)",
        ["Deadlock 1: 64 threads\n", " 64. t", " in take_two\n"],
    ),
    "RLock and join": (
        """
        lock = threading.RLock()
        def want():
            closing()
            with lock:
                pass
        def run():
            with lock:
                thread = threading.Thread(target=want, name="wants", daemon=True)
                thread.start()
                thread.join()
        threading.Thread(target=run, name="joins", daemon=True).start()
        time.sleep(60)
        """,
        ["Deadlock 1: 2 threads\n", "waits for the end of wants", "waits for RLock 0x"],
    ),
    "finalizer": (
        """
        import gc
        lock = threading.Lock()
        class Thing:
            def __del__(self):
                closing()
                with lock:
                    pass
        with lock:
            Thing()
            gc.collect()
        """,
        ["Deadlock 1: 1 thread\n", "owned by itself", ", in __del__\n"],
    ),
}

# Only Linux is sure that they do.
STUCK = {
    "pool": (
        """
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(1) as executor:
            def outer():
                inner = executor.submit(int)
                closing()
                return inner.result()
            executor.submit(outer).result()
        """,
        ["2 threads, and none is left", "MainThread waits for Future.result", ", in outer\n"],
    ),
    "condition": (
        """
        condition = threading.Condition()
        with condition:
            closing()
            condition.wait()
        """,
        ["1 thread, and none is left", "MainThread waits for Condition.wait", ", in <module>\n"],
    ),
    "queue": (
        """
        import queue
        jobs = queue.Queue()
        def work():
            closing()
            jobs.get()
        threading.Thread(target=work, name="worker").start()
        """,
        ["worker waits for Queue.get", ", in work\n", "MainThread waits for the end of worker"],
    ),
}


def reported(tmp_path: Path, name: str, body: str, expected: list[str]) -> None:
    with started(tmp_path, ["--on-deadlock=abort"], body) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        lines = []
        while not (lines and lines[-1].startswith("Deadlock 1: ")):
            lines.append(child.stderr.readline())
            assert lines[-1], "".join(lines)
        at = time.monotonic()
        report = "".join(lines) + child.stderr.read()
        closed = max(map(float, child.stdout.read().split()))
        child.wait(LIMIT)
    for each in expected:
        assert each in report, report
    assert child.returncode == 70
    assert report.count("Deadlock") == 1
    print(f"{name}: reported after {(at - closed) * 1000:.0f} ms")
    assert at - closed < IN_TIME


@pytest.mark.parametrize("name", HANGS)
def test_a_deadlock_is_named(tmp_path: Path, name: str) -> None:
    reported(tmp_path, name, *HANGS[name])


@linux
@pytest.mark.parametrize("name", STUCK)
def test_a_process_that_is_stuck_is_told(tmp_path: Path, name: str) -> None:
    reported(tmp_path, name, *STUCK[name])


# ---- What doesn't -----------------------------------------------------------------------

HEALTHY = {
    "a slow owner": """
        lock = threading.Lock()
        def hold():
            with lock:
                time.sleep(0.3)
        threads = [threading.Thread(target=hold) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        """,
    "the handler of a signal": """
        import signal
        event = threading.Event()
        signal.signal(signal.SIGINT, lambda *_: event.set())
        def send():
            # A process of its own: no thread of this one is left.
            import subprocess
            program = f"import os, time; time.sleep(0.3); os.kill({os.getpid()}, {signal.SIGINT})"
            subprocess.Popen([sys.executable, "-c", program])
        send()
        event.wait()
        """,
    "threads that start": """
        for _ in range(300):
            thread = threading.Thread(target=int)
            thread.start()
            thread.join()
        """,
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_program_is_left_alone(tmp_path: Path, name: str) -> None:
    if name == "the handler of a signal" and os.name == "nt":
        pytest.skip("no signals from other processes")
    assert run(tmp_path, ["--on-deadlock=abort"], HEALTHY[name]).stderr == ""


def test_a_thread_that_is_not_pythons_may_end_it(tmp_path: Path) -> None:
    body = """
        import faulthandler
        faulthandler.dump_traceback_later(1, exit=True)
        threading.Event().wait()
        """
    done = run(tmp_path, ["--on-deadlock=abort"], body, status=1)
    assert done.stderr.startswith("Timeout")
    done = run(tmp_path, ["--report-after=0.2"], body, status=1)
    if sys.platform == "linux":
        assert (
            ", unless the handler of a signal does, or a thread that isn't Python's" in done.stderr
        )


def test_healthy_events_and_conditions_are_left_alone(tmp_path: Path) -> None:
    body = f"""
        import queue, random
        from concurrent.futures import ThreadPoolExecutor
        over = time.monotonic() + {HEALTHY_SECONDS}
        def events():
            mine = [threading.Event() for _ in range(200)]
            with ThreadPoolExecutor(len(mine)) as executor:
                waits = [executor.submit(event.wait) for event in mine]
                random.shuffle(mine)
                for event in mine:
                    event.set()
        def conditions(condition=threading.Condition(), state=[0]):
            for i in range(100):
                with condition:
                    if state[0] % 2:
                        state[0] += 1
                        condition.notify_all()
                        condition.wait_for(lambda now=state[0]: state[0] != now, timeout=0.01)
                    else:
                        state[0] += 1
                        condition.notify_all()
        def queues(jobs=queue.Queue(2), results=queue.Queue()):
            with ThreadPoolExecutor(2) as executor:
                taken = [executor.submit(jobs.get) for _ in range(50)]
                for i in range(50):
                    jobs.put(i)
                assert sorted(each.result() for each in taken) == list(range(50))
        def barriers(barrier=threading.Barrier(2)):
            with ThreadPoolExecutor(2) as executor:
                list(executor.map(lambda _: barrier.wait(), range(100)))
        def repeat(function):
            while time.monotonic() < over:
                function()
        threads = [threading.Thread(target=repeat, args=(each,))
                   for each in (events, conditions, queues, barriers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        """
    done = run(tmp_path, ["--on-deadlock=abort"], body, limit=LIMIT + 3 * HEALTHY_SECONDS)
    assert done.stderr == ""


def test_hand_offs_are_left_alone(tmp_path: Path) -> None:
    body = f"""
        ping, pong = threading.Lock(), threading.Lock()
        ping.acquire(), pong.acquire()
        def play(mine, other):
            for _ in range({HAND_OFFS} // 2):
                mine.acquire()
                other.release()
        threads = [threading.Thread(target=play, args=pair)
                   for pair in ((ping, pong), (pong, ping))]
        for thread in threads:
            thread.start()
        ping.release()
        for thread in threads:
            thread.join()
        """
    done = run(tmp_path, ["--on-deadlock=abort"], body, limit=LIMIT + HAND_OFFS / 2000)
    assert done.stderr == ""


# ---- Ended by an exception --------------------------------------------------------------


def test_deadlocks_end_with_an_exception_each_and_the_program_goes_on(tmp_path: Path) -> None:
    body = """
        import sys, traceback

        def tell(args):  # at one go: the interpreter's own would mingle the threads' lines
            sys.stderr.write("".join(traceback.format_exception(*args[:3])))

        threading.excepthook = tell
        for i in range(3):
            cycle(2 + i)
        while threading.active_count() > 1:
            time.sleep(0.01)
        print("over")
        """
    done = run(tmp_path, ["--on-deadlock=raise"], body)
    assert done.stdout.endswith("over\n")
    assert done.stderr.count("\nlowthreads.DeadlockError: deadlock of ") == 3, done.stderr
    for count in (2, 3, 4):
        assert f": {count} threads\n" in done.stderr
        assert f"\nlowthreads.DeadlockError: deadlock of {count} threads: t" in done.stderr
    assert ", in take_two; t" in done.stderr


@pytest.mark.parametrize("kind", ["Lock", "RLock"])
def test_a_deadlock_of_the_main_thread_ends_there(tmp_path: Path, kind: str) -> None:
    body = f"""
        import lowthreads
        first, second = threading.{kind}(), threading.{kind}()
        taken = threading.Event()
        def other():
            with second:
                taken.set()
                with first:
                    told.append("other has both")
        told = []
        thread = threading.Thread(target=other)
        try:
            with first:
                thread.start()
                taken.wait()
                while not any(wait.ident == thread.ident for wait in lowthreads.waits()):
                    time.sleep(0.001)
                with second:
                    pass
        except lowthreads.DeadlockError as error:
            assert error.deadlock.sure
            assert "MainThread waits for " in str(error)
            told.append(len(error.deadlock.waits))
        thread.join()
        print(*sorted(map(str, told)))
        """
    done = run(tmp_path, ["--on-deadlock=raise"], body)
    assert done.stdout == "2 other has both\n"
    assert "\nDeadlock 1: 2 threads\n" in done.stderr


@linux
def test_nothing_is_raised_where_all_are_stuck(tmp_path: Path) -> None:
    body = "threading.Condition(threading.Lock()).__enter__(); threading.Event().wait()"
    with started(tmp_path, ["--on-deadlock=raise"], body) as child:
        assert child.stderr is not None
        while not child.stderr.readline().startswith("Deadlock 1: 1 thread, and none is left"):
            assert child.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.3)


# ---- When the interpreter is busy -------------------------------------------------------

# The mutex is locked once more, in C: no signal ends that.  PyDLL keeps the GIL.
IN_C = """
    import ctypes
    libc = ctypes.{dll}(None)
    mutex = ctypes.create_string_buffer(256)
    libc.pthread_mutex_lock(mutex)
    cycle(2, threading.RLock)
    lock = threading.Lock()
    lock.acquire()
    threading.Thread(target=lock.acquire, daemon=True).start()
    time.sleep({seconds})
    print("now", flush=True)
    libc.pthread_mutex_lock(mutex)
    """
keeps_gil = pytest.mark.skipif(PYPY or not WITH_GIL, reason="nothing keeps the GIL")


def report_in_c(tmp_path: Path, dll: str, options: list[str], signum: int | None, end: str) -> str:
    body = textwrap.dedent(IN_C).format(dll=dll, seconds=0.2)
    with started(tmp_path, options, body) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.readline() == "now\n"
        over = threading.Event()

        def send() -> None:
            # Again, for the first one may come while the thread is still in Python.
            while signum is not None and not over.wait(0.3):
                child.send_signal(signum)

        sender = threading.Thread(target=send)
        sender.start()
        lines: list[str] = []
        while not (lines and lines[-1].startswith(end)):
            lines.append(child.stderr.readline())
            if not lines[-1]:
                break
        over.set()
        sender.join()
        return "".join(lines)


@posix
@keeps_gil
@pytest.mark.parametrize("signum", [None, getattr(signal, "SIGQUIT", None)])
def test_the_shim_reports_when_c_code_keeps_the_gil(tmp_path: Path, signum: int | None) -> None:
    options = ["--on-deadlock=ignore", f"--report-after={60 if signum else 0.9}"]
    report = report_in_c(tmp_path, "PyDLL", options, signum, "  Deadlock: ")
    first = report.index("lowthreads: the interpreter lets no other thread run for ")
    for expected in (
        " s now; 3 wait\n",
        " waits for RLock 0x",
        " waits for lock 0x",
        ", taken by ",
    ):
        assert expected in report[first:], report
    last = report.splitlines()[-1]
    assert last.count("native ") == 3
    assert last.split(" -> ")[0].replace("  Deadlock: ", "") == last.split(" -> ")[2]


@posix
def test_the_watchdog_reports_when_the_main_thread_can_not(tmp_path: Path) -> None:
    options = ["--on-deadlock=ignore", "--report-after=60"]
    report = report_in_c(tmp_path, "CDLL", options, signal.SIGQUIT, "Deadlock 1: 2 threads")
    assert "libc.pthread_mutex_lock(mutex)" in report
