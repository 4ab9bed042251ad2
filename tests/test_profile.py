"""`python -m lowthreads run --profile`, and the observed locks that it counts by."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from lowthreads.__main__ import main
from lowthreads._observe.profile import bucket_of, percentile
from support import run_child, run_on_lowthreads

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"

# Waiters are let go when `waits()` shows that they all wait.
PRELUDE = """
import os, sys, threading, time
import lowthreads

def contend(lock, waiters, take, seconds=0.0):
    # The holder holds the lock until all the others wait for it.
    held = threading.Event()
    def hold():
        with lock:
            held.set()
            while sum(wait.name.startswith("waiter") for wait in lowthreads.waits()) < waiters:
                time.sleep(0.001)
            time.sleep(seconds)
    threads = [threading.Thread(target=take, args=(lock,), name=f"waiter-{i}")
               for i in range(waiters)]
    holder = threading.Thread(target=hold, name="holder")
    holder.start()
    held.wait()
    for thread in threads:
        thread.start()
    for thread in (holder, *threads):
        thread.join()

def take(lock):
    with lock:
        pass  # taken
"""


def profile(
    tmp_path: Path, body: str, options: tuple[str, ...] = (), status: int = 0
) -> dict[str, Any]:
    options = ("--profile=profile.json", *options)
    run_on_lowthreads(tmp_path, options, PRELUDE + body, status=status)
    document: dict[str, Any] = json.loads((tmp_path / "profile.json").read_text())
    return document


def line_of(text: str, tmp_path: Path) -> int:
    lines = (tmp_path / "program.py").read_text().splitlines()
    (found,) = [number for number, line in enumerate(lines, 1) if text in line]
    return found


def made_at(document: dict[str, Any], line: int) -> dict[str, Any]:
    (found,) = [
        each
        for each in document["locks"]
        if each["made"]["line"] == line and each["made"]["file"] == "program.py"
    ]
    return found


def taken_at(lock: dict[str, Any], line: int) -> dict[str, Any]:
    (found,) = [each for each in lock["places"] if each["taken"]["line"] == line]
    return found


@pytest.mark.parametrize("kind", ["Lock", "RLock"])
def test_waits_are_counted_by_place_and_holder(tmp_path: Path, kind: str) -> None:
    document = profile(tmp_path, f"contend(threading.{kind}(), 3, take, 0.05)\n")
    lock = made_at(document, line_of("contend(threading", tmp_path))
    assert lock["kind"] == kind.lower().replace("rlock", "RLock")
    assert (lock["acquisitions"], lock["contended"]) == (4, 3)
    holding = taken_at(lock, line_of("held.set()", tmp_path) - 1)
    assert (holding["acquisitions"], holding["contended"]) == (1, 0)
    waiting = taken_at(lock, line_of("pass  # taken", tmp_path) - 1)
    assert (waiting["acquisitions"], waiting["contended"], waiting["gave_up"]) == (3, 3, 0)
    (holder,) = waiting["held_by"]
    assert (holder["thread"], holder["waits"]) == ("holder", 3)
    assert holder["at"] == holding["taken"]
    assert holder["at"]["function"] == "hold"
    wait = waiting["wait"]
    assert 0.04 < wait["p50"] <= wait["p99"] <= wait["longest"] <= wait["total"]
    assert wait["total"] == pytest.approx(holder["seconds"])
    longest = lock["longest_hold"]
    assert (longest["thread"], longest["at"]) == ("holder", holding["taken"])
    assert longest["seconds"] >= 0.05


def test_a_table_is_printed_at_exit(tmp_path: Path) -> None:
    program = PRELUDE + "contend(threading.Lock(), 2, take)\n"
    done = run_on_lowthreads(tmp_path, ["--profile"], program)
    lines = done.stderr.splitlines()
    assert " waits for locks, over " in lines[0]
    assert lines[1].split() == ["total", "wait", "waits", "of", "p50", "p99", "longest"]
    made = line_of("contend(threading", tmp_path)
    assert f"      lock made at program.py:{made} in <module>" in lines
    taken = line_of("pass  # taken", tmp_path) - 1
    assert f"      waited for at program.py:{taken} in take" in lines
    held = line_of("held.set()", tmp_path) - 1
    assert f"      held at program.py:{held} in hold by holder: 100% of the wait" in lines
    assert any(line.startswith("      longest hold: ") for line in lines)
    assert done.stdout == ""


def test_waits_that_time_out_are_counted(tmp_path: Path) -> None:
    body = """
