"""Lock order: reports a deadlock that could be, before it is.

A thread that takes lock B while it holds A says that A comes before B.  If threads also say,
perhaps at another time, that B comes before A, they can deadlock.  That is told of classes of
locks, as in Linux's lockdep: a class is all locks that were made at one place.

What counts
- An acquire that waits if need be, with or without a timeout, comes after all that the thread
  holds; that is noted before it waits.
- One that doesn't wait (`acquire(False)`) comes after nothing, for it is in no deadlock.  What
  it took is held like any lock, and others come after it.
- To take an RLock again that the thread has comes after nothing.  `Condition.wait` releases its
  lock, and takes it again after all that the thread still holds.
- A signal is no lock: one that a Condition waits for, one that a thread takes again itself to
  wait for its release, and all of a class of which another thread than the one that took it
  released one.
- Two locks of one class are an inversion only if the same two were taken in both orders.
"""

from __future__ import annotations

import os
import shlex
import sys
import traceback
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import count
from types import FrameType
from typing import Any, Callable, NamedTuple
from weakref import ref

from .._lock import lock as _plain_lock
from .._unraisable import report
from . import locks
from .accepted import Accepted
from .observer import Hold, Observer, Thread, Wait
from .sites import Place, Site, stack_of

MAX_ORDERS = 50_000
"""So many pairs of classes are learned, and as many of locks of one class are remembered."""
MAX_HELD = 100
"""Locks that a thread holds, beyond which the oldest are forgotten."""


class Order(NamedTuple):
    """A thread took a lock while it held another."""

    thread: str
    held: Place
    """Where the lock that it held was made."""
    held_at: Place
    """Where that one was taken."""
    taken: Place
    """Where the lock that it took was made."""
    stack: tuple[Place, ...]
    """Where it took that, the outermost call first."""


class Inversion(NamedTuple):
    """Orders that close a cycle: each takes what the next one holds, the last the first's."""

    orders: tuple[Order, ...]
    same_class: bool = False
    """Whether it is of two locks of one class, each taken while the other was held."""

    @property
    def accept(self) -> str:
        """The line that accepts it, for the file of accepted pairs."""
        order = self.orders[0]
        return shlex.join((str(order.held), str(order.taken)))

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def _lines(inversion: Inversion) -> Iterator[str]:
    yield (
        f"lowthreads: lock order inversion (process {os.getpid()}); "
        "a lock is named by where it was made"
    )
    for number, order in enumerate(inversion.orders):
        before = "before, " if number else ""
        yield (
            f"  {before}{order.thread} took lock {order.taken} "
            f"while it held lock {order.held} (taken at {order.held_at})"
        )
        frames = [traceback.FrameSummary(*each) for each in order.stack]
        for entry in traceback.format_list(frames):
            yield from (f"  {line}" for line in entry.rstrip("\n").split("\n"))
    if inversion.same_class:
        yield "  these are the same two locks, both made there"
    yield f"  to accept it: {inversion.accept}"


def _print(inversion: Inversion) -> None:
    if sys.stderr is not None:
        sys.stderr.write(f"{inversion}\n")
        sys.stderr.flush()


