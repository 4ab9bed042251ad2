"""Threads that can be joined: their handles, and `_shutdown`, which joins those left."""

from __future__ import annotations

import os
import sys
import textwrap
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from marks import counts_threads
from test_interrupts import run
from test_threads import READ_STACK, held, in_child, is_gone

import lowthreads
from lowthreads import (
    _make_thread_handle,
    _set_sentinel,
    _ThreadHandle,
    get_ident,
    get_native_id,
    start_joinable_thread,
)
from lowthreads._lib import lib
from support import LIMIT, Threads, await_waiter, run_child, run_threads, wait_until

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux's /proc")


def joined_by(handle: _ThreadHandle) -> Any:
    """What `await_waiter` can see the joiners of."""
    return types.SimpleNamespace(_handle=lib.lt_handle_running(handle._shim))


class Gate:
    """A thread that runs until it is let go."""

    def __init__(self, **options: Any) -> None:
        self.lock = held()
        self.handle = start_joinable_thread(self.lock.acquire, **options)

    def let_go(self) -> None:
        self.lock.release()
        self.handle.join()


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    if gate.lock.locked() and not gate.handle.is_done():
        gate.let_go()


# ---- Checks


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: start_joinable_thread(1), TypeError, "thread function must be callable"),
        (lambda: start_joinable_thread(1, 1), TypeError, "thread function must be callable"),
        (lambda: start_joinable_thread(int, 1), TypeError, "'handle' must be a _ThreadHandle"),
        (
            lambda: start_joinable_thread(int, handle=object()),
            TypeError,
            "'handle' must be a _ThreadHandle",
        ),
        (lambda: start_joinable_thread(int, name=1), TypeError, None),
        (lambda: start_joinable_thread(int, stack_size="a"), TypeError, None),
        (lambda: start_joinable_thread(int, stack_size=-1), ValueError, None),
        (lambda: start_joinable_thread(int, stack_size=1), ValueError, "size not valid: 1 bytes"),
        (lambda: start_joinable_thread(), TypeError, None),
        (lambda: start_joinable_thread(int, None, True, None), TypeError, None),
        (lambda: _ThreadHandle().join(), RuntimeError, "thread not started"),
        (lambda: _ThreadHandle().join(0), RuntimeError, "thread not started"),
        (lambda: _ThreadHandle()._set_done(), RuntimeError, "thread not started"),
        (lambda: _make_thread_handle("a"), TypeError, None),
        (
            lambda: type("Sub", (_ThreadHandle,), {}),
            TypeError,
            "type 'lowthreads._ThreadHandle' is not an acceptable base type",
        ),
    ],
)
@counts_threads
def test_what_is_refused(call: Any, error: type[Exception], message: str | None) -> None:
    before = lowthreads._count()
    with pytest.raises(error) as info:
        call()
    assert info.type is error
    assert message is None or str(info.value) == message
    assert lowthreads._count() == before


@pytest.mark.parametrize(
    ("timeout", "error"),
    [("a", TypeError), (1j, TypeError), (float("nan"), ValueError), (1e100, OverflowError)],
)
def test_join_refuses_timeouts(gate: Gate, timeout: Any, error: type[Exception]) -> None:
    for _ in range(2):
        with pytest.raises(error):
            gate.handle.join(timeout)
        assert not gate.handle.is_done()
    gate.let_go()
    with pytest.raises(error):
        gate.handle.join(timeout)


# ---- States


def test_a_handle_that_is_not_started() -> None:
    handle = _ThreadHandle()
    assert handle.ident == 0
    assert handle.is_done() is False
    assert repr(handle) == "<_ThreadHandle object: ident=0>"
    with pytest.raises(AttributeError):
        handle.ident = 1  # type: ignore[misc]