lock = threading.Lock()
with lock:
    threads = [threading.Thread(target=lock.acquire, args=(True, 0.01)) for _ in range(2)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert not lock.acquire(False)  # did not wait
"""
    document = profile(tmp_path, body)
    lock = made_at(document, line_of("lock = threading", tmp_path))
    assert (lock["acquisitions"], lock["contended"]) == (1, 2)
    assert sum(place["gave_up"] for place in lock["places"]) == 2
    assert lock["wait"] >= 0.02


def test_reentry_of_an_rlock_is_one_acquisition(tmp_path: Path) -> None:
    body = """
lock = threading.RLock()
with lock:
    with lock, lock:
        assert lock._is_owned()
assert not lock._is_owned()
lock.acquire(); lock.acquire(); lock.release(); lock.release()
condition = threading.Condition(lock)
with condition:
    with condition:
        assert not condition.wait(0.001)
        assert lock._is_owned()
"""
    lock = made_at(profile(tmp_path, body), line_of("lock = threading", tmp_path))
    # Twice alone, then by the condition and again after its wait.
    assert (lock["kind"], lock["acquisitions"], lock["contended"]) == ("RLock", 4, 0)


def test_waits_for_signals_are_no_contention(tmp_path: Path) -> None:
    body = """
import queue
from concurrent.futures import ThreadPoolExecutor
items, event, handed = queue.Queue(), threading.Event(), threading.Lock()
handed.acquire()
def other():
    while not lowthreads.waits(): time.sleep(0.001)
    handed.release()
threading.Thread(target=other).start()
handed.acquire()
with ThreadPoolExecutor(2) as executor:
    future = executor.submit(items.get)
    executor.submit(event.wait)
    while len(lowthreads.waits()) < 2: time.sleep(0.001)
    time.sleep(0.2)
    items.put(1)
    event.set()
    future.result()
"""
    document = profile(tmp_path, body)
    signals = {lock["made"]["line"] for lock in document["locks"] if lock["kind"] == "signal"}
    assert line_of("items, event, handed", tmp_path) in signals
    contended = {
        lock["made"]["line"]: place["wait"]["longest"]
        for lock in document["locks"]
        if lock["kind"] != "signal"
        for place in lock["places"]
        if place["wait"]["longest"] > 0.1
    }
    assert contended == {}


def test_a_file_that_cant_be_written_changes_no_status(tmp_path: Path) -> None:
    program = "import sys\nsys.exit(3)\n"
    options = ["--profile=no/folder.json", "--trace=no/trace.json"]
    done = run_on_lowthreads(tmp_path, options, program, status=3)
    assert "lowthreads: no profile: " in done.stderr
    assert "lowthreads: no trace: " in done.stderr
    assert "Traceback" not in done.stderr
    program = "import sys\nsys.stderr.close()\n"
    run_on_lowthreads(tmp_path, ["--profile", "--trace=trace.json"], program)
    assert (tmp_path / "trace.json").exists()


def test_what_a_library_makes_is_told_apart(tmp_path: Path) -> None:
    body = "import queue\nitems = queue.Queue()\nitems.put(1)\nitems.get()\n"
    lock = made_at(profile(tmp_path, body), 1 + PRELUDE.count("\n") + 1)
    assert lock["made"]["within"] == "Queue.__init__"
    first = lock["made"]["line"]
    assert {place["taken"]["line"] for place in lock["places"]} == {first + 1, first + 2}


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_of_multiprocessing_have_files_of_their_own(tmp_path: Path, method: str) -> None:
    if method == "fork" and not hasattr(os, "fork"):
        pytest.skip("needs os.fork")
    body = f"""
import multiprocessing
lock = threading.Lock()
def work():
    contend(lock, 1, take)
    print(os.getpid(), flush=True)
if __name__ == "__main__":
    lock.acquire(); lock.release()
    process = multiprocessing.get_context({method!r}).Process(target=work)
    process.start()
    process.join()
    assert process.exitcode == 0
"""
    done = run_on_lowthreads(tmp_path, ["--profile=p.json"], PRELUDE + body)
    documents = {
        name: json.loads((tmp_path / name).read_text())
        for name in ("p.json", f"p.{int(done.stdout)}.json")
    }
    line = line_of("lock = threading", tmp_path)
    counts = [made_at(document, line)["acquisitions"] for document in documents.values()]
    assert counts == [1, 2]
    assert done.stderr.count(" for locks, over ") == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_the_child_of_a_fork_has_its_own(tmp_path: Path) -> None:
    body = """
lock = threading.Lock()
lock.acquire()
pid = os.fork()
if pid == 0:
    lock._at_fork_reinit()
    contend(lock, 2, take)
    sys.exit()
assert os.waitpid(pid, 0)[1] == 0
lock.release()
print(pid)
"""
    done = run_on_lowthreads(tmp_path, ["--profile=p.json"], PRELUDE + body)
    line = line_of("lock = threading", tmp_path)
    child = json.loads((tmp_path / f"p.{int(done.stdout)}.json").read_text())
    assert made_at(child, line)["acquisitions"] == 3
    assert made_at(json.loads((tmp_path / "p.json").read_text()), line)["acquisitions"] == 1


def test_a_deadlock_is_still_reported(tmp_path: Path) -> None:
    body = """
locks, barrier = [threading.Lock(), threading.RLock()], threading.Barrier(2)
def take_two(first, second):
    with first:
        barrier.wait()
        with second:
            pass
for i in (0, 1):
    threading.Thread(target=take_two, args=locks[::1 - 2 * i], daemon=True).start()
threading.Event().wait(60)
"""
    options = ["--profile", "--lock-order", "--on-deadlock=abort"]
    done = run_on_lowthreads(tmp_path, options, PRELUDE + body, status=70)
    assert "\nDeadlock 1: 2 threads\n" in done.stderr
    assert done.stderr.count("lock order inversion") == 1


def test_nothing_is_imported_when_nothing_observes(tmp_path: Path) -> None:
    program = "import sys\nprint([name for name in sys.modules if '_observe' in name])\n"
    assert run_on_lowthreads(tmp_path, [], program).stdout == "[]\n"


def test_observed_locks_are_locks() -> None:
    run_child(
        """
        import copy, pickle, sys, weakref
        import lowthreads
        lowthreads.install()
        import threading
        before = threading.Lock()
        plain = type(before), threading.Lock, threading.RLock, threading._CRLock
        from lowthreads._observe import locks
        from lowthreads._observe.observer import Observer
        observers = Observer(), Observer()
        for observer in observers:
            locks.start(observer)
        import _thread
        lock, rlock = threading.Lock(), threading.RLock()
        assert type(lock) is _thread.LockType is not plain[0]
        assert isinstance(before, _thread.LockType) and isinstance(lock, plain[0])
        assert not isinstance(3, _thread.LockType)
        assert repr(lock).startswith("<unlocked _thread.lock object at 0x"), lock
        assert repr(rlock).startswith("<unlocked _thread.RLock object owner=0 count=0 at 0x")
        assert weakref.ref(lock)() is lock and weakref.ref(rlock)() is rlock
        for each in (lock, rlock):
            assert each.acquire(timeout=1) is True and not hasattr(each, "__dict__")
            each.release()
            try:
                each.release()
            except RuntimeError as error:
                assert "release un" in str(error), error
            else:
                raise AssertionError
            try:
                each.acquire(False, 1)
            except ValueError:
                pass
            else:
                raise AssertionError
            each._at_fork_reinit()
            try:
                pickle.dumps(each)
            except TypeError:
                pass
            else:
                assert sys.implementation.name != "cpython"
        class Kept:
            allocate = _thread.allocate_lock
        assert Kept().allocate().acquire()
        class Own(type(rlock)):
            pass
        with Own() as taken:
            assert taken is True
        for observer in observers:
            locks.stop(observer)
        assert (type(threading.Lock()), threading.Lock, threading.RLock, threading._CRLock) == plain
        with lock, rlock:
            assert lock.locked()
        """
    )


def test_a_thread_that_does_nothing_but_take_a_lock() -> None:
    run_child(
        """
        import lowthreads
        lowthreads.install()
        import _thread, time
        from lowthreads._observe import locks, lock_order, profile, trace
        for each in (profile.Profile(), trace.Trace(), lock_order.LockOrder()):
            locks.start(each)
        for lock in (_thread.allocate_lock(), _thread.RLock()):
            taken = _thread.allocate_lock()
            taken.acquire()
            _thread.start_new_thread(lock.acquire, ())
            while not lock.acquire(False) and "unlocked" in repr(lock):
                pass
            _thread.start_new_thread(taken.release, ())
            taken.acquire()
        """
    )


def test_observing_needs_an_installation() -> None:
    run_child(
        """
        from lowthreads._observe import lock_order
        try:
            lock_order.start()
        except RuntimeError as error:
            assert "isn't installed" in str(error)
        else:
            raise AssertionError
        """
    )


@pytest.mark.skipif(os.name == "nt", reason="sends itself a signal")
def test_a_handler_that_raises_leaves_the_lock_free(tmp_path: Path) -> None:
    body = """
import signal
class Ended(Exception): pass
def end(*args): raise Ended
signal.signal(signal.SIGUSR1, end)
lock = threading.Lock()
ready = threading.Event()
def interrupt():
    ready.wait()
    while not lowthreads.waits(): time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGUSR1)
