"""`interrupt`: exceptions that end other threads' waits.

`LOWTHREADS_EXPULSIONS` is how many there are in each storm (2000).
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from typing import Any, Callable

import pytest
from marks import other_interpreters

from lowthreads import RLock, allocate_lock, get_ident, interrupt, start_joinable_thread, waits
from support import PYPY, Threads, await_waiter, run_child, wait_until

EXPULSIONS = int(os.environ.get("LOWTHREADS_EXPULSIONS", "2000"))


class Expelled(Exception):
    pass


def held(kind: Callable[[], Any] = allocate_lock) -> Any:
    lock = kind()
    lock.acquire()
    return lock


def enter(lock: Any) -> None:
    with lock:
        pass


WAYS: dict[str, Callable[[Any], object]] = {
    "acquire": lambda lock: lock.acquire(),
    "with": enter,
    "timeout": lambda lock: lock.acquire(timeout=60),
}


def is_waiting(ident: int) -> bool:
    return any(wait.ident == ident for wait in waits())


def await_wait(ident: int) -> None:
    wait_until(lambda: is_waiting(ident), "it waits")


def expel(threads: Threads, exception: Any = Expelled) -> None:
    (ident,) = threads.idents
    await_wait(ident)
    assert interrupt(ident, exception)
    assert not interrupt(ident, exception)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", [allocate_lock, RLock])
def test_a_wait_for_a_lock_ends(kind: Callable[[], Any], way: str) -> None:
    lock = held(kind)
    threads = Threads(lambda: WAYS[way](lock))
    expel(threads)
    with pytest.raises(Expelled):
        threads.results()
    assert waits() == []
    lock.release()
    assert not lock.locked()
    assert lock.acquire(timeout=0)
    lock.release()


def test_a_join_ends() -> None:
    gate = held()
    handle = start_joinable_thread(gate.acquire)
    threads = Threads(handle.join)
    expel(threads)
    with pytest.raises(Expelled):
        threads.results()
    assert not handle.is_done()
    gate.release()
    handle.join()
    assert handle.is_done()


def test_an_instance_is_raised_itself() -> None:
    lock, exception = held(), Expelled("why")
    threads = Threads(lock.acquire)
    expel(threads, exception)
    with pytest.raises(Expelled) as caught:
        threads.results()
    assert caught.value is exception


def test_of_a_class_one_is_made_where_it_is_given() -> None:
    made_by: list[int] = []

    class Made(Expelled):
        def __init__(self) -> None:
            made_by.append(get_ident())

    threads = Threads(held().acquire)
    expel(threads, Made)
    with pytest.raises(Made):
        threads.results()
    assert set(made_by) == {get_ident()}


def test_a_class_that_makes_none_is_refused() -> None:
    class Broken(Expelled):
        def __init__(self) -> None:
            raise LookupError

    class Other(Expelled):
        def __new__(cls) -> Any:
            return 1

    lock = held()
    threads = Threads(lock.acquire)
    await_wait(threads.idents[0])
    with pytest.raises(LookupError):
        interrupt(threads.idents[0], Broken)
    with pytest.raises(TypeError):
        interrupt(threads.idents[0], Other)
    assert [wait.ident for wait in waits()] == threads.idents
    lock.release()
    assert threads.results() == [True]


def test_a_thread_that_does_not_wait_is_left_alone() -> None:
    lock = allocate_lock()
    assert not interrupt(get_ident(), Expelled)
    ended = Threads(lock.acquire)
    ended.results()
    assert not interrupt(ended.idents[0], Expelled)
    lock.release()
    with lock:  # nothing is left to be raised
        assert not lock.acquire(timeout=0.001)


@pytest.mark.parametrize(
    ("ident", "exception", "error"),
    [
        (0, Expelled, ValueError),
        (-4, Expelled, ValueError),
        (1 << 80, Expelled, ValueError),
        ("1", Expelled, TypeError),
        (1.0, Expelled, TypeError),
        (4, int, TypeError),
        (4, "Expelled", TypeError),
        (4, None, TypeError),
    ],
)
def test_wrong_arguments_are_refused(ident: Any, exception: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        interrupt(ident, exception)


@pytest.mark.skipif(os.name == "nt", reason="Windows: no signals to threads")
@pytest.mark.parametrize("way", ["acquire", "acquire(timeout)", "with"])
def test_a_handler_that_interrupts_its_own_thread_and_raises_a_class(way: str) -> None:
    # Up to 3.11 what C code raises, as the handler of Ctrl-C does, is a class alone at first.
    run_child(
        """
        import signal, sys
        from lowthreads import allocate_lock, get_ident, interrupt, start_new_thread
        from support import await_waiter

        class Ends(Exception):
            pass

        def handle(*arguments):
            assert interrupt(main, Ends)
            signal.default_int_handler(*arguments)

        def enter():
            with lock:
                pass

        main, lock = get_ident(), allocate_lock()
        lock.acquire()
        signal.signal(signal.SIGUSR1, handle)
        ways = {
            "acquire": lock.acquire,
            "acquire(timeout)": lambda: lock.acquire(timeout=60),
            "with": enter,
        }

        def send():
            await_waiter(lock)
            signal.pthread_kill(main, signal.SIGUSR1)

        start_new_thread(send, ())
        try:
            print("got", ways[sys.argv[1]]())
        except Ends as raised:
            assert type(raised.__context__) is KeyboardInterrupt, repr(raised.__context__)
        """,
        way,
    )


def test_what_only_says_that_it_is_an_exception_is_refused() -> None:
    class Says(BaseException):
        def __new__(cls) -> Any:
            return Liar()

    class Liar:
        __class__ = property(lambda self: ValueError)  # type: ignore[assignment]

    lock = held()
    threads = Threads(lambda: lock.acquire(timeout=60))
    await_wait(threads.idents[0])
    with pytest.raises(TypeError, match="exceptions must derive from BaseException"):
        interrupt(threads.idents[0], Says)
    lock.release()
    assert threads.results() == [True]


@other_interpreters
def test_another_interpreter_can_not_interrupt() -> None:
    run_child("""
        import os, sys
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        from lowthreads import allocate_lock, get_ident, interrupt, start_new_thread
        from support import await_waiter

        class Ends(Exception):
            pass

        def run(source):
            run = getattr(interpreters, "exec", None) or interpreters.run_string
            failed = run(another, f"import sys; sys.path = {sys.path!r}; " + source)
            assert failed is None, failed

        def interrupt_in_vain():
            await_waiter(lock)
            for _ in range(3):
                run(
                    "from lowthreads import interrupt; "
                    f"assert interrupt({main}, KeyError) is False"
                )
            assert interrupt(main, Ends) is True

        main = get_ident()
        another = (
            interpreters.create("legacy") if sys.version_info >= (3, 13)
            else interpreters.create(isolated=False)
        )
        lock = allocate_lock()
        lock.acquire()
        start_new_thread(interrupt_in_vain, ())
        try:
            print("acquired", lock.acquire(timeout=60))
        except Ends:
            pass
        interpreters.destroy(another)
        """)


def test_who_waits_behind_one_that_is_expelled_goes_on() -> None:
    lock = held()
    first = Threads(lock.acquire)
    newest = await_waiter(lock)
    second = Threads(lambda: lock.acquire(timeout=60))
    await_waiter(lock, newest)
    expel(first)
    lock.release()
    assert second.results() == [True]
    with pytest.raises(Expelled):
        first.results()


class Sender:
    """A thread that interrupts the calling one as soon as that waits, after a while."""

    def __init__(self, after: float, exception: Any = Expelled) -> None:
        self.me = get_ident()
        self.after = after
        self.exception = exception
        self.threads = Threads(self._send)

    def _send(self) -> None:
        wait_until(self._looks_right, "it waits")
        assert interrupt(self.me, self.exception)

    def _looks_right(self) -> bool:
        return any(wait.ident == self.me and wait.seconds >= self.after for wait in waits())


# The main thread's first sleep is brief, then patient: before, about at and after that moment.
@pytest.mark.parametrize("after", [0, 0.005, 0.05])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", [allocate_lock, RLock])
def test_the_main_thread_can_be_interrupted(
    kind: Callable[[], Any], way: str, after: float
) -> None:
    lock = kind()
    gate = held()
    holder = Threads(lambda: lock.acquire() and gate.acquire() and lock.release())
    wait_until(lock.locked, "it is held")
    sender = Sender(after)
    with pytest.raises(Expelled):
        WAYS[way](lock)
    gate.release()
    sender.threads.results()
    holder.results()
    assert waits() == []


def test_what_waits_on_top_of_locks_unwinds() -> None:
    run_child(
        """
        import lowthreads
        lowthreads.install()
        import threading
        from concurrent.futures import Future
        from queue import Queue
        from support import wait_until

        class Expelled(Exception):
            pass

        event, condition = threading.Event(), threading.Condition()
        queue, future = Queue(), Future()
        semaphore, barrier = threading.Semaphore(0), threading.Barrier(2)

        def wait_in_condition():
            with condition:
                condition.wait()

        for function in (event.wait, wait_in_condition, queue.get, future.result,
                         semaphore.acquire, barrier.wait):
            raised = []
            def run():
                try:
                    function()
                except Expelled as error:
                    raised.append(error)
            thread = threading.Thread(target=run)
            thread.start()
            wait_until(lambda: lowthreads.interrupt(thread.ident, Expelled), "it waits")
            thread.join()
            assert len(raised) == 1, function
        assert not condition._waiters and not condition._lock.locked()
        assert not queue.mutex.locked() and not queue.not_empty._waiters
        assert barrier.n_waiting == 0
        queue.put("fine")
        assert queue.get() == "fine"
        """
    )


def test_a_thread_that_was_joined_in_vain_is_alive() -> None:
    run_child(
        """
        import lowthreads
        lowthreads.install()
        import threading
        from support import wait_until

        class Expelled(Exception):
            pass

        gate, raised = threading.Event(), []
        joined = threading.Thread(target=gate.wait)
        joined.start()
        def join():
            try:
                joined.join()
            except Expelled:
                raised.append(joined.is_alive())
        joiner = threading.Thread(target=join)
        joiner.start()
        wait_until(lambda: lowthreads.interrupt(joiner.ident, Expelled), "it waits")
        joiner.join()
        assert raised == [True]
        assert joined.is_alive()
        joined.join(0.001)
        assert joined.is_alive()
        gate.set()
        joined.join()
        assert not joined.is_alive()
        """
    )


def test_a_condition_has_its_lock_back_first() -> None:
    run_child(
        """
        import lowthreads
        lowthreads.install()
        import threading
        from support import wait_until

        class Expelled(Exception):
            pass

        for lock in (threading.Lock(), threading.RLock()):
            condition, raised = threading.Condition(lock), []
            def wait():
                with condition:
                    try:
                        condition.wait()
                        raised.append(None)
                    except Expelled:
                        raised.append(Expelled)
                    assert condition._is_owned()
            def addresses():
                return [each.address for each in lowthreads.waits()]
            thread = threading.Thread(target=wait)
            thread.start()
            wait_until(addresses, "it waits")
            first = addresses()
            with condition:
                condition.notify()
                wait_until(lambda: addresses() not in ([], first), "it wants its lock")
                expelled = lowthreads.interrupt(thread.ident, Expelled)
                assert expelled == isinstance(lock, lowthreads.LockType)
                wait_until(lowthreads.waits, "it goes on")
            thread.join()
            assert raised == [Expelled if expelled else None]
            assert lock.acquire(False)
        """
    )


posix = pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signals to a thread")


@posix
@pytest.mark.parametrize("raises", [False, True])
@pytest.mark.parametrize("way", ["acquire", "with", "timeout"])
def test_a_wait_that_a_handler_interrupts_ends_after_it(way: str, raises: bool) -> None:
    lock, main = held(), get_ident()
    seen: list[bool] = []

    class FromHandler(Exception):
        pass

    def handle(*_: object) -> None:
        # By another thread, for that is what it is for.
        seen.extend(Threads(lambda: interrupt(main, Expelled)).results())
        seen.extend(Threads(lambda: interrupt(main, Expelled)).results())
        if raises:
            raise FromHandler

    def send() -> None:
        await_wait(main)
        signal.pthread_kill(main, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        threads = Threads(send)
        with pytest.raises(Expelled) as caught:
            WAYS[way](lock)
        threads.results()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert seen == [True, False]
    assert isinstance(caught.value.__context__, FromHandler) == raises
    assert waits() == []
    lock.release()


@posix
@pytest.mark.skipif(PYPY, reason="a handler's exception comes out there: README, known limits")
def test_an_exception_that_is_raised_again_does_not_lead_to_itself() -> None:
    main, again = get_ident(), Expelled()

    def handle(*_: object) -> None:
        Threads(lambda: interrupt(main, again)).results()
        raise KeyError

    def send() -> None:
        await_wait(main)
        signal.pthread_kill(main, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, handle)
    threads = Threads(send)
    try:
        raise again
    except Expelled:
        with pytest.raises(Expelled) as caught:
            held().acquire()
    finally:
        signal.signal(signal.SIGUSR1, before)
    threads.results()
    assert isinstance(caught.value.__context__, KeyError)
    assert caught.value.__context__.__context__ is None


@posix
@pytest.mark.parametrize("way", [*WAYS, "join"])
def test_an_interrupt_is_not_lost_to_a_handler_that_raises_at_any_moment(way: str) -> None:
    # In another process, for whose main thread a signal may come late.  PyPy drops an exception
    # that is on its way when a handler raises: so there the handler's may be all that comes out.
    run_child(
        """
        import random, signal, sys, time
        from lowthreads import allocate_lock, get_ident, interrupt, start_joinable_thread, waits
        from support import PYPY
        from test_expel import Expelled, WAYS, held

        class FromHandler(Exception):
            pass

        def handle(*_):
            handled.append(True)
            raise FromHandler

        def send():
            for number in range(1000):
                while asked <= number:
                    time.sleep(0.00002)
                while not interrupt(main, Expelled):
                    pass
                until = time.perf_counter() + random.random() * 0.0001
                while time.perf_counter() < until:
                    pass
                signal.pthread_kill(main, signal.SIGUSR1)
                sent.append(number)

        main, way, lock, asked, sent = get_ident(), sys.argv[1], held(), 0, []
        handled = []

        def await_signal():
            while len(sent) < asked or len(handled) < asked:
                time.sleep(0.00002)

        handler = start_joinable_thread(lock.acquire)
        signal.signal(signal.SIGUSR1, handle)
        start_joinable_thread(send)
        for _ in range(1000):
            raised = None
            try:
                try:
                    try:
                        asked += 1
                        if way == "join":
                            handler.join()
                        else:
                            WAYS[way](lock)
                    finally:
                        await_signal()
                finally:
                    await_signal()
            except (Expelled, FromHandler) as error:
                raised = error
            kinds = []
            while raised is not None:
                kinds.append(type(raised))
                raised = raised.__context__
            assert kinds.count(Expelled) == 1 or (PYPY and FromHandler in kinds), kinds
            assert not [wait for wait in waits() if wait.ident == main]
        """,
        way,
    )


def work(
    locks: list[Any], counts: list[int], over: threading.Event, tallies: list[list[int]]
) -> None:
    mine = random.Random()
    entered, received = [0] * len(locks), 0
    while not over.is_set():
        i = mine.randrange(len(locks))
        lock = locks[i]
        try:
            if mine.random() < 0.5:
                if not lock.acquire(timeout=mine.random() / 2000):
                    continue
            else:
                lock.acquire()
        except Expelled:
            received += 1
            continue
        counts[i] += 1
        entered[i] += 1
        if mine.random() < 0.3:
            time.sleep(mine.random() / 2000)
        lock.release()
    tallies.append([*entered, received])


def test_a_storm_loses_nothing() -> None:
    locks = [allocate_lock(), RLock()]
    counts, over, tallies = [0, 0], threading.Event(), []  # type: ignore[var-annotated]
    threads = Threads(*[lambda: work(locks, counts, over, tallies)] * 4)
    sent = 0
    while sent < EXPULSIONS:
        waiting = waits()
        if not waiting:
            time.sleep(0.0001)
        for wait in waiting:
            sent += interrupt(wait.ident, Expelled)
    over.set()
    threads.results()
    assert [sum(each) for each in zip(*tallies)] == [*counts, sent]
    assert not any(lock.locked() for lock in locks)
    assert waits() == []


@posix
def test_a_storm_of_signals_and_interrupts_loses_nothing() -> None:
    # The main thread waits and hands over while signals come every 100 µs, and interrupts.
    run_child(
        """
        import signal, sys, threading, time
        import lowthreads
        from lowthreads import allocate_lock, interrupt, waits
        from support import Threads

        class Expelled(Exception):
            pass

        main, rounds = lowthreads.get_ident(), int(sys.argv[1])
        there, back = allocate_lock(), allocate_lock()
        there.acquire(), back.acquire()
        over, passes, sent, handled = False, 0, 0, 0

        def handle(*_):
            global handled
            handled += 1

        def answer():
            while True:
                there.acquire()
                if over:
                    return
                time.sleep(0.0002)
                back.release()

        def send():
            global sent
            while not over:
                if interrupt(main, Expelled):
                    sent += 1
                time.sleep(0.0001)

        signal.signal(signal.SIGALRM, handle)
        threads = Threads(answer, send)
        signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
        received = 0
        for _ in range(rounds):
            there.release()
            while True:
                try:
                    if back.acquire(timeout=60) if passes % 2 else back.acquire():
                        break
                    raise SystemExit("a wake-up was lost")
                except Expelled:
                    received += 1
            passes += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        over = True
        there.release()
        threads.results()
        assert passes == rounds and handled > rounds / 10, (passes, handled)
        assert received == sent > 0, (received, sent)
        assert back.locked() and there.locked() and waits() == []
        """,
        EXPULSIONS,
        timeout=60 + EXPULSIONS / 100,
    )