def test_a_handle_through_its_life() -> None:
    handle, lock = _ThreadHandle(), held()
    idents: list[int] = []

    def function() -> None:
        idents.append(get_ident())
        lock.acquire()

    assert start_joinable_thread(function, handle=handle, daemon=False) is handle
    wait_until(lambda: idents)
    assert handle.ident == idents[0]
    assert repr(handle) == f"<_ThreadHandle object: ident={idents[0]}>"
    assert handle.is_done() is False
    with pytest.raises(RuntimeError, match=r"^thread already started$"):
        start_joinable_thread(int, handle)
    lock.release()
    for timeout in (None, -1, -0.5, 0, 1, LIMIT):
        assert handle.join(*[] if timeout is None else [timeout]) is None
        assert handle.is_done() is True
    assert handle.ident == idents[0]
    with pytest.raises(RuntimeError, match=r"^thread already started$"):
        start_joinable_thread(int, handle)


def test_join_that_times_out_returns_none(gate: Gate) -> None:
    for timeout in (0, 0.0, 0.001, 0.02):
        assert gate.handle.join(timeout) is None
        assert run_threads(lambda timeout=timeout: gate.handle.join(timeout)) == [None]
        assert not gate.handle.is_done()
    gate.let_go()
    assert gate.handle.is_done()


def test_many_threads_join_at_once(gate: Gate) -> None:
    def join(timeout: Any) -> bool:
        gate.handle.join(timeout)
        return gate.handle.is_done()

    joiners = Threads(*[lambda t=t: join(t) for t in (None, -1, LIMIT, LIMIT) * 5])
    brief = Threads(*[lambda: join(0.01)] * 5)
    await_waiter(joined_by(gate.handle))
    assert brief.results() == [False] * 5
    gate.lock.release()
    assert joiners.results() == [True] * 20


def test_a_thread_can_not_join_itself() -> None:
    answers: list[str] = []
    handle = _ThreadHandle()
    start = held()

    def function() -> None:
        start.acquire()
        for timeout in (None, -1, 0, 1):
            try:
                handle.join(timeout)
            except RuntimeError as error:
                answers.append(str(error))

    start_joinable_thread(function, handle)
    start.release()
    handle.join()
    assert answers == ["Cannot join current thread"] * 4


def test_threads_join_each_other_in_a_chain() -> None:
    gate = Gate()
    handles = [gate.handle]
    for _ in range(30):
        handles.append(start_joinable_thread(handles[-1].join))
    assert not any(handle.is_done() for handle in handles)
    gate.lock.release()
    handles[-1].join()
    assert all(handle.is_done() for handle in handles)


def test_an_exception_ends_the_thread_and_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    caught: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: caught.append(args.exc_type))
    start_joinable_thread(lambda: 1 / 0).join()
    start_joinable_thread(sys.exit).join()
    assert caught == [ZeroDivisionError]
    caught.clear()


@pytest.mark.parametrize("how", ["adopted", "started"])
def test_set_done_ends_all_joins(gate: Gate, how: str) -> None:
    handle = gate.handle if how == "started" else _make_thread_handle(gate.handle.ident)
    assert handle.ident == gate.handle.ident
    joiner = Threads(handle.join)
    await_waiter(joined_by(handle))
    handle._set_done()
    assert joiner.results() == [None]
    handle._set_done()
    assert handle.join() is None
    assert handle.is_done()
    gate.lock.release()


def test_a_handle_of_this_thread_can_not_be_joined_by_it() -> None:
    handle = _make_thread_handle(get_ident())
    assert not handle.is_done()
    with pytest.raises(RuntimeError, match=r"^Cannot join current thread$"):
        handle.join()


