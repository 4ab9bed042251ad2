"""What an RLock does beyond a lock: levels, an owner, and both right whatever signals come."""

from __future__ import annotations

import contextlib
import copy
import gc
import inspect
import os
import pickle
import textwrap
import threading
import weakref
from collections.abc import Iterator
from typing import Any, Callable

import pytest
from hypothesis import assume, example, given, settings
from marks import torn
from test_arguments import ACQUIRE, Broken, calls, expected_wait, outcome, some_arguments
from test_interrupts import run

import lowthreads
from lowthreads import RLock, get_ident
from support import (
    LIMIT,
    NO_LOCK,
    PYPY,
    Threads,
    await_waiter,
    newest_waiter,
    run_child,
    run_threads,
    wait_until,
)

MAX = 2**32 - 1  # levels
UNACQUIRED = r"^cannot release un-acquired lock$"


@pytest.fixture
def rlock() -> RLock:
    return RLock()


@contextlib.contextmanager
def held_elsewhere(rlock: RLock, until_awaited: bool = False) -> Iterator[None]:
    """Have another thread hold it; `until_awaited`: at most until a thread waits for it."""
    taken, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with rlock:
            taken.set()
            while not let_go.wait(0.001 if until_awaited else LIMIT):
                if newest_waiter(rlock):
                    break

    holder = Threads(hold)
    assert taken.wait(LIMIT)
    try:
        yield
    finally:
        let_go.set()
        holder.results()


def is_free(rlock: RLock) -> bool:
    """Whether nobody holds it, and others can take it."""
    if rlock.locked() or rlock._is_owned() or rlock._recursion_count() != 0:
        return False
    return run_threads(lambda: rlock.acquire(timeout=LIMIT / 4) and not rlock.release()) == [True]


# ---- One thread


def test_a_new_rlock_is_free(rlock: RLock) -> None:
    assert rlock.locked() is False
    assert rlock._is_owned() is False
    assert rlock._recursion_count() == 0
    assert is_free(rlock)


def test_it_is_free_after_as_many_releases(rlock: RLock) -> None:
    takes: list[Callable[[], Any]] = [
        rlock.acquire,
        rlock.__enter__,
        lambda: rlock.acquire(False),
        lambda: rlock.acquire(blocking=True, timeout=1),
        lambda: rlock.acquire(True, 0),
        lambda: rlock.acquire(0),
    ]
    for number, take in enumerate(takes, 1):
        assert take() is True
        assert rlock._recursion_count() == number
        assert rlock._is_owned() is rlock.locked() is True
    for number in reversed(range(len(takes))):
        assert (rlock.__exit__(None, None, None) if number % 2 else rlock.release()) is None
        assert rlock._recursion_count() == number
        assert rlock._is_owned() is rlock.locked() is (number > 0)
    assert is_free(rlock)


def test_with_takes_and_frees_also_on_an_exception(rlock: RLock) -> None:
    def fail() -> None:
        with rlock as first, rlock as second:
            assert first is second is True
            assert rlock._recursion_count() == 2
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert is_free(rlock)


@pytest.mark.parametrize("name", ["release", "__exit__", "_release_save"])
def test_a_release_by_who_does_not_hold_it_is_refused(rlock: RLock, name: str) -> None:
    def refused() -> None:
        with pytest.raises(lowthreads.error, match=UNACQUIRED) as info:
            getattr(rlock, name)()
        assert info.type is RuntimeError

    refused()
    run_threads(refused)
    assert is_free(rlock)
    with held_elsewhere(rlock):
        refused()
        assert rlock.locked()
        assert not rlock._is_owned()
    with rlock:
        run_threads(refused)
        assert rlock._recursion_count() == 1
    refused()
    assert is_free(rlock)


@pytest.mark.parametrize("levels", [0, 1, 3])
def test_at_fork_reinit_makes_it_as_new(rlock: RLock, levels: int) -> None:
    for _ in range(levels):
        rlock.acquire()
    assert rlock._at_fork_reinit() is None
    assert is_free(rlock)


# ---- Arguments


def acquires(rlock: RLock, args: tuple[Any, ...]) -> list[Callable[[], bool]]:
    made = [lambda: rlock.acquire(*args)]
    if len(args) == 2:
        made.append(lambda: rlock.acquire(blocking=args[0], timeout=args[1]))
    return made


