"""A lock that nobody else wants: made, and taken and released in each way."""

from __future__ import annotations

from itertools import repeat

from peers import Peer

from .load import Load, Timed, clock


def create(peer: Peer, turns: int) -> float:
    new = peer.new_lock
    began = clock()
    for _ in repeat(None, turns):
        new()
    return clock() - began


def acquire_release(peer: Peer, turns: int) -> float:
    lock = peer.new_lock()
    began = clock()
    for _ in repeat(None, turns):
        lock.acquire()
        lock.release()
    return clock() - began


def with_lock(peer: Peer, turns: int) -> float:
    lock = peer.new_lock()
    began = clock()
    for _ in repeat(None, turns):
        with lock:
            pass
    return clock() - began


def non_blocking(peer: Peer, turns: int) -> float:
    lock = peer.new_lock()
    began = clock()
    for _ in repeat(None, turns):
        lock.acquire(False)
        lock.release()
    return clock() - began


def timed(peer: Peer, turns: int) -> float:
    lock = peer.new_lock()
    began = clock()
    for _ in repeat(None, turns):
        lock.acquire(True, 10)
        lock.release()
    return clock() - began


LOADS = [
    Load("create", Timed(create)),
    Load("acquire, release", Timed(acquire_release)),
    Load("with lock", Timed(with_lock)),
    Load("acquire(False), release", Timed(non_blocking)),
    Load("acquire(True, 10), release", Timed(timed)),
]
