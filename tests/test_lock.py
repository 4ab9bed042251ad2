"""What a lock does, alone and among threads."""

from __future__ import annotations

import copy
import gc
import pickle
import platform
import random
import re
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any, Callable

import pytest
from marks import counts_threads, freed_at_once

import lowthreads
from lowthreads import TIMEOUT_MAX, LockType, allocate_lock
from support import (
    LIMIT,
    NO_LOCK,
    Threads,
    await_waiter,
    newest_waiter,
    run_child,
    run_threads,
    wait_until,
)

HANDOFF = 0.001  # seconds of waiting from which on a lock is handed over: csrc/lock.c
PYPY = platform.python_implementation() == "PyPy"
RESOLUTION = max(time.get_clock_info("monotonic").resolution, 1e-6)


@pytest.fixture
def lock() -> LockType:
    return allocate_lock()


@pytest.fixture
def held() -> LockType:
    lock = allocate_lock()
    assert lock.acquire()
    return lock


@pytest.fixture(params=["main thread", "other thread"])
def call(request: pytest.FixtureRequest) -> Callable[[Callable[[], Any]], Any]:
    """Call a function in this thread or in another; they wait in different ways."""
    if request.param == "main thread":
        return lambda function: function()
    return lambda function: run_threads(function)[0]


@pytest.fixture
def _frequent_switches() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


def usable(lock: LockType) -> bool:
    """Whether a free lock, that nobody waits for, works: also for one who waits."""
    if lock.locked() or newest_waiter(lock) != 0 or lock.acquire() is not True:
        return False
    waiter = Threads(lambda: lock.acquire(False) or lock.acquire(timeout=LIMIT / 4))
    await_waiter(lock)
    if not lock.locked() or lock.acquire(False) is not False:
        return False
    lock.release()
    if waiter.results() != [True] or not lock.locked():
        return False
    lock.release()
    return not lock.locked()


def wait_for_handoff(since: float) -> None:
    """Wait until who began to wait before `since` is handed the lock by a release."""
    wait_until(lambda: time.monotonic() - since > 2 * HANDOFF)


# ---- One thread


def test_a_new_lock_is_free(lock: LockType) -> None:
    assert lock.locked() is False
    assert usable(lock)


def test_acquire_takes_and_release_frees(lock: LockType) -> None:
    for _ in range(3):
        assert lock.acquire() is True
        assert lock.locked() is True
        assert lock.release() is None
        assert lock.locked() is False


@pytest.mark.parametrize("false", [False, 0, 0.0, None, "", (), []])
@pytest.mark.parametrize("keyword", [True, False])
def test_acquire_without_waiting(lock: LockType, false: Any, keyword: bool) -> None:
    def acquire() -> bool:
        return lock.acquire(blocking=false) if keyword else lock.acquire(false)

    assert acquire() is True
    assert acquire() is False
    assert lock.locked()
    lock.release()
    assert usable(lock)


@pytest.mark.parametrize("true", [True, 1, 2, -1, 0.5, "a", [0], object()])
def test_blocking_takes_any_truth_value(lock: LockType, true: Any) -> None:
    assert lock.acquire(true) is True
    assert lock.acquire(true, 0.001) is False
    assert lock.acquire(blocking=true, timeout=0.001) is False
    lock.release()


def test_blocking_that_has_no_truth_value_changes_nothing(lock: LockType) -> None:
    class NoTruth:
        def __bool__(self) -> bool:
            raise KeyError("truth")

    for arguments in [(NoTruth(),), (NoTruth(), 1), (NoTruth(), "a")]:
        with pytest.raises(KeyError, match="truth"):
            lock.acquire(*arguments)
        assert usable(lock)


@pytest.mark.parametrize("timeout", [-1, -1.0, 0, 0.0, -0.0, 1, 1.5, True, 1e-300, TIMEOUT_MAX])
def test_a_free_lock_is_taken_whatever_the_timeout(lock: LockType, timeout: float) -> None:
    for arguments in [(True, timeout), (1, timeout)]:
        assert lock.acquire(*arguments) is True
        lock.release()
    assert lock.acquire(timeout=timeout) is True
    assert lock.acquire(False, -1) is False


def test_release_of_a_free_lock_is_refused(lock: LockType) -> None:
    for _ in range(2):
        for release in (lock.release, lock.release_lock, lock.__exit__):
            with pytest.raises(lowthreads.error, match=r"^release unlocked lock$") as info:
                release(*[None] * 3 if release == lock.__exit__ else [])
            assert info.type is RuntimeError
        assert usable(lock)
        lock.acquire()
        lock.release()


