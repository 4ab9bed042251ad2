/* Starting a Python thread, on PyPy. */
#ifndef LT_THREAD_START_H
#define LT_THREAD_START_H

#include <Python.h>

#include "lowthreads.h"

/* Defined by cffi, further down.  It makes the thread known for as long as it runs. */
static void lt_ffi_run_thread(uintptr_t key);

/* Free the thread-locals.  PyPy waits for the garbage collector to find that a thread it didn't
 * start is gone, but each `local` keeps that thread's values, and they the thread: it would
 * never be.  An entry that was PyPy's own, and a second exit out of it, make PyPy end the
 * thread as one of its own. */
static void lt_ffi_leave_thread(void)
{
    (void)PyGILState_Ensure();
    PyGILState_Release(PyGILState_LOCKED);
    PyGILState_Release(PyGILState_UNLOCKED);
}

static void lt_thread_call(void *key, uint32_t generation)
{
    lt_census_arrive(generation);
    lt_ffi_run_thread((uintptr_t)key);
    lt_ffi_leave_thread();
    lt_census_leave(generation);
}

static int64_t lt_ffi_thread_start(uintptr_t key, size_t stack_size, lt_handle *handle)
{
    uintptr_t ident = 0;
    int error = lt_claim_and_start(lt_thread_call, (void *)key, stack_size, handle, &ident);
    return error == 0 ? (int64_t)ident : -(int64_t)error;
}

#endif
