/* Between cffi and the shim: the only C that knows of an interpreter.  It stands at the
 * head of the file that cffi generates, before the wrappers. */
#ifndef LT_GLUE_H
#define LT_GLUE_H

#include "lowthreads.h"

#include "attach.h" /* of cpython/ or pypy/: the build chooses */

/* The thread that runs signal handlers.  Python tells, on import and after a fork. */
static lt_atomic_uptr lt_main_thread;

static void lt_ffi_set_main_thread(uintptr_t ident)
{
    lt_store_uptr(&lt_main_thread, ident);
}

static uintptr_t lt_ffi_main_thread(void)
{
    return lt_load_uptr(&lt_main_thread);
}

/* lt_lock_wait, detached.  The thread that runs signal handlers waits as `patience` says,
 * all others in one go.  An LT_PATIENT wait ends the caller's lt_signals_hold. */
static int lt_ffi_lock_wait(lt_lock *lock, int64_t deadline, int64_t since, int patience)
{
    lt_detached state = lt_detach();
    if (lt_thread_ident() != lt_ffi_main_thread())
        patience = LT_PLAIN;
    lt_status status = lt_lock_wait(lock, deadline, since, (lt_patience)patience);
    if (patience == LT_PATIENT)
        lt_signals_release();
    lt_attach(state);
    return (int)status;
}

#include "interpreter.h"

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
    return LT_API;
}

#endif