@pytest.mark.parametrize("by", ["nobody", "this thread", "another thread"])
def test_acquire_refuses_what_the_locks_does(rlock: RLock, by: str) -> None:
    held = held_elsewhere(rlock, True) if by == "another thread" else contextlib.nullcontext()
    levels = 0
    if by == "this thread":
        levels = rlock.acquire() + rlock.acquire()
    with held:
        for args, error, message in ACQUIRE:
            for acquire in acquires(rlock, args):
                with pytest.raises(error) as info:
                    acquire()
                assert info.type is error
                assert message is None or str(info.value) == message
                assert rlock._recursion_count() == levels
        assert rlock.locked() is (by != "nobody")


@settings(max_examples=300)
@given(calls)
@example(((Broken(), Broken()), {}))
@example(((False, Broken()), {}))
@example(((), {"timeout": 1, "blocking": False}))
def test_acquire_of_what_is_free_or_this_threads(call: tuple[Any, Any]) -> None:
    args, kwargs = call
    rlock = RLock()
    expected = outcome(expected_wait, *call)
    refused = isinstance(expected, type)
    for level in range(3):
        assert rlock._recursion_count() == level
        assert outcome(rlock.acquire, *args, **kwargs) is (expected if refused else True)
        assert rlock._recursion_count() == level + (not refused)
        if refused:
            rlock.acquire()


@settings(max_examples=30)
@given(calls)
@example(((False,), {}))
@example(((True, 0), {}))
@example(((True, 1e-9), {}))
def test_acquire_of_another_threads(call: tuple[Any, Any]) -> None:
    args, kwargs = call
    rlock = RLock()
    expected = outcome(expected_wait, *call)
    refused = isinstance(expected, type)
    assume(refused or expected < 2_000_000)
    with held_elsewhere(rlock, until_awaited=refused):
        assert outcome(rlock.acquire, *args, **kwargs) is (expected if refused else False)
        assert rlock.locked() is True
    assert rlock.locked() is False


@pytest.mark.parametrize(
    "name",
    [
        "release",
        "locked",
        "__enter__",
        "_is_owned",
        "_release_save",
        "_recursion_count",
        "_at_fork_reinit",
    ],
)
def test_methods_without_arguments(rlock: RLock, name: str) -> None:
    rlock.acquire()

    @settings(max_examples=20)
    @given(some_arguments)
    def refuses(call: tuple[Any, Any]) -> None:
        assert outcome(getattr(rlock, name), *call[0], **call[1]) is TypeError
        assert rlock._recursion_count() == 1

    refuses()


@settings(max_examples=20)
@given(some_arguments)
def test_the_type_takes_no_arguments(call: tuple[Any, Any]) -> None:
    assert outcome(RLock, *call[0], **call[1]) is TypeError


def test_acquire_has_the_documented_parameters(rlock: RLock) -> None:
    parameters = inspect.signature(rlock.acquire).parameters.values()
    described = [(parameter.name, parameter.default) for parameter in parameters]
    assert described == [("blocking", True), ("timeout", -1)]
    assert "Source: " in (inspect.getdoc(RLock.acquire) or "")


# ---- Objects


def test_repr_tells_owner_and_count(rlock: RLock) -> None:
    form = f"<%s lowthreads.RLock object owner=%s count=%s at {id(rlock):#x}>"
    assert repr(rlock) == form % ("unlocked", 0, 0)
    with rlock:
        assert repr(rlock) == form % ("locked", get_ident(), 1)
        with rlock:
            assert run_threads(rlock.__repr__) == [form % ("locked", get_ident(), 2)]
    assert repr(rlock) == form % ("unlocked", 0, 0)


def test_names() -> None:
    assert RLock.__module__ == "lowthreads"
    assert RLock.__name__ == RLock.__qualname__ == "RLock"


def test_weak_references() -> None:
    gone: list[object] = []
    rlock = RLock()
    reference = weakref.ref(rlock, gone.append)
    assert reference() is rlock
    rlock.acquire()
    del rlock
    gc.collect()
    assert reference() is None
    assert gone == [reference]


