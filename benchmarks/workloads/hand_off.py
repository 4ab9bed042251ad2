"""Two threads that wake each other in turn."""

from __future__ import annotations

import _thread
from itertools import repeat

from peers import Peer

from .load import Load, Timed, clock, not_owned


def ping_pong(peer: Peer, turns: int) -> float:
    ping, pong = peer.new_lock(), peer.new_lock()
    done = _thread.allocate_lock()
    for lock in (ping, pong, done):
        lock.acquire()
    took = []

    def answer() -> None:
        for _ in repeat(None, turns):
            ping.acquire()
            pong.release()

    def ask() -> None:
        began = clock()
        for _ in repeat(None, turns):
            ping.release()
            pong.acquire()
        took.append(clock() - began)
        done.release()

    _thread.start_new_thread(answer, ())
    _thread.start_new_thread(ask, ())
    done.acquire()
    return took[0]


LOADS = [Load("hand-off and back", Timed(ping_pong, 0.04), not_owned)]
