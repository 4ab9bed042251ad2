"""The pytest plugin, in pytest processes of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Callable

import pytest

import lowthreads
from support import LIMIT

pytest_plugins = ["pytester"]

Run = Callable[..., pytest.RunResult]

PRELUDE = """
SLEEP = "import time; time.sleep(60)"

import threading, time
import pytest

def lock_crosswise(kind=threading.Lock):
    a, b, barrier = kind(), kind(), threading.Barrier(2)
    def take(first, second):
        with first:
            barrier.wait()
            with second:
                pass
    threads = [threading.Thread(target=take, args=pair, name=name)
               for pair, name in (((a, b), "left"), ((b, a), "right"))]
    for thread in threads:
        thread.start()
    return threads
"""

HEALTHY = """
def test_healthy():
    event = threading.Event()
    thread = threading.Thread(target=event.wait)
    thread.start()
    event.set()
    thread.join()
    assert type(threading.Lock()).__mro__[1].__module__ == "lowthreads"
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run pytest, by default with the plugin, on these tests."""
    path = [str(Path(lowthreads.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, path)))

    def run_pytest(
        source: str, *options: str, plugin: tuple[str, ...] = ("-p", "lowthreads.pytest")
    ) -> pytest.RunResult:
        pytester.makepyfile(PRELUDE + source)
        return pytester.runpytest_subprocess(*plugin, *options, timeout=LIMIT)

    return run_pytest


@pytest.mark.parametrize("kind", ["Lock", "RLock"])
def test_a_deadlock_fails_with_its_cycle_and_later_tests_go_on(run: Run, kind: str) -> None:
    source = f"""
def test_deadlock():
    for thread in lock_crosswise(threading.{kind}):
        thread.join()
"""
    done = run(source + HEALTHY, "-W", "error")
    done.assert_outcomes(failed=1, passed=1)
    done.stdout.fnmatch_lines(
        [
            "*DeadlockError: *",
            "*- lowthreads: deadlock -*",
            "lowthreads: * threads, * 1 deadlock *",
            "Deadlock 1: 2 threads",
        ]
    )
    thing = {"Lock": "lock", "RLock": "RLock"}[kind]
    for holder, owner in (("left", "right"), ("right", "left")):
        line = f"  ?. {holder} holds {thing} 0x*, waits for {thing} 0x*, owned by {owner} for *"
        done.stdout.fnmatch_lines([line, "    at *line *, in take"])


def test_the_test_itself_in_a_deadlock(run: Run) -> None:
    source = """
def test_deadlock():
    lock = threading.Lock()
    def take():
        with lock:
            pass
    thread = threading.Thread(target=take, name="taker")
    with lock:
        thread.start()
        thread.join()
"""
    done = run(source + HEALTHY)
    done.assert_outcomes(failed=1, passed=1)
    done.stdout.fnmatch_lines([">*thread.join()", "Deadlock 1: 2 threads"])
    line = "  ?. MainThread holds lock 0x*, waits for the end of taker for *"
    done.stdout.fnmatch_lines([line, "    at *.py*in test_deadlock"])
    done.stdout.fnmatch_lines(["  ?. taker waits for lock 0x*, owned by MainThread for *"])


@pytest.mark.parametrize("where", ["setup", "teardown"])
def test_a_deadlock_in_a_fixture(run: Run, where: str) -> None:
    source = f"""
def lock_twice():
    lock = threading.Lock()
    with lock, lock:
        pass

@pytest.fixture
def hangs():
    if "{where}" == "setup":
        lock_twice()
    yield
    lock_twice()

def test_fixture(hangs):
    pass
"""
    done = run(source + HEALTHY)
    done.assert_outcomes(errors=1, passed=1 + (where == "teardown"))
    done.stdout.fnmatch_lines([f"*ERROR at {where} of test_fixture*", "Deadlock 1: 1 thread"])


def test_a_test_that_swallows_the_error_fails(run: Run) -> None:
    source = """
def test_deadlock():
    try:
        for thread in lock_crosswise():
            thread.join()
    except Exception:
        pass
"""
    done = run(source)
    done.assert_outcomes(failed=1)


STUCK = """
def test_condition():
    condition = threading.Condition()
    with condition:
        condition.wait()

def test_pool():
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: pool.submit(int).result()).result()
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="who else runs can't be told")
@pytest.mark.parametrize(
    "options", [[], ["--timeout=50"], ["--timeout=50", "--timeout-method=thread"]]
)
def test_a_test_in_which_all_threads_wait(run: Run, options: list[str]) -> None:
    done = run(STUCK + HEALTHY, *options)
    done.assert_outcomes(failed=2, passed=1)
    done.stdout.fnmatch_lines(["Deadlock 1: 1 thread, and none is left to end that"])
    done.stdout.fnmatch_lines(["  ?. MainThread waits for Condition.wait (lock 0x*) for * s"])
    done.stdout.fnmatch_lines(["Deadlock 1: 2 threads, and none is left to end that"])
    done.stdout.fnmatch_lines(["  ?. ThreadPoolExecutor-* waits for Future.result *"])


