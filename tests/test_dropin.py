"""lowthreads in `_thread`'s place: all in child processes."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import pytest

import lowthreads
from support import PYPY, run_child, run_on_lowthreads

# Of CPython 3.15, and what only older versions have.
NAMES = [
    "LockType",
    "RLock",
    "TIMEOUT_MAX",
    "_ExceptHookArgs",
    "_NAME_MAXLEN",
    "_ThreadHandle",
    "_count",
    "_excepthook",
    "_get_main_thread_ident",
    "_get_name",
    "_is_main_interpreter",
    "_local",
    "_make_thread_handle",
    "_shutdown",
    "allocate",
    "allocate_lock",
    "daemon_threads_allowed",
    "error",
    "exit",
    "exit_thread",
    "get_ident",
    "get_native_id",
    "interrupt_main",
    "lock",
    "set_name",
    "stack_size",
    "start_joinable_thread",
    "start_new",
    "start_new_thread",
    "_set_sentinel",
]

PRELUDE = """
import sys
import _thread as stock
import lowthreads
from support import wait_until

def installed():
    return sys.modules["_thread"] is not stock

def snapshot():
    # By identity: every name of threading and _thread.
    import threading
    modules = (sys.modules["_thread"], threading)
    return [{name: id(value) for name, value in vars(module).items()} for module in modules]

def refuses(call, *words):
    before = snapshot()
    try:
        call()
    except RuntimeError as error:
        assert all(word in str(error) for word in words), error
    else:
        raise AssertionError("not refused")
    assert snapshot() == before
