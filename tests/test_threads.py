"""Starting threads, and how they end: identity, exceptions, stacks, and what stays behind."""

from __future__ import annotations

import gc
import sys
import textwrap
import threading
import weakref
from collections.abc import Iterator
from typing import Any, Callable

import pytest
from marks import counts_threads, freed_at_once, other_interpreters

import lowthreads
from lowthreads import _count, allocate_lock, get_ident, stack_size, start_new_thread
from support import PYPY, run_child, run_threads, wait_until


def held() -> lowthreads.LockType:
    lock = allocate_lock()
    lock.acquire()
    return lock


def is_gone(reference: Callable[[], object]) -> bool:
    if PYPY:
        gc.collect()
    return reference() is None


# ---- Identity and arguments ----------------------------------------------------------


def test_the_ident_returned_is_the_one_inside_the_thread() -> None:
    inside: list[Any] = []
    let_go, ready = held(), held()

    def function() -> None:
        inside.extend([get_ident(), threading.get_ident(), get_ident() in sys._current_frames()])
        ready.release()
        let_go.acquire()

    ident = start_new_thread(function, ())
    ready.acquire()
    seen_from_outside = ident in sys._current_frames()
    let_go.release()
    assert isinstance(ident, int)
    assert inside == [ident, ident, True]
    assert seen_from_outside
    assert ident not in (0, get_ident())


@pytest.mark.parametrize(
    "given",
    [((),), ((1, "a"),), ((1,), {}), ((), {"key": 2}), ((1, 2), {"key": 3, "args": 4})],
)
def test_the_function_gets_the_arguments_that_were_given(given: tuple[Any, ...]) -> None:
    got: list[Any] = []
    ended = held()

    def function(*args: Any, **kwargs: Any) -> object:
        got.extend([args, kwargs])
        ended.release()
        return object()  # ignored

    start_new_thread(function, *given)
    ended.acquire()
    assert got == [given[0], given[1] if len(given) > 1 else {}]


def test_the_keywords_given_are_not_the_ones_that_the_function_changes() -> None:
    ended = held()
    kwargs = {"key": 1}

    def function(**mine: int) -> None:
        mine["other"] = 2
        ended.release()

    start_new_thread(function, (), kwargs)
    ended.acquire()
    assert kwargs == {"key": 1}


def test_threads_start_threads() -> None:
    depth, deepest, ended = 30, [], held()

    def descend(level: int) -> None:
        if level < depth:
            start_new_thread(descend, (level + 1,))
        else:
            deepest.append(level)
            ended.release()

    start_new_thread(descend, (1,))
    ended.acquire()
    assert deepest == [depth]


@counts_threads
def test_200_threads_are_alive_at_once() -> None:
    before = _count()
    gates = [held() for _ in range(200)]
    idents: list[int] = []

    def function(gate: lowthreads.LockType) -> None:
        idents.append(get_ident())
        gate.acquire()

    started = [start_new_thread(function, (gate,)) for gate in gates]
    wait_until(lambda: len(idents) == 200)
    assert _count() == before + 200
    assert sorted(idents) == sorted(started)
    assert len(set(idents)) == 200
    for gate in gates:
        gate.release()
    wait_until(lambda: _count() == before)


# ---- Exceptions ----------------------------------------------------------------------


