"""The client that needs no compiler: the table, by ctypes, which makes all calls detached.

ctypes has no code of its own to run in a thread of C's: what such a thread runs here is a
callback, and so Python.  But C starts it, and calls lowthreads in it.
"""

from __future__ import annotations

import ctypes
from ctypes import CFUNCTYPE, POINTER, c_int, c_int64, c_size_t, c_uint32, c_void_p
from pathlib import Path
from typing import Any

import lowthreads

FOREVER = 2**63 - 1
BODY = CFUNCTYPE(None, c_void_p)

_now = CFUNCTYPE(c_int64)
_ident = CFUNCTYPE(c_size_t)
_init = CFUNCTYPE(None, c_void_p)
_do = CFUNCTYPE(c_int, c_void_p)
_wait = CFUNCTYPE(c_int, c_void_p, c_int64)
_owner = CFUNCTYPE(c_size_t, c_void_p)
# What lets the GIL go itself must be called with it: on CPython.  PyPy's ctypes has no such calls.
_wait_attached = ctypes.PYFUNCTYPE(c_int, c_void_p, c_int64)


class Api(ctypes.Structure):
    """`lt_api` of lowthreads.h."""

    _fields_ = (
        ("version", c_uint32),
        ("size", c_uint32),
        ("now", _now),
        ("thread_ident", _ident),
        ("lock_init", _init),
        ("lock_try", _do),
        ("lock_acquire", _wait),
        ("lock_acquire_attached", _wait_attached),
        ("lock_release", _do),
        ("lock_locked", _do),
        ("lock_owner", _owner),
        ("rlock_init", _init),
        ("rlock_try", _do),
        ("rlock_acquire", _wait),
        ("rlock_acquire_attached", _wait_attached),
        ("rlock_release", _do),
        ("rlock_owner", _owner),
        ("rlock_levels", CFUNCTYPE(c_uint32, c_void_p)),
        ("event_init", _init),
        ("event_set", _init),
        ("event_reset", _init),
        ("event_is_set", _do),
        ("event_wait", _wait),
        ("event_wait_attached", _wait_attached),
        ("thread_start", CFUNCTYPE(c_int, BODY, c_void_p, c_size_t, POINTER(c_void_p))),
        ("thread_join", _wait),
        ("thread_join_attached", _wait_attached),
        ("thread_drop", _init),
    )


api = Api.from_address(lowthreads.c_api())


class Storage(ctypes.Structure):
    """An `lt_lock`, an `lt_rlock` or an `lt_event`."""

    _fields_ = (("words", c_uint32 * 2), ("pointers", c_void_p * 2))


class Thread:
    """A thread that C starts, and that calls `function()`."""

    def __init__(self, function: Any) -> None:
        self._body = BODY(lambda _: function())  # as long as the thread runs
        self._handle, self._drop = c_void_p(), api.thread_drop
        error = api.thread_start(self._body, None, 0, ctypes.byref(self._handle))
        if error != 0:
            raise OSError(error, "no thread")

    def join(self, deadline: int = FOREVER) -> bool:
        return api.thread_join(self._handle, deadline) > 0

    def __del__(self) -> None:
        self._drop(self._handle)


def build(folder: Path) -> None:
    """There is nothing to build."""


class Client:
    """See run.py."""

    THREADS = 4

    def __init__(self) -> None:
        self._counter = c_int64()

    def start(self, lock: Any, rounds: int) -> None:
        self._lock, self._rounds = lock, rounds
        self._counter.value = 0
        self._threads = [Thread(self._count) for _ in range(self.THREADS)]

    def _count(self) -> None:
        address, acquire, release = self._lock.address, api.lock_acquire, api.lock_release
        counter = self._counter
        for _ in range(self._rounds):
            if acquire(address, FOREVER) > 0:
                counter.value += 1
                release(address)

    def read(self) -> int:
        return self._counter.value

    def write(self, value: int) -> None:
        self._counter.value = value

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def start_taking(self, first: Any, second: Any) -> None:
        def take_both() -> None:
            for lock in (first, second):
                api.lock_acquire(lock.address, FOREVER)
            for lock in (second, first):
                api.lock_release(lock.address)

        self._taker = Thread(take_both)

    def join_taking(self) -> None:
        self._taker.join()
