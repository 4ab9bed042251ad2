"""The C API, as a client sees it that needs no compiler: tests/clients has the others."""

from __future__ import annotations

import ctypes
import io
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

import lowthreads
from lowthreads import _capi, _expel, _waits
from support import PYPY, TESTS, WITH_GIL, run_child, run_threads, wait_until

sys.path.insert(0, str(TESTS / "clients"))

import run as clients
from ctypes_client import FOREVER, Api, Client, Storage, Thread, api

OK, TIMEOUT, CANCELLED = 1, 0, -1
HEADER = Path(lowthreads.get_include(), "lowthreads.h")

attached = pytest.mark.skipif(PYPY, reason="PyPy's ctypes has no calls that keep the GIL")
posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")


@pytest.fixture
def event() -> Any:
    storage = Storage()
    yield ctypes.addressof(storage)
    storage.words[0] = 0


def waits_for(address: int) -> list[lowthreads.Wait]:
    return [wait for wait in lowthreads.waits() if wait.address == address]


# ---- The table ------------------------------------------------------------------------


def test_table() -> None:
    assert lowthreads.c_api() == lowthreads.c_api() == ctypes.addressof(api)
    assert (api.version, api.size) == (1, ctypes.sizeof(Api))


def test_clients_know_the_header() -> None:
    table = HEADER.read_text().split("typedef struct lt_api {")[1].split("} lt_api;")[0]
    functions = re.findall(r"\(\*(\w+)\)\(", re.sub(r"void \(\*body\)", "", table))
    assert functions == [field[0] for field in Api._fields_[2:]]


@attached
def test_capsule() -> None:
    import_capsule = ctypes.pythonapi.PyCapsule_Import
    import_capsule.restype = ctypes.c_void_p
    name = f"{lowthreads.__name__}._C_API".encode()
    assert import_capsule(name, 0) == lowthreads.c_api()


@pytest.mark.skipif(not PYPY, reason="only where there is none")
def test_no_capsule() -> None:
    with pytest.raises(AttributeError, match="c_api"):
        _ = lowthreads._C_API  # type: ignore[attr-defined]


def test_no_other_attributes() -> None:
    assert not hasattr(lowthreads, "surely_not")


def test_clock_and_ident() -> None:
    assert api.thread_ident() == lowthreads.get_ident()
    before = api.now()
    assert before <= api.now() < before + 60 * 10**9


# ---- Locks of Python's ---------------------------------------------------------------


def test_one_lock() -> None:
    lock = lowthreads.lock()
    assert api.lock_acquire(lock.address, FOREVER) == OK
    assert lock.locked()
    assert not lock.acquire(False)
    assert api.lock_owner(lock.address) == lowthreads.get_ident()
    lock.release()
    with lock:
        assert api.lock_try(lock.address) == TIMEOUT
        assert api.lock_acquire(lock.address, api.now() + 1_000_000) == TIMEOUT
        assert api.lock_locked(lock.address) == 1
    assert api.lock_release(lock.address) == 0


def test_address_cannot_be_set() -> None:
    for lock in (lowthreads.lock(), lowthreads.RLock()):
        with pytest.raises(AttributeError):
            lock.address = 1  # type: ignore[misc]


def test_released_by_another_thread() -> None:
    lock = lowthreads.lock()
    assert api.lock_try(lock.address) == OK
    Thread(lambda: api.lock_release(lock.address)).join()
    assert not lock.locked()


def test_one_rlock() -> None:
    rlock = lowthreads.RLock()
    with rlock:  # before its address is asked for: PyPy's C code knows nothing of it yet
        with rlock:
            address = rlock.address
            assert api.rlock_levels(address) == 2
            assert api.rlock_owner(address) == lowthreads.get_ident()
            assert run_threads(lambda: api.rlock_try(address)) == [TIMEOUT]
            assert api.rlock_acquire(address, FOREVER) == OK
            assert rlock._recursion_count() == 3
        assert api.rlock_release(address) == 1
    assert not rlock.acquire(False) or rlock._recursion_count() == 1
    rlock.release()
    assert api.rlock_release(address) == 0
    assert run_threads(lambda: (api.rlock_try(address), api.rlock_release(address))) == [(OK, 1)]


def test_address_belongs_to_the_library() -> None:
    class Mine(lowthreads.RLock):
        address = 1  # type: ignore[assignment]

    with Mine() as held:
        assert held


def test_counting() -> None:
    expected, found = clients.count(Client(), 20_000)
    assert found == expected


def test_deadlock_with_a_thread_of_c() -> None:
    in_c, in_python = clients.deadlock(Client())
    assert (in_c.kind, in_python.kind) == ("lock", "lock")


def test_a_thread_of_c_may_release_it(monkeypatch: pytest.MonkeyPatch) -> None:
    me = lowthreads.get_ident()
    wait = lowthreads.Wait(*[None] * len(lowthreads.Wait._fields))._replace(
        ident=me, owner=me, kind="lock", scoped=False, signal=False
    )
    others = sys._current_frames().keys() - {me}
    monkeypatch.setattr(_waits, "waits", lambda: [wait])
    assert not _waits.find_cycles([wait], others)[0].sure
    monkeypatch.setattr(_capi, "in_use", False)
    assert _waits.find_cycles([wait], others)[0].sure