class Hook:
    """Stands in for sys.unraisablehook, and keeps what it gets."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.idents: list[int] = []

    def __call__(self, unraisable: Any) -> None:
        self.idents.append(get_ident())
        self.calls.append(unraisable)

    def after(self, function: Callable[..., object], *args: object) -> Any:
        """Return what comes out of a thread that runs the function."""
        before = _count()
        self.ident = start_new_thread(function, args)
        wait_until(lambda: _count() <= before)
        (call,) = self.calls
        return call


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    it = Hook()
    monkeypatch.setattr(sys, "unraisablehook", it)
    yield it
    it.calls.clear()


def fail() -> None:
    raise_zero_division()


def raise_zero_division() -> None:
    raise ZeroDivisionError("on purpose")


def test_an_exception_reaches_the_unraisable_hook_as_in_cpython(hook: Hook) -> None:
    got = hook.after(fail)
    assert hook.idents == [hook.ident]  # in the thread itself
    assert got.exc_type is ZeroDivisionError
    assert got.exc_value.args == ("on purpose",)
    assert got.err_msg == f"Exception ignored in thread started by {fail!r}"
    assert got.object is None
    assert got.exc_traceback is got.exc_value.__traceback__
    names, traceback = [], got.exc_traceback
    while traceback is not None:
        names.append(traceback.tb_frame.f_code.co_name)
        traceback = traceback.tb_next
    assert names == ["fail", "raise_zero_division"]


def test_an_exception_of_a_call_that_does_not_begin_is_reported(hook: Hook) -> None:
    got = hook.after(fail, "one argument too many")
    assert got.exc_type is TypeError
    assert got.exc_traceback is None
    assert got.err_msg == f"Exception ignored in thread started by {fail!r}"


@pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit, BaseException])
def test_all_exceptions_but_system_exit_are_reported(
    hook: Hook, error: type[BaseException]
) -> None:
    def function() -> None:
        raise error

    assert hook.after(function).exc_type is error


def test_a_function_whose_repr_raises_is_reported_too(hook: Hook) -> None:
    class Function:
        def __call__(self) -> None:
            raise KeyError("the one to report")

        def __repr__(self) -> str:
            raise ValueError("not this one")

    got = hook.after(Function())
    assert repr(got.exc_value) == "KeyError('the one to report')"
    assert got.err_msg.startswith("Exception ignored in thread started by <")
    assert "Function object at 0x" in got.err_msg


@pytest.mark.parametrize("end", [lowthreads.exit, lowthreads.exit_thread, sys.exit])
def test_system_exit_ends_a_thread_silently(
    hook: Hook, end: Callable[..., object], capfd: pytest.CaptureFixture[str]
) -> None:
    before, after = _count(), []

    def function() -> None:
        end() if end is not sys.exit else sys.exit("a text that nobody sees")
        after.append(1)

    start_new_thread(function, ())
    wait_until(lambda: _count() <= before)
    assert not after
    assert not hook.calls
    assert capfd.readouterr() == ("", "")


def test_an_exception_ends_its_own_thread_alone(hook: Hook) -> None:
    gate, ended = held(), []

    def other() -> None:
        gate.acquire()
        ended.append(1)

    start_new_thread(other, ())
    start_new_thread(fail, ())
    wait_until(lambda: hook.calls)
    gate.release()
    wait_until(lambda: ended)


def in_child(body: str) -> str:
    """Run the body in a child that must exit well; return what is on stderr."""
    prelude = textwrap.dedent("""
        import sys
        from lowthreads import _count, start_new_thread
        from support import wait_until

        def end_of_threads():
            wait_until(lambda: _count() == 0)
        """)
    child = run_child(prelude + textwrap.dedent(body), check=False)
    assert (child.returncode, child.stdout) == (0, "alive\n"), child.stderr
    return child.stderr


def test_the_default_hook_prints_the_stack_from_the_function_on() -> None:
    stderr = in_child("""
        def inner():
            raise LookupError("on purpose")

        def function():
            inner()

        start_new_thread(function, ())
        end_of_threads()
        print("alive")
        """)
    lines = stderr.splitlines()
    assert lines[0].startswith("Exception ignored in thread started by <function function at 0x")
    assert lines[1] == "Traceback (most recent call last):"
    frames = [line.split(", in ")[1] for line in lines if line.startswith("  File ")]
    assert frames == ["function", "inner"]
    assert lines[-1] == "LookupError: on purpose"
    assert stderr.count("Traceback") == 1


def test_a_hook_that_raises_is_reported_itself() -> None:
    stderr = in_child("""
        def hook(unraisable):
            raise LookupError("in the hook")

        sys.unraisablehook = hook
        start_new_thread(divmod, (1, 0))
        end_of_threads()
        print("alive")
        """)
    assert stderr.startswith("Exception ignored in sys.unraisablehook")
    assert stderr.splitlines()[-1] == "LookupError: in the hook"


@pytest.mark.parametrize("lack", ["sys.unraisablehook = None", "del sys.unraisablehook"])
def test_without_a_hook_the_default_one_is_used(lack: str) -> None:
    stderr = in_child(f"""
        {lack}
        start_new_thread(divmod, (1, 0))
        end_of_threads()
        print("alive")
        """)
    assert stderr.startswith("Exception ignored in thread started by <built-in function divmod>")
    assert stderr.splitlines()[-1].startswith("ZeroDivisionError: ")


@pytest.mark.parametrize("lack", ["sys.stderr = None", "del sys.stderr"])
def test_without_stderr_an_exception_is_lost_and_nothing_else(lack: str) -> None:
    stderr = in_child(f"""
        kept = sys.stderr
        {lack}
        start_new_thread(divmod, (1, 0))
        end_of_threads()
        sys.stderr = kept
        print("alive")
        """)
    assert stderr == ""


# ---- The stack -----------------------------------------------------------------------

READ_STACK = {
    "linux": """
