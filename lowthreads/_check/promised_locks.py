"""What the reference promises of locks, but for signals: those are in `promised_signals`."""

from __future__ import annotations

import threading
import time
from importlib import import_module
from typing import Any

from .expect import PATIENCE, PAUSE, Stopwatch, holds, raises, rescue, same, same_result
from .pieces import in_thread, later, locked
from .registry import promise

lowthreads: Any = import_module("..", __package__)

_TICK = 0.016  # how much too early the coarsest clock makes a wait look


# ---- LockType, allocate_lock ------------------------------------------------------


@promise("LockType", "is the type of lock objects")
def _lock_type() -> None:
    kind = type(lowthreads.allocate_lock())
    holds(f"type(allocate_lock()) to be {lowthreads.LockType!r}", kind is lowthreads.LockType, kind)


@promise("allocate_lock", "returns a new lock each time, unlocked at first")
def _allocates() -> None:
    first, second = lowthreads.allocate_lock(), lowthreads.allocate_lock()
    holds("two locks", first is not second, "the same object")
    same("locked()", first.locked(), False)
    same("acquire(False)", first.acquire(False), True)
    same("the other's locked()", second.locked(), False)


# ---- TIMEOUT_MAX ------------------------------------------------------------------


@promise("TIMEOUT_MAX", "is the largest timeout for acquire")
def _timeout_max() -> None:
    largest = lowthreads.TIMEOUT_MAX
    same("TIMEOUT_MAX", largest, 9223372036.0)
    same("acquire(True, TIMEOUT_MAX)", lowthreads.allocate_lock().acquire(True, largest), True)
    lock = locked()
    with rescue(lock.release):
        later(lock.release)
        same_result("a wait of up to TIMEOUT_MAX", True, lock.acquire, True, largest)


@promise("TIMEOUT_MAX", "more raises OverflowError, and takes no lock")
def _more_than_timeout_max() -> None:
    lock = lowthreads.allocate_lock()
    for timeout in (lowthreads.TIMEOUT_MAX + 1, 1e100, float("inf"), 1 << 62):
        raises(OverflowError, lock.acquire, True, timeout)
        raises(OverflowError, lock.acquire, timeout=timeout)
    same("locked()", lock.locked(), False)


# ---- acquire ----------------------------------------------------------------------


@promise("acquire", "without arguments it waits until the lock is free, and returns True")
def _waits_until_free() -> None:
    lock = locked()
    released = threading.Event()

    def release() -> None:
        released.set()
        lock.release()

    with rescue(lock.release):
        later(release)
        same_result("acquire()", True, lock.acquire)
    holds("acquire() to wait for the release", released.is_set(), "it returned before")
    same("locked()", lock.locked(), True)


@promise("acquire", "one thread at a time has the lock, and each that waits gets it")
def _one_at_a_time() -> None:
    threads, turns = 4, 25
    lock = lowthreads.allocate_lock()
    inside = total = 0
    crowds: list[int] = []
    done = threading.Semaphore(0)

    def function() -> None:
        nonlocal inside, total
        for _ in range(turns):
            lock.acquire()
            inside += 1
            before = total
            time.sleep(0)  # lets others in, if anything does
            total = before + 1
            if inside != 1:
                crowds.append(inside)
            inside -= 1
            lock.release()
        done.release()

    for _ in range(threads):
        lowthreads.start_new_thread(function, ())
    for _ in range(threads):
        holds("every thread to get its turns", done.acquire(timeout=PATIENCE), "not all did")
    same("threads with the lock at a time, where not 1", crowds, [])
    same("what they counted under it", total, threads * turns)


@promise("acquire", "waitflag=0: takes the lock only if it can be had at once")
def _does_not_wait() -> None:
    lock = lowthreads.allocate_lock()
    same("acquire(0) of a free lock", lock.acquire(0), True)
    same_result("acquire(0) of a locked one", False, lock.acquire, 0)
    same_result("acquire(blocking=False) of a locked one", False, lock.acquire, blocking=False)
    same_result("acquire(False, -1) of a locked one", False, lock.acquire, False, -1)


