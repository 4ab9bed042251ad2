"""Who waits for what, deadlocks, and the report of both."""

from __future__ import annotations

import io
import json
import os
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

import lowthreads
from lowthreads import RLock, allocate_lock, get_ident, start_joinable_thread, waits
from lowthreads._stuck import find_deadlocks
from support import Threads, await_waiter, run_child, wait_until


def held() -> Any:
    lock = allocate_lock()
    lock.acquire()
    return lock


def waits_of(ident: int) -> list[lowthreads.Wait]:
    return [wait for wait in waits() if wait.ident == ident]


@pytest.fixture
def contended() -> Iterator[Callable[..., lowthreads.Wait]]:
    """Calls a function in a thread, and returns what that thread waits for."""
    ends: list[tuple[Threads, Callable[[], object]]] = []

    def begin(function: Callable[[], object], end: Callable[[], object]) -> lowthreads.Wait:
        threads = Threads(function)
        ends.append((threads, end))
        wait_until(lambda: waits_of(threads.idents[0]), "it waits")
        return waits_of(threads.idents[0])[0]

    yield begin
    for threads, end in ends:
        end()
        threads.results()
    assert waits() == []


def test_nobody_waits_at_first() -> None:
    assert waits() == []
    assert lowthreads.deadlocks() == []


def test_a_wait_says_who_what_and_since_when(contended: Any) -> None:
    lock = held()
    before = time.monotonic_ns()
    wait = contended(lock.acquire, lock.release)
    after = time.monotonic_ns()
    assert (wait.kind, wait.owner, wait.timeout) == ("lock", get_ident(), None)
    assert wait.ident != get_ident()
    assert wait.native_id not in (0, lowthreads.get_native_id())
    assert wait.name == f"thread {wait.ident:#x}"
    assert wait.owner_name == "MainThread"
    assert (wait.signal, wait.scoped) == (False, False)
    assert before <= wait.since <= after
    assert 0 <= wait.seconds <= (after - before) / 1e9
    later = waits_of(wait.ident)[0]
    assert later.seconds > wait.seconds
    assert later._replace(seconds=0) == wait._replace(seconds=0)


def test_what_is_waited_for_has_a_kind(contended: Any) -> None:
    rlock, gate = RLock(), held()
    rlock.acquire()
    by_rlock = contended(lambda: rlock.acquire() and rlock.release(), rlock.release)
    assert (by_rlock.kind, by_rlock.owner) == ("RLock", get_ident())
    handle = start_joinable_thread(gate.acquire)
    by_join = contended(handle.join, gate.release)
    assert by_join.kind == "thread"
    wait_until(lambda: waits_of(by_join.ident)[0].owner == handle.ident, "it runs")
    assert by_join.address != by_rlock.address


def test_two_that_wait_for_the_same_have_its_address(contended: Any) -> None:
    lock = held()
    first = contended(lock.acquire, lock.release)
    second = contended(lock.acquire, lock.release)
    assert first.address == second.address
    assert [wait.ident for wait in waits()] == [first.ident, second.ident]


def test_a_timeout_is_told(contended: Any) -> None:
    lock = held()
    assert contended(lambda: lock.acquire(timeout=60), lock.release).timeout == 60


def test_a_lock_taken_by_with_is_scoped(contended: Any) -> None:
    lock = allocate_lock()
    lock.__enter__()
    assert contended(lock.acquire, lock.release).scoped
    taken = held()
    contended(taken.__enter__, taken.release)
    again = contended(taken.acquire, lambda: None)
    taken.release()
    wait_until(lambda: waits_of(again.ident)[0].scoped, "the next one has it")
    taken.release()


def test_what_another_thread_released_is_a_signal(contended: Any) -> None:
    lock = held()
    Threads(lock.release).results()
    lock.acquire()
    assert contended(lock.acquire, lock.release).signal


def test_names_are_those_of_threading(contended: Any) -> None:
    lock = held()
    thread = threading.Thread(target=lock.acquire, name="the one")
    thread.start()
    await_waiter(lock)
    wait = waits()[0]
    lock.release()
    thread.join()
    assert (wait.name, wait.ident) == ("the one", thread.ident)


def test_hundreds_wait() -> None:
    lock = held()
    threads = Threads(*[lambda: lock.acquire() and lock.release()] * 200)
    wait_until(lambda: len(waits()) == 200, "all wait")
    assert {wait.ident for wait in waits()} == set(threads.idents)
    lock.release()
    threads.results()
    assert waits() == []