@pytest.mark.skipif(
    sys.platform == "win32", reason="Windows: no stack size that is taken is too large to be had"
)
@pytest.mark.parametrize("daemon", [True, False])
def test_a_start_that_fails_leaves_the_handle_as_new(daemon: bool) -> None:
    handle = _ThreadHandle()
    for _ in range(3):
        with pytest.raises(RuntimeError, match=r"^can't start new thread") as info:
            start_joinable_thread(int, handle, daemon=daemon, stack_size=1 << 46)
        assert info.type is RuntimeError
        assert f"[Errno {12 if sys.platform == 'darwin' else 11}]" in str(info.value)
        assert f"stack size {1 << 46}" in str(info.value)
        assert "RLIMIT_NPROC" in str(info.value)
        assert handle.is_done() is False
        assert handle.ident == 0
        with pytest.raises(RuntimeError, match=r"^thread not started$"):
            handle.join()
    lowthreads._shutdown()
    start_joinable_thread(int, handle, daemon=daemon).join()
    assert handle.is_done()


@pytest.mark.skipif(
    sys.platform == "win32", reason="Windows: no stack size that is taken is too large to be had"
)
def test_starts_that_fail_do_not_disturb_who_waits() -> None:
    run_child(
        """
        import sys
        from lowthreads import _shutdown, _ThreadHandle, start_joinable_thread
        from support import run_threads

        reports, failed = [], []
        sys.unraisablehook = reports.append

        def fail():
            handle = _ThreadHandle()
            for _ in range(300):
                try:
                    start_joinable_thread(int, handle, daemon=False, stack_size=1 << 46)
                except RuntimeError as error:
                    assert str(error).startswith("can't start new thread"), error
            failed.append(1)

        def shut_down():
            while len(failed) < 2:
                _shutdown()

        run_threads(fail, fail, shut_down, shut_down)
        assert not reports, reports
        """
    )


# ---- What is gone when join returns


def test_thread_locals_are_gone_when_join_returns() -> None:
    class Value:
        pass

    local = lowthreads._local()
    references: list[Any] = []

    def function() -> None:
        local.value = Value()
        references.append(weakref.ref(local.value))

    for _ in range(50):
        start_joinable_thread(function).join()
        assert is_gone(references.pop())


@counts_threads
def test_the_thread_is_not_counted_when_join_returns() -> None:
    before = lowthreads._count()
    for _ in range(50):
        start_joinable_thread(int).join()
        assert lowthreads._count() == before


def test_handles_are_dropped_while_their_threads_run() -> None:
    lock, ended = held(), []

    def function() -> None:
        with lock:
            ended.append(1)

    for _ in range(20):
        reference = weakref.ref(start_joinable_thread(function))
        wait_until(lambda reference=reference: is_gone(reference))
    lock.release()
    wait_until(lambda: len(ended) == 20)


def test_thousands_of_handles_leave_nothing_behind() -> None:
    in_child("""
        import gc, lowthreads
        from support import resident

        def run():
            for number in range(1500):
                daemon = number % 2 == 0
                lowthreads.start_joinable_thread(int, daemon=daemon).join()
                for _ in range(10):
                    lowthreads._ThreadHandle()
            end_of_threads()
            gc.collect()

        run()
        grown = []
        for _ in range(3):
            before = len(gc.get_objects())
            at_first = resident() if sys.platform == "linux" else 0
            run()
            grown.append((resident() if sys.platform == "linux" else 0) - at_first)
            assert len(gc.get_objects()) - before < 300
        assert min(grown) < 1500 * 200, grown
        print("alive")
        """)


def test_a_start_that_is_refused_leaves_the_handle_as_it_was() -> None:
    class Name(str):
        __slots__ = ()

        def encode(self, *_: object) -> bytes:
            raise LookupError

    handle = lowthreads._ThreadHandle()
    with pytest.raises(LookupError):
        start_joinable_thread(int, handle, name=Name("name"))
    with pytest.raises(RuntimeError, match="thread not started"):
        handle.join()
    start_joinable_thread(int, handle).join()
    assert handle.is_done()


# ---- _set_sentinel