# ---- Events, threads ---------------------------------------------------------------------


def test_event(event: int) -> None:
    assert api.event_is_set(event) == 0
    assert api.event_wait(event, api.now() + 1_000_000) == TIMEOUT
    waiters = [Thread(lambda: api.event_wait(event, FOREVER)) for _ in range(3)]
    wait_until(lambda: len(waits_for(event)) == 3, "all wait")
    wait = waits_for(event)[0]
    assert (wait.kind, wait.owner, wait.timeout) == ("event", None, None)
    assert not [each for each in lowthreads.deadlocks() if wait in each.waits]
    lowthreads.dump(report := io.StringIO())
    assert f"waiting for event {event:#x} for " in report.getvalue()
    api.event_set(event)
    api.event_reset(event)
    assert all(waiter.join() for waiter in waiters)
    assert api.event_is_set(event) == 0


def test_interrupted(event: int) -> None:
    results: list[int] = []
    lock = lowthreads.lock()
    with lock:
        for address, wait in ((event, api.event_wait), (lock.address, api.lock_acquire)):
            thread = Thread(lambda w=wait, a=address: results.append(w(a, FOREVER)))
            wait_until(lambda a=address: waits_for(a), "it waits")
            assert lowthreads.interrupt(waits_for(address)[0].ident, KeyError)
            assert thread.join()
    assert results == [CANCELLED, CANCELLED]
    assert not _expel.pending  # nobody raises it


def test_join(event: int) -> None:
    thread = Thread(lambda: api.event_wait(event, FOREVER))
    assert not thread.join(api.now())
    api.event_set(event)
    assert thread.join()
    assert thread.join()


@posix
def test_in_the_child_of_a_fork() -> None:
    run_child(
        """
        import ctypes, os, sys
        from support import wait_until
        sys.path.insert(0, "clients")
        import lowthreads
        from ctypes_client import FOREVER, Storage, Thread, api

        storage = Storage()
        event = ctypes.addressof(storage)
        lock = lowthreads.lock()

        def hold_and_wait():
            api.lock_acquire(lock.address, FOREVER)
            api.event_wait(event, FOREVER)
            api.lock_release(lock.address)

        waiter = Thread(hold_and_wait)
        wait_until(lowthreads.waits)
        lowthreads.set_fork_policy("raise")
        child = os.fork()
        if child == 0:
            assert not lowthreads.waits()
            assert api.lock_acquire(lock.address, FOREVER) == -3
            mine = Thread(lambda: api.event_wait(event, FOREVER))
            wait_until(lowthreads.waits)
            api.event_set(event)  # wakes nobody who is not here
            os._exit(0 if mine.join() and api.event_is_set(event) else 1)
        assert os.waitpid(child, 0)[1] == 0
        api.event_set(event)
        assert waiter.join()
        """,
        options=("-W", "ignore:This process:DeprecationWarning"),
    )


# ---- Attached ------------------------------------------------------------------------------


@attached
def test_acquire_attached_lets_others_run() -> None:
    lock = lowthreads.lock()

    def take() -> None:
        assert api.lock_acquire_attached(lock.address, FOREVER) == OK
        lock.release()

    with lock:
        thread = clients.threading.Thread(target=take)
        thread.start()
        wait_until(lambda: waits_for(lock.address), "it waits")  # which needs the GIL
    thread.join()


GIL_AGAINST_LOCK = """
    import ctypes, sys, threading, time
    sys.path.insert(0, "clients")
    import lowthreads
    from ctypes_client import Thread, api

    acquire = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int64)(
        ctypes.cast(api.lock_acquire, ctypes.c_void_p).value
    )
    lock, locked = lowthreads.lock(), threading.Event()

    def hold():
        with lock:
            locked.set()
            time.sleep(0.1)

    thread = threading.Thread(target=hold)
    thread.start()
    locked.wait()
    print(f"{lowthreads.get_ident():#x} {lock.address:#x} {thread.ident:#x}")
    end = api.now() + 1_200_000_000
    other = lowthreads.lock()
    other.acquire()
    detached = Thread(lambda: api.lock_acquire(other.address, end))
    while not lowthreads.waits():
        pass
    print(acquire(lock.address, end))
    thread.join()
    detached.join()
"""


@attached
@pytest.mark.skipif(not WITH_GIL, reason="there is no GIL to hold")
def test_gil_against_lock() -> None:
    done = run_child(GIL_AGAINST_LOCK, check=False)  # where another one waits detached
    assert done.returncode == 0
    facts, result = done.stdout.splitlines()
    mine, lock, owner = facts.split()
    assert int(result) == TIMEOUT
    assert re.fullmatch(
        rf"lowthreads: thread {mine} \(native \d+\) waits in C for lock {lock}, "
        rf"owned by thread {owner}, while it holds the GIL: .*\n",
        done.stderr,
    )


# ---- What is said of it ------------------------------------------------------------------------


def test_every_function_is_documented() -> None:
    page = TESTS.parent / "docs" / "c-api.md"
    text = page.read_text()
    assert [field[0] for field in Api._fields_[2:] if f"`{field[0]}" not in text] == []
