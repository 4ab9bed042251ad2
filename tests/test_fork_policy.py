"""What becomes, in the child of a fork, of locks that other threads held."""

from __future__ import annotations

import os

import pytest

import lowthreads
from forking import forked_by_both, needs_fork, run
from support import LIMIT

pytestmark = needs_fork

FORKS = int(os.environ.get("LOWTHREADS_FORKS", "20"))

HOLDERS = """
from lowthreads import RLock, set_fork_policy, waits

KINDS = (allocate_lock, RLock)

def hold_for_ever(lock):
    # In a thread of its own, by `with`.
    def hold():
        with lock:
            taken.release()
            held().acquire()

    taken = held()
    start_new_thread(hold, ())
    taken.acquire()
    return lock

def orphans():
    return [hold_for_ever(kind()) for kind in KINDS]

def in_thread(function, *args):
    # Calls it in a new thread, and returns what it returns.
    results, ended = [], held()
    def call():
        try:
            results.append(function(*args))
        finally:
            ended.release()
    start_new_thread(call, ())
    assert ended.acquire(timeout=50)
    return results[0]
"""


@pytest.fixture(autouse=True)
def _block_again() -> object:
    yield
    lowthreads.set_fork_policy("block")


@forked_by_both
def test_by_default_a_lock_stays_held(by: str) -> None:
    run(
        HOLDERS
        + """
def child(locks):
    for lock in locks:
        assert not lock.acquire(False) and not lock.acquire(timeout=0.02) and lock.locked()
    locks[0].release()
    assert locks[0].acquire(False)
    locks[1]._at_fork_reinit()
    assert locks[1].acquire(False)

join(fork_by(child, orphans()))
""",
        by,
    )


@forked_by_both
def test_reset_gives_a_lock_to_the_first_who_wants_it(by: str) -> None:
    run(
        HOLDERS
        + """
def take_each(locks, *args, **kwargs):
    return [lock.acquire(*args, **kwargs) for lock in locks]

def child(*ways):
    for way in ways:
        assert way() == [True, True]
    for lock in ways[0].locks:
        assert lock.locked() and not in_thread(lock.acquire, False)
        lock.release()
        assert not lock.locked() and in_thread(lock.acquire, False)

class Way:
    def __init__(self, *args, **kwargs):
        self.locks, self.args, self.kwargs = orphans(), args, kwargs

    def __call__(self):
        return take_each(self.locks, *self.args, **self.kwargs)

assert set_fork_policy("reset") == "block"
join(fork_by(child, Way(), Way(False), Way(timeout=60)))

def enter(locks):
    for _ in range(2):
        for lock in locks:
            with lock:
                assert lock.locked()
    assert locks[1]._is_owned() is False

join(fork_by(enter, orphans()))
""",
        by,
    )


@forked_by_both
def test_raise_ends_a_wait_at_once(by: str) -> None:
    run(
        HOLDERS
        + """
def refuses(function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except RuntimeError as error:
        assert str(error) == "cannot acquire lock: a fork left behind the thread that holds it"
    else:
        raise AssertionError("it did not raise")

def child(locks):
    for lock in locks:
        refuses(lock.acquire)
        refuses(lock.acquire, timeout=60)
        refuses(lock.__enter__)
        assert lock.acquire(False) is False and lock.locked()
    refuses(locks[1]._acquire_restore, (1, 0))
    locks[0].release()
    assert locks[0].acquire()
    locks[1]._at_fork_reinit()
    assert locks[1].acquire()

set_fork_policy("raise")
join(fork_by(child, orphans()))
""",
        by,
    )


@forked_by_both
@pytest.mark.parametrize("policy", ["block", "reset", "raise"])
def test_what_the_forking_thread_holds_is_its_own(policy: str, by: str) -> None:
    run(
        HOLDERS
        + """
set_fork_policy(sys.argv[2])

def grandchild(lock, rlock):
    assert lock.locked() and rlock._is_owned()
    assert not in_thread(lock.acquire, False) and not in_thread(rlock.acquire, False)
    rlock.release()
    assert rlock._recursion_count() == 1

def child(lock, rlock):
    join(fork(grandchild, lock, rlock))
    with rlock:
        assert rlock._recursion_count() == 3
    rlock.release(), rlock.release(), lock.release()
    for each in lock, rlock:
        assert not each.locked() and in_thread(each.acquire, False)

def hold_and_fork():
    lock, rlock = held(), RLock()
    rlock.acquire(), rlock.acquire()
    return fork(child, lock, rlock)

join(hold_and_fork() if sys.argv[1] == "main" else in_thread(hold_and_fork))
""",
        by,
        policy,
    )