def test_a_subclass_has_arguments_attributes_and_methods_of_its_own() -> None:
    class Named(RLock):
        def __init__(self, name: str, *, prefix: str = "") -> None:
            super().__init__()
            self.name = prefix + name

        def acquire_twice(self) -> None:
            self.acquire()
            self.acquire()

    named = Named("a", prefix="b")
    assert named.name == "ba"
    named.acquire_twice()
    assert repr(named).startswith("<locked ")
    assert f"Named object owner={get_ident()} count=2 at " in repr(named)
    named.release()
    named.release()
    assert is_free(named)
    with pytest.raises(TypeError):
        Named()  # type: ignore[call-arg]
    named_ref = weakref.ref(named)
    del named
    gc.collect()
    assert named_ref() is None


def test_a_subclass_without_an_init_takes_no_arguments() -> None:
    class Plain(RLock):
        pass

    assert is_free(Plain())
    for args in [(1,), (None, None)]:
        with pytest.raises(TypeError):
            Plain(*args)  # type: ignore[call-arg]


def test_a_subclass_may_extend_acquire_and_release() -> None:
    class Counting(RLock):
        calls = 0

        def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
            self.calls += 1
            return super().acquire(blocking, timeout)

        def release(self) -> None:
            self.calls += 100
            super().release()

    counting = Counting()
    assert counting.acquire()
    assert counting.acquire(timeout=1)
    counting.release()
    counting.release()
    assert counting.calls == 202
    with pytest.raises(RuntimeError, match=UNACQUIRED):
        counting.release()
    assert is_free(counting)


@pytest.mark.parametrize("name", ["x", "__dict__", "acquire", "locked"])
def test_it_takes_no_attributes(rlock: RLock, name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(rlock, name, {})
    assert not hasattr(rlock, "__dict__")


def test_it_is_neither_pickled_nor_copied(rlock: RLock) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match=r"cannot pickle 'lowthreads\.RLock' object"):
            pickle.dumps(rlock, protocol)
    for copying in (copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match=r"cannot pickle 'lowthreads\.RLock' object"):
            copying(rlock)


@pytest.mark.parametrize("name", ["acquire", "release", "locked", "__enter__", "_is_owned"])
def test_methods_refuse_what_is_no_rlock(name: str) -> None:
    for other in [object(), 1, RLock, lowthreads.allocate_lock()]:
        with pytest.raises(NO_LOCK):
            getattr(RLock, name)(other)


# ---- Several threads


def test_another_thread_is_kept_out(rlock: RLock) -> None:
    with rlock, rlock:
        answers = run_threads(
            lambda: [
                rlock.acquire(False),
                rlock.acquire(timeout=0.01),
                rlock.acquire(True, 0),
                rlock.locked(),
                rlock._is_owned(),
                rlock._recursion_count(),
            ]
        )
        assert answers == [[False, False, False, True, False, 0]]
        assert rlock._recursion_count() == 2


@pytest.mark.parametrize("timeout", [-1, LIMIT])
def test_a_waiter_gets_it_with_the_last_release_alone(rlock: RLock, timeout: float) -> None:
    rlock.acquire()
    rlock.acquire()
    got = threading.Event()

    def take() -> list[Any]:
        taken = rlock.acquire(timeout=timeout)
        got.set()
        state = [taken, rlock._is_owned(), rlock._recursion_count()]
        rlock.release()
        return state

    waiter = Threads(take)
    await_waiter(rlock)
    rlock.release()
    assert not got.wait(0.02)
    rlock.release()
    assert waiter.results() == [[True, True, 1]]
    assert is_free(rlock)


def test_only_one_thread_at_a_time_holds_it(rlock: RLock) -> None:
    rounds, total, inside = 300, 0, 0
    wrong: list[Any] = []

    def use() -> None:
        nonlocal total, inside
        for turn in range(rounds):
            with rlock:
                inside += 1
                with rlock:
                    if turn % 16 == 0:
                        wait_until(lambda: True)
                    if inside != 1 or rlock._recursion_count() != 2:
                        wrong.append((inside, repr(rlock)))
                inside -= 1
                total += 1

    run_threads(*[use] * 6)
    assert wrong == []
    assert total == 6 * rounds
    assert is_free(rlock)


def test_it_stays_locked_when_its_thread_ends(rlock: RLock) -> None:
    run_threads(lambda: rlock.acquire() and rlock.acquire())
    assert rlock.locked()
    # A new thread may have the ident of the old one; the main thread has not.
    assert not rlock.acquire(timeout=0.01)
    with pytest.raises(RuntimeError, match=UNACQUIRED):
        rlock.release()
    rlock._at_fork_reinit()
    assert is_free(rlock)


# ---- What threading.Condition needs


