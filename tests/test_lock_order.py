"""`python -m lowthreads run --lock-order`: inversions, and what is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lowthreads._observe.accepted import Accepted
from lowthreads._observe.sites import Place
from support import run_child, run_on_lowthreads

PRELUDE = """
import sys, threading, time
import lowthreads

def run(function, *args, name=None):
    thread = threading.Thread(target=function, args=args, name=name)
    thread.start()
    thread.join()

def nest(*locks):
    if locks:
        with locks[0]:
            nest(*locks[1:])

"""
FIRST = PRELUDE.count("\n") + 1


def order(tmp_path: Path, body: str, option: str = "--lock-order") -> str:
    return run_on_lowthreads(tmp_path, [option], PRELUDE + body).stderr


def reports(text: str) -> int:
    return text.count("lowthreads: lock order inversion ")


TWO = """a = threading.Lock()
b = threading.Lock()
def one():
    with a:
        with b:
            pass
def two():
    with b:
        with a:
            pass
for _ in range(3):
    run(one, name="t1")
    run(two, name="t2")
"""


def test_an_inversion_is_reported_once_with_both_stacks(tmp_path: Path) -> None:
    text = order(tmp_path, TWO)
    a, b = (f"program.py:{FIRST + i}" for i in (0, 1))
    lines = [line.strip() for line in text.splitlines()]
    assert reports(text) == 1
    assert lines[1] == (
        f"t2 took lock {a} while it held lock {b} (taken at program.py:{FIRST + 7})"
    )
    before = lines.index(
        f"before, t1 took lock {b} while it held lock {a} (taken at program.py:{FIRST + 3})"
    )
    assert any(f"line {FIRST + 8}, in two" in line for line in lines[1:before])
    assert "with a:" in lines[1:before]
    assert any(f"line {FIRST + 4}, in one" in line for line in lines[before:])
    assert "with b:" in lines[before:]
    assert lines[-1] == f"to accept it: {b} {a}"


def test_accepted_pairs_are_not_reported(tmp_path: Path) -> None:
    accepted = tmp_path / "accepted.txt"
    line = order(tmp_path, TWO).splitlines()[-1].partition("to accept it: ")[2]
    accepted.write_text(f"# known\n\n{line}  # of the example\n")
    assert order(tmp_path, TWO, "--lock-order=accepted.txt") == ""
    accepted.write_text(f"program.py:{FIRST} program.py:{FIRST + 2}\n")
    assert reports(order(tmp_path, TWO, "--lock-order=accepted.txt")) == 1


def test_places_of_accepted_pairs() -> None:
    one, other = Place("/home/me/app/db.py", 3, "connect"), Place("/home/me/app/x.py", 7, "f")
    for line in ("app/db.py:3 x.py:7", "x.py:7 /home/me/app/db.py:3", "db.py:connect x.py:f"):
        assert Accepted([line]).has(one, other)
        assert Accepted([line]).has(other, one)
    for line in ("b.py:3 x.py:7", "db.py:4 x.py:7", "db.py:3 db.py:3", "# db.py:3 x.py:7", ""):
        assert not Accepted([line]).has(one, other)
    for line in ("db.py:3", "db.py x.py", "a:1 b:2 c:3"):
        with pytest.raises(ValueError, match="line 2: not two places"):
            Accepted(["", line])


def test_a_longer_cycle_is_reported_with_all_its_stacks(tmp_path: Path) -> None:
    body = """a = threading.Lock()
b = threading.RLock()
c = threading.Lock()
run(nest, a, b, name="ab")
run(nest, b, c, name="bc")
run(nest, c, a, name="ca")
"""
    text = order(tmp_path, body)
    assert reports(text) == 1
    told = [line.split()[0:2] for line in text.splitlines() if " took lock " in line]
    assert told == [["ca", "took"], ["before,", "ab"], ["before,", "bc"]]


HEALTHY = {
    "the same order": """a = threading.Lock()
b = threading.Lock()
for _ in range(3):
    run(nest, a, b)
""",
    "re-entry": """a = threading.RLock()
b = threading.RLock()
nest(a, b, a, b)
nest(a, b)
""",
    "a try is after nothing": """a = threading.Lock()
b = threading.Lock()
nest(a, b)
with b:
    assert a.acquire(False)
    a.release()
""",
    "not held at the same time": """a = threading.Lock()