@promise("acquire", "timeout > 0: waits at most that many seconds, then returns False")
def _waits_at_most() -> None:
    lock = locked()
    for timeout in (2 * PAUSE, 1e-9):
        watch = Stopwatch()
        same_result(f"acquire(True, {timeout:g})", False, lock.acquire, True, timeout)
        took = watch.seconds
        holds(f"not before {timeout:g} s", took >= timeout - _TICK, f"after {took:.3f} s")
    same_result("acquire(timeout=0)", False, lock.acquire, timeout=0)


@promise("acquire", "timeout > 0: returns True if the lock gets free in that time")
def _waits_less() -> None:
    lock = locked()
    later(lock.release)
    timeout = 2 * PATIENCE
    same_result(f"acquire(timeout={timeout:g})", True, lock.acquire, timeout=timeout)


@promise("acquire", "timeout -1: waits without a limit; other negative ones are refused")
def _waits_for_ever() -> None:
    lock = locked()
    with rescue(lock.release):
        later(lock.release)
        same_result("acquire(True, -1)", True, lock.acquire, True, -1)
    for timeout in (-2, -0.5, -1e-9):
        raises(ValueError, lock.acquire, True, timeout)


@promise("acquire", "a timeout with waitflag=0 is an error, and takes no lock")
def _timeout_without_waiting() -> None:
    lock = lowthreads.allocate_lock()
    for timeout in (1, 0, 0.5, -2):
        raises(ValueError, lock.acquire, False, timeout)
        raises(ValueError, lock.acquire, blocking=False, timeout=timeout)
    same("locked()", lock.locked(), False)


@promise("acquire", "other bad arguments are errors, and take no lock")
def _bad_arguments() -> None:
    lock = lowthreads.allocate_lock()
    raises(ValueError, lock.acquire, True, float("nan"))
    raises(TypeError, lock.acquire, True, None)
    raises(TypeError, lock.acquire, True, "1")
    raises(TypeError, lock.acquire, True, 1, 1)
    raises(TypeError, lock.acquire, wait=True)
    same("locked()", lock.locked(), False)


# ---- release, locked, with --------------------------------------------------------


@promise("release", "the lock must be locked: else RuntimeError")
def _release_unlocked() -> None:
    lock = lowthreads.allocate_lock()
    raised = raises(RuntimeError, lock.release)
    same("its text", str(raised), "release unlocked lock")
    lock.acquire()
    lock.release()
    raises(RuntimeError, lock.release)


@promise("release", "any thread may release what another one acquired")
def _release_elsewhere() -> None:
    lock = locked()
    in_thread(lock.release)
    same("locked() after a thread's release()", lock.locked(), False)
    same("acquire(False) in a thread", in_thread(lambda: lock.acquire(False)), True)
    lock.release()
    same("locked() after the main thread's release()", lock.locked(), False)


@promise("locked", "is True while some thread holds the lock, else False")
def _locked_tells() -> None:
    lock = lowthreads.allocate_lock()
    for _ in range(2):
        same("locked() of a free lock", lock.locked(), False)
        in_thread(lock.acquire)
        same("locked() of a lock that a thread took", lock.locked(), True)
        same("locked() in a thread", in_thread(lock.locked), True)
        lock.release()


@promise("with lock", "holds the lock for the block, and lets exceptions through")
def _with() -> None:
    lock = lowthreads.allocate_lock()
    with lock as entered:
        same("locked() in the block", lock.locked(), True)
        same("what __enter__ returned", entered, True)
    same("locked() after it", lock.locked(), False)

    def block_that_raises() -> None:
        with lock:
            raise ArithmeticError

    raises(ArithmeticError, block_that_raises)
    same("locked() after an exception", lock.locked(), False)


@promise("with lock", "waits until the lock is free")
def _with_waits() -> None:
    lock = locked()

    def block() -> str:
        with lock:
            return "ran"

    with rescue(lock.release):
        later(lock.release)
        same_result("the block", "ran", block)
    same("locked() after it", lock.locked(), False)
