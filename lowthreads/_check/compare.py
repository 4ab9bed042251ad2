"""lowthreads beside the interpreter's own `_thread`, as ratios.

Both do the same load in turn, and in the other order the next round.  A round gives one
ratio, so what slows the machine down for a while slows both; the median of the rounds'
ratios is what counts.  An absolute time says more about the machine than about either.

Each load runs on a code object of its own for each module: what an interpreter learns
about a loop (a trace, an inline cache) is not shared between them.
"""

from __future__ import annotations

import _thread
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from itertools import repeat
from statistics import median
from types import CodeType, FunctionType
from typing import Any, Callable, TypeVar

lowthreads: Any = import_module("..", __package__)

PEER = "_thread"

_clock = time.perf_counter

T = TypeVar("T")

Load = Callable[[Any, int], float]
"""Takes a module like `_thread` and how often to do something; returns the seconds it took."""

Progress = Callable[[str], None]


# ---- The loads ----------------------------------------------------------------------


def _acquire_release(threads: Any, loops: int) -> float:
    lock = threads.allocate_lock()
    began = _clock()
    for _ in repeat(None, loops):
        lock.acquire()
        lock.release()
    return _clock() - began


def _with(threads: Any, loops: int) -> float:
    lock = threads.allocate_lock()
    began = _clock()
    for _ in repeat(None, loops):
        with lock:
            pass
    return _clock() - began


def _contended(threads: Any, loops: int) -> float:
    lock, go = threads.allocate_lock(), threads.allocate_lock()
    ended = [threads.allocate_lock() for _ in range(2)]
    for each in (go, *ended):
        each.acquire()

    def body(end: Callable[[], None]) -> None:
        with go:
            pass
        for _ in repeat(None, loops):
            with lock:
                pass
        end()

    for each in ended:
        threads.start_new_thread(body, (each.release,))
    began = _clock()
    go.release()
    for each in ended:
        each.acquire()
    return _clock() - began


def _hand_off(threads: Any, loops: int) -> float:
    ping, pong, done = (threads.allocate_lock() for _ in range(3))
    for lock in (ping, pong, done):
        lock.acquire()
    took = []

    def answer() -> None:
        for _ in repeat(None, loops):
            ping.acquire()
            pong.release()

    def ask() -> None:
        began = _clock()
        for _ in repeat(None, loops):
            ping.release()
            pong.acquire()
        took.append(_clock() - began)
        done.release()

    threads.start_new_thread(answer, ())
    threads.start_new_thread(ask, ())
    done.acquire()
    return took[0]


def _thread_start(threads: Any, loops: int) -> float:
    ran = threads.allocate_lock()
    ran.acquire()
    began = _clock()
    for _ in repeat(None, loops):
        threads.start_new_thread(ran.release, ())
        ran.acquire()
    return _clock() - began


LOADS: dict[str, Load] = {
    "acquire, release": _acquire_release,
    "with lock": _with,
    "contended by 2": _contended,
    "hand-off and back": _hand_off,
    "start a thread": _thread_start,
}


# ---- Measuring ----------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One load, measured."""

    load: str
    ratio: float
    """The median of the rounds' ratios: below 1, lowthreads is the faster one."""
    low: float
    """A quarter of the rounds have a ratio of this or less."""
    high: float
    """A quarter of the rounds have a ratio of this or more."""
    lowthreads: float
    """The median time of one turn, in seconds."""
    peer: float
    """The same of the interpreter's own."""
    rounds: int
    loops: int
    """The turns in a round."""


def _own_code(code: CodeType) -> CodeType:
    constants = (_own_code(c) if isinstance(c, CodeType) else c for c in code.co_consts)
    return code.replace(co_consts=tuple(constants))


def own(load: Callable[..., T]) -> Callable[..., T]:
    """Return a copy of the function, on a code object of its own."""
    assert isinstance(load, FunctionType)
    code = _own_code(load.__code__)
    return FunctionType(code, load.__globals__, load.__name__, None, load.__closure__)


def _loops_for(seconds: float, measures: list[Callable[[int], float]]) -> int:
    """Return how many turns take so long; also warms up."""
    loops = 16
    while (took := max(measure(loops) for measure in measures)) < seconds / 4:
        loops *= 4
    return max(1, round(loops * seconds / took))


def _quartiles(values: list[float]) -> tuple[float, float]:
    ordered = sorted(values)
    last = len(ordered) - 1
    return ordered[round(last * 0.25)], ordered[round(last * 0.75)]


@contextmanager
def no_collections() -> Iterator[None]:
    """Collect now, and not meanwhile."""
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def measure(load: str, rounds: int, seconds: float, budget: float) -> Row:
    """Measure one of `LOADS`.

    Args:
        load: its name.
        rounds: how often, at most.
        seconds: about how long one takes, for each of the two.
        budget: the seconds after which no round begins, once there are three.
    """
    end = _clock() + budget
    ours, peers = own(LOADS[load]), own(LOADS[load])

    def our_time(loops: int) -> float:
        return ours(lowthreads, loops) / loops

    def peers_time(loops: int) -> float:
        return peers(_thread, loops) / loops

    with no_collections():
        loops = _loops_for(seconds, [lambda n: our_time(n) * n, lambda n: peers_time(n) * n])
        our_times, peer_times = [], []
        for number in range(rounds):
            if number >= 3 and _clock() > end:
                break
            if number % 2:
                peer_times.append(peers_time(loops))
                our_times.append(our_time(loops))
            else:
                our_times.append(our_time(loops))
                peer_times.append(peers_time(loops))
    ratios = [own / peer for own, peer in zip(our_times, peer_times)]
    low, high = _quartiles(ratios)
    return Row(
        load=load,
        ratio=median(ratios),
        low=low,
        high=high,
        lowthreads=median(our_times),
        peer=median(peer_times),
        rounds=len(ratios),
        loops=loops,
    )


def run(
    progress: Progress, rounds: int = 15, seconds: float = 0.02, budget: float = 6.0
) -> list[Row]:
    """Measure all of `LOADS`, within about `budget` seconds."""
    rows = []
    for load in LOADS:
        progress(f"comparing with the interpreter's own {PEER}: {load}")
        rows.append(measure(load, rounds, seconds, budget / len(LOADS)))
    return rows


# ---- Showing ------------------------------------------------------------------------


def duration(seconds: float) -> str:
    """Return a short time with its unit."""
    if seconds < 1e-6:
        return f"{seconds * 1e9:.1f} ns"
    return f"{seconds * 1e6:.1f} us"