WAYS_TO_BE_SLOW = {
    "lowthreads": "threading.Event().wait(60)",
    "sleep": "time.sleep(60)",
    "child": "import subprocess, sys; subprocess.run([sys.executable, '-c', SLEEP])",
    "socket": "import socket; pair = socket.socketpair(); pair[0].recv(1)",
    "busy": "while True: pass",
    "pool": """
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(1) as pool:
        pool.submit(threading.Event().wait, 60).result()
""",
}


@pytest.mark.parametrize("way", WAYS_TO_BE_SLOW)
def test_a_test_over_its_limit_fails_with_the_dump(run: Run, way: str) -> None:
    source = f"""
def test_slow():
    {WAYS_TO_BE_SLOW[way]}
"""
    done = run(source + HEALTHY, "--lowthreads-limit=0.5")
    outcomes = done.parseoutcomes()
    assert (outcomes["failed"], outcomes["passed"]) == (1, 1)
    done.stdout.fnmatch_lines(
        ["*Failed: lowthreads: over the limit of 0.5 s", "*- lowthreads: over the limit *-*"]
    )
    done.stdout.fnmatch_lines(["MainThread (ident *", "*in test_slow"])


def test_limits_of_the_marker_and_the_ini_file(run: Run, pytester: pytest.Pytester) -> None:
    source = """
@pytest.mark.lowthreads_limit(0.3)
def test_marked():
    time.sleep(60)

@pytest.mark.lowthreads_limit(0)
def test_unlimited():
    time.sleep(0.8)

def test_default():
    time.sleep(60)
"""
    pytester.makeini("[pytest]\nlowthreads = true\nlowthreads_limit = 0.6\n")
    done = run(source, "-p", "lowthreads.pytest", "--strict-markers", plugin=())
    done.assert_outcomes(failed=2, passed=1)
    done.stdout.fnmatch_lines(["*over the limit of 0.3 s", "*over the limit of 0.6 s"])


def test_what_can_not_be_ended_ends_the_process(run: Run) -> None:
    source = """
def test_stubborn():
    print("captured before")
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass
"""
    done = run(source, "--lowthreads-limit=0.3")
    assert done.ret == 1
    done.stderr.fnmatch_lines(
        ["captured before", "*test_stubborn can't be ended", "*in test_stubborn"]
    )


LEAKS = """
@pytest.fixture(scope="module")
def server():
    stop, lock = threading.Event(), threading.Lock()
    thread = threading.Thread(target=stop.wait, name="server")
    thread.start()
    lock.acquire()
    yield lock
    stop.set()
    thread.join()

def test_leaks(server):
    global held
    held = threading.Lock(), threading.RLock()
    def hold():
        held[1].acquire()
    threading.Thread(target=threading.Event().wait, name="leaked", daemon=True).start()
    thread = threading.Thread(target=hold)
    thread.start()
    thread.join()
    held[0].acquire()

def test_clean(server):
    threading.Thread(target=time.sleep, args=(0.01,)).start()
    with threading.Lock():
        pass
"""


def test_leaks_are_named_in_warnings(run: Run) -> None:
    done = run(LEAKS)
    done.assert_outcomes(passed=2, warnings=1)
    done.stdout.fnmatch_lines(["*LeakWarning: left behind: thread leaked runs, in Event.wait*"])
    done.stdout.fnmatch_lines(["*; lock held by MainThread, made at *.py:*"])
    done.stdout.fnmatch_lines(["*; RLock held by a thread that has ended, made at *.py:*"])
    done.stdout.no_fnmatch_line("*thread server*")


def test_leaks_can_fail_or_be_ignored(run: Run) -> None:
    done = run(LEAKS, "--lowthreads-leaks=fail")
    done.assert_outcomes(passed=2, errors=1)
    done.stdout.fnmatch_lines(["*ERROR at teardown of test_leaks*", "left behind: thread leaked*"])
    run(LEAKS, "--lowthreads-leaks=ignore").assert_outcomes(passed=2)


INVERSION = """
def test_one_order():
    global a, b
    a = threading.Lock()
    b = threading.Lock()
    with a, b:
        pass

def test_other_order():
    with b, a:
        pass

def test_same_order_again():
    with a, b:
        pass
"""


