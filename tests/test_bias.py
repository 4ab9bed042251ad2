"""The RLock of PyPy, which takes no call into C as long as one thread alone uses it.

The maker's steps are taken apart: whatever it reads or writes of the lock's state is one, and
at each of them another thread, a signal handler or a finalizer may come in between.
"""

from __future__ import annotations

import platform
from typing import Any, Callable

import pytest

from lowthreads import RLock, get_ident
from support import Threads, run_threads

pytestmark = pytest.mark.skipif(
    platform.python_implementation() != "PyPy", reason="only PyPy's RLocks are biased"
)

STEPS = 12  # more than any operation has
COMMITTED = 5  # the step from which on a release takes place, also if a handler raises


class Hit(Exception):
    pass


def stepped(name: str) -> Any:
    def get(lock: Any) -> Any:
        lock.step()
        return lock.state[name]

    def put(lock: Any, value: Any) -> None:
        if name in lock.state:
            lock.step()
        lock.state[name] = value

    return property(get, put)


class Stepped(RLock):
    """Does `todo[n]` before the maker's nth look at the lock's state, from `begin` on."""

    _bias, _busy, _depth = map(stepped, ("_bias", "_busy", "_depth"))

    def __new__(cls) -> Any:
        cls.state: dict[str, Any] = {}
        cls.todo: dict[int, Callable[[RLock], object]] = {}
        cls.count = STEPS
        return super().__new__(cls)

    def begin(self, todo: dict[int, Callable[[RLock], object]]) -> None:
        type(self).todo, type(self).count = todo, 0

    def step(self) -> None:
        if get_ident() == self._memory.maker and self.count < STEPS:
            count, type(self).count = self.count + 1, STEPS  # what is done has no steps
            try:
                self.todo.pop(count, bool)(self)
            finally:
                type(self).count = count


def taken_by_another(lock: RLock) -> bool:
    """Let another thread try, and let the lock go if it got it."""

    def attempt() -> bool:
        taken = lock.acquire(False)
        if taken:
            lock.release()
        return taken

    return bool(run_threads(attempt)[0])


def take_and_release(lock: RLock) -> None:
    with lock, lock:
        pass


def raise_hit(lock: RLock) -> None:
    raise Hit


def made(held: int) -> Stepped:
    lock = Stepped()
    for _ in range(held):
        lock.acquire()
    return lock


def check_levels(lock: RLock, levels: int) -> None:
    """The calling thread holds the lock so often, and nobody else can take it until then."""
    for _ in range(levels):
        assert not taken_by_another(lock)
        lock.release()
    with pytest.raises(RuntimeError, match="un-acquired"):
        lock.release()
    assert taken_by_another(lock)


@pytest.mark.parametrize("between", [taken_by_another, take_and_release])
@pytest.mark.parametrize("operation", ["acquire", "release"])
@pytest.mark.parametrize("held", [0, 1, 2])
def test_whatever_comes_in_between(
    between: Callable[[RLock], object], operation: str, held: int
) -> None:
    change = 1 if operation == "acquire" else -1
    if held + change < 0:
        return
    reached = set()
    for first in range(1, STEPS):
        for hit in (None, *range(1, STEPS)):
            lock = made(held)
            lock.begin({first: between} if hit is None else {first: between, hit: raise_hit})
            after = held + change
            try:
                getattr(lock, operation)()
            except Hit:
                assert hit is not None
                if operation == "acquire" or hit < COMMITTED:
                    after = held
            reached.add(type(lock).count)
            type(lock).count = STEPS
            check_levels(lock, after)
    assert max(reached) > COMMITTED


def test_one_thread_alone_does_not_end_the_bias() -> None:
    lock = RLock()
    for _ in range(3):
        with lock, lock:
            assert lock.acquire(False)
            lock.release()
    assert lock._bias == get_ident()  # type: ignore[attr-defined]
    assert taken_by_another(lock)
    assert lock._bias == 0  # type: ignore[attr-defined]
    check_levels(lock, 0)


@pytest.mark.parametrize("look", [RLock.locked, RLock._is_owned, RLock._recursion_count, repr])
@pytest.mark.parametrize("held", [0, 2])
def test_whoever_looks_sees_what_is(look: Callable[[RLock], object], held: int) -> None:
    lock = RLock()
    for _ in range(held):
        lock.acquire()
    expected = {
        RLock.locked: bool(held),
        RLock._is_owned: bool(held),
        RLock._recursion_count: held,
    }
    assert look(lock) == expected.get(look, repr(lock))
    check_levels(lock, held)


def test_a_lock_that_is_held_when_its_bias_ends_is_its_makers() -> None:
    for _ in range(300):
        lock = RLock()
        inside: list[int] = []
        ended: list[int] = []

        def hold(lock: RLock = lock, inside: list[int] = inside) -> None:
            with lock, lock:
                inside.append(1)
                assert len(inside) == 1
                inside.pop()

        def contend(hold: Callable[[], None] = hold, ended: list[int] = ended) -> None:
            for _ in range(20):
                hold()
            ended.append(1)

        threads = Threads(contend, contend)
        while len(ended) < 2:
            hold()
        threads.results()
        assert not lock.locked()