"""

BEFORE = """
lowthreads.install()
import threading
"""
AFTER = """
import threading
lowthreads.install()
"""

either_order = pytest.mark.parametrize("order", [BEFORE, AFTER], ids=["before", "after"])


def run(body: str, order: str = "", *args: object) -> None:
    options = ("-W", "ignore:This process:DeprecationWarning")
    run_child(PRELUDE + order + textwrap.dedent(body), *args, options=options)


# ---- Names


@pytest.mark.parametrize("name", NAMES)
def test_every_name_of_every_version_is_there(name: str) -> None:
    assert hasattr(lowthreads, name)
    assert name in lowthreads.__all__


def test_the_installed_module_has_all_names_of_all_versions() -> None:
    run(
        """
        names = set(sys.argv[1:]) | {name for name in dir(stock) if name != "__builtins__"}
        lowthreads.install()
        import _thread
        assert _thread is not stock and _thread.__name__ == "_thread"
        assert names - set(dir(_thread)) == set()
        assert not {"install", "uninstall", "host_names"} & set(dir(_thread))
        """,
        "",
        *NAMES,
    )


def test_host_names_are_those_whose_objects_are_the_interpreters() -> None:
    run("""
        own = {
            name for name in lowthreads.__all__
            if hasattr(stock, name) and getattr(lowthreads, name) is getattr(stock, name)
        }
        by_value = {"error"}  # RuntimeError, as the reference says
        own -= {n for n in own if isinstance(getattr(stock, n), (int, float))}
        assert own - by_value == set(lowthreads.host_names), own
        assert all(isinstance(reason, str) and reason for reason in lowthreads.host_names.values())
        """)


# ---- install and uninstall


def test_threading_is_not_imported_by_it() -> None:
    # Which thread imports it is the program's business.
    run_child("""
        import sys
        before = "threading" in sys.modules
        import lowthreads
        lowthreads.install()
        assert before or "threading" not in sys.modules
        """)


@either_order
def test_new_locks_and_threads_are_lowthreads(order: str) -> None:
    run(
        """
        import _thread
        assert installed() and _thread is sys.modules["_thread"]
        assert type(threading.Lock()).__module__ == "_thread"
        assert type(threading.Lock()).__name__ == "lock"
        assert isinstance(threading.Lock(), lowthreads.lock)
        assert isinstance(threading.RLock(), lowthreads.RLock)
        assert repr(threading.Lock()).startswith("<unlocked _thread.lock object at 0x")
        assert repr(threading.RLock()).startswith("<unlocked _thread.RLock object owner=0 count=0")
        assert isinstance(threading.Condition()._lock, lowthreads.RLock)
        counts, gate = [], threading.Event()

        def target():
            counts.append((lowthreads._count(), threading.get_ident(), threading.get_native_id()))
            gate.wait()

        thread = threading.Thread(target=target)
        thread.start()
        wait_until(lambda: counts)
        assert counts == [(1, thread.ident, thread.native_id)]
        assert thread in threading.enumerate() and thread.is_alive()
        thread.join(0.01)
        assert thread.is_alive()
        gate.set()
        thread.join()
        assert not thread.is_alive() and threading.active_count() == 1
        assert _thread.TIMEOUT_MAX == threading.TIMEOUT_MAX == 9223372036.0
        assert threading.get_ident() == _thread.get_ident() == stock.get_ident()
        """,
        order,
    )


def test_what_was_there_before_goes_on() -> None:
    run("""
        import threading
        go_on, lock, rlock = threading.Event(), threading.Lock(), threading.RLock()
        condition = threading.Condition()
        fired = []
        thread = threading.Thread(target=go_on.wait)
        daemon = threading.Thread(target=go_on.wait, daemon=True)
        timer = threading.Timer(0.05, fired.append, [1])
        unstarted = threading.Thread(target=lambda: fired.append(2))
        for each in (thread, daemon, timer):
            each.start()
        waited = []

        def wait():
            with condition:
                waited.append(0)
                condition.wait()
                waited.append(1)

        waiting = threading.Thread(target=wait)
        waiting.start()
        wait_until(lambda: waited)
        lock.acquire(), rlock.acquire()
        lowthreads.install()
        assert {thread, daemon, threading.main_thread()} <= set(threading.enumerate())
        unstarted.start()
        unstarted.join()
        assert 2 in fired
        timer.join()
        assert 1 in fired
        def notify():
            with condition:
                condition.notify_all()

        threading.Thread(target=notify).start()
        waiting.join()
        assert waited == [0, 1]
        assert not lock.acquire(False) and rlock.acquire()
        rlock.release()
        thread.join(0.01)
        assert thread.is_alive()
        go_on.set()
        thread.join()
        daemon.join()
        lock.release(), rlock.release()
        wait_until(lambda: threading.active_count() == 1)
        """)


@either_order
def test_uninstall_restores_everything_by_identity(order: str) -> None:
    run(
        """
        import threading
        before = snapshot()
        for _ in range(3):
            lowthreads.install()
            module = sys.modules["_thread"]
            lowthreads.install()
            assert sys.modules["_thread"] is module and installed()
            assert snapshot() != before
            thread = threading.Thread(target=int)
            thread.start()
            thread.join()
            lowthreads.uninstall()
            lowthreads.uninstall()
            assert snapshot() == before
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()
        assert lowthreads._count() == 0
        """
        if order == AFTER
        else """
        lowthreads.uninstall()
        assert not installed()
        names = [
            (name, value) for name, value in vars(threading).items()
            if not name.startswith("__") and callable(value)
        ]
        left = [name for name, value in names if getattr(value, "__module__", "") == "_thread"
                and not any(value is theirs for theirs in vars(stock).values())]
        assert left == [], left
        assert type(threading.Lock()) is stock.LockType
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()
        assert lowthreads._count() == 0
        """,
        order if order == BEFORE else "",
    )


@either_order
def test_a_stack_size_that_was_set_holds_on(order: str) -> None:
    run(
        """
        import threading
        lowthreads.uninstall()
        lowthreads.stack_size(1 << 20)
        lowthreads.install()
        assert threading.stack_size(1 << 19) == 1 << 20  # lowthreads' own, for none was set
        lowthreads.uninstall()
        assert lowthreads.stack_size(1 << 20) == 1 << 20
        assert threading.stack_size(1 << 18) == 0
        lowthreads.install()
        assert threading.stack_size() == 1 << 18
        lowthreads.uninstall()
        assert lowthreads.stack_size() == 1 << 20
        assert threading.stack_size() == 1 << 18
        """,
        order,
    )


@either_order
def test_uninstall_leaves_what_the_program_put_into_threading(order: str) -> None:
    run(
        """
        class Lock:
            pass

        threading.Lock = Lock
        lowthreads.uninstall()
        assert threading.Lock is Lock
        assert threading.get_ident is stock.get_ident
        """,
        order,
    )


def test_threads_that_run_before_are_waited_for_at_the_end() -> None:
    child = run_child(
        PRELUDE
        + textwrap.dedent("""
        import threading
        over = stock.allocate_lock()
        over.acquire()

        def late():
            over.acquire()
            later = threading.Thread(target=print, args=("later",))
            later.start()
            later.join()
            print("late", flush=True)

        threading.Thread(target=late).start()
        lowthreads.install()
        threading.Timer(0.05, over.release).start()
        """)
    )
    assert child.stdout == "later\nlate\n"


@pytest.mark.parametrize("when", ["before", "after"])
def test_all_that_uses_threads_is_imported(when: str) -> None:
    run(
        """
        if sys.argv[1] == "after":
            lowthreads.install()
        import asyncio, concurrent.futures, logging, multiprocessing, multiprocessing.dummy
        import queue, subprocess, tempfile, threading
        executor = concurrent.futures.ThreadPoolExecutor(2)
        assert executor.submit(int, "1").result() == 1
        before = threading.Thread(target=queue.Queue().get, daemon=True)
        before.start()
        lowthreads.install()
        idents = set()

        def note(*args):
            idents.add(threading.get_ident())
            logging.getLogger("x").debug("noted")
            return lowthreads._count()

        assert executor.submit(note).result() >= 0
        assert [*executor.map(note, range(20))]
        executor.shutdown()

        async def main():
            loop = asyncio.get_running_loop()
            event = asyncio.Event()
            started = threading.Thread(target=loop.call_soon_threadsafe, args=(event.set,))
            started.start()
            await event.wait()
            started.join()
            return await loop.run_in_executor(None, note)

        assert asyncio.run(main()) >= 1  # it runs in a thread of lowthreads'
        with multiprocessing.dummy.Pool(3) as pool:
            assert sum(pool.map(note, range(10))) >= 10
        lock = multiprocessing.RLock()
        with lock, lock:
            pass
        process = subprocess.run([sys.executable, "-c", ""], timeout=60, capture_output=True)
        assert process.returncode == 0
        assert threading.get_ident() not in idents and before in threading.enumerate()
        """,
        "",
        when,
    )


def test_install_is_refused_where_something_else_is_in_place() -> None:
    run("""
        import threading, types
        other = sys.modules["_thread"] = types.ModuleType("_thread")
        refuses(lowthreads.install, "in _thread's place")
        assert sys.modules["_thread"] is other
        sys.modules["_thread"] = stock
        lowthreads.install()
        ours, sys.modules["_thread"] = sys.modules["_thread"], other
        refuses(lowthreads.uninstall, "took its place")
        sys.modules["_thread"] = ours
        lowthreads.uninstall()
        assert not installed()
        """)


def test_both_are_refused_while_a_thread_starts() -> None:
    run("""
        import threading
        starting = threading.Thread(name="the-one-that-starts")
        threading._limbo[starting] = starting
        refuses(lowthreads.install, "the-one-that-starts")
        del threading._limbo[starting]
        lowthreads.install()
        threading._limbo[starting] = starting
        refuses(lowthreads.uninstall, "the-one-that-starts")
        del threading._limbo[starting]
        lowthreads.uninstall()
        assert not installed()
        """)


def test_threads_started_while_installed_are_waited_for_after_uninstall_or_prevent_it() -> None:
    child = run_child(
        PRELUDE
        + textwrap.dedent("""
        import threading, time
        lowthreads.install()

        def late():
            time.sleep(0.1)
            print("late", flush=True)

        threading.Thread(target=late).start()
        try:
            lowthreads.uninstall()
        except RuntimeError:
            assert installed()
        """)
    )
    assert child.stdout == "late\n"


# ---- The standard library on it


@either_order
def test_queues_executors_and_other_users(order: str) -> None:
    run(
        """
        import concurrent.futures, logging, queue, threading

        with concurrent.futures.ThreadPoolExecutor(4) as executor:
            assert list(executor.map(lambda x: x * x, range(100))) == [x * x for x in range(100)]
            assert isinstance(executor._shutdown_lock, lowthreads.lock)

        q, results = queue.Queue(2), queue.SimpleQueue()
        def work():
            for item in iter(q.get, None):
                results.put(item)
                q.task_done()
        workers = [threading.Thread(target=work) for _ in range(3)]
        for worker in workers:
            worker.start()
        for number in range(50):
            q.put(number)
        q.join()
        for worker in workers:
            q.put(None)
        for worker in workers:
            worker.join()
        assert sorted(results.get() for _ in range(50)) == list(range(50))

        barrier, semaphore = threading.Barrier(4), threading.BoundedSemaphore(2)
        local, seen = threading.local(), []
        def meet():
            local.value = threading.get_ident()
            barrier.wait(60)
            with semaphore:
                seen.append(local.value)
        threads = [threading.Thread(target=meet) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(seen) == sorted(thread.ident for thread in threads)

        records = []
        handler = logging.Handler()
        handler.emit = lambda record: records.append(record.thread)
        logging.getLogger("x").addHandler(handler)
        thread = threading.Thread(target=lambda: logging.getLogger("x").error("hello"))
        thread.start()
        thread.join()
        assert records == [thread.ident]
        """,
        order,
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
@either_order
def test_a_fork_leaves_the_child_a_working_threading(order: str) -> None:
    run(
        """
        import os, traceback

        gate = threading.Event()
        other = threading.Thread(target=gate.wait)
        other.start()

        def in_child():
            assert threading.enumerate() == [threading.current_thread()]
            assert threading.current_thread() is threading.main_thread()
            assert threading.main_thread().is_alive(), "the main thread runs"
            assert not other.is_alive()
            other.join()
            thread = threading.Thread(target=int)
            thread.start()
            thread.join()

        def fork():
            pid = os.fork()
            if pid == 0:
                status = 1
                try:
                    in_child()
                    status = 0
                except BaseException:
                    traceback.print_exc()
                    sys.stderr.flush()
                finally:
                    os._exit(status)
            statuses.append(os.waitpid(pid, 0)[1])

        statuses = []
        fork()
        forking = threading.Thread(target=fork)
        forking.start()
        forking.join()
        gate.set()
        other.join()
        assert statuses == [0, 0]
        """,
        order,
    )


@either_order
def test_exit_waits_for_threads_and_runs_atexit(order: str) -> None:
    child = run_child(
        PRELUDE
        + order
        + textwrap.dedent("""
        import atexit, time
        atexit.register(print, "at exit")

        def late():
            time.sleep(0.1)
            print("late", flush=True)

        threading.Thread(target=late).start()
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        """)
    )
    assert child.stdout == "late\nat exit\n"


JOIN_MAIN = """
import os, threading, time
main, waiting = threading.main_thread(), []

def join_main():
    waiting.append(1)
    main.join()
    os.write(1, b"joined\\n")  # in one piece

for _ in range(3):
    threading.Thread(target=join_main).start()
while len(waiting) < 3:
    time.sleep(0.001)
threading.Event().wait(0.05)  # until those who wait are handed the lock
"""


def test_threads_may_wait_for_the_main_thread_to_end(tmp_path: Path) -> None:
    child = run_on_lowthreads(tmp_path, [], JOIN_MAIN)
    assert (child.stdout, child.stderr) == ("joined\n" * 3, "")


@pytest.mark.skipif(PYPY, reason="there, without lowthreads too, two that join it may collide")
@either_order
def test_and_if_the_main_threads_lock_was_made_before(order: str) -> None:
    assert run_child(PRELUDE + order + JOIN_MAIN).stdout == "joined\n" * 3


@either_order
def test_several_threads_may_join_one(order: str) -> None:
    run(
        """
        for _ in range(20):
            gate, waiting = threading.Event(), []
            thread = threading.Thread(target=gate.wait)
            thread.start()

            def join():
                waiting.append(1)
                thread.join()
                assert not thread.is_alive()

            joining = [threading.Thread(target=join) for _ in range(4)]
            for each in joining:
                each.start()
            wait_until(lambda: len(waiting) == 4)
            threading.Event().wait(0.005)  # until those who wait are handed the lock
            gate.set()
            for each in joining:
                each.join()
        """,
        order,
    )


# ---- Where versions differ


def test_the_lock_type_can_be_called_where_stocks_can() -> None:
    run("""
        import threading
        lowthreads.install()
        import _thread
        lock_type = type(threading.Lock())
        assert lock_type is _thread.LockType is _thread.lock
        assert type(_thread.allocate_lock()) is type(_thread.allocate()) is lock_type
        refused = sys.implementation.name == "cpython" and (3, 10) <= sys.version_info < (3, 13)
        for call in (lock_type, lambda: lock_type.__new__(lock_type)):
            try:
                lock = call()
            except TypeError as error:
                assert refused and str(error) == "cannot create '_thread.lock' instances", error
            else:
                assert not refused and not lock.locked()

        class User:
            make = _thread.allocate_lock

        assert type(User().make()) is lock_type
        assert type(lowthreads.LockType()) is lowthreads.lock
        """)


def test_an_rlock_takes_arguments_where_stocks_does() -> None:
    run("""
        import threading, warnings
        warnings.simplefilter("ignore")
        lowthreads.install()
        import _thread
        for args, kwargs in [((1,), {}), ((1, 2), {}), ((), {"a": 1})]:
            try:
                assert _thread.RLock(*args, **kwargs).acquire()
            except TypeError:
                assert sys.version_info >= (3, 15)
            else:
                assert sys.version_info < (3, 15)
        """)


def test_functools_takes_part() -> None:
    run("""
        import functools
        host = functools.RLock
        lowthreads.install()
        import _thread
        assert functools.RLock is _thread.RLock
        lowthreads.uninstall()
        assert functools.RLock is host
        """)


@either_order
def test_modules_of_names(order: str) -> None:
    run(
        """
        import _thread
        for name in ("get_ident", "get_native_id", "stack_size", "Lock", "ThreadError",
                     "TIMEOUT_MAX", "RLock", "excepthook", "ExceptHookArgs", "local"):
            value = getattr(threading, name)
            module = getattr(value, "__module__", None)
            assert module in ("_thread", "threading", "builtins", "thread", None,
                              "functools", "_threading_local"), (name, module)
        for name in ("get_ident", "get_native_id", "stack_size"):
            assert getattr(threading, name).__module__ in ("_thread", "threading")
        for name in ("start_new_thread", "allocate_lock", "interrupt_main", "RLock", "lock",
                     "_count", "_shutdown", "exit", "set_name"):
            assert getattr(_thread, name).__module__ == "_thread", name
        assert type(threading.Lock()).__module__ == type(threading.RLock()).__module__ == "_thread"
        """,
        order,
    )


def test_functions_do_not_become_methods_of_a_class_that_keeps_them() -> None:
    run("""
        import threading
        lowthreads.install()
        import _thread
        for name in dir(_thread):
            value = getattr(_thread, name)
            if callable(value) and not isinstance(value, type):
                assert getattr(type("User", (), {name: value})(), name) is value, name

        class User:
            ident = threading.get_ident
            native_id = threading.get_native_id
            start = _thread.start_new_thread
            count = _thread._count

        user = User()
        assert user.ident() == lowthreads.get_ident() == stock.get_ident()
        assert user.native_id() == lowthreads.get_native_id()
        done = threading.Event()
        user.start(done.set, ())
        assert done.wait(60)
        wait_until(lambda: user.count() == 0)
        """)


def test_functions_have_names_and_docs_and_are_pickled_by_name() -> None:
    run("""
        import copy, inspect, pickle
        lowthreads.install()
        import _thread
        for name in ("get_ident", "get_native_id", "start_new_thread", "stack_size", "_count"):
            function = getattr(_thread, name)
            assert function.__name__ == function.__qualname__ == name
            assert function.__doc__, name
            assert repr(function) == f"<built-in function {name}>"
            assert copy.deepcopy(function) is pickle.loads(pickle.dumps(function)) is function
        assert str(inspect.signature(_thread._count)).startswith("()")
        assert _thread.allocate_lock.__name__ in ("lock", "allocate_lock")
        assert _thread.allocate_lock.__qualname__ == _thread.allocate_lock.__name__
        assert _thread.allocate_lock.__doc__ == lowthreads.lock.__doc__
        """)


def test_an_rlock_is_copied_where_stocks_is() -> None:
    run("""
        import copy, pickle, threading

        def outcome(action):
            # As on stock: a new lock, free, or a TypeError.
            lock = threading.RLock()
            lock.acquire()
            try:
                new = action(lock)
            except TypeError as error:
                return str(error)
            assert new is not lock and new.acquire() and not new.release()
            return type(new).__module__, type(new).__name__

        actions = (copy.copy, copy.deepcopy, lambda lock: pickle.loads(pickle.dumps(lock)),
                   lambda lock: copy.deepcopy(threading.Condition(lock))._lock)
        stocks = [outcome(action) for action in actions]
        lowthreads.install()
        assert [outcome(action) for action in actions] == stocks
        """)


def test_the_unraisable_hook_gets_what_this_version_gives() -> None:
    run("""
        import re
        import _thread as theirs
        caught = []

        def hook(args):
            message = re.sub(r"thread [0-9]+", "thread NUMBER", args.err_msg)  # PyPy's
            caught.append((args.object, message, args.exc_type))

        sys.unraisablehook = hook

        def fail():
            raise ZeroDivisionError

        def outcome(module):
            caught.clear()
            module.start_new_thread(fail, ())
            wait_until(lambda: caught)
            wait_until(lambda: module._count() == 0)
            return list(caught)

        new = [(None, f"Exception ignored in thread started by {fail!r}", ZeroDivisionError)]
        expected = outcome(theirs)
        assert outcome(lowthreads) == new
        lowthreads.install()
        import _thread
        assert outcome(_thread) == expected, (outcome(_thread), expected)
        lowthreads.uninstall()
        assert outcome(lowthreads) == new
        """)


def test_daemon_threads_are_allowed_and_counts_include_the_hosts() -> None:
    run("""
        gate = stock.allocate_lock()
        gate.acquire()
        stock.start_new_thread(gate.acquire, ())
        lowthreads.install()
        import _thread
        assert _thread.daemon_threads_allowed() is True
        assert _thread._is_main_interpreter() is True
        wait_until(lambda: _thread._count() == 1)
        _thread.start_new_thread(gate.acquire, ())
        assert lowthreads._count() == 1 and _thread._count() == 2
        gate.release()
        wait_until(gate.locked)
        gate.release()
        wait_until(lambda: _thread._count() == 0)
        """)


def test_two_threads_install_and_uninstall_at_once() -> None:
    run_child(
        """
        import _thread, sys, threading
        import lowthreads
        from support import run_threads

        def toggle():
            for _ in range(50):
                lowthreads.install()
                lowthreads.uninstall()

        before = dict(vars(threading))
        run_threads(toggle, toggle, toggle)
        assert sys.modules["_thread"] is _thread
        assert dict(vars(threading)) == before
        """
    )
