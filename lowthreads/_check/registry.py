"""The list of promises, in the order of the reference text."""

from __future__ import annotations

from typing import Callable, NamedTuple

NAMES = (
    "error",
    "LockType",
    "start_new_thread",
    "interrupt_main",
    "exit",
    "allocate_lock",
    "get_ident",
    "stack_size",
    "TIMEOUT_MAX",
    "acquire",
    "release",
    "locked",
    "with lock",
    "caveats",
)
"""What the reference makes promises for; its closing notes are the caveats."""

Check = Callable[[], None]


class Promise(NamedTuple):
    """A sentence of the reference, and the code that holds lowthreads to it."""

    name: str
    text: str
    check: Check


_declared: list[Promise] = []


def promise(name: str, text: str) -> Callable[[Check], Check]:
    """Declare the decorated function to be a promise's check, for one of `NAMES`."""

    def add(check: Check) -> Check:
        _declared.append(Promise(name, text, check))
        return check

    return add


def declared() -> list[Promise]:
    """Return all promises declared so far."""
    return sorted(_declared, key=lambda one: NAMES.index(one.name))
