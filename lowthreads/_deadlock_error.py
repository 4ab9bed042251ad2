"""Ending a deadlock, by an exception in one of its threads."""

from __future__ import annotations

from ._dump import describe
from ._expel import interrupt_wait, takes_back
from ._places import current_frames
from ._waits import Deadlock


class DeadlockError(RuntimeError):
    """Raised where a wait was ended because it was part of a deadlock.

    The message names the threads of it, what each waits for, and where.

    Source: lowthreads' own.
    """

    __module__ = __package__

    def __init__(self, message: str = "", deadlock: Deadlock | None = None) -> None:
        super().__init__(message)
        self.deadlock = deadlock
        """The `Deadlock`."""


def break_deadlock(deadlock: Deadlock) -> bool:
    """Raise `DeadlockError` in one of its threads, the last to have begun to wait if can be.

    Returns:
        Whether there was one that still waited.
    """
    frames = current_frames()
    error = DeadlockError(describe(deadlock), deadlock)
    return any(
        interrupt_wait(wait.ident, wait.since, error)
        for wait in sorted(deadlock.waits, key=lambda wait: wait.since, reverse=True)
        if not takes_back(frames.get(wait.ident))
    )