class LockOrder(Observer):
    """Learns orders, and reports each inversion once."""

    def __init__(
        self,
        accepted: Accepted | None = None,
        on_inversion: Callable[[Inversion], None] = _print,
    ) -> None:
        self._accepted = accepted or Accepted()
        self._report = on_inversion
        # What comes after what; None for what is not to be looked at.
        self._after: dict[Site, dict[Site, Order | None]] = {}
        self._count = 0
        self._signals: set[Site] = set()
        # Of one class, by the numbers that its locks got here; and classes reported.
        self._pairs: dict[tuple[int, int], Order] = {}
        self._reported: set[Site] = set()
        self._numbers = count(1)
        self._learning = _plain_lock()  # not an observed one

    def taking(
        self, lock: Any, me: Thread, site: Site, frame: FrameType | None, hold: Hold | None
    ) -> None:
        """Note what it comes after."""
        if not me.held or lock._signal or me.busy or (hold is not None and hold[0] is me):
            return
        made = lock._made
        if made in self._signals:
            return
        for reference, other_hold in tuple(me.held):
            other = reference()
            if other is None or other._hold is not other_hold or other._signal:
                _forget(me, other_hold)
            elif made is other._made or made not in self._after.get(other._made, ()):
                self._learn(other, other_hold, lock, me, frame)

    def acquired(self, lock: Any, hold: Hold, waited: Wait | None) -> None:
        """Note that the thread holds it."""
        if not lock._signal:
            held = hold[0].held
            held.append((ref(lock), hold))  # nobody waits for one that is no more
            if len(held) > MAX_HELD:
                del held[0]

    def released(self, lock: Any, hold: Hold, now: int, me: Thread) -> None:
        """Note that it doesn't any more."""
        if hold[0] is me:
            _forget(me, hold)
        elif lock._made not in self._signals:
            self._alone(me, self._drop, lock._made)

    def _alone(self, me: Thread, call: Callable[..., Any], *args: Any) -> Any:
        """Call it while no other thread changes what is known, and not within itself."""
        if me.busy:
            return None
        me.busy = True
        try:
            with self._learning:
                return call(*args)
        finally:
            me.busy = False

    def _drop(self, made: Site) -> None:
        self._signals.add(made)
        self._after.pop(made, None)
        for after in self._after.values():
            if made in after:
                after[made] = None

    def _learn(self, held: Any, hold: Hold, lock: Any, me: Thread, frame: FrameType | None) -> None:
        order = Order(me.name(), held._made.place, hold[1].place, lock._made.place, stack_of(frame))
        add = self._add_pair if held._made is lock._made else self._add
        inversion = self._alone(me, add, held, lock, order)
        if inversion is None:
            return
        me.busy = True  # what the report needs is not to be learned from
        try:
            self._report(inversion)
        except Exception as error:
            report("Exception ignored while reporting a lock order inversion", error, None)
        finally:
            me.busy = False

    def _add(self, held: Any, lock: Any, order: Order) -> Inversion | None:
        first, then = held._made, lock._made
        after = self._after.setdefault(first, {})
        if then in after or first in self._signals or self._count >= MAX_ORDERS:
            return None  # another thread was first, or it is no lock
        self._count += 1
        if self._accepted.has(first.place, then.place):
            after[then] = None
            return None
        path = self._path(then, first)
        after[then] = order
        return None if path is None else Inversion((order, *path))

    def _path(self, start: Site, end: Site) -> list[Order] | None:
        """Return the orders by which `end` comes after `start`: as few as can be."""
        ways: dict[Site, list[Order]] = {start: []}
        todo = deque([start])
        while todo:
            site = todo.popleft()
            for then, order in self._after.get(site, {}).items():
                if order is not None and then not in ways:
                    ways[then] = [*ways[site], order]
                    if then is end:
                        return ways[then]
                    todo.append(then)
        return None

    def _add_pair(self, held: Any, lock: Any, order: Order) -> Inversion | None:
        """As `_add`, for two locks of one class."""
        made = lock._made
        if held is lock or made in self._reported or made in self._signals:
            return None
        for each in (held, lock):
            if each._number is None:
                each._number = next(self._numbers)
        pair = (held._number, lock._number)
        if pair not in self._pairs:
            if len(self._pairs) >= MAX_ORDERS:
                del self._pairs[next(iter(self._pairs))]
            self._pairs[pair] = order
        before = self._pairs.get(pair[::-1])
        if before is None or self._accepted.has(made.place, made.place):
            return None
        self._reported.add(made)
        return Inversion((order, before), same_class=True)

    def forked(self, me: Thread) -> None:
        """Go on: what was learned holds here, too."""
        self._learning._at_fork_reinit()
        me.busy = False

    @property
    def is_full(self) -> bool:
        """Whether there were more orders than are learned."""
        return self._count >= MAX_ORDERS

    def stop(self) -> None:
        """Learn no more."""
        locks.stop(self)


def _forget(me: Thread, hold: Hold) -> None:
    # A new list: a handler of a signal may change the old one meanwhile.
    me.held = [each for each in me.held if each[1] is not hold]


def start(
    accepted: Iterable[str] = (), on_inversion: Callable[[Inversion], None] = _print
) -> LockOrder:
    """Watch the order of all locks that are made from now on; lowthreads must be installed.

    Args:
        accepted: lines of a file of accepted pairs.
        on_inversion: called with each inversion, once, by the thread that took the lock;
            by default it is printed on `sys.stderr`.

    Raises:
        ValueError: for a line that isn't one.
        RuntimeError: if lowthreads isn't installed in `_thread`'s place.
    """
    order = LockOrder(Accepted(accepted), on_inversion)
    locks.start(order)
    return order
