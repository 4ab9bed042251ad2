"""The interpreter ends cleanly, whatever its threads are doing.

Each kind of exit is tried many times, for what goes wrong at exit is a matter of moments:
LOWTHREADS_EXITS=1000 tries a thousand of each.
"""

from __future__ import annotations

import builtins
import os
import sys
import textwrap

import pytest
from marks import other_interpreters

from support import PYPY, end_child, run_child, start_child

EXITS = int(os.environ.get("LOWTHREADS_EXITS", "9"))
AT_ONCE = 3
LIMIT = 60.0 if PYPY else 20.0  # PyPy's main thread may be late to get the GIL

PRELUDE = """
import atexit, sys, time

late = []

@atexit.register  # before lowthreads does so: runs after it
def run_late():
    for function in late:
        function()

from lowthreads import _count, allocate_lock, get_ident, start_new_thread
from support import await_waiter, wait_until

number = int(sys.argv[1])  # of this exit
sys.setswitchinterval(1e-4)  # more happens until the end, and sooner

def held():
    lock = allocate_lock()
    lock.acquire()
    return lock

def spin(microseconds):
    until = time.perf_counter() + microseconds * 1e-6
    while time.perf_counter() < until:
        pass

def run_for_ever():
    while True:
        sum(range(100))

def acquire_for_ever(lock, *args):
    while True:
        lock.acquire(*args)

def pass_on(first, second):
    while True:
        first.acquire()
        second.release()

def start_for_ever():
    while True:
        try:
            start_new_thread(int, ())
        except RuntimeError:
            return
        wait_until(lambda: _count() < 100)
"""

KINDS = {
    "run Python code": """
        for _ in range(4):
            start_new_thread(run_for_ever, ())
        """,
    "sleep": """
        for _ in range(4):
            start_new_thread(time.sleep, (0.0001 * number,))
            start_new_thread(time.sleep, (60,))
        """,
    "wait": """
        lock = held()
        for _ in range(4):
            start_new_thread(lock.acquire, ())
        await_waiter(lock)
        """,
    "wait with a timeout": """
        lock = held()
        for _ in range(4):
            start_new_thread(lock.acquire, (True, 60))
        await_waiter(lock)
        """,
    "time out": """
        lock = held()
        for _ in range(4):
            start_new_thread(acquire_for_ever, (lock, True, 0.0005))
        await_waiter(lock)
        """,
    "hand locks over": """
        ping, pong = held(), held()
        start_new_thread(pass_on, (ping, pong))
        start_new_thread(pass_on, (pong, ping))
        ping.release()
        spin(100 * number)
        """,
    "wait in a with statement": """
        def enter(lock):
            with lock:
                lock.acquire()

        lock = allocate_lock()
        for _ in range(4):
            start_new_thread(enter, (lock,))
        await_waiter(lock)
        """,
    "have just been started": """
        for _ in range(number % 7 + 1):
            start_new_thread(int, ())
        """,
    "have just been started, to run for ever": """
        for _ in range(number % 7 + 1):
            start_new_thread(run_for_ever, ())
        """,
    "are started at exit": """
        lock = held()

        @atexit.register
        def start():
            for function, args in [(int, ()), (run_for_ever, ()), (lock.acquire, ())]:
                start_new_thread(function, args)
        """,
    "are started late at exit": """
        lock = held()

        @late.append
        def start():
            for function, args in [(int, ()), (run_for_ever, ()), (lock.acquire, ())]:
                start_new_thread(function, args)
        """,
    "are finishing": """
        gates = [held() for _ in range(8)]
        for moment, gate in enumerate(gates):
            start_new_thread(lambda gate, moment: (gate.acquire(), spin(moment * 50)),
                             (gate, moment))
        wait_until(lambda: _count() == 8)
        for gate in gates:
            gate.release()
        """,
    "are finishing late at exit": """
        gates = [held() for _ in range(8)]
        for gate in gates:
            start_new_thread(gate.acquire, ())

        @late.append
        def finish():
            for gate in gates:
                gate.release()
            spin(50 * number)
        """,
    "start threads": """
        sys.setswitchinterval(1e-6)  # each of them is amid a start at some exit
        for _ in range(6):
            start_new_thread(start_for_ever, ())
        late.append(lambda: spin(100 * number))
        """,
    "raise": """
        sys.unraisablehook = lambda unraisable: None
        gates = [held() for _ in range(8)]
        for gate in gates:
            start_new_thread(lambda gate: gate.acquire() / 0, (gate,))
        wait_until(lambda: _count() == 8)
        for gate in gates:
            gate.release()
        """,
    "are started as modules go": """
        class Starts:
            def __del__(self, start=start_new_thread, error=RuntimeError):
                try:
                    start(int, ())
                except error:
                    pass

        here, sys.kept = Starts(), Starts()
        """,
    "release locks that go with the interpreter": """
        class Releases:
            def __init__(self, lock):
                self.lock = lock

            def __del__(self):
                self.lock.release()

        sys.kept = [Releases(held()) for _ in range(4)]
        for one in sys.kept:
            start_new_thread(one.lock.acquire, ())
        """,
}