b = threading.Lock()
nest(a, b)
b.acquire()
b.release()
a.acquire()
b.acquire()
a.release()
b.release()
""",
    "one class in one order": """locks = [threading.Lock() for _ in range(4)]
for i in range(3):
    nest(locks[i], locks[i + 1])
nest(*locks)
""",
    "a signal": """a = threading.Lock()
signal = threading.Lock()
def end():
    while not [wait for wait in lowthreads.waits() if wait.name == "MainThread"]:
        time.sleep(0.001)
    signal.release()
signal.acquire()
with a:
    threading.Thread(target=end).start()
    signal.acquire()
nest(signal, a) if signal.release() is None else None
""",
    "a Condition's wait": """condition = threading.Condition(threading.Lock())
again = threading.Condition()
for each in (condition, again):
    for _ in range(2):
        with each:
            each.wait(0.001)
""",
    "a lock that is no more": """import gc
a = threading.Lock()
def forget():
    b = threading.Lock()
    b.acquire()
    with a:
        pass
def other():
    c = [threading.Lock() for _ in range(2)]
    c[0].acquire()
    del c[0]
    gc.collect()
    with c[0]:
        pass
forget()
gc.collect()
other()
""",
}


SICK = {
    "a lock that was tried is held": """a = threading.Lock()
b = threading.Lock()
nest(a, b)
assert b.acquire(False)
with a:
    pass
""",
    "an acquire with a timeout": """a = threading.Lock()
b = threading.Lock()
nest(a, b)
with b:
    assert a.acquire(timeout=10)
    a.release()
""",
    "a timeout that ran out": """a = threading.Lock()
b = threading.Lock()
nest(a, b)
a.acquire()
def other():
    with b:
        assert not a.acquire(timeout=0.001)
run(other)
a.release()
""",
    "an RLock that Condition.wait takes again": """a = threading.Lock()
condition = threading.Condition()
with condition:
    with a:
        pass
with condition:
    a.acquire()
    condition.wait(0.001)
""",
    "one class in both orders": """locks = [threading.Lock() for _ in range(4)]
nest(locks[0], locks[1])
nest(locks[1], locks[2])
nest(locks[1], locks[0])
nest(locks[2], locks[1])
""",
    "classes, though of other locks": """class Account:
    def __init__(self):
        self.lock = threading.Lock()
bank = threading.Lock()
one, other = Account(), Account()
nest(bank, one.lock)
nest(other.lock, bank)
""",
}


def test_what_is_an_inversion_and_what_is_none() -> None:
    # In one process: each has its own names, places and observer.
    done = run_child(
        """
        import json, sys
        import lowthreads
        lowthreads.install()
        from lowthreads._observe import lock_order
        prelude, snippets = json.loads(sys.argv[1])
        counts = {}
        for name, snippet in snippets.items():
            found = []
            order = lock_order.start((), found.append)
            exec(compile(prelude + snippet, f"<{name}>", "exec"), {"__name__": name})
            order.stop()
            counts[name] = len(found)
        print(json.dumps(counts))
        """,
        json.dumps([PRELUDE, {**HEALTHY, **SICK}]),
    )
    assert json.loads(done.stdout) == {**dict.fromkeys(HEALTHY, 0), **dict.fromkeys(SICK, 1)}


def test_locks_of_one_place_are_said_to_be(tmp_path: Path) -> None:
    text = order(tmp_path, SICK["one class in both orders"])
    assert "  these are the same two locks, both made there\n" in text


def test_healthy_use_of_the_library_is_left_alone(tmp_path: Path) -> None:
    body = """
import asyncio, logging, logging.handlers, queue, io
from concurrent.futures import ThreadPoolExecutor, as_completed
stream = io.StringIO()
logs = queue.Queue()
listener = logging.handlers.QueueListener(logs, logging.StreamHandler(stream))
listener.start()
logging.basicConfig(level="INFO", handlers=[logging.StreamHandler(stream),
                                             logging.handlers.QueueHandler(logs)])
items = queue.Queue(3)
lock, condition, barrier = threading.Lock(), threading.Condition(), threading.Barrier(3)
semaphore = threading.BoundedSemaphore(2)
def consume():
    barrier.wait()
    while items.get() is not None:
        with semaphore, lock:
            logging.getLogger("consumer").info("got one")
        items.task_done()
    items.task_done()
