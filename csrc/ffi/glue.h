/* Between cffi and the shim: the only C that knows of an interpreter.  It stands at the
 * head of the file that cffi generates, before the wrappers. */
#ifndef LT_GLUE_H
#define LT_GLUE_H

#include "lowthreads.h"

#include "attach.h" /* of cpython/ or pypy/: the build chooses */

/* The thread that runs signal handlers: after a fork, the one that forked. */
static lt_atomic_uptr lt_main_thread;

static void lt_ffi_set_main_thread(uintptr_t ident)
{
    lt_store_uptr(&lt_main_thread, ident);
}

static uintptr_t lt_ffi_main_thread(void)
{
    return lt_load_uptr(&lt_main_thread);
}

/* The thread that runs signal handlers waits as `patience` says, all others in one go. */
static lt_patience lt_ffi_patience(int patience)
{
    return lt_thread_ident() == lt_ffi_main_thread() ? (lt_patience)patience : LT_PLAIN;
}

/* lt_lock_wait and the like, detached: unless a moment is enough. */
static inline int lt_ffi_lock_wait(lt_lock *lock, int64_t deadline, int64_t since, int patience)
{
    if (lt_lock_spin(lock))
        return LT_ACQUIRED;
    lt_detached state = lt_detach();
    lt_status status = lt_lock_wait(lock, deadline, since, lt_ffi_patience(patience));
    lt_attach(state);
    return (int)status;
}

static inline int lt_ffi_rlock_wait(lt_rlock *rlock, int64_t deadline, int64_t since, int patience)
{
    int status = lt_ffi_lock_wait(&rlock->lock, deadline, since, patience);
    if (status == LT_ACQUIRED)
        lt_rlock_restore(rlock, 1);
    return status;
}

/* For callers in Python. */
static int lt_ffi_lock_wait_marked(lt_lock *lock, int64_t deadline, int64_t since, int patience)
{
    if (lt_lock_spin_marked(lock))
        return LT_ACQUIRED;
    lt_detached state = lt_detach();
    lt_status status = lt_lock_wait_marked(lock, deadline, since, lt_ffi_patience(patience));
    lt_attach(state);
    return (int)status;
}

static int lt_ffi_rlock_wait_marked(lt_rlock *rlock, int64_t deadline, int64_t since,
                                    int patience)
{
    int status = lt_ffi_lock_wait_marked(&rlock->lock, deadline, since, patience);
    if (status == LT_ACQUIRED)
        lt_rlock_restore(rlock, 1);
    return status;
}

#include "interpreter.h"

/* Waits until nobody holds the lock, and doesn't keep it. */
static int lt_ffi_lock_pass(lt_lock *lock, int64_t deadline, int64_t since, int patience)
{
    lt_detached state = lt_detach();
    lt_status status = lt_lock_wait(lock, deadline, since, lt_ffi_patience(patience));
    if (status == LT_ACQUIRED)
        lt_lock_release(lock);
    lt_attach(state);
    return (int)status;
}

static void lt_ffi_await_arrivals(void)
{
    lt_detached state = lt_detach();
    lt_census_await_arrivals();
    lt_attach(state);
}

static void lt_ffi_after_fork(void)
{
    lt_census_after_fork();
    lt_interpreter_after_fork();
    lt_ffi_set_main_thread(lt_thread_ident());
}

/* With the main thread's ident.  Returns 0 or an errno; again, does nothing. */
static int lt_ffi_init(uintptr_t main_thread)
{
    uintptr_t unknown = 0;
    if (!lt_cas_uptr(&lt_main_thread, &unknown, main_thread))
        return 0;
    return lt_platform_watch_forks(lt_ffi_after_fork);
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
