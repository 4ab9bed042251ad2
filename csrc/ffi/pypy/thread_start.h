/* Starting a Python thread, on PyPy. */
#ifndef LT_THREAD_START_H
#define LT_THREAD_START_H

#include "lowthreads.h"

/* Defined by cffi, further down.  It makes the thread known for as long as it runs. */
static void lt_ffi_run_thread(uintptr_t key);

static void lt_thread_call(void *key, uint32_t generation)
{
    lt_census_arrive(generation);
    lt_ffi_run_thread((uintptr_t)key);
    lt_census_leave(generation);
}

static int64_t lt_ffi_thread_start(uintptr_t key, size_t stack_size, lt_handle *handle)
{
    uintptr_t ident = 0;
    int error = lt_thread_start(lt_thread_call, (void *)key, stack_size, handle, &ident);
    return error == 0 ? (int64_t)ident : -(int64_t)error;
}

#endif