def test_lock_order(run: Run, pytester: pytest.Pytester) -> None:
    done = run(INVERSION, "--lowthreads-lock-order")
    done.assert_outcomes(failed=1, passed=2)
    done.stdout.fnmatch_lines(["*- lowthreads: lock order inversion -*", "*in test_other_order"])
    done.stdout.fnmatch_lines(["*in test_one_order"])
    accepted = next(line for line in done.outlines if "to accept it: " in line)
    pair = accepted.partition("to accept it: ")[2]
    pytester.makeini(
        "[pytest]\nlowthreads = true\nlowthreads_lock_order = true\n"
        f"lowthreads_accepted_orders =\n    # a test's own\n    {pair}\n"
    )
    run(INVERSION).assert_outcomes(passed=3)


def test_locks_held_are_named_with_lock_order_too(run: Run) -> None:
    done = run(LEAKS, "--lowthreads-lock-order")
    done.stdout.fnmatch_lines(["*; lock held by MainThread, made at *.py:*"])


def test_it_is_inert_until_asked_for(run: Run, pytester: pytest.Pytester) -> None:
    source = """
def test_native():
    assert type(threading.Lock()).__module__ == "_thread"
    assert "lowthreads" not in type(threading.Lock()).__mro__[-2].__module__
"""
    code = "import sys, pytest, lowthreads.pytest as p; sys.exit(pytest.main(plugins=[p]))"
    pytester.makepyfile(PRELUDE + source)
    command = [sys.executable, "-c", code]
    pytester.run(*command, timeout=LIMIT).assert_outcomes(passed=1)
    pytester.run(*command, "--lowthreads-limit=50", timeout=LIMIT).assert_outcomes(failed=1)


def test_collecting_only(run: Run) -> None:
    done = run(HEALTHY, "--co", "-q")
    done.stdout.fnmatch_lines(["*::test_healthy", "1 test collected*"])


def test_output_not_captured(run: Run) -> None:
    done = run("def test_deadlock(): [t.join() for t in lock_crosswise()]\n", "-s")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["Deadlock 1: 2 threads"])


BESIDE = """
def test_deadlock():
    for thread in lock_crosswise():
        thread.join()

def test_acquires_itself():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()

def test_slow():
    time.sleep(60)

def test_leak():
    threading.Thread(target=threading.Event().wait, name="leaked", daemon=True).start()
"""


def test_beside_xdist(run: Run) -> None:
    pytest.importorskip("xdist")
    done = run(BESIDE + HEALTHY, "-n", "2", "--lowthreads-limit=2")
    outcomes = done.parseoutcomes()
    assert (outcomes["failed"], outcomes["passed"]) == (3, 2)
    for line in (
        "Deadlock 1: 2 threads",
        "Deadlock 1: 1 thread",
        "*- lowthreads: over the limit *-*",
        "*thread leaked runs*",
    ):
        done.stdout.fnmatch_lines([line])


def test_a_worker_of_xdist_that_must_end_is_replaced(run: Run) -> None:
    pytest.importorskip("xdist")
    source = """
def test_stubborn():
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass
"""
    done = run(source + HEALTHY, "-n", "1", "--lowthreads-limit=0.3")
    done.assert_outcomes(failed=1, passed=1)
    done.stdout.fnmatch_lines(["*worker 'gw0' crashed while running *::test_stubborn*"])


@pytest.mark.parametrize("method", ["signal", "thread"])
def test_beside_timeout(run: Run, method: str) -> None:
    pytest.importorskip("pytest_timeout")
    options = ["--timeout=30", f"--timeout-method={method}", "--lowthreads-limit=2"]
    done = run(BESIDE + HEALTHY, *options)
    outcomes = done.parseoutcomes()
    assert (outcomes["failed"], outcomes["passed"]) == (3, 2)
    done.stdout.no_fnmatch_line("*thread pytest_timeout*")


def test_the_limit_of_timeout(run: Run) -> None:
    pytest.importorskip("pytest_timeout")
    source = """
def test_slow():
    threading.Event().wait(60)
"""
    done = run(source + HEALTHY, "--timeout=0.5", "--timeout-method=signal")
    done.assert_outcomes(failed=1, passed=1)
    done.stdout.fnmatch_lines(["*Timeout (>0.5s) from pytest-timeout."])


@pytest.mark.parametrize(
    "options", [["--lowthreads-limit=-1"], ["--lowthreads-limit=x"], ["--lowthreads-leaks=panic"]]
)
def test_wrong_options(run: Run, options: list[str]) -> None:
    assert run(HEALTHY, *options).ret == pytest.ExitCode.USAGE_ERROR


@pytest.mark.parametrize("line", ["lowthreads_limit = soon", "lowthreads_leaks = panic"])
def test_wrong_settings(run: Run, pytester: pytest.Pytester, line: str) -> None:
    pytester.makeini(f"[pytest]\n{line}\n")
    assert run(HEALTHY).ret == pytest.ExitCode.USAGE_ERROR
