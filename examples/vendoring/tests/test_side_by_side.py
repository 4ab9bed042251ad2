"""Two lowthreads in one process, of two versions: neither sees the other."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest
import sample
from sample._vendor import lowthreads as vendored

import lowthreads as original

COPIES = [original, vendored]
LIMIT = 60.0


BOTH = """\
import lowthreads as original
from sample._vendor import lowthreads as vendored
"""


def python(*arguments):
    """Run the interpreter."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT)


def run(source, *options, head=BOTH):
    """Run a program, with both copies as `original` and `vendored`; return its output."""
    done = python(*options, "-c", head + textwrap.dedent(source))
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def until(condition):
    while not condition():
        time.sleep(0.001)


def test_the_sample_counts():
    assert sample.count(threads=4, times=10_000) == 40_000


def test_the_two_are_of_different_versions():
    assert original.__version__ != vendored.__version__
    assert (
        python("-m", vendored.__name__, "--version").stdout
        == f"{vendored.__name__} {vendored.__version__}\n"
    )


def test_nothing_is_shared():
    def modules(copy):
        return {
            name[len(copy.__name__) :]: module
            for name, module in sys.modules.items()
            if name == copy.__name__ or name.startswith(copy.__name__ + ".")
        }

    ours, theirs = modules(vendored), modules(original)
    assert "._native" in ours
    for name in ours.keys() & theirs.keys():
        assert ours[name] is not theirs[name]
        if isinstance(getattr(ours[name], "__file__", None), str):
            assert os.path.dirname(ours[name].__file__) != os.path.dirname(theirs[name].__file__)


@pytest.mark.parametrize("name", ["lock", "RLock", "_ThreadHandle"])
def test_the_types_are_different_and_say_whose_they_are(name):
    ours, theirs = getattr(vendored, name), getattr(original, name)
    assert not issubclass(ours, theirs)
    assert not issubclass(theirs, ours)
    assert (ours.__module__, theirs.__module__) == ("sample._vendor.lowthreads", "lowthreads")
    if name != "_ThreadHandle":
        assert "sample._vendor.lowthreads." in repr(ours())


def test_a_handle_is_of_no_use_to_the_other():
    with pytest.raises(TypeError, match="handle"):
        vendored.start_joinable_thread(print, original._ThreadHandle())


@pytest.mark.parametrize(("mine", "other"), [COPIES, COPIES[::-1]])
def test_each_counts_and_sees_its_own_threads_alone(mine, other):
    before = mine._count(), other._count()
    lock = mine.allocate_lock()
    lock.acquire()
    handle = mine.start_joinable_thread(lock.acquire)
    try:
        until(mine.waits)
        assert (mine._count(), other._count()) == (before[0] + 1, before[1])
        assert other.waits() == []
    finally:
        lock.release()
        handle.join()


@pytest.mark.parametrize(("mine", "other"), [COPIES, COPIES[::-1]])
def test_a_thread_of_one_uses_the_locks_of_the_other(mine, other):
    lock, told = other.allocate_lock(), []
    lock.acquire()

    def take():
        with lock:
            told.append((mine.get_ident(), other.get_ident(), threading.get_ident()))

    handle = mine.start_joinable_thread(take)
    until(other.waits)
    lock.release()
    handle.join()
    assert len(set(told[0])) == 1


@pytest.mark.parametrize("first", ["original", "vendored"])
def test_a_second_one_is_not_installed_over_the_first(first):
    second = {"original": "vendored", "vendored": "original"}[first]
    run(
        f"""
        import sys
        import _thread as host
        {first}.install()
        {first}.install()  # again does nothing
        standing = sys.modules["_thread"]
        try:
            {second}.install()
        except RuntimeError as error:
            assert str(error).startswith(f"can't install {{{second}.__name__}}: "), error
            assert {first}.__name__ in str(error), error
        else:
            raise AssertionError("installed")
        {second}.uninstall()  # does nothing
        assert sys.modules["_thread"] is standing
        {first}.uninstall()
        assert sys.modules["_thread"] is host
        {second}.install()
        import threading
        assert isinstance(threading.Lock(), {second}.lock)
        """
    )


def test_one_that_is_imported_when_the_other_is_installed():
    run(
        """
        import lowthreads as original
        host = original._host.host
        original.install()
        from sample._vendor import lowthreads as vendored
        assert vendored._host.host is host
        assert vendored._local is original._local
        try:
            vendored.install()
        except RuntimeError as error:
            assert "(lowthreads)" in str(error), error
        else:
            raise AssertionError("installed")
        lock = vendored.allocate_lock()
        with lock:
            pass
        import threading
        thread = threading.Thread(target=lock.acquire)
        thread.start()
        thread.join()
        assert lock.locked()
        original.uninstall()
        vendored.install()
        assert isinstance(threading.Lock(), vendored.lock)
        """,
        head="",
    )


WHICH = "print(__import__('sys').modules['_thread'].__spec__.origin)"


@pytest.mark.parametrize("name", [copy.__name__ for copy in COPIES])
def test_a_program_is_run_on_either(name):
    done = python("-m", name, "run", "-c", WHICH)
    assert (done.stdout, done.stderr) == (name + "\n", "")