# ---- Deadlocks, each in a process of its own, for they don't end ------------------------

PRELUDE = """
    import io, os, signal, sys, time
    import lowthreads
    lowthreads.install()
    import threading
    from queue import Queue
    from concurrent.futures import ThreadPoolExecutor
    from support import wait_until

    def start(function, name):
        thread = threading.Thread(target=function, name=name, daemon=True)
        thread.start()
        return thread

    def waiting(count):
        wait_until(lambda: len(lowthreads.waits()) >= count, f"{count} wait")

    def names():
        return [[wait.name for wait in each.waits] for each in lowthreads.deadlocks()]

    def cyclic(locks, enter):
        # Thread i takes lock i, and when all have, the next one.
        barrier = threading.Barrier(len(locks) + 1)
        def run(i):
            enter(locks[i])
            barrier.wait()
            enter(locks[(i + 1) % len(locks)])
        threads = [start(lambda i=i: run(i), f"t{i}") for i in range(len(locks))]
        barrier.wait()
        idents = {thread.ident for thread in threads}
        wait_until(lambda: sum(w.owner in idents for w in lowthreads.waits()) == len(idents))

    def rotated(cycle):
        first = cycle.index("t0")
        return cycle[first:] + cycle[:first]
"""


def in_child(body: str) -> str:
    end = "\n    sys.stdout.flush(); os._exit(0)\n"
    source = PRELUDE + textwrap.indent(textwrap.dedent(body), "    ") + end
    return run_child(source, options=("-W", "ignore:This process:DeprecationWarning")).stdout


@pytest.mark.parametrize("kind", ["Lock", "RLock"])
@pytest.mark.parametrize("enter", ["acquire", "__enter__"])
@pytest.mark.parametrize("count", [2, 64])
def test_a_cycle_is_found_whole_and_once(kind: str, enter: str, count: int) -> None:
    in_child(f"""
        locks = [threading.{kind}() for _ in range({count})]
        cyclic(locks, threading.{kind}().__class__.{enter})
        found = lowthreads.deadlocks()
        assert len(found) == 1 and found[0].sure
        cycle = [wait.name for wait in found[0].waits]
        assert rotated(cycle) == [f"t{{i}}" for i in range({count})], cycle
        for wait, after in zip(found[0].waits, found[0].waits[1:]):
            assert wait.owner == after.ident
        """)


def test_a_cycle_of_a_lock_and_a_join() -> None:
    in_child("""
        lock = threading.RLock()
        ready, go = threading.Event(), threading.Event()
        def waits_for_lock():
            go.wait()
            with lock:
                pass
        def holds_and_joins():
            with lock:
                go.set()
                other.join()
        other = start(waits_for_lock, "other")
        start(holds_and_joins, "joiner")
        wait_until(lambda: names(), "there is a deadlock")
        assert sorted(names()[0]) == ["joiner", "other"]
        assert lowthreads.deadlocks()[0].sure
        """)


@pytest.mark.parametrize("enter", ["acquire", "__enter__"])
def test_a_thread_that_waits_for_its_own_lock(enter: str) -> None:
    in_child(f"""
        lock = threading.Lock()
        def run():
            lock.{enter}()
            lock.{enter}()
        start(run, "alone")
        waiting(1)
        (found,) = lowthreads.deadlocks()
        assert [wait.name for wait in found.waits] == ["alone"]
        assert found.sure == ({enter!r} == "__enter__")
        """)


def test_a_finalizer_that_wants_what_its_thread_has() -> None:
    in_child("""
        lock = threading.Lock()
        class Thing:
            def __del__(self):
                with lock:
                    pass
        def run():
            import gc
            with lock:
                Thing()
                gc.collect()
        start(run, "finalizer")
        waiting(1)
        assert names() == [["finalizer"]]
        """)


def test_what_is_no_deadlock() -> None:
    in_child("""
        event, condition, queue = threading.Event(), threading.Condition(), Queue()
        semaphore, barrier = threading.Semaphore(0), threading.Barrier(2)
        def wait():
            with condition:
                condition.wait()
        slow = threading.Lock()
        slow.acquire()
        executor = ThreadPoolExecutor(2)
        todo = [event.wait, wait, queue.get, semaphore.acquire, barrier.wait, slow.acquire]
        for i, function in enumerate(todo):
            start(function, f"healthy {i}")
        future = executor.submit(event.wait)
        start(future.result, "result")
        start(lambda: slow.acquire(timeout=60), "timed")
        waiting(len(todo) + 3)
        assert names() == []
        """)