def test_release_save_and_acquire_restore(rlock: RLock) -> None:
    for levels in (1, 2, 5):
        for _ in range(levels):
            rlock.acquire()
        state = rlock._release_save()
        assert state == (levels, get_ident())
        assert is_free(rlock)
        assert rlock._acquire_restore(state) is None
        assert rlock._recursion_count() == levels
        assert rlock._release_save() == state
    assert is_free(rlock)


def test_acquire_restore_waits_until_it_is_free(rlock: RLock) -> None:
    state = (3, get_ident())
    with held_elsewhere(rlock, until_awaited=True):
        rlock._acquire_restore(state)
        assert rlock._recursion_count() == 3
        assert rlock._release_save() == state


@pytest.mark.parametrize("state", [None, 1, "ab", [1, 2], (), (1,), (1, 2, 3), ("a", 1), (0.5, 1)])
def test_acquire_restore_refuses_what_is_no_state(rlock: RLock, state: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        rlock._acquire_restore(state)
    assert is_free(rlock)


def test_the_count_does_not_overflow(rlock: RLock) -> None:
    rlock._acquire_restore((MAX - 1, get_ident()))
    rlock.acquire()
    attempts: list[Callable[[], Any]] = [
        rlock.acquire,
        rlock.__enter__,
        lambda: rlock.acquire(False),
        lambda: rlock.acquire(timeout=1),
    ]
    for attempt in attempts:
        with pytest.raises(OverflowError, match=r"^Internal lock count overflowed$"):
            attempt()
        assert rlock._recursion_count() == MAX
    rlock.release()
    assert rlock._recursion_count() == MAX - 1
    assert rlock.acquire()
    assert rlock._release_save() == (MAX, get_ident())
    assert is_free(rlock)


def test_a_condition_gives_up_all_levels_and_gets_them_back(rlock: RLock) -> None:
    condition = threading.Condition(rlock)  # type: ignore[arg-type]
    ready: list[int] = []

    def wait() -> int:
        with condition, condition:
            ready.append(1)
            assert condition.wait_for(lambda: len(ready) > 1, LIMIT)
            return rlock._recursion_count()

    waiter = Threads(wait)
    wait_until(lambda: ready)
    with condition:
        ready.append(2)
        condition.notify_all()
    assert waiter.results() == [2]
    assert is_free(rlock)
    with pytest.raises(RuntimeError):
        condition.notify()
    with condition, condition:
        assert condition.wait(0.01) is False
        assert rlock._recursion_count() == 2


def test_a_condition_passes_things_between_many_threads(rlock: RLock) -> None:
    condition = threading.Condition(rlock)  # type: ignore[arg-type]
    box: list[int] = []

    def put() -> None:
        for number in range(100):
            with condition:
                condition.wait_for(lambda: len(box) < 3, LIMIT)
                box.append(number)
                condition.notify_all()

    def get() -> int:
        total = 0
        for _ in range(100):
            with condition:
                condition.wait_for(lambda: box, LIMIT)
                total += box.pop()
                condition.notify_all()
        return total

    results = run_threads(put, put, get, get)
    assert results[2] + results[3] == 2 * sum(range(100))


# ---- Memory and finalizers


def test_dropped_rlocks_leave_no_memory_behind() -> None:
    child = run_child(
        """
        import gc, weakref
        import lowthreads
        from support import resident

        def use(rounds):
            for _ in range(rounds):
                for _ in range(1000):
                    rlock = lowthreads.RLock()
                    rlock.acquire()
                    rlock.acquire(False)
                    weakref.ref(rlock)
                gc.collect()

        use(40)
        before = resident()
        use(100)
        print((resident() - before) / 100_000)
        """
    )
    assert float(child.stdout) < 20, "bytes for each RLock"


@pytest.mark.skipif(not hasattr(gc, "get_threshold"), reason="PyPy's collector has no threshold")
def test_a_finalizer_takes_it_again_in_the_midst_of_anything(rlock: RLock) -> None:
    levels: list[int] = []

    class Cycle:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            with rlock:
                levels.append(rlock._recursion_count())

    def collect_often() -> None:
        for turn in range(300):
            with rlock:
                Cycle()
                with rlock:
                    Cycle()
                if turn % 50 == 0:
                    gc.collect()
            Cycle()

    before = gc.get_threshold()
    gc.set_threshold(20)
    try:
        run_threads(collect_often)
        collect_often()
        gc.collect()
    finally:
        gc.set_threshold(*before)
    wait_until(lambda: len(levels) >= 1000 or gc.collect() is None)
    assert set(levels) <= {1, 2, 3}
    assert is_free(rlock)


# ---- Signals: in child processes

ELSEWHERE = """
from lowthreads import RLock

def held_elsewhere(kind=RLock):
    rlock, taken, let_go = kind(), held(), held()
    def hold():
        with rlock:
            taken.release()
            let_go.acquire()
    start_new_thread(hold, ())
    taken.acquire()
    return rlock, let_go

def is_free(rlock):
    answers = []
    def ask():
        answers.append(rlock.acquire(False) and not rlock.release())
    start_new_thread(ask, ())
    wait_until(lambda: answers)
    return answers[0] and not rlock.locked() and rlock._recursion_count() == 0

def count_levels(rlock):
    # Not by what is tested.
    levels = 0
    while rlock._is_owned():
        rlock.release()
        levels += 1
    return levels
"""


def run_rlock(body: str, *args: object) -> str:
    return run(ELSEWHERE + textwrap.dedent(body), *args)


@pytest.mark.parametrize("pause", [0, 0.02])
@pytest.mark.parametrize("wait", ["acquire", "timeout", "with"])
def test_a_handler_that_raises_ends_the_wait_with_it_not_taken(wait: str, pause: float) -> None:
    run_rlock(
        """
        signal.signal(USR1, raising)
        rlock, let_go = held_elsewhere()

        def other():
            await_waiter(rlock)
            time.sleep(float(sys.argv[2]))  # longer than a brief wait
            send()

        for _ in range(5):
            start_new_thread(other, ())
            until_hit(lambda: WAITS[sys.argv[1]](rlock))
            assert not rlock._is_owned() and rlock.locked()
        let_go.release()
        wait_until(lambda: not rlock.locked())
        assert is_free(rlock)
        """,
        wait,
        pause,
    )


@pytest.mark.parametrize("wait", ["acquire", "timeout", "with"])
def test_interrupt_main_wakes_a_waiter(wait: str) -> None:
    run_rlock(
        """
        rlock, let_go = held_elsewhere()

        def other():
            await_waiter(rlock)
            interrupt_main()

        for _ in range(5):
            start_new_thread(other, ())
            until_hit(lambda: WAITS[sys.argv[1]](rlock), KeyboardInterrupt)
            assert not rlock._is_owned() and rlock.locked()
        let_go.release()
        assert rlock.acquire(timeout=60)
        """,
        wait,
    )


def test_a_handler_that_returns_does_not_end_the_wait() -> None:
    run_rlock("""
        rlock, let_go = held_elsewhere()
        handled = []

        def handler(signum, frame):
            handled.append(rlock._is_owned() or rlock.acquire(False))
            if len(handled) == 30:
                let_go.release()

        signal.signal(ALRM, handler)
        set_timer(0.002, 0.002)
        assert rlock.acquire(timeout=60) is True
        set_timer(0)
        assert not any(handled[:30]), handled
        """)


@pytest.mark.parametrize("ending", ["returns", "raises"])
def test_a_handler_takes_what_its_thread_waits_for(ending: str) -> None:
    # The handler's wait ends first, and its thread holds the RLock when it goes on.
    run_rlock(
        """
        rlock, let_go = held_elsewhere()
        inside = []

        def handler(signum, frame):
            let_go.release()
            with rlock:
                with rlock:
                    inside.append(rlock._recursion_count())
            if sys.argv[1] == "raises":
                raise Hit

        def other():
            await_waiter(rlock)
            send()

        signal.signal(USR1, handler)
        start_new_thread(other, ())
        if sys.argv[1] == "raises":
            until_hit(rlock.acquire)
            assert count_levels(rlock) == 0
        else:
            assert rlock.acquire(timeout=60) is True
            assert count_levels(rlock) == 1
        assert inside == [2] and is_free(rlock)
        """,
        ending,
    )


KEEP = """
    rlock, let_go = held_elsewhere()
    wait, pause, raises = sys.argv[1], float(sys.argv[2]), sys.argv[3] == "raises"

    def handler(signum, frame):
        let_go.release()
        assert rlock.acquire(timeout=60)
        if raises:
            raise Hit

    def other():
        await_waiter(rlock)
        time.sleep(pause)
        send()

    waits = {**WAITS, "__enter__": lambda rlock: rlock.__enter__()}
    signal.signal(USR1, handler)
    start_new_thread(other, ())
    if raises:
        until_hit(lambda: waits[wait](rlock))
    else:
        assert waits[wait](rlock) is True
    assert count_levels(rlock) == (1 if raises else 2)
    assert is_free(rlock)
    """


@pytest.mark.parametrize("pause", [0, 0.02])
@pytest.mark.parametrize("wait", ["acquire", "timeout", "__enter__"])
def test_what_a_handler_keeps_is_taken_once_more(wait: str, pause: float) -> None:
    run_rlock(KEEP, wait, pause, "returns")


@torn
@pytest.mark.parametrize("pause", [0, 0.02])
@pytest.mark.parametrize("wait", ["acquire", "timeout", "__enter__"])
def test_what_a_handler_keeps_stays_taken_when_it_raises(wait: str, pause: float) -> None:
    run_rlock(KEEP, wait, pause, "raises")


STORM = """
    how, raises = sys.argv[1], sys.argv[2] == "raises"
    rlock, handled, hits, wrong = RLock(), 0, 0, []
    may_raise = nested = False

    def handler(signum, frame):
        # Raises in the midst of the module's own acquire, and nowhere else.
        global handled, hits, nested
        if nested:
            return
        nested = True
        handled += 1
        before = rlock._recursion_count()
        with rlock:
            if not rlock.acquire(timeout=1) or rlock._recursion_count() != before + 2:
                wrong.append((before, repr(rlock)))
            rlock.release()
        if rlock._recursion_count() != before:
            wrong.append((before, repr(rlock)))
        inside = frame.f_globals.get("__name__", "").startswith("lowthreads")
        nested = False
        if may_raise and inside:
            hits += 1
            raise Hit

    def take():
        if how == "with":
            rlock.__enter__()
        else:
            assert rlock.acquire() if how == "acquire()" else rlock.acquire(timeout=60)

    def give():
        rlock.__exit__(None, None, None) if how == "with" else rlock.release()

    def insist():
        global may_raise
        may_raise = raises
        while True:
            try:
                take()
                break
            except Hit:
                pass
        may_raise = False

    signal.signal(ALRM, handler)
    set_timer(0.0002, 0.0002)
    end, turns = time.monotonic() + 1.2, 0
    while (time.monotonic() < end or handled <= 100) and not wrong:
        turns += 1
        insist()
        insist()
        if rlock._recursion_count() != 2:
            wrong.append((turns, repr(rlock)))
        give()
        insist()
        if rlock._recursion_count() != 2:
            wrong.append((turns, repr(rlock)))
        give()
        give()
        if rlock._recursion_count() != 0:
            wrong.append((turns, repr(rlock)))
    set_timer(0)
    print(f"{how}: {turns} turns, {handled} signals, {hits} hits")
    assert not wrong, (turns, hits, wrong[:3])
    assert is_free(rlock) and not mask()
    """


@torn
@pytest.mark.parametrize("ending", ["returns", "raises"])
@pytest.mark.parametrize("how", ["acquire()", "acquire(timeout)", "with"])
def test_the_count_is_right_whatever_handlers_do_with_it(how: str, ending: str) -> None:
    run_rlock(STORM, how, ending)


@torn
def test_acquire_restore_is_not_torn_by_signals() -> None:
    # Condition.wait must have the lock again when an exception comes out of it.
    run_rlock("""
        import threading

        signal.signal(ALRM, raising)
        rlock = RLock()
        condition = threading.Condition(rlock)
        stop, hits, wrong = False, 0, 0

        def rival():
            while not stop:
                with rlock:
                    time.sleep(0.0005)
                time.sleep(0.0005)

        start_new_thread(rival, ())
        end = time.monotonic() + 1.5
        rlock.acquire()
        rlock.acquire()
        number = 0
        while time.monotonic() < end or hits <= 50:
            number += 1
            state = rlock._release_save()
            try:
                set_timer(1e-6 + number * 0.618034 % 1 * 0.001)
                rlock._acquire_restore(state)
                while True:
                    pass
            except Hit:
                hits += 1
            # A handler that ran before the call could raise there.
            if not rlock._is_owned():
                rlock._acquire_restore(state)
            assert rlock._recursion_count() == 2
        stop = True
        assert count_levels(rlock) == 2
        print(f"{number} turns, {hits} hits")
        """)


def test_an_interrupted_condition_holds_its_lock() -> None:
    run_rlock("""
        import lowthreads, threading

        lowthreads.install()  # the condition has a lock of its own for each waiter
        rlock = RLock()
        condition = threading.Condition(rlock)

        def handler(signum, frame):
            let_go.append(1)
            raise Hit

        def rival():
            # Holds the lock when the main thread wants it back.
            with rlock:
                send()
                wait_until(lambda: let_go)
                time.sleep(0.01)

        signal.signal(USR1, handler)
        for _ in range(10):
            let_go = []
            with condition, condition:
                start_new_thread(rival, ())
                until_hit(condition.wait)
                assert rlock._recursion_count() == 2
            assert not rlock._is_owned()
        """)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
def test_a_forked_child_holds_what_its_thread_held() -> None:
    run_rlock("""
        mine = RLock()
        mine.acquire(), mine.acquire()
        others, let_go = held_elsewhere()
        pid = os.fork()
        if pid == 0:
            try:
                assert mine._recursion_count() == 2 and count_levels(mine) == 2
                assert others.locked() and not others.acquire(timeout=0.01)
                others._at_fork_reinit()
                assert is_free(others) and is_free(mine)
            except BaseException:
                import traceback
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert mine._recursion_count() == 2
        let_go.release()
        assert others.acquire(timeout=60)
        """)


def test_restoring_no_levels_leaves_it_free(rlock: RLock) -> None:
    rlock._acquire_restore((0, 0))
    assert is_free(rlock)
    for levels in (1 << 32, 1 << 64, -1):
        with pytest.raises(OverflowError):
            rlock._acquire_restore((levels, 0))
        assert is_free(rlock)


def test_a_subclass_names_its_own_as_it_likes() -> None:
    class Named(RLock):
        def _acquire(self) -> None:
            raise AssertionError("called")

        _release = _refuse = _pending = _go_on = _wait = _take = _acquire

    rlock = Named()
    with held_elsewhere(rlock):
        assert not rlock.acquire(timeout=0.01)
    with rlock:
        assert rlock.acquire()
        rlock.release()
    with pytest.raises(RuntimeError):
        rlock.release()
    with held_elsewhere(rlock, until_awaited=True):
        assert rlock.acquire()
    rlock.release()


def test_a_subclass_names_its_own_in_waits_that_python_goes_on_with_too() -> None:
    run_rlock("""
        from lowthreads import interrupt

        class Named(RLock):
            def _go_on(self):
                raise AssertionError("called")

            _pending = _give_back = _take_back = _go_on

        def other(end):
            await_waiter(rlock)
            end()

        main = get_ident()
        for ends in (send, lambda: wait_until(lambda: interrupt(main, Hit))):
            rlock, let_go = held_elsewhere(Named)
            signal.signal(USR1, lambda signum, frame: let_go.release())
            start_new_thread(other, (ends,))
            if ends is send:
                assert rlock.acquire() and rlock._is_owned()
            else:
                until_hit(rlock.acquire)
                let_go.release()
        """)


@pytest.mark.skipif(PYPY, reason="RLocks are Python there")
def test_a_subclass_decides_about_its_own_attributes_alone() -> None:
    run_rlock("""
        class Odd(RLock):
            def __getattribute__(self, name):
                raise LookupError(name)

        def hold():
            RLock.acquire(rlock)
            taken.release()
            let_go.acquire()
            RLock.release(rlock)

        rlock, taken, let_go = Odd(), held(), held()
        start_new_thread(hold, ())
        taken.acquire()
        assert RLock.acquire(rlock, timeout=0.02) is False
        signal.signal(USR1, raising)
        start_new_thread(lambda: (time.sleep(0.02), send()), ())
        until_hit(lambda: RLock.acquire(rlock))
        let_go.release()
        assert RLock.acquire(rlock, timeout=60)
        """)


def test_a_handler_that_takes_it_as_often_as_can_be() -> None:
    run_rlock("""
        rlock, let_go = held_elsewhere()
        most = 0xFFFFFFFF

        def handler(signum, frame):
            let_go.release()
            rlock._acquire_restore((most, get_ident()))

        signal.signal(USR1, handler)
        start_new_thread(lambda: (await_waiter(rlock), send()), ())
        until_hit(rlock.acquire, OverflowError)
        assert rlock._recursion_count() == most
        """)