ALL = (
    textwrap.dedent(KINDS["run Python code"] + KINDS["time out"] + KINDS["wait"])
    + """
@atexit.register
def start():
    start_new_thread(int, ())

start_new_thread(start_for_ever, ())
"""
)

PRINTS = """
def print_in_thread():
    print("a thread's line")
    with printed:
        pass

printed = allocate_lock()
printed.acquire()
start_new_thread(print_in_thread, ())
await_waiter(printed)
atexit.register(print, "at exit")
print("the last line" + "." * 70000)
"""
PRINTED = "a thread's line\nthe last line" + "." * 70000 + "\n"

ENDS = {
    # How the main thread ends; the exit status, and the end of stderr.
    "sys.exit()": (0, ""),
    "sys.exit(3)": (3, ""),
    "sys.exit('a text')": (1, "a text\n"),
    "raise SystemExit(4)": (4, ""),
    "1 / 0": (1, "ZeroDivisionError: division by zero\n"),
    "raise LookupError('on purpose')": (1, "LookupError: on purpose\n"),
}

STOPS = {
    # The same for ends without the interpreter's own; and what is printed.
    "sys.stdout.flush(); os._exit(5)": (5, PRINTED),
    "sys.stdout.flush(); os.kill(os.getpid(), signal.SIGTERM)": (-15, PRINTED),
    """
def end(*_):
    sys.exit(6)
signal.signal(signal.SIGTERM, end)
os.kill(os.getpid(), signal.SIGTERM)
held().acquire()
""": (6, PRINTED + "at exit\n"),
    "pass": (0, PRINTED + "at exit\n"),
}


def exit_often(body: str, status: int = 0, last_words: str = "", printed: str = "") -> None:
    """End as many processes as is asked for; each must end as is said."""
    for first in range(0, EXITS, AT_ONCE):
        numbers = range(first, min(first + AT_ONCE, EXITS))
        children = [start_child(body, number, timeout=LIMIT) for number in numbers]
        ends = [(*end_child(child, LIMIT), child.returncode) for child in children]
        for stdout, stderr, returncode in ends:
            assert (returncode, stdout) == (status, printed), stderr
            assert stderr.endswith(last_words)
            # No other text, and no other traceback.
            assert "Traceback" not in stderr[1:]
            assert stderr.startswith("Traceback") or stderr == last_words


@pytest.mark.parametrize("threads", KINDS)
def test_the_interpreter_ends_while_threads(threads: str) -> None:
    exit_often(PRELUDE + textwrap.dedent(KINDS[threads]))


@pytest.mark.parametrize("end", ENDS)
def test_the_end_of_the_main_thread_decides_the_exit_status(end: str) -> None:
    exit_often(PRELUDE + ALL + end, *ENDS[end])


@pytest.mark.skipif(os.name == "nt", reason="SIGTERM ends a process there, whatever it does")
@pytest.mark.parametrize("stop", STOPS)
def test_no_output_is_lost(stop: str) -> None:
    status, printed = STOPS[stop]
    exit_often(PRELUDE + ALL + PRINTS + "import os, signal\n" + stop, status, printed=printed)


REFUSED = """
lock, asked, answered = held(), held(), held()
answers = []

def ask():
    asked.acquire()
    try:
        start_new_thread(print, ("it runs",))
    except Exception as error:
        answers.append(f"{type(error).__name__}: {error}")
    answered.release()

start_new_thread(ask, ())
await_waiter(asked)

@late.append
def wait_for_answer():
    asked.release()
    answered.acquire()
    print(*answers)
"""


def test_another_thread_can_not_start_threads_while_the_interpreter_ends() -> None:
    error = getattr(builtins, "PythonFinalizationError", RuntimeError).__name__
    output = run_child(PRELUDE + REFUSED, 0).stdout
    assert output == f"{error}: can't create new thread at interpreter shutdown\n"


def test_it_may_be_imported_as_late_as_at_exit() -> None:
    run_child(
        """
        import atexit, threading

        def use():
            from lowthreads import allocate_lock, start_new_thread

            ran = allocate_lock()
            ran.acquire()
            start_new_thread(ran.release, ())
            assert ran.acquire(timeout=30)
            for _ in range(5):
                start_new_thread(int, ())

        atexit.register(use)
        """
    )


@other_interpreters
@pytest.mark.parametrize("until", ["the end", "its last id is gone"])
def test_another_interpreter_may_live_on(until: str) -> None:
    child = run_child(
        """
        import sys
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters

        run = getattr(interpreters, "exec", None) or interpreters.run_string
        another = (
            interpreters.create("legacy") if sys.version_info >= (3, 13)
            else interpreters.create(isolated=False)
        )
        assert run(another, f"import sys; sys.path = {sys.path!r}; import lowthreads") is None
        if sys.argv[1] != "the end":
            del another
        print("so far", flush=True)
        """,
        until,
        options=["-W", "ignore:remaining subinterpreters"],
    )
    assert child.stdout == "so far\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.skipif(sys.version_info[:2] == (3, 12), reason="3.12 alone refuses forks at exit")