lock.acquire()
threading.Thread(target=interrupt).start()
ready.set()
try:
    lock.acquire()
except Ended:
    lock.release()
with lock: pass
"""
    lock = made_at(profile(tmp_path, body), line_of("lock = threading", tmp_path))
    assert (lock["acquisitions"], lock["contended"]) == (2, 1)


def test_places_and_holders_are_bounded() -> None:
    run_child(
        """
        import lowthreads
        lowthreads.install()
        import threading
        from lowthreads._observe import locks, profile, sites
        sites.MAX_SITES = len(sites._sites) + 30
        profile.MAX_ROWS = 10
        counted = profile.Profile()
        locks.start(counted)
        for i in range(60):
            exec(compile("with threading.Lock(): pass", f"file{i}.py", "exec"))
        locks.stop(counted)
        document = counted.document()
        assert len(document["locks"]) <= 11, len(document["locks"])
        assert sum(lock["acquisitions"] for lock in document["locks"]) == 60
        assert len(document["limits"]) == 2, document["limits"]
        row = profile.Row("lock")
        for i in range(200):
            row.note_wait(1000, (f"thread-{i}", sites.OTHER.place))
        assert len(row.holders) == profile.MAX_HOLDERS + 1
        assert sum(count for count, _ in row.holders.values()) == 200
        """
    )


def test_tables_are_used_again_by_later_threads() -> None:
    run_child(
        """
        import gc
        import lowthreads
        lowthreads.install()
        import threading
        from lowthreads._observe import locks, profile
        counted = profile.Profile()
        locks.start(counted)
        lock = threading.Lock()
        def take():
            with lock: pass
        for _ in range(300):
            thread = threading.Thread(target=take)
            thread.start()
            thread.join()
            if _ % 50 == 0: gc.collect()
        assert len(counted._tables) <= 110, len(counted._tables)
        taken = [each for each in counted.document()["locks"] if each["acquisitions"] == 300]
        assert len(taken) >= 1
        """
    )


def test_counts_are_exact_and_locks_exclude() -> None:
    run_child(
        """
        import lowthreads
        lowthreads.install()
        import threading
        from lowthreads._observe import locks, lock_order, profile, trace
        counted = profile.Profile()
        for each in (counted, trace.Trace(), lock_order.LockOrder()):
            locks.start(each)
        lock = threading.Lock()
        rlock = threading.RLock()
        total = [0, 0]
        def work():
            for _ in range(500):
                with lock:
                    with rlock, rlock:
                        total[0] += 1
                rlock.acquire()
                total[1] += 1
                rlock.release()
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        assert total == [2000, 2000], total
        counts = {each["made"]["line"]: each for each in counted.document()["locks"]
                  if each["made"]["function"] == "<module>" and not each["made"]["within"]
                  or each["made"]["within"] == "RLock"}
        lock, rlock = (each for each in counts.values() if each["acquisitions"] >= 2000)
        assert sorted([lock["acquisitions"], rlock["acquisitions"]]) == [2000, 4000]
        """
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs signal.setitimer")
def test_handlers_and_finalizers_may_take_locks() -> None:
    run_child(
        """
        import gc, signal
        import lowthreads
        lowthreads.install()
        import threading
        from lowthreads._observe import locks, lock_order, profile, trace
        for each in (profile.Profile(), trace.Trace(), lock_order.LockOrder(None, lambda _: None)):
            locks.start(each)
        shared = threading.RLock()
        runs = [0, 0]
        def use(number):
            runs[number] += 1
            # Each time of new classes, so that something is learned in the midst of learning.
            exec(compile("with first, shared, then: pass", f"<{sum(runs)}>", "exec"),
                 {"first": threading.Lock(), "shared": shared, "then": threading.RLock()})
        class Cycle:
            def __init__(self): self.me = self
            def __del__(self): use(1)
        def handle(*_):
            use(0)
            signal.setitimer(signal.ITIMER_REAL, 0.001)  # one after the other
        signal.signal(signal.SIGALRM, handle)
        handle()
        while min(runs) < 50:
            Cycle()
            a = threading.Lock()
            b = threading.Lock()
            with a, b, shared: pass
            with b, a: gc.collect(0)
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        """
    )


@pytest.mark.parametrize("percent", [50, 99, 100])
def test_percentiles_are_close(percent: int) -> None:
    times = [(i * 7919) % 1_000_003 for i in range(1, 2001)]
    buckets: dict[int, int] = {}
    for each in times:
        buckets[bucket_of(each)] = buckets.get(bucket_of(each), 0) + 1
    exact = sorted(times)[len(times) * percent // 100 - 1]
    assert percentile(buckets, percent, max(times)) == pytest.approx(exact, rel=0.035)
    assert percentile({}, percent, 0) == 0


@pytest.mark.parametrize(
    "options", [["--profile=out.txt", "x.py"], ["--trace"], ["--lock-order=no-such-file", "x.py"]]
)
def test_wrong_options_are_refused(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["run", *options])
    assert caught.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_a_page_holds_the_whole_profile(tmp_path: Path) -> None:
    program = PRELUDE + "contend(threading.Lock(), 1, take)  # </script>\n"
    run_on_lowthreads(tmp_path, ["--profile=p.html"], program, "</script>")
    page = (tmp_path / "p.html").read_text()
    assert page.count("</script>") == 1
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    start = page.index("const profile = ") + len("const profile = ")
    document = json.loads(page[start : page.index(";\n", start)])
    assert document["program"] == ["program.py", "</script>"]
    assert made_at(document, line_of("contend(threading", tmp_path))["contended"] == 1


def test_the_example_and_how_it_is_mended(tmp_path: Path) -> None:
    waits = {}
    for name in ("slow_lock", "slow_lock_mended"):
        options = [f"--profile={name}.json"]
        done = run_on_lowthreads(tmp_path, options, str(EXAMPLES / f"{name}.py"))
        waits[name] = json.loads((tmp_path / f"{name}.json").read_text())["locks"]
        if name == "slow_lock":
            assert "slow_lock.py:25 in of" in done.stderr
    slow, mended = (
        sum(lock["wait"] for lock in locks if lock["kind"] != "signal") for locks in waits.values()
    )
    # Three always wait for a fourth, that is for 0.01 s each time; then nobody for as long.
    assert slow > 0.5
    assert mended < slow / 2