@pytest.mark.parametrize(("outer", "inner"), [COPIES, COPIES[::-1]])
def test_a_program_run_on_one_may_run_another_on_the_other(outer, inner):
    command = ["-m", inner.__name__, "run", "-c", WHICH]
    source = f"import subprocess, sys; subprocess.run([sys.executable, *{command}])\n{WHICH}"
    done = python("-m", outer.__name__, "run", "-c", source)
    assert (done.stdout, done.stderr) == (f"{inner.__name__}\n{outer.__name__}\n", "")


@pytest.mark.parametrize("options", [[], ["--on-deadlock=report"]])
@pytest.mark.parametrize(("outer", "inner"), [COPIES, COPIES[::-1]])
def test_the_watchdog_is_the_innermost_copys(outer, inner, options):
    count = f"import {inner.__name__} as copy; print(copy._count())"
    command = ["-m", inner.__name__, "run", *options, "-c", count]
    source = f"import subprocess, sys; subprocess.run([sys.executable, *{command}])"
    done = python("-m", outer.__name__, "run", "--report-after=60", "-c", source)
    assert (done.stdout, done.stderr) == (f"{len(options)}\n", "")


def test_reports_say_whose_they_are():
    done = python(
        "-m", vendored.__name__, "run", "-c", f"import {vendored.__name__} as copy; copy.dump()"
    )
    assert done.stderr.startswith(f"{vendored.__name__}: ")
    assert (
        "usage: python -m sample._vendor.lowthreads"
        in python("-m", vendored.__name__, "--help").stdout
    )


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the platform has no timers")
@pytest.mark.parametrize("forks", [False, True])
@pytest.mark.parametrize("order", ["original, vendored", "vendored, original"])
def test_a_signal_reaches_the_waits_of_both(order, forks):
    # The handler of a signal waits in the other copy; and a signal comes in that wait, whose
    # handler may fork.  What has the wake-up descriptor meanwhile still gets each signal.
    run(
        f"""
        import os, signal, socket
        pid = -1
        outer, inner = {order}
        first, second = outer.allocate_lock(), inner.allocate_lock()
        first.acquire()
        second.acquire()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        signal.set_wakeup_fd(theirs.fileno())
        told = []

        def on_usr1(*_):
            told.append("usr1")
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            second.acquire()
            told.append("second")
            first.release()

        def on_alarm(*_):
            global pid
            told.append("alarm")
            if {forks}:
                pid = os.fork()
            second.release()

        signal.signal(signal.SIGUSR1, on_usr1)
        signal.signal(signal.SIGALRM, on_alarm)

        def send():
            while not outer.waits():
                pass
            os.kill(os.getpid(), signal.SIGUSR1)

        handle = inner.start_joinable_thread(send)
        assert first.acquire(timeout=30)
        handle.join()
        assert told == ["usr1", "alarm", "second"], told
        assert signal.set_wakeup_fd(-1) == theirs.fileno()
        if pid == 0:
            os._exit(0)
        assert set(ours.recv(99)) == {{signal.SIGUSR1, signal.SIGALRM}}
        assert pid == -1 or os.waitpid(pid, 0)[1] == 0
        """,
        *("-W", "ignore"),
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
def test_both_know_of_a_fork():
    out = run(
        """
        import os
        copies = [original, vendored]
        locks = []
        for copy in copies:
            lock = copy.allocate_lock()
            lock.acquire()
            locks.append((lock, copy.start_joinable_thread(lock.acquire)))
            while not copy.waits():
                pass
        assert [copy._count() for copy in copies] == [1, 1]
        pid = os.fork()
        if pid == 0:
            assert [copy._count() for copy in copies] == [0, 0]
            for copy, (lock, handle) in zip(copies, locks):
                assert copy.waits() == []
                handle.join()
                lock.release()
                with lock:
                    pass
                copy.start_joinable_thread(lock.acquire).join()
                assert lock.locked()
            print("child", flush=True)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        for lock, handle in locks:
            lock.release()
            handle.join()
        print("parent")
        """,
        "-W",
        "ignore",
    )
    assert out == "child\nparent\n"


def test_at_exit_both_know_that_no_thread_may_start_any_more():
    out = run(
        """
        import os
        from functools import partial

        def start(copy):
            try:
                copy.start_new_thread(print, ())
            except RuntimeError as error:
                os.write(1, str(error).encode() + b"\\n")

        def wait(lock, started):
            lock.acquire()
            start(started)

        def at_exit():
            for lock, handle in waiting:
                lock.release()
                handle.join()

        waiting = []
        for starter in (original, vendored):
            for started in (original, vendored):
                lock = starter.allocate_lock()
                lock.acquire()
                handle = starter.start_joinable_thread(partial(wait, lock, started))
                waiting.append((lock, handle))
        later.append(at_exit)  # when both have closed
        """,
        head="import atexit\nlater = []\natexit.register(lambda: later[0]())\n" + BOTH,
    )
    assert out == "can't create new thread at interpreter shutdown\n" * 4


def test_the_licence_and_the_sources_are_in_the_copy():
    folder = os.path.dirname(vendored.__file__)
    with open(os.path.join(folder, "LICENSE"), encoding="utf-8") as licence:
        assert "MIT" in licence.read()
    assert os.path.exists(os.path.join(folder, "_source", "csrc", "lowthreads.h"))


def test_the_copy_checks_itself():
    done = python("-m", vendored.__name__, "check", "--only", "promises")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"{vendored.__name__} {vendored.__version__}: ")