def test_with_takes_and_frees(lock: LockType) -> None:
    with lock as entered:
        assert entered is True
        assert lock.locked()
        assert not lock.acquire(False)
    assert usable(lock)


def test_with_frees_on_an_exception_and_lets_it_out(lock: LockType) -> None:
    error = KeyError()
    with pytest.raises(KeyError) as info, lock:
        raise error
    assert info.value is error
    assert usable(lock)


def test_exit_takes_any_arguments(lock: LockType) -> None:
    for arguments in [(), (None, None, None), (1, 2), (1, 2, 3, 4)]:
        assert lock.__enter__() is True
        assert lock.__exit__(*arguments) is None
        assert not lock.locked()


def test_methods_of_old(lock: LockType) -> None:
    assert lock.acquire_lock() is True
    assert lock.locked_lock() is True
    assert lock.acquire_lock(False) is False
    assert lock.acquire_lock(blocking=True, timeout=0.001) is False
    assert lock.release_lock() is None
    assert lock.locked_lock() is False
    assert usable(lock)


# ---- Objects


def test_locks_are_independent() -> None:
    first, second = allocate_lock(), allocate_lock()
    first.acquire()
    assert not second.locked()
    assert second.acquire(False)
    first.release()
    assert second.locked()


def test_a_lock_equals_only_itself_and_can_be_a_key() -> None:
    first, second = allocate_lock(), allocate_lock()
    names = {first: "first", second: "second"}
    assert first == first
    assert first != second
    with first:
        assert names[first] == "first"
    assert bool(first) is True


def test_weak_references(lock: LockType) -> None:
    gone: list[object] = []
    mortal = allocate_lock()
    reference = weakref.ref(mortal, gone.append)
    assert reference() is mortal
    assert weakref.ref(lock)() is lock
    mortal.acquire()
    del mortal
    gc.collect()
    assert reference() is None
    assert gone == [reference]


@pytest.mark.parametrize("make", [lambda base: type("Sub", (base,), {}), "class Sub(base): pass"])
def test_the_type_cannot_be_subclassed(make: Any) -> None:
    with pytest.raises(TypeError, match=r"type 'lowthreads\.lock' is not an acceptable base type"):
        exec(make, {"base": LockType}) if isinstance(make, str) else make(LockType)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_locks_are_not_pickled(lock: LockType, protocol: int) -> None:
    with pytest.raises(TypeError, match=r"cannot pickle 'lowthreads\.lock' object"):
        pickle.dumps(lock, protocol)
    assert usable(lock)


@pytest.mark.parametrize("copying", [copy.copy, copy.deepcopy])
def test_locks_are_not_copied(lock: LockType, copying: Callable[[object], object]) -> None:
    with pytest.raises(TypeError, match=r"cannot pickle 'lowthreads\.lock' object"):
        copying(lock)


