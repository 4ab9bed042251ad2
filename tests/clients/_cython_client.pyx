# cython: language_level=3, freethreading_compatible=True
"""The client in Cython."""

from libc.stdint cimport int64_t, uintptr_t

import lowthreads

cdef extern from "counting.h":
    int start_counting(uintptr_t table, uintptr_t lock, int64_t rounds) nogil
    void join_counting() nogil
    int start_taking(uintptr_t table, uintptr_t first, uintptr_t second) nogil
    void join_taking() nogil
    int64_t counter

cdef extern from "lowthreads.h":
    ctypedef struct lt_lock:
        pass
    ctypedef struct lt_api:
        int (*lock_acquire)(lt_lock *, int64_t) nogil
        int (*lock_release)(lt_lock *) nogil
    int64_t LT_FOREVER
    const lt_api *lt_api_from(uintptr_t)

cdef const lt_api *api = lt_api_from(<uintptr_t>lowthreads.c_api())


def start(lock, rounds):
    assert start_counting(<uintptr_t>api, lock.address, rounds) == 0


def join():
    with nogil:
        join_counting()


def take(first, second):
    assert start_taking(<uintptr_t>api, first.address, second.address) == 0


def taken():
    with nogil:
        join_taking()


def get():
    return counter


def set(value):
    global counter
    counter = value


def count_once(lock):
    cdef lt_lock *address = <lt_lock *><uintptr_t>lock.address
    global counter
    with nogil:
        if api.lock_acquire(address, LT_FOREVER) > 0:
            counter += 1
            api.lock_release(address)