consumers = [threading.Thread(target=consume) for _ in range(2)]
for each in consumers: each.start()
barrier.wait()
with ThreadPoolExecutor(4) as executor:
    for future in as_completed([executor.submit(items.put, i) for i in range(50)]):
        future.result()
    list(executor.map(lambda i: logging.info("%s", i), range(20)))
    def notify():
        with condition:
            condition.notify_all()
    with condition:
        executor.submit(notify)
        condition.wait()
for _ in consumers: items.put(None)
items.join()
for each in consumers: each.join()
timer = threading.Timer(0.001, logging.info, ["timer"])
timer.start()
timer.join()
async def main():
    loop = asyncio.get_running_loop()
    await asyncio.gather(*(loop.run_in_executor(None, logging.info, "x") for _ in range(10)))
    async with asyncio.Lock():
        await asyncio.sleep(0)
asyncio.run(main())
listener.stop()
logging.shutdown()
print(len(stream.getvalue().splitlines()))
"""
    done = run_on_lowthreads(tmp_path, ["--lock-order", "--profile=p.json"], PRELUDE + body)
    assert reports(done.stderr) == 0, done.stderr
    assert int(done.stdout) == 2 * (50 + 20 + 1 + 10)


def test_the_child_of_a_fork_knows_what_was_learned(tmp_path: Path) -> None:
    body = """import os
if not hasattr(os, "fork"):
    print("no fork")
    sys.exit()
a = threading.Lock()
b = threading.Lock()
nest(a, b)
pid = os.fork()
nest(*((b, a) if pid == 0 else (a, b)))
if pid == 0:
    sys.exit()
assert os.waitpid(pid, 0)[1] == 0
"""
    done = run_on_lowthreads(tmp_path, ["--lock-order"], PRELUDE + body)
    assert reports(done.stderr) == (0 if done.stdout else 1)


def test_the_way_that_a_plugin_uses_it() -> None:
    run_child(
        """
        import sys
        import lowthreads
        lowthreads.install()
        import threading
        from lowthreads._observe import lock_order
        found = []
        def note(inversion):
            found.append(inversion)
            with others[0], others[1]: pass  # is not looked at
            with others[1], others[0]: pass
            1 / 0
        raised = []
        sys.unraisablehook = raised.append
        watched = lock_order.start(["x.py:1 y.py:2"], note)
        others = [threading.Lock(), threading.RLock()]
        a = threading.Lock()
        b = threading.Lock()
        def one():
            with a, b: pass
        def two():
            with b, a: pass
        one()
        two()
        two()
        watched.stop()
        (inversion,) = found
        assert [order.stack[-1].function for order in inversion.orders] == ["two", "one"]
        assert [each.exc_type for each in raised] == [ZeroDivisionError]
        c = threading.Lock()
        with b, c: pass
        with c, b: pass
        assert len(found) == 1
        again = lock_order.start((), found.append)
        d = threading.Lock()
        for first, then in ((b, d), (d, b)):
            with first, then: pass
        again.stop()
        assert len(found) == 2
        """
    )


def test_what_is_remembered_is_bounded() -> None:
    run_child(
        """
        import lowthreads
        lowthreads.install()
        import threading
        from lowthreads._observe import lock_order
        lock_order.MAX_ORDERS = 10
        lock_order.MAX_HELD = 5
        found = []
        order = lock_order.start((), found.append)
        locks = [threading.Lock() for _ in range(30)]
        for first, then in zip(locks, locks[1:]):
            with first, then: pass
        assert len(order._pairs) == 10
        for i in range(30):
            exec(compile("one = threading.Lock()\\ntwo = threading.Lock()", f"file{i}.py", "exec"))
            with one, two: pass
        assert order.is_full
        for lock in locks:
            lock.acquire()
        for lock in locks:
            lock.release()
        assert not found, found
        """
    )


def test_the_example(tmp_path: Path) -> None:
    program = str(Path(__file__).resolve().parents[1] / "examples" / "inversion.py")
    done = run_on_lowthreads(tmp_path, ["--lock-order"], program)
    assert done.stdout == "100 100\n"
    assert reports(done.stderr) == 1
    accepted = tmp_path / "accepted.txt"
    accepted.write_text("examples/inversion.py:main inversion.py:main")
    assert run_on_lowthreads(tmp_path, [f"--lock-order={accepted}"], program).stderr == ""