@pytest.mark.parametrize("by", ["main", "other"])
def test_the_child_of_a_fork_at_exit_starts_threads(by: str) -> None:
    child = run_child(
        """
        import atexit, os, sys

        def at_exit():
            fork() if sys.argv[1] == "main" else go.release()
            assert done.acquire(timeout=30)

        atexit.register(at_exit)  # to be called after lowthreads' own

        from lowthreads import allocate_lock, start_joinable_thread, start_new_thread

        def fork():
            pid = os.fork()
            if pid == 0:
                start_joinable_thread(lambda: os.write(1, b"the child's thread\\n")).join()
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
            done.release()

        go, done = allocate_lock(), allocate_lock()
        go.acquire(), done.acquire()
        start_new_thread(lambda: go.acquire() and fork(), ())
        """,
        by,
        options=["-W", "ignore:This process:DeprecationWarning"],
    )
    assert child.stdout == "the child's thread\n"


# ---- Waiting for threads that no longer run

NO_FINALIZERS = pytest.mark.skipif(PYPY, reason="no finalizers run at the end, and threads go on")
REFUSAL = getattr(builtins, "PythonFinalizationError", RuntimeError).__name__


@NO_FINALIZERS
def test_a_thread_that_can_not_end_any_more_is_not_joined() -> None:
    child = run_child("""
        from lowthreads import start_joinable_thread
        from support import collect_at_the_end, wait_until

        class Joined:
            def __init__(self, function):
                self.itself = self  # to be collected when the interpreter ends
                self.handle = start_joinable_thread(function)

            def __del__(self):
                for timeout in (None, 600):
                    try:
                        self.handle.join(timeout)
                    except RuntimeError as error:
                        print(type(error).__name__, error)
                    else:
                        print("ended")

        def run_for_ever():
            while True:
                pass

        collect_at_the_end()
        wait_until(Joined(int).handle.is_done)
        Joined(run_for_ever)
        """)
    lines = child.stdout.splitlines()
    refusal = f"{REFUSAL} cannot join thread at interpreter shutdown"
    assert sorted(lines) == sorted(["ended"] * 2 + [refusal] * 2)


@NO_FINALIZERS
@pytest.mark.parametrize("start", ["start_new_thread(print, ())", "start_joinable_thread(print)"])
def test_a_thread_that_could_not_run_any_more_is_not_started(start: str) -> None:
    child = run_child(
        """
        import sys
        from lowthreads import start_joinable_thread, start_new_thread
        from support import collect_at_the_end

        class Starting:
            def __init__(self):
                self.itself = self  # to be collected when the interpreter ends

            def __del__(self):
                try:
                    exec(sys.argv[1])
                except RuntimeError as error:
                    print(type(error).__name__, error)

        collect_at_the_end()
        Starting()
        """,
        start,
    )
    assert child.stdout == f"{REFUSAL} can't create new thread at interpreter shutdown\n"


@NO_FINALIZERS
@pytest.mark.parametrize("kind", ["allocate_lock", "RLock"])
def test_a_lock_that_can_not_be_released_any_more_is_not_waited_for(kind: str) -> None:
    child = run_child(
        """
        import sys
        import lowthreads
        from lowthreads import start_new_thread
        from support import collect_at_the_end, wait_until

        kind = getattr(lowthreads, sys.argv[1])
        free, taken = kind(), kind()

        class Waiting:
            def __init__(self):
                self.itself = self  # to be collected when the interpreter ends

            def __del__(self):
                print(free.acquire(), taken.acquire(False), taken.acquire(timeout=0))
                for arguments in [(), (True, 600)]:
                    try:
                        taken.acquire(*arguments)
                    except RuntimeError as error:
                        print(type(error).__name__, error)
                try:
                    with taken:
                        print("taken")
                except RuntimeError as error:
                    print(type(error).__name__, error)

        def run_for_ever():
            with taken:
                while True:
                    pass

        start_new_thread(run_for_ever, ())
        wait_until(taken.locked)
        collect_at_the_end()
        Waiting()
        """,
        kind,
    )
    refusal = f"{REFUSAL} cannot acquire lock at interpreter finalization"
    assert child.stdout.splitlines() == ["True False False", *[refusal] * 3]


@NO_FINALIZERS
def test_interrupt_main_tells_that_the_handlers_are_gone() -> None:
    child = run_child("""
        from lowthreads import interrupt_main

        class Interrupting:
            def __del__(self):
                try:
                    interrupt_main()
                except OSError as error:
                    print(error)

        interrupting = Interrupting()
        """)
    assert child.stdout == "Signal 2 ignored due to race condition\n"