@pytest.mark.parametrize("name", ["x", "__dict__", "acquire", "release", "locked", "__enter__"])
def test_locks_take_no_attributes(lock: LockType, name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(lock, name, {})
    with pytest.raises(AttributeError):
        delattr(lock, name)
    assert not hasattr(lock, "__dict__")
    assert usable(lock)


def test_repr(lock: LockType) -> None:
    form = f"<%s lowthreads.lock object at {id(lock):#x}>"
    assert repr(lock) == form % "unlocked"
    with lock:
        assert repr(lock) == form % "locked"
        assert re.match("<locked .* object (.*)?at .*>", repr(lock))
    assert repr(lock) == form % "unlocked"


def test_at_fork_reinit_makes_the_lock_as_new(lock: LockType) -> None:
    assert lock._at_fork_reinit() is None
    assert usable(lock)
    lock.acquire()
    assert lock._at_fork_reinit() is None
    assert usable(lock)


def test_initializing_again_changes_nothing(lock: LockType) -> None:
    for _ in range(3):
        lock.__init__()
    assert usable(lock)
    lock.acquire()
    for _ in range(3):
        lock.__init__()
    assert lock.locked()
    lock.release()
    assert usable(lock)


def test_new_makes_a_lock() -> None:
    lock = LockType.__new__(LockType)
    assert type(lock) is LockType
    assert usable(lock)


@pytest.mark.parametrize("arguments", [(), (int,), (1,)])
def test_new_makes_nothing_else(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError):
        LockType.__new__(*arguments)


@pytest.mark.parametrize("name", ["acquire", "release", "locked", "__enter__", "__exit__"])
def test_methods_refuse_what_is_no_lock(name: str) -> None:
    for other in [object(), 1, LockType]:
        with pytest.raises(NO_LOCK):
            getattr(LockType, name)(other)


def test_many_locks_at_once() -> None:
    locks = [allocate_lock() for _ in range(1000)]
    for lock in locks[::2]:
        lock.acquire()
    assert [lock.locked() for lock in locks] == [True, False] * 500
    for lock in locks[::2]:
        lock.release()
    assert not any(lock.locked() for lock in locks)


def test_dropped_locks_leave_no_memory_behind() -> None:
    child = run_child(
        """
        import gc, weakref
        import lowthreads
        from support import resident

        def use(rounds):
            for _ in range(rounds):
                for _ in range(1000):
                    lock = lowthreads.allocate_lock()
                    lock.acquire()
                    lock.acquire(False)
                    weakref.ref(lock)
                gc.collect()

        use(50)
        before = resident()
        use(200)
        print((resident() - before) / 200_000)
        """
    )
    assert float(child.stdout) < 20, "bytes for each lock"  # a lock has more than 40


# ---- Timeouts


@pytest.mark.parametrize("timeout", [0, 0.0, 1e-9, 0.0004, 0.0015, 0.0049, 0.0105, 0.1])
def test_a_wait_does_not_end_early(call: Any, held: LockType, timeout: float) -> None:
    def acquire() -> tuple[bool, float]:
        begin = time.monotonic()
        taken = held.acquire(True, timeout)
        return taken, time.monotonic() - begin

    for _ in range(3):
        taken, duration = call(acquire)
        assert taken is False
        assert duration >= timeout - RESOLUTION
    assert held.locked()
    held.release()
    assert usable(held)


@pytest.mark.parametrize("timeout", [-1, -1.0, LIMIT, int(LIMIT), TIMEOUT_MAX, 2.0**31, 2**32])
def test_a_wait_ends_when_the_lock_is_free(call: Any, held: LockType, timeout: float) -> None:
    def release_once_awaited() -> None:
        await_waiter(held)
        held.release()

    releaser = Threads(release_once_awaited)
    assert call(lambda: held.acquire(True, timeout)) is True
    releaser.results()
    assert held.locked()
    held.release()
    assert usable(held)


@pytest.mark.parametrize("wait", ["acquire", "acquire_lock", "__enter__"])
def test_waits_without_a_limit_end_when_the_lock_is_free(
    call: Any, held: LockType, wait: str
) -> None:
    def release_once_awaited() -> None:
        await_waiter(held)
        held.release()

    releaser = Threads(release_once_awaited)
    assert call(getattr(held, wait)) is True
    releaser.results()
    assert held.locked()


def test_no_thread_waits_without_blocking(held: LockType) -> None:
    # In a thread, so that a wait would be reported as one.
    assert run_threads(lambda: held.acquire(False), lambda: held.acquire(blocking=0)) == [False] * 2


# ---- Several threads


def test_any_thread_may_release(lock: LockType) -> None:
    lock.acquire()
    run_threads(lock.release)
    assert usable(lock)
    run_threads(lock.acquire)
    assert lock.locked()
    lock.release()
    assert usable(lock)


def test_locked_is_seen_by_all_threads(lock: LockType) -> None:
    with lock:
        assert run_threads(lock.locked) == [True]
    assert run_threads(lock.locked) == [False]


def test_a_thread_can_wait_for_itself_no_further_than_its_timeout(call: Any) -> None:
    def twice() -> tuple[bool, bool]:
        lock = allocate_lock()
        return lock.acquire(), lock.acquire(timeout=0.01)

    assert call(twice) == (True, False)


def test_a_lock_stays_locked_when_the_thread_that_took_it_ends(lock: LockType) -> None:
    run_threads(lock.acquire)
    gc.collect()
    assert lock.locked()
    assert not lock.acquire(True, 0.01)
    lock.release()
    assert usable(lock)


@pytest.mark.usefixtures("_frequent_switches")
@pytest.mark.parametrize("main_takes_part", [False, True])
def test_only_one_thread_at_a_time_holds_the_lock(lock: LockType, main_takes_part: bool) -> None:
    threads, rounds = 8, 200
    inside: list[int] = []
    most = total = 0

    def use() -> None:
        nonlocal most, total
        for turn in range(rounds):
            with lock:
                inside.append(1)
                seen = total
                if turn % 8 == 0:
                    time.sleep(0)
                most = max(most, len(inside))
                total = seen + 1
                inside.pop()

    running = Threads(*[use] * threads)
    if main_takes_part:
        use()
    running.results()
    assert most == 1
    assert total == rounds * (threads + main_takes_part)
    assert usable(lock)


def test_a_release_hands_the_lock_to_a_thread_that_has_waited() -> None:
    # Many, so that some threads are not yet awake when their lock is looked at.
    locks = [allocate_lock() for _ in range(50)]
    done = threading.Event()

    def take(lock: LockType) -> None:
        with lock:
            assert done.wait(LIMIT)

    waiters = Threads()
    for lock in locks:
        lock.acquire()
        waiters.start(lambda lock=lock: take(lock))
        await_waiter(lock)
    wait_for_handoff(time.monotonic())
    # No moment at which it could be taken, not even by the thread that releases it.
    taken = [lock.release() or lock.acquire(False) for lock in locks]
    done.set()
    for lock in [lock for lock, mine in zip(locks, taken) if mine]:
        lock.release()
    waiters.results()
    assert taken == [False] * len(locks)
    assert all(map(usable, locks))


def test_threads_that_have_waited_get_the_lock_in_their_order(held: LockType) -> None:
    order: list[int] = []

    def take(number: int) -> None:
        with held:
            order.append(number)

    waiters = Threads()
    newest = 0
    for number in range(10):
        waiters.start(lambda number=number: take(number))
        newest = await_waiter(held, after=newest)
    wait_for_handoff(time.monotonic())
    held.release()
    waiters.results()
    assert order == list(range(10))
    assert usable(held)


def test_threads_that_gave_up_leave_the_order_of_the_others() -> None:
    for timeout in [0.2, 2, 20]:
        if queue_up_and_give_up(timeout):
            return
    pytest.fail("too slow to start ten threads in 20 s")


def queue_up_and_give_up(timeout: float) -> bool:
    """Test it, unless the first gives up before the last has queued up."""
    held = allocate_lock()
    held.acquire()
    order: list[int] = []
    gave_up: list[int] = []

    def take(number: int) -> None:
        # Every third gives up: the first in the queue, some in its middle, and the last.
        if held.acquire(timeout=-1 if number % 3 else timeout):
            order.append(number)
            held.release()
        else:
            gave_up.append(number)

    waiters = Threads()
    newest = 0
    end = time.monotonic() + timeout
    in_time = True
    for number in range(10):
        waiters.start(lambda number=number: take(number))
        while in_time and newest_waiter(held) in (0, newest):
            time.sleep(0.001)
            in_time = time.monotonic() < end
        newest = newest_waiter(held)
    in_time = time.monotonic() < end
    wait_until(lambda: len(gave_up) == 4)
    held.release()
    waiters.results()
    assert sorted(gave_up) == [0, 3, 6, 9]
    assert sorted(order) == [1, 2, 4, 5, 7, 8]
    assert order == sorted(order) or not in_time
    assert usable(held)
    return in_time


def test_a_thread_that_takes_the_lock_again_and_again_starves_nobody(
    call: Any, lock: LockType
) -> None:
    stop = False

    def hog() -> None:
        while not stop:
            with lock:
                pass

    hogs = Threads(hog, hog)

    def take() -> int:
        return sum(lock.acquire(timeout=LIMIT) and not lock.release() for _ in range(20))

    try:
        assert call(take) == 20
    finally:
        stop = True
        hogs.results()
    assert usable(lock)


@pytest.mark.usefixtures("_frequent_switches")
def test_nothing_is_lost_when_waits_give_up_while_the_lock_is_handed_on(lock: LockType) -> None:
    inside: list[int] = []
    counts = {"taken": 0, "gave up": 0}
    seeds = iter(range(100))
    end = time.monotonic() + 1.5

    def use() -> None:
        choose = random.Random(next(seeds)).choice
        while time.monotonic() < end:
            if lock.acquire(True, choose([0, 1e-5, 1e-4, 5e-4, 1e-3, 2e-3, 6e-3])):
                assert not inside
                inside.append(1)
                time.sleep(choose([0, 0, 1e-4, 1e-3, 2e-3]))
                counts["taken"] += 1
                inside.pop()
                lock.release()
            else:
                counts["gave up"] += 1

    running = Threads(*[use] * 8)
    use()
    running.results()
    assert counts["taken"] > 0
    assert counts["gave up"] > 0
    assert usable(lock)


@pytest.mark.usefixtures("_frequent_switches")
@pytest.mark.parametrize(("timeout", "rounds"), [(0.0001, 1000), (HANDOFF * 1.2, 400)])
def test_a_release_at_the_end_of_a_wait_is_not_lost(timeout: float, rounds: int) -> None:
    """The waiter is about to give up when it is chosen: it has the lock, or it is free."""
    lock, begin, ended = allocate_lock(), threading.Semaphore(0), threading.Semaphore(0)
    outcomes: list[bool] = []

    def wait() -> None:
        for _ in range(rounds):
            begin.acquire()
            outcomes.append(lock.acquire(timeout=timeout))
            ended.release()

    waiter = Threads(wait)
    lost = 0
    for turn in range(rounds):
        lock.acquire()
        begin.release()
        while newest_waiter(lock) == 0 and len(outcomes) == turn:
            time.sleep(0)
        # Releases fall between a little before the end of the wait and the latest
        # moment at which the system's timers let the waiter notice it.
        end = time.perf_counter() + timeout + (turn % 50 - 10) * 5e-6
        while time.perf_counter() < end:
            time.sleep(0)
        lock.release()
        assert ended.acquire(timeout=LIMIT)
        lost += lock.locked() is not outcomes[turn] or newest_waiter(lock) != 0
        if lock.locked():
            lock.release()
    waiter.results()
    assert lost == 0
    assert usable(lock)


@pytest.mark.usefixtures("_frequent_switches")
def test_a_woken_thread_does_not_keep_the_others_asleep() -> None:
    """A turn, passed round a ring: each wake-up is needed for the next."""
    threads, rounds = 5, 100
    locks = [allocate_lock() for _ in range(threads)]
    for lock in locks:
        lock.acquire()

    def pass_on(number: int) -> None:
        for _ in range(rounds):
            locks[number].acquire()
            locks[(number + 1) % threads].release()

    running = Threads(*[lambda number=number: pass_on(number) for number in range(threads)])
    locks[0].release()
    running.results()
    assert [lock.locked() for lock in locks] == [False] + [True] * (threads - 1)


@pytest.mark.usefixtures("_frequent_switches")
def test_locks_are_freed_while_others_are_used(lock: LockType) -> None:
    total = 0

    def use() -> None:
        nonlocal total
        for turn in range(200):
            mine = [allocate_lock() for _ in range(10)]
            for one in mine[turn % 2 :]:
                one.acquire()
            with lock:
                total += 1
                mine[0].acquire(turn % 2, 1e-5) if turn % 2 else mine[0].acquire(False)
            del mine
            if turn % 50 == 0:
                gc.collect()

    run_threads(*[use] * 6)
    assert total == 1200
    assert usable(lock)


def test_a_waiting_thread_keeps_its_lock_alive(call: Any) -> None:
    def wait_for_what_nobody_else_has() -> bool:
        lock = allocate_lock()
        lock.acquire()
        acquire = lock.acquire
        del lock
        return acquire(True, 0.02)

    for _ in range(3):
        assert call(wait_for_what_nobody_else_has) is False
        gc.collect()


def test_a_lock_serves_a_condition(lock: LockType) -> None:
    condition = threading.Condition(lock)
    items: list[int] = []

    def consume() -> int:
        with condition:
            assert condition.wait_for(lambda: items, LIMIT)
            return items.pop()

    consumers = Threads(*[consume] * 4)
    for number in range(4):
        with condition:
            items.append(number)
            condition.notify()
    assert sorted(consumers.results()) == [0, 1, 2, 3]
    assert usable(lock)


@counts_threads
def test_count_is_that_of_the_running_threads() -> None:
    before = lowthreads._count()
    go_on = threading.Event()
    threads = Threads(*[lambda: go_on.wait(LIMIT)] * 3)
    assert lowthreads._count() == before + 3
    go_on.set()
    assert threads.results() == [True] * 3
    wait_until(lambda: lowthreads._count() == before)


@freed_at_once
@counts_threads
def test_count_drops_after_the_function_was_freed() -> None:
    before = lowthreads._count()
    seen: list[int] = []

    class Function:
        def __call__(self) -> None:
            pass

        def __del__(self) -> None:
            seen.append(lowthreads._count())

    lowthreads.start_new_thread(Function(), ())
    wait_until(lambda: seen)
    assert seen == [before + 1]


CALLS_THAT_ARE_SPECIALISED = ["acquire", "release", "locked", "__enter__", "__exit__"]


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="C methods are CPython's")
@pytest.mark.parametrize("name", CALLS_THAT_ARE_SPECIALISED)
@pytest.mark.parametrize("new", [allocate_lock, lowthreads.RLock])
def test_the_methods_belong_to_the_very_type(new: Callable[[], Any], name: str) -> None:
    """CPython specialises calls of no others: see `lt_own_methods`."""
    assert getattr(new, name).__objclass__ is type(new())
