"""The work loads: each module has `LOADS`, all are in `ALL`."""

from __future__ import annotations

from . import (
    contention,
    hand_off,
    memory,
    neighbours,
    starvation,
    stdlib,
    threads,
    timeouts,
    uncontended,
)
from .load import Load

ALL: list[Load] = [
    *uncontended.LOADS,
    *neighbours.LOADS,
    *hand_off.LOADS,
    *contention.LOADS,
    *starvation.LOADS,
    *threads.LOADS,
    *stdlib.LOADS,
    *memory.LOADS,
    *timeouts.LOADS,
]