@pytest.mark.parametrize(
    "start", [lambda function: lowthreads.start_new_thread(function, ()), start_joinable_thread]
)
def test_a_sentinel_is_released_when_its_thread_has_ended(start: Callable[..., object]) -> None:
    lock, sentinels = held(), []

    def function() -> None:
        sentinel = _set_sentinel()
        sentinel.acquire()
        sentinels.append(sentinel)
        lock.acquire()

    start(function)
    wait_until(lambda: sentinels)
    assert sentinels[0].locked()
    assert not sentinels[0].acquire(timeout=0.01)
    lock.release()
    assert sentinels[0].acquire(timeout=LIMIT)
    sentinels[0].release()
    assert not sentinels[0].locked()


# ---- Names, stacks, audit events


@LINUX
def test_the_name_is_the_threads_in_the_operating_system() -> None:
    for name, seen in [
        ("short", "short"),
        ("a name that is too long", "a name that is "),
        ("", ""),
    ]:
        names: list[str] = []

        def function(names: list[str] = names) -> None:
            with open(f"/proc/self/task/{get_native_id()}/comm") as comm:
                names.append(comm.read().rstrip("\n"))

        start_joinable_thread(function, name=name).join()
        assert names == [seen]


@pytest.mark.skipif(sys.platform not in READ_STACK, reason="no way known to read a stack's size")
def test_each_thread_has_the_stack_that_was_asked_for_it() -> None:
    in_child(
        READ_STACK[sys.platform]
        + textwrap.dedent("""
        from lowthreads import stack_size, start_joinable_thread

        got, handles = {}, []

        def start(size):
            def read():
                got.setdefault(size, []).append(size_of_stack())
            for _ in range(10):
                start_joinable_thread(read, stack_size=size).join()

        def both():
            sizes = (2 * MiB, 64 * MiB)
            return [start_joinable_thread(lambda size=size: start(size)) for size in sizes]

        before = stack_size()
        for handle in both():
            handle.join()
        for size, sizes in got.items():
            assert len(sizes) == 10
            assert min(sizes) >= size - SLACK, (size, sizes)
        assert min(got[2 * MiB]) < 48 * MiB
        assert stack_size() == before == 0
        print("alive")
        """)
    )


def test_audit_events() -> None:
    in_child("""
        import lowthreads

        events = []

        def hook(name, args):
            if name.startswith("_thread."):
                events.append((name, args))

        sys.addaudithook(hook)
        handle = lowthreads._ThreadHandle()
        kwargs = {}
        lowthreads.start_new_thread(int, ())
        lowthreads.start_new_thread(int, (), kwargs)
        lowthreads.start_joinable_thread(int, handle, daemon=False).join()
        lowthreads.start_joinable_thread(int).join()
        end_of_threads()
        new, joinable = "_thread.start_new_thread", "_thread.start_joinable_thread"
        assert events == [
            (new, (int, (), None)),
            (new, (int, (), kwargs)),
            (joinable, (int, 0, handle)),
            (joinable, (int, 1, None)),
        ], events
        print("alive")
        """)


def test_an_audit_hook_that_raises_prevents_the_start() -> None:
    in_child("""
        import lowthreads

        def hook(name, args):
            if name.startswith("_thread.") and refuse:
                raise LookupError(name)

        refuse = True
        sys.addaudithook(hook)
        handle = lowthreads._ThreadHandle()
        for start in (
            lambda: lowthreads.start_new_thread(int, ()),
            lambda: lowthreads.start_joinable_thread(int, handle, daemon=False),
        ):
            try:
                start()
            except LookupError:
                continue
            raise AssertionError("started")
        assert _count() == 0
        lowthreads._shutdown()
        refuse = False
        lowthreads.start_joinable_thread(int, handle).join()
        end_of_threads()
        print("alive")
        """)


# ---- _shutdown


