"""How much longer than asked for a wait takes that nobody ends."""

from __future__ import annotations

from typing import Callable

from peers import Peer

from .load import Figures, Load, clock, not_owned


def overshoot(seconds: float) -> Callable[[Peer], Figures]:
    times = max(1, round(0.01 / seconds))

    def run(peer: Peer) -> Figures:
        lock = peer.new_lock()
        lock.acquire()
        late = 0.0
        for _ in range(times):
            began = clock()
            lock.acquire(True, seconds)
            late += clock() - began - seconds
        return {"time": [max(late / times, 1e-9)]}  # a coarse clock may wake too early

    return run


LOADS = [
    Load(f"overshoot of a wait of {name}", overshoot(seconds), not_owned)
    for name, seconds in (("100 us", 1e-4), ("1 ms", 1e-3), ("10 ms", 1e-2))
]
