"""What a work load is, and the two usual kinds: a loop that is timed, and a child process."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from lowthreads._check.compare import own
from peers import OURS, Peer

clock = time.perf_counter

Figures = dict[str, list[float]]
"""What a round found: one value of each figure, or of a pooled one as many as there are."""


def any_peer(peer: Peer) -> bool:
    return True


def not_owned(peer: Peer) -> bool:
    """For loads where one thread takes a lock and another releases it."""
    return not peer.owned


def has_threads(peer: Peer) -> bool:
    return peer.module is not None


@dataclass(frozen=True)
class Load:
    """Something that is done once a round with each peer that it fits."""

    name: str
    run: Callable[[Peer], Figures]
    fits: Callable[[Peer], bool] = any_peer


class Timed:
    """Times a loop, "time" a turn: `work(peer, turns)` returns the seconds it took.

    Each peer has a copy of the loop: what an interpreter learns about it is not shared.
    """

    def __init__(self, work: Callable[[Peer, int], float], seconds: float = 0.02) -> None:
        self._work, self._seconds = work, seconds
        self._own: dict[str, tuple[Callable[[Peer, int], float], int]] = {}

    def __call__(self, peer: Peer) -> Figures:
        """Return the time of a turn."""
        if peer.name not in self._own:
            self._own[peer.name] = self._prepare(peer)
        work, turns = self._own[peer.name]
        return {"time": [work(peer, turns) / turns]}

    def _prepare(self, peer: Peer) -> tuple[Callable[[Peer, int], float], int]:
        work, turns = own(self._work), 1
        while (took := work(peer, turns)) < self._seconds / 4:
            turns *= 4
        return work, max(1, round(turns * self._seconds / took))


@dataclass(frozen=True)
class Child:
    """Runs a script that prints its figures as JSON, in a process of its own.

    With `installed`, lowthreads is in `_thread`'s place there if the peer is lowthreads.
    """

    script: Path
    arguments: tuple[str, ...]
    installed: bool = False

    def __call__(self, peer: Peer) -> Figures:
        """Return what the script printed."""
        command = [sys.executable, str(self.script), *self.arguments]
        if self.installed and peer is OURS:
            command[1:1] = ["-m", "lowthreads", "run"]
        elif not self.installed:
            command += [peer.name, str(peer.most_locks)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=300)
        figures: Figures = json.loads(done.stdout)
        return figures