def test_shutdown_waits_for_threads_that_are_no_daemons_alone() -> None:
    in_child("""
        from lowthreads import _shutdown, allocate_lock, start_joinable_thread
        from support import await_waiter

        gates = [allocate_lock() for _ in range(4)]
        for gate in gates:
            gate.acquire()
        daemon = start_joinable_thread(gates[0].acquire)
        others = [start_joinable_thread(gate.acquire, daemon=False) for gate in gates[1:]]

        def nested():
            others.append(start_joinable_thread(gates[1].release, daemon=False))
            gates[2].release()
            gates[3].release()

        start_joinable_thread(nested, daemon=False)
        _shutdown()
        assert all(other.is_done() for other in others) and not daemon.is_done()
        _shutdown()
        gates[0].release()
        daemon.join()
        end_of_threads()
        print("alive")
        """)


def test_what_interrupts_shutdown_is_reported_and_it_can_be_called_again() -> None:
    run("""
        from lowthreads import _shutdown, start_joinable_thread
        from types import SimpleNamespace
        from lowthreads._lib import ffi

        reports = []
        sys.unraisablehook = lambda args: reports.append((args.exc_type, args.err_msg, args.object))
        signal.signal(ALRM, raising)
        gate = held()
        handle = start_joinable_thread(gate.acquire, daemon=False)
        for number in range(1, 3):
            set_timer(0.05)
            _shutdown()
            assert len(reports) == number, "it returned before the thread ended"
        assert not handle.is_done()
        message = "Exception ignored while joining a thread in _thread._shutdown()"
        assert reports == [(Hit, message, None)] * 2, reports
        gate.release()
        _shutdown()
        assert handle.is_done()
        """)


@pytest.mark.parametrize("timeout", ["None", "60"])
def test_a_join_that_was_interrupted_can_be_done_again(timeout: str) -> None:
    run(
        """
        from lowthreads import start_joinable_thread

        timeout = eval(sys.argv[1])
        signal.signal(ALRM, raising)
        gate = held()
        handle = start_joinable_thread(gate.acquire)

        def join(seconds):
            # The signal comes here, not before, however slow the machine is.
            if seconds:
                set_timer(seconds)
            else:
                start_new_thread(interrupt_main, ())
            handle.join(timeout)

        for number in range(20):
            until_hit(lambda: join(0.001 * (number + 1)))
            assert not handle.is_done()
        until_hit(lambda: join(0), KeyboardInterrupt)
        gate.release()
        handle.join(timeout)
        assert handle.is_done()
        """,
        timeout,
    )


# ---- After a fork


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
@pytest.mark.parametrize("by", ["main", "thread"])
def test_in_a_forked_child_the_others_are_done_and_the_forking_thread_is_not(by: str) -> None:
    run(
        """
        import traceback
        from lowthreads import _ThreadHandle, _make_thread_handle, _shutdown
        from lowthreads import start_joinable_thread

        gate = held()
        others = [start_joinable_thread(gate.acquire, daemon=False) for _ in range(3)]
        new, mine = _ThreadHandle(), _ThreadHandle()
        status = []

        def in_child():
            for other in others:
                assert other.is_done() and other.join() is None
            assert not new.is_done()
            assert not mine.is_done(), "the forking thread runs, in the child, too"
            try:
                mine.join()
            except RuntimeError as error:
                assert str(error) == "Cannot join current thread"
            else:
                raise AssertionError("joined")
            start_joinable_thread(int, new, daemon=False)
            _shutdown()
            assert new.is_done()

        def fork():
            pid = os.fork()
            if pid == 0:
                try:
                    in_child()
                    os._exit(0)
                except BaseException:
                    traceback.print_exc()
                    sys.stderr.flush()
                    os._exit(1)
            status.append(os.waitpid(pid, 0)[1])

        if sys.argv[1] == "main":
            mine = _make_thread_handle(get_ident())
            fork()
        else:
            start_joinable_thread(fork, mine).join()
        assert status == [0]
        assert not any(other.is_done() for other in others)
        for other in others:
            gate.release()
            wait_until(gate.locked)
        _shutdown()
        """,
        by,
    )
