"""Locks, RLocks and handles against a simple model of them, in sequences that hypothesis finds.

A few threads do as they are told, one step at a time; one that waits is left waiting, and what
ends its wait is known: the lock goes to those who wait in the order in which they came.
"""

from __future__ import annotations

import queue
from collections import deque
from typing import Any, Callable

import pytest
from hypothesis import settings, strategies
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import lowthreads
import support

WORKERS = range(3)


class Worker:
    """A thread that calls what it is given."""

    def __init__(self) -> None:
        self.busy = False
        self._calls: queue.SimpleQueue[Callable[[], Any] | None] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._handle = lowthreads.start_joinable_thread(self._work)
        self.ident = self._handle.ident

    def _work(self) -> None:
        for call in iter(self._calls.get, None):
            try:
                self._results.put(call())
            except RuntimeError as error:
                self._results.put(str(error))

    def begin(self, call: Callable[[], Any]) -> None:
        self.busy = True
        self._calls.put(call)

    def result(self) -> Any:
        result = self._results.get(timeout=support.LIMIT)
        self.busy = False
        return result

    def call(self, call: Callable[[], Any]) -> Any:
        self.begin(call)
        return self.result()

    def end(self) -> None:
        self._calls.put(None)
        self._handle.join()


class Model(RuleBasedStateMachine):
    """A lock that can be taken again by its owner, or released by all, as `re_entrant` says."""

    re_entrant = False

    def __init__(self) -> None:
        super().__init__()
        self.workers = [Worker() for _ in WORKERS]
        self.lock: Any = lowthreads.RLock() if self.re_entrant else lowthreads.allocate_lock()
        self.owner: int | None = None
        self.levels = 0
        self.waiting: deque[int] = deque()

    def idle(self, number: int) -> bool:
        return not self.workers[number].busy

    def takes(self, who: int) -> bool:
        """Whether an acquire succeeds at once; then it has."""
        free = self.owner is None or (self.re_entrant and self.owner == who)
        if free:
            self.owner = who
            self.levels += 1
        return free

    def give_on(self) -> None:
        self.owner, self.levels = None, 0
        if self.waiting:
            who = self.waiting.popleft()
            assert self.workers[who].result() is True
            assert self.takes(who)

    @precondition(lambda self: any(map(self.idle, WORKERS)))
    @rule(data=strategies.data(), how=strategies.sampled_from(["try", "time", "wait", "with"]))
    def acquire(self, data: strategies.DataObject, how: str) -> None:
        who = data.draw(strategies.sampled_from([w for w in WORKERS if self.idle(w)]))
        worker = self.workers[who]
        if how == "try":
            assert worker.call(lambda: self.lock.acquire(False)) is self.takes(who)
        elif how == "time":
            assert worker.call(lambda: self.lock.acquire(timeout=0.0005)) is self.takes(who)
        elif self.takes(who):
            enter = self.lock.__enter__ if how == "with" else self.lock.acquire
            assert worker.call(enter) is True
        elif len(self.waiting) < len(WORKERS) - 1:  # one is left to release it
            worker.begin(self.lock.acquire)
            self.waiting.append(who)
            self.await_waiters()

    def await_waiters(self) -> None:
        expected = {self.workers[who].ident for who in self.waiting}
        support.wait_until(lambda: expected <= {wait.ident for wait in lowthreads.waits()})

    @precondition(lambda self: any(map(self.idle, WORKERS)))
    @rule(data=strategies.data())
    def release(self, data: strategies.DataObject) -> None:
        who = data.draw(strategies.sampled_from([w for w in WORKERS if self.idle(w)]))
        result = self.workers[who].call(self.lock.release)
        if self.owner is None or (self.re_entrant and self.owner != who):
            assert "release un" in result
            return
        assert result is None
        self.levels -= 1
        if self.levels == 0:
            self.give_on()

    @invariant()
    def agrees(self) -> None:
        assert self.lock.locked() is (self.owner is not None)
        if self.re_entrant:
            assert f"count={self.levels} " in repr(self.lock)

    def teardown(self) -> None:
        while self.owner is not None:
            for _ in range(self.levels):
                if self.re_entrant:
                    assert self.workers[self.owner].call(self.lock.release) is None
                else:  # its owner may be among those who wait
                    self.lock.release()
            self.give_on()
        for worker in self.workers:
            worker.end()


class ReEntrantModel(Model):
    re_entrant = True


class HandleModel(RuleBasedStateMachine):
    """A handle, whose thread runs until it is told to end."""

    def __init__(self) -> None:
        super().__init__()
        self.workers = [Worker() for _ in WORKERS]
        self.handle = lowthreads._ThreadHandle()
        self.may_end = lowthreads.allocate_lock()
        self.may_end.acquire()
        self.progress = "not started"
        self.joining: list[int] = []

    @rule(by=strategies.sampled_from(WORKERS))
    def start(self, by: int) -> None:
        if self.workers[by].busy:
            return
        start = lowthreads.start_joinable_thread
        result = self.workers[by].call(lambda: start(self.may_end.acquire, self.handle))
        if self.progress == "not started":
            assert result is self.handle
            self.progress = "running"
        else:
            assert result == "thread already started"

    @rule(by=strategies.sampled_from(WORKERS), timed=strategies.booleans())
    def join(self, by: int, timed: bool) -> None:
        worker = self.workers[by]
        if worker.busy:
            return
        if self.progress == "not started":
            assert worker.call(self.handle.join) == "thread not started"
        elif timed or self.progress == "done":
            assert worker.call(lambda: self.handle.join(0.0005)) is None
        else:
            worker.begin(self.handle.join)
            self.joining.append(by)

    @precondition(lambda self: self.progress == "running")
    @rule()
    def end(self) -> None:
        self.may_end.release()
        self.handle.join()
        for joiner in self.joining:
            assert self.workers[joiner].result() is None
        self.joining.clear()
        self.progress = "done"

    @invariant()
    def agrees(self) -> None:
        assert self.handle.is_done() is (self.progress == "done")

    def teardown(self) -> None:
        if self.progress == "running":
            self.end()
        for worker in self.workers:
            worker.end()


@pytest.mark.parametrize("machine", [Model, ReEntrantModel, HandleModel])
def test_sequences(machine: type[RuleBasedStateMachine]) -> None:
    run_state_machine_as_test(machine, settings=settings(max_examples=20, stateful_step_count=20))
