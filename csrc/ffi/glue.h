/* Between cffi and the shim: the only C that knows of an interpreter.  It stands at the
 * head of the file that cffi generates, before the wrappers. */
#ifndef LT_GLUE_H
#define LT_GLUE_H

#include "lowthreads.h"

#ifdef PYPY_VERSION
#include "ffi/attach_pypy.h"
#include "ffi/lock_object_pypy.h"
#else
#include "ffi/attach_cpython.h"
#include "ffi/lock_object_cpython.h"
#endif

/* lt_lock_wait, detached.  An LT_PATIENT wait ends the caller's lt_signals_hold. */
static int lt_ffi_lock_wait(lt_lock *lock, int64_t deadline, int64_t since, int patience)
{
    lt_detached state = lt_detach();
    lt_status status = lt_lock_wait(lock, deadline, since, (lt_patience)patience);
    if (patience == LT_PATIENT)
        lt_signals_release();
    lt_attach(state);
    return (int)status;
}

/* Defined by cffi, further down. */
static void lt_ffi_run_thread(uintptr_t key);

/* The count drops while the thread is still attached, but after its function is gone. */
static void lt_ffi_thread_body(void *key, uint32_t generation)
{
    lt_entered state = lt_enter();
    lt_census_arrive(generation);
    lt_ffi_run_thread((uintptr_t)key);
    lt_census_leave(generation);
    lt_leave(state);
}

/* Returns the new thread's ident, or an errno, negative: one result costs Python less than
 * two. */
static int64_t lt_ffi_thread_start(uintptr_t key, size_t stack_size)
{
    uintptr_t ident = 0;
    int error = lt_thread_start(lt_ffi_thread_body, (void *)key, stack_size, &ident);
    return error == 0 ? (int64_t)ident : -(int64_t)error;
}

static void lt_ffi_await_arrivals(void)
{
    lt_detached state = lt_detach();
    lt_census_await_arrivals();
    lt_attach(state);
}

static void lt_ffi_after_fork(void)
{
    lt_platform_after_fork();
    lt_census_after_fork();
}

/* Which backend the build chose, and which API of the interpreter: for reports. */
static const char *lt_ffi_parker(void)
{
    return LT_PARKER;
}

static const char *lt_ffi_api(void)
{
#ifdef Py_LIMITED_API
    return "limited";
#else
    return "full";
#endif
}

#endif