def test_a_cycle_of_signals_is_no_deadlock() -> None:
    # Each lock was once released by another thread than its owner, as one may be here.
    in_child("""
        locks = [threading.Lock(), threading.Lock()]
        for lock in locks:
            lock.acquire()
            start(lock.release, "releases").join()
        cyclic(locks, threading.Lock().__class__.acquire)
        assert [wait.signal for wait in lowthreads.waits()] == [True, True]
        assert names() == []
        """)


def test_two_with_timeouts_are_no_deadlock() -> None:
    in_child("""
        locks = [threading.Lock(), threading.Lock()]
        cyclic(locks, lambda lock: lock.acquire(timeout=60))
        assert names() == []
        """)


def test_hand_offs_are_no_deadlock() -> None:
    in_child("""
        ping, pong = threading.Lock(), threading.Lock()
        ping.acquire(), pong.acquire()
        def play(mine, other):
            for _ in range(10000):
                mine.acquire()
                other.release()
        threads = [start(lambda: play(ping, pong), "ping"), start(lambda: play(pong, ping), "pong")]
        ping.release()
        while any(thread.is_alive() for thread in threads):
            assert not any(each.sure for each in lowthreads.deadlocks())
        """)


def test_a_thread_that_waits_is_part_of_no_cycle_that_it_only_looks_at() -> None:
    in_child("""
        locks = [threading.Lock(), threading.Lock()]
        cyclic(locks, threading.Lock().__class__.__enter__)
        start(locks[0].acquire, "onlooker")
        waiting(3)
        assert [sorted(each) for each in names()] == [["t0", "t1"]]
        """)


forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="no os.fork, nor signals to a thread")


@forks
def test_the_wait_of_the_main_thread_shows_in_its_own_handler() -> None:
    output = in_child("""
        lock, other = threading.Lock(), threading.Lock()
        seen = []
        def run():
            with other:
                go.set()
                with lock:
                    pass
        def look(*args):
            seen.append((names(), [wait.name for wait in lowthreads.waits()]))
            lowthreads.dump(sys.stdout)
            other_free.release()
        go, other_free = threading.Event(), threading.Lock()
        other_free.acquire()
        signal.signal(signal.SIGUSR1, look)
        main = threading.get_ident()
        def send():
            wait_until(lambda: names(), "there is a deadlock")
            signal.pthread_kill(main, signal.SIGUSR1)
            other_free.acquire()
            sys.stdout.flush()
            sorted_names = [sorted(each) for each in seen[0][0]]
            os._exit(sorted_names != [["MainThread", "run"]] or len(seen[0][1]) < 2)
        with lock:
            start(run, "run")
            go.wait()
            start(send, "send")
            with other:
                pass
        """)
    assert "Deadlock 1: 2 threads" in output


@forks
def test_the_child_of_a_fork_has_no_waits() -> None:
    in_child("""
        lock = threading.Lock()
        lock.acquire()
        start(lock.acquire, "stays")
        waiting(1)
        pid = os.fork()
        if pid == 0:
            os._exit(len(lowthreads.waits()))
        assert os.waitpid(pid, 0)[1] == 0
        assert len(lowthreads.waits()) == 1
        """)


# ---- The report ---------------------------------------------------------------------------


def test_the_report_names_things_at_the_users_own_lines() -> None:
    output = in_child("""
        event, queue, condition = threading.Event(), Queue(), threading.Condition()
        def in_event():
            event.wait()  # the event's line
        def in_condition():
            with condition:
                condition.wait()
        joined = start(in_event, "in event")
        start(in_condition, "in condition")
        start(queue.get, "in queue")
        start(joined.join, "in join")
        future = ThreadPoolExecutor(1, "pool").submit(event.wait)
        start(future.result, "in future")
        waiting(6)
        locks = [threading.Lock(), threading.Lock()]
        cyclic(locks, threading.Lock().__class__.__enter__)
        lowthreads.dump(sys.stdout)
        """)
    for expected in (
        "threads, 8 waiting, 1 deadlock (process ",
        "\nin event (ident 0x",
        "  waiting for Event.wait (lock 0x",
        "  waiting for Condition.wait (lock 0x",
        "  waiting for Queue.get (lock 0x",
        "  waiting for the end of in event for 0.",
        "  waiting for Future.result (lock 0x",
        ", in in_event\n",
        "\nDeadlock 1: 2 threads\n  1. t",
        " holds lock 0x",
        ", owned by t0 for ",
        ", in run\n",
    ):
        assert expected in output, f"{expected!r} is not in\n{output}"
    assert "_bootstrap" not in output
    assert "\x1b" not in output