MiB = 1 << 20
import ctypes

libc = ctypes.CDLL(None)
SLACK = 64 << 10  # less a guard page
SIZES = MiB // 4, MiB, 3 * MiB, 50 * MiB, 300 * MiB

def size_of_stack():
    attributes = ctypes.create_string_buffer(256)
    base, size = ctypes.c_void_p(), ctypes.c_size_t()
    libc.pthread_self.restype = ctypes.c_ulong
    assert not libc.pthread_getattr_np(ctypes.c_ulong(libc.pthread_self()), attributes)
    assert not libc.pthread_attr_getstack(attributes, ctypes.byref(base), ctypes.byref(size))
    libc.pthread_attr_destroy(attributes)
    return size.value
""",
    "win32": """
MiB = 1 << 20
import ctypes

kernel = ctypes.WinDLL("kernel32")
SLACK = 0
SIZES = MiB // 4, MiB, 3 * MiB, 50 * MiB, 255 * MiB  # below 256 MiB, as CPython's own

def size_of_stack():
    low, high = ctypes.c_size_t(), ctypes.c_size_t()
    kernel.GetCurrentThreadStackLimits(ctypes.byref(low), ctypes.byref(high))
    return high.value - low.value
""",
}


@pytest.mark.skipif(sys.platform not in READ_STACK, reason="no way known to read a stack's size")
def test_threads_have_the_stack_that_was_asked_for() -> None:
    in_child(
        READ_STACK[sys.platform]
        + textwrap.dedent("""
        import lowthreads

        def read(sizes):
            sizes.append(size_of_stack())

        def stack_of_a_thread():
            sizes = []
            start_new_thread(read, (sizes,))
            wait_until(lambda: sizes)
            end_of_threads()
            return sizes[0]

        default = stack_of_a_thread()
        for asked in SIZES:
            lowthreads.stack_size(asked)
            got = stack_of_a_thread()
            # The C library may use a stack again that is larger.
            assert asked - SLACK <= got <= 4 * asked, (asked, got)
        lowthreads.stack_size(0)
        got = stack_of_a_thread()
        assert default <= got <= 4 * default, (default, got)
        print("alive")
        """)
    )


def test_a_small_stack_runs_simple_functions() -> None:
    in_child("""
        import lowthreads

        got = []

        def function(depth):
            if depth:
                return function(depth - 1)
            got.append(sum(divmod(number, 7)[0] for number in range(100)))

        lowthreads.stack_size(64 << 10)
        for _ in range(20):
            start_new_thread(function, (5,))
        wait_until(lambda: len(got) == 20)
        end_of_threads()
        assert set(got) == {sum(number // 7 for number in range(100))}
        print("alive")
        """)


def test_the_stack_size_can_be_read_and_set_and_a_bad_one_changes_nothing() -> None:
    before = stack_size(1 << 20)
    try:
        for bad in (-1, 1, 32767):
            with pytest.raises(ValueError, match="size"):
                stack_size(bad)
        assert stack_size() == 1 << 20
        assert stack_size(0) == 0
    finally:
        stack_size(before)


# ---- A start that fails --------------------------------------------------------------


def test_the_reason_why_a_thread_did_not_start_names_what_this_platform_limits() -> None:
    from lowthreads._errors import raise_cannot_start

    with pytest.raises(RuntimeError, match=r"^can't start new thread: \[Errno 11\] ") as info:
        raise_cannot_start(11, 1 << 20)
    assert "stack size 1048576" in str(info.value)
    assert ("RLIMIT_NPROC" in str(info.value)) is (sys.platform != "win32")
    assert ("cgroup" not in str(info.value)) or sys.platform.startswith("linux")


@pytest.mark.skipif(
    sys.platform == "win32", reason="Windows: no stack size that is taken is too large to be had"
)
def test_a_start_that_fails_leaks_nothing_and_later_ones_work() -> None:
    in_child("""
        import gc, weakref, lowthreads

        class Argument:
            pass

        def attempt():
            argument = Argument()
            lowthreads.stack_size(1 << 50)  # no address space is that large
            try:
                start_new_thread(print, (argument,), {"sep": argument})
            except RuntimeError as error:
                assert str(error).startswith("can't start new thread: [Errno "), error
                assert type(error) is RuntimeError
            else:
                raise AssertionError("it started")
            finally:
                lowthreads.stack_size(0)
            return weakref.ref(argument)

        for _ in range(100):
            left = attempt()
            gc.collect()
            assert left() is None
            assert _count() == 0
        got = []
        start_new_thread(got.append, (1,))
        wait_until(lambda: got == [1])
        end_of_threads()
        print("alive")
        """)


# ---- What stays behind ---------------------------------------------------------------


@freed_at_once
@pytest.mark.parametrize("end", ["returns", "exits", "raises"])
def test_a_thread_is_counted_until_its_function_and_arguments_are_freed(
    end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Thing:
        def __call__(self, *args: object, **kwargs: object) -> None:
            if end == "exits":
                lowthreads.exit()
            if end == "raises":
                raise ZeroDivisionError

    before = _count()
    counts: list[int] = []
    things = [Thing(), Thing(), Thing()]
    references = [weakref.ref(thing, lambda _: counts.append(_count())) for thing in things]
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: None)
    start_new_thread(things[0], (things[1],), {"key": things[2]})
    things.clear()
    wait_until(lambda: _count() == before)
    assert all(reference() is None for reference in references)
    assert counts == [before + 1] * 3


@pytest.mark.parametrize("end", ["returns", "exits", "raises"])
def test_a_thread_takes_its_function_arguments_and_locals_with_it(
    end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Thing:
        def __call__(self, *args: object) -> None:
            mine = Thing()
            references.append(weakref.ref(mine))
            if end == "exits":
                lowthreads.exit()
            if end == "raises":
                raise ZeroDivisionError

    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: None)
    before = _count()
    function, argument = Thing(), Thing()
    references = [weakref.ref(function), weakref.ref(argument)]
    start_new_thread(function, (argument,))
    del function, argument
    wait_until(lambda: _count() == before)
    assert len(references) == 3
    for reference in references:
        wait_until(lambda reference=reference: is_gone(reference), limit=3)


@pytest.mark.parametrize("end", ["returns", "exits", "raises"])
def test_thread_locals_are_freed_without_another_thread_having_to_start(
    end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Value:
        def __del__(self) -> None:
            deleted.append(get_ident())

    def function() -> None:
        local.value = Value()
        references.append(weakref.ref(local.value))
        if end == "exits":
            lowthreads.exit()
        if end == "raises":
            raise ZeroDivisionError

    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: None)
    local = lowthreads._local()
    references: list[Any] = []
    deleted: list[int] = []
    ident = start_new_thread(function, ())
    wait_until(lambda: references and is_gone(references[0]), "the value is gone", limit=3)
    wait_until(lambda: deleted)
    if not PYPY:
        assert deleted == [ident]  # by the thread itself, at its end


def test_locals_take_arguments_and_call_init_in_each_thread() -> None:
    class Base:
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            calls.append((get_ident(), args, kwargs))

    class Own(lowthreads._local):
        number = 0

        def __init__(self, number: int) -> None:
            super().__init__()
            calls.append((get_ident(), number))
            self.number = number

    class First(lowthreads._local, Base):
        pass

    class Second(Base, lowthreads._local):
        pass

    class Heir(Own):
        pass

    calls: list[Any] = []
    own, heir, first, second = Own(1), Heir(2), First(3), Second(a=4)
    me = get_ident()
    expected = [(me, 1), (me, 2), (me, (3,), {}), (me, (), {"a": 4})]
    assert calls == expected
    calls.clear()
    references: list[Any] = []

    class Value:
        pass

    def function() -> int:
        for local in (own, heir, first, second):
            local.value = Value()
            references.append(weakref.ref(local.value))
        assert own.number + heir.number == 3
        return get_ident()

    (other,) = run_threads(function)
    assert calls == [(other, *rest) for _me, *rest in expected]
    for reference in references:
        wait_until(lambda reference=reference: is_gone(reference))
    assert not hasattr(own, "value")
    with pytest.raises(TypeError, match="Initialization arguments are not supported"):
        lowthreads._local(1)
    with pytest.raises(TypeError):
        type("Bare", (lowthreads._local,), {})(a=1)


def test_thread_locals_of_living_threads_stay() -> None:
    local, gate, ready = lowthreads._local(), held(), held()

    def function() -> Any:
        local.value = get_ident()
        ready.release()
        gate.acquire()
        return local.value == get_ident()

    def other() -> bool:
        ready.acquire()
        run_threads(lambda: setattr(local, "value", 0))
        gc.collect()
        gate.release()
        return not hasattr(local, "value")

    assert run_threads(function, other) == [True, True]


def test_thousands_of_threads_leave_nothing_behind() -> None:
    in_child("""
        import gc, lowthreads, threading
        from support import resident

        ALIVE, THREADS, ROUNDS = 50, 2500, 3
        PER_THREAD = 200  # bytes; what a leak of anything, for each thread, would exceed
        local = lowthreads._local()

        def function(number):
            local.value = [number]

        def run():
            for number in range(THREADS):
                start_new_thread(function, (number,))
                if number % ALIVE == 0:
                    end_of_threads()
            end_of_threads()
            wait_until(lambda: len(sys._current_frames()) == known)
            for _ in range(3):
                gc.collect()

        known = len(sys._current_frames())
        run()  # until what is kept for later use is there
        grown, more = [], []
        for _ in range(ROUNDS):
            objects, before = len(gc.get_objects()), resident()
            run()
            grown.append(resident() - before)
            more.append(len(gc.get_objects()) - objects)
        # What leaks, leaks in every round.
        assert min(grown) < THREADS * PER_THREAD, grown
        assert min(more) < THREADS / 10, more
        assert _count() == 0
        print("alive")
        """)


@other_interpreters
def test_the_end_of_another_interpreter_is_not_the_end_of_threads() -> None:
    child = run_child("""
        import sys
        from lowthreads import start_joinable_thread

        source = f"import sys; sys.path[:] = {sys.path!r}; import lowthreads"
        if sys.version_info >= (3, 13):
            import _interpreters as interpreters
            other = interpreters.create("legacy")
            assert interpreters.exec(other, source) is None
        else:
            import _xxsubinterpreters as interpreters
            other = interpreters.create(isolated=False)
            interpreters.run_string(other, source)
        interpreters.destroy(other)
        results = []

        def start():
            start_joinable_thread(lambda: results.append("started")).join()

        start_joinable_thread(start).join()
        print(results)
        """)
    assert child.stdout == "['started']\n"


@other_interpreters
@pytest.mark.skipif(PYPY or sys.version_info < (3, 12), reason="they came with CPython 3.12")
@pytest.mark.parametrize("allowed", [True, False])
def test_an_interpreter_without_threads_gets_none(allowed: bool) -> None:
    support = pytest.importorskip("test.support", reason="needs the interpreter's test package")
    if not hasattr(support, "run_in_subinterp_with_config"):
        pytest.skip("needs a test package that can make such interpreters")
    pytest.importorskip("_testinternalcapi", reason="needs the interpreter's own test extension")
    child = run_child(
        """
        import sys
        from test.support import run_in_subinterp_with_config

        inner = '''
        import lowthreads
        print(lowthreads.daemon_threads_allowed())
        lock = lowthreads.allocate_lock()
        lock.acquire()
        try:
            lowthreads.start_joinable_thread(lock.release).join()
            print(lock.locked())
        except RuntimeError as error:
            print(error)
        '''
        options = dict(use_main_obmalloc=True, allow_fork=True, allow_exec=True, own_gil=False,
                       check_multi_interp_extensions=False, allow_daemon_threads=False)
        import textwrap
        assert run_in_subinterp_with_config(
            textwrap.dedent(inner), allow_threads=sys.argv[1] == "True", **options
        ) == 0
        """,
        allowed,
    )
    outcome = "False" if allowed else "thread is not supported for isolated subinterpreters"
    assert child.stdout.splitlines() == ["False", outcome]


@pytest.mark.skipif(PYPY, reason="CPython's way to end a thread")
def test_a_thread_local_may_call_back_from_c_when_its_thread_ends() -> None:
    output = run_child(
        """
        import ctypes
        import _thread
        from lowthreads import _count, allocate_lock, start_new_thread
        from support import wait_until

        local = _thread._local()
        calls = []
        call_back = ctypes.CFUNCTYPE(None)(lambda: calls.append(1))

        class Ending:
            def __del__(self):
                for _ in range(3):
                    call_back()

        def begin():
            local.ending = Ending()

        for _ in range(20):
            start_new_thread(begin, ())
            wait_until(lambda: _count() == 0)
        wait_until(lambda: len(calls) == 60)
        """
    ).stdout
    assert output == ""


@pytest.mark.parametrize("end", ["sys.exit()", "raise KeyError"])
def test_a_hook_for_exceptions_ends_nothing(end: str) -> None:
    """Nor what it raises where it is only looked at."""
    child = run_child(
        """
        import sys
        from lowthreads import _count, start_new_thread
        from support import wait_until

        class Hook:
            def __bool__(self):
                exec(sys.argv[1])

            def __call__(self, unraisable):
                print("told", unraisable.exc_type.__name__, flush=True)
                exec(sys.argv[1])

        def fail():
            raise LookupError

        sys.unraisablehook = Hook()
        start_new_thread(fail, ())
        wait_until(lambda: _count() == 0)
        sys.unraisablehook = sys.__unraisablehook__
        print("on")
        """,
        end,
        check=False,
    )
    assert (child.returncode, child.stdout) == (0, "told LookupError\non\n"), child.stderr


@pytest.mark.skipif(PYPY, reason="by CPython's C API")
def test_an_exception_from_elsewhere_in_a_thread_that_fails_ends_that_thread_alone() -> None:
    child = run_child(
        """
        import ctypes, socket
        from lowthreads import _count, start_new_thread
        from support import wait_until

        def interrupt():  # at the next step in Python, which is that of who reports
            ends = ctypes.py_object(SystemExit)
            return ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ends) == 1

        ours, theirs = socket.socketpair()
        ours.settimeout(0.3)
        ident = start_new_thread(ours.recv, (1,))
        wait_until(interrupt)
        wait_until(lambda: _count() == 0)
        print("on")
        """,
        check=False,
    )
    assert (child.returncode, child.stdout) == (0, "on\n"), child.stderr
    assert child.stderr.endswith("timed out\n")
