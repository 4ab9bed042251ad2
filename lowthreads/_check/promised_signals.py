"""What the reference promises of signals and `KeyboardInterrupt`, and lowthreads beyond it."""

from __future__ import annotations

import os
import signal
import threading
import time
from functools import partial
from importlib import import_module
from typing import Any

from .expect import (
    PATIENCE,
    PAUSE,
    Stopwatch,
    describe,
    holds,
    in_time,
    raises,
    rescue,
    same,
    same_result,
    until,
)
from .pieces import (
    compute_until_interrupted,
    ends_at_once,
    in_thread,
    keyboard_interrupts,
    later,
    locked,
)
from .registry import promise
from .settings import Alarm, Rang

lowthreads: Any = import_module("..", __package__)

_TICK = 0.016  # how much too early the coarsest clock makes a wait look


# ---- interrupt_main ---------------------------------------------------------------


def _interrupt_later() -> None:
    later(lowthreads.interrupt_main)


@promise("interrupt_main", "raises KeyboardInterrupt in the main thread")
def _interrupts_itself() -> None:
    with keyboard_interrupts():
        ends_at_once(KeyboardInterrupt, lowthreads.interrupt_main, compute_until_interrupted)


@promise("interrupt_main", "a subthread may call it")
def _interrupts_from_a_thread() -> None:
    with keyboard_interrupts():
        ends_at_once(KeyboardInterrupt, _interrupt_later, compute_until_interrupted)


@promise("interrupt_main", "wakes the main thread from acquire()")
def _interrupts_acquire() -> None:
    lock = locked()
    with keyboard_interrupts(), rescue(lock.release):
        ends_at_once(KeyboardInterrupt, _interrupt_later, lock.acquire)


@promise("interrupt_main", "wakes the main thread from acquire(timeout=...)")
def _interrupts_timed_acquire() -> None:
    lock = locked()
    with keyboard_interrupts():
        ends_at_once(KeyboardInterrupt, _interrupt_later, lock.acquire, timeout=PATIENCE)


@promise("interrupt_main", "wakes the main thread from time.sleep()")
def _interrupts_sleep() -> None:
    with keyboard_interrupts():
        ends_at_once(KeyboardInterrupt, _interrupt_later, time.sleep, PATIENCE)


@promise("interrupt_main", "runs the handler of the signal that it is given")
def _runs_the_handler() -> None:
    handled: list[int] = []
    signal.signal(signal.SIGTERM, lambda signum, frame: handled.append(signum))
    in_thread(lambda: lowthreads.interrupt_main(signal.SIGTERM))
    until("the handler of SIGTERM to run", lambda: len(handled) > 0)
    same("the handler's calls", handled, [int(signal.SIGTERM)])


@promise("interrupt_main", "does nothing where the signal is ignored or left to the system")
def _leaves_unhandled_signals() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    lowthreads.interrupt_main()
    if os.name == "posix":
        _leaves_to_the_system(signal.SIGWINCH)  # which takes it to mean nothing


def _leaves_to_the_system(signum: int) -> None:
    signal.signal(signum, signal.SIG_DFL)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signum])  # what was sent can be seen
    try:
        lowthreads.interrupt_main(signum)
        sent = signum in signal.sigpending()
        if sent:
            signal.sigwait([signum])
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    holds("nothing to be sent", not sent, f"signal {signum} was sent")


@promise("interrupt_main", "refuses numbers that are no signal's")
def _refuses_other_signals() -> None:
    for signum in (-1, 0, signal.NSIG, 1 << 30):
        raises(ValueError, lowthreads.interrupt_main, signum)
    raises(OverflowError, lowthreads.interrupt_main, 1 << 31)
    raises(TypeError, lowthreads.interrupt_main, "2")


# ---- acquire ----------------------------------------------------------------------


def _alarm_ends(seconds: float, **arguments: float) -> None:
    lock = locked()
    with Alarm() as alarm, rescue(lock.release):
        ends_at_once(Rang, partial(alarm.ring_in, seconds), lock.acquire, **arguments)
    lock.release()
    same("locked() after the one release", lock.locked(), False)


@promise("acquire", "a signal interrupts a wait without a timeout, and no lock is taken")
def _signal_ends_the_wait() -> None:
    _alarm_ends(PAUSE)


@promise("acquire", "a signal interrupts a wait with a timeout, and no lock is taken")
def _signal_ends_the_timed_wait() -> None:
    _alarm_ends(PAUSE, timeout=2 * PATIENCE)


@promise("acquire", "a signal that comes early in the wait interrupts it, too")
def _early_signal_ends_the_wait() -> None:
    for seconds in (0.0002, 0.001, 0.004, 0.01):
        _alarm_ends(seconds)


@promise("acquire", "a signal whose handler returns is handled during the wait, which goes on")
def _wait_goes_on() -> None:
    _handles_in_wait()
    _handles_in_wait(timeout=2 * PATIENCE)


def _handles_in_wait(**arguments: float) -> None:
    lock = locked()
    handled = threading.Event()

    def release() -> None:
        handled.wait()
        lock.release()

    with Alarm(handled.set) as alarm, rescue(handled.set):
        lowthreads.start_new_thread(release, ())
        alarm.ring_in(PAUSE)
        same_result("acquire, released after the handler", True, lock.acquire, **arguments)
        same("the handler's runs", alarm.times, 1)


@promise("acquire", "signals don't prolong a wait with a timeout")
def _signals_do_not_prolong() -> None:
    lock = locked()
    timeout = 6 * PAUSE
    with Alarm(lambda: None) as alarm:
        alarm.ring_in(PAUSE, again_every=PAUSE)
        watch = Stopwatch()
        same_result(f"acquire(timeout={timeout:g})", False, lock.acquire, timeout=timeout)
        took = watch.seconds
        holds("the handler to run", alarm.times > 0, "it did not")
    holds(f"not before {timeout:g} s", took >= timeout - _TICK, f"after {took:.3f} s")


# ---- caveats ----------------------------------------------------------------------


def _send_interrupt() -> None:
    """Send the process SIGINT, as Ctrl-C does; no thread is named."""
    if os.name == "posix":
        os.kill(os.getpid(), signal.SIGINT)
    else:
        signal.raise_signal(signal.SIGINT)


def _send_interrupt_later() -> None:
    later(_send_interrupt)


@promise("caveats", "KeyboardInterrupt reaches the main thread")
def _keyboard_interrupt() -> None:
    caught: list[str] = []
    over = threading.Event()
    may_end = threading.Event()

    def function() -> None:
        try:
            may_end.wait(PATIENCE)
        except BaseException as error:
            caught.append(describe(error))
        finally:
            over.set()

    lowthreads.start_new_thread(function, ())
    with keyboard_interrupts():
        ends_at_once(KeyboardInterrupt, _send_interrupt_later, compute_until_interrupted)
    may_end.set()
    in_time("the other thread to go on", over)
    same("what reached the other thread", caught, [])


@promise("caveats", "acquire() can be interrupted: Ctrl-C ends it, and `with lock:`")
def _interruptible() -> None:
    lock = locked()

    def block() -> None:
        with lock:
            pass

    for wait in (lock.acquire, block):
        with keyboard_interrupts(), rescue(lock.release):
            ends_at_once(KeyboardInterrupt, _send_interrupt_later, wait)
        same("locked(), by its first holder", lock.locked(), True)