def test_a_thread_that_releases_the_lock_and_ends_leaves_no_deadlock() -> None:
    lock, go = held(), held()
    waiter = Threads(lambda: [lock.acquire(), lock.acquire()])
    lock.release()
    (ident,) = waiter.idents
    wait_until(lambda: [wait for wait in waits_of(ident) if wait.owner == ident], "for itself")
    others = sys._current_frames().keys() - {ident}
    releaser = Threads(lambda: [go.acquire(), lock.release()])
    wait_until(lambda: waits_of(releaser.idents[0]), "the releaser waits")
    before = [wait for wait in waits() if wait.ident == ident]
    go.release()
    releaser.results()
    waiter.results()
    # As if that happened between a look at the waits and one at the threads.
    assert [each.sure for each in find_deadlocks(before, others)] == [False]


def written(**options: Any) -> str:
    file = io.StringIO()
    lowthreads.dump(file, **options)
    return file.getvalue()


def test_json_has_it_all(contended: Any) -> None:
    lock = held()
    wait = contended(lock.acquire, lock.release)
    document = json.loads(written(format="json"))
    (thread,) = [each for each in document["threads"] if each["ident"] == wait.ident]
    assert thread["waits"][0]["address"] == wait.address
    assert thread["waits"][0]["owner_name"] == "MainThread"
    assert thread["stack"][-1]["function"] == "_run"
    assert document["deadlocks"] == []


@pytest.mark.parametrize(
    ("form", "arrow", "start"), [("mermaid", " --> ", "graph LR\n"), ("dot", " -> ", "digraph")]
)
def test_graphs_lead_from_waiter_to_lock_to_owner(
    contended: Any, form: str, arrow: str, start: str
) -> None:
    lock = held()
    wait = contended(lock.acquire, lock.release)
    text = written(format=form)
    assert text.startswith(start)
    assert f"  t{wait.ident:x}{arrow}l{wait.address:x}" in text
    assert f"  l{wait.address:x}{arrow}t{get_ident():x}" in text


def test_colours_are_for_terminals() -> None:
    assert "\x1b[" in written(colour=True)
    assert "\x1b[" not in written()


def test_other_formats_are_refused() -> None:
    with pytest.raises(ValueError, match="not 'xml'"):
        lowthreads.dump(format="xml")


def test_a_module_that_another_thread_imports(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import shared\nshared.begun.set()\nshared.go.wait()\n")
    run_child(
        """
        import io, os, sys, threading, types, warnings
        import lowthreads, support

        sys.path.insert(0, sys.argv[1])
        sys.modules["shared"] = shared = types.ModuleType("shared")
        shared.begun, shared.go = threading.Event(), threading.Event()
        first = threading.Thread(target=__import__, args=("slow",), name="first")
        second = threading.Thread(target=__import__, args=("slow",), name="second")
        first.start()
        shared.begun.wait()
        second.start()

        def found():
            return [wait for wait in lowthreads.waits() if wait.kind == "module"]

        support.wait_until(found, "the second one waits")
        (wait,) = found()
        assert (wait.ident, wait.owner, wait.owner_name) == (second.ident, first.ident, "first")
        report = io.StringIO()
        lowthreads.dump(report)
        assert "waiting for the module slow, which first imports for " in report.getvalue()
        assert lowthreads.deadlocks() == []
        if hasattr(os, "fork"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # CPython 3.12+: of each fork with threads
                pid = os.fork()
            if pid == 0:
                os._exit(len(lowthreads.waits()))
            assert os.waitpid(pid, 0)[1] == 0
        shared.go.set()
        first.join()
        second.join()
        assert found() == []
        """,
        tmp_path,
    )