@forked_by_both
def test_a_thread_with_the_ident_of_one_left_behind_does_not_have_its_locks(by: str) -> None:
    run(
        HOLDERS
        + """
rlock, idents = RLock(), []
hold_for_ever(rlock)

def child():
    assert "owner=0" not in repr(rlock)
    owner = int(repr(rlock).partition("owner=")[2].split()[0])
    def look():
        return get_ident(), rlock._is_owned(), rlock.acquire(False)
    found = [in_thread(look) for _ in range(50)]
    assert [each[1:] for each in found] == [(False, False)] * 50
    print(owner in [each[0] for each in found])

join(fork_by(child))
""",
        by,
    )


@forked_by_both
def test_nor_those_that_only_the_one_left_behind_ever_looked_at(by: str) -> None:
    run(
        HOLDERS
        + """
made, gate = {}, held()

def make():
    made[get_ident()] = rlock = RLock()
    with rlock, rlock:
        gate.acquire()

for _ in range(8):
    start_new_thread(make, ())
wait_until(lambda: len(made) == 8)

def child():
    def look():
        rlock = made.get(get_ident())
        if rlock is None:
            return None
        try:
            rlock.release()
        except RuntimeError:
            return rlock.acquire(False)
        return "released"
    found = {in_thread(look) for _ in range(50)}
    assert found <= {None, False}, found
    print(False in found)

join(fork_by(child))
""",
        by,
    )


def test_a_signal_stays_held() -> None:
    run(
        HOLDERS
        + """
set_fork_policy("raise")
signal_lock = held()
in_thread(signal_lock.release)
in_thread(signal_lock.acquire)

def child():
    assert signal_lock.acquire(timeout=0.02) is False
    start_new_thread(signal_lock.release, ())
    assert signal_lock.acquire()

join(fork(child))
""",
        "main",
    )


def test_a_grandchild_of_another_thread() -> None:
    run(
        HOLDERS
        + """
set_fork_policy("reset")
old = orphans()

def grandchild(younger, mine):
    for lock in (*old, *younger):
        assert lock.acquire(timeout=60)
    for lock in mine:
        assert lock.locked()
    assert mine[0].acquire(False) is False and mine[1]._is_owned()

def fork_with_locks(younger):
    mine = [held(), RLock()]
    mine[1].acquire()
    return fork(grandchild, younger, mine)

def child():
    younger = orphans()
    for _ in range(5):
        join(in_thread(fork_with_locks, younger))

join(fork(child))
""",
        "main",
    )


def test_a_wait_for_it_is_explained() -> None:
    run(
        HOLDERS
        + """
import io, lowthreads

def child(locks):
    for lock in locks:
        start_new_thread(lock.acquire, ())
    wait_until(lambda: len(waits()) == 2)
    assert [(wait.orphan, wait.owner) for wait in waits()] == [(True, None)] * 2
    report = io.StringIO()
    lowthreads.dump(report)
    assert report.getvalue().count(", which a thread held that a fork left behind") == 2

join(fork(child, orphans()))
assert not any(wait.orphan for wait in waits())
""",
        "main",
    )


@pytest.mark.parametrize("policy", ["reset", "raise"])
def test_forks_at_any_moment(policy: str) -> None:
    run(
        HOLDERS
        + """
import lowthreads
lowthreads.install()
policy, forks = sys.argv[2], int(sys.argv[3])
set_fork_policy(policy)
locks = [kind() for kind in KINDS for _ in range(3)]
stop = False

def work(number):
    while not stop:
        for turn in range(60):
            lock = locks[(number * 7 + turn) % len(locks)]
            if turn % 3 == 0:
                with lock:
                    pass
            elif lock.acquire(False) if turn % 3 == 1 else lock.acquire(timeout=0.0005):
                lock.release()

def count(lock, total):
    for _ in range(20):
        with lock:
            total[0] += 1

def child():
    for lock in locks:
        try:
            with lock:
                pass
        except RuntimeError as error:
            assert policy == "raise" and "left behind" in str(error), error
            lock._at_fork_reinit()
        total = [0]
        threads = [threading.Thread(target=count, args=(lock, total)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(50)
        assert total == [60] and not lock.locked(), (total, lock)

threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
for thread in threads:
    thread.start()
for _ in range(forks):
    join(fork(child))
stop = True
for thread in threads:
    thread.join(50)
    assert not thread.is_alive()
""",
        "main",
        policy,
        FORKS,
        timeout=LIMIT + FORKS,
    )


def test_wrong_policies() -> None:
    for wrong in ("", "Block", "none"):
        with pytest.raises(ValueError, match=f"must be 'block', 'reset' or 'raise', not {wrong!r}"):
            lowthreads.set_fork_policy(wrong)
    with pytest.raises(TypeError, match="policy must be a str, not int"):
        lowthreads.set_fork_policy(1)  # type: ignore[arg-type]
    assert lowthreads.set_fork_policy("raise") == "block"
    assert lowthreads.set_fork_policy("block") == "raise"
