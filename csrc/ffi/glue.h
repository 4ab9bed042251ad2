/* Between cffi and the shim: the only C that knows of an interpreter.  It stands at the
 * head of the file that cffi generates, before the wrappers. */
#ifndef LT_GLUE_H
#define LT_GLUE_H

#include "lowthreads.h"
#include "lt_waits.h"

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

/* A wait for what `awaited` (an lt_awaited) says, detached: unless a moment is enough. */
static int lt_ffi_wait(void *lock, int awaited, unsigned marks, int64_t deadline, int64_t since,
                       int patience)
{
    lt_status status = LT_ACQUIRED;
    if (!lt_lock_spin(lock, marks)) {
        lt_detached state = lt_detach();
        status = lt__lock_wait(lock, (lt_awaited)awaited, marks, deadline, since,
                               lt_ffi_patience(patience));
        lt_after_wait();
        lt_attach(state);
    }
    if (status == LT_ACQUIRED && awaited == LT_FOR_RLOCK)
        lt_rlock_restore(lock, 1);
    return (int)status;
}

/* The same, for who doesn't keep it, not even until the caller runs again. */
static int lt_ffi_pass(void *lock, int awaited, unsigned marks, int64_t deadline, int64_t since,
                       int patience)
{
    lt_detached state = lt_detach();
    lt_status status = lt__lock_wait(lock, (lt_awaited)awaited, marks, deadline, since,
                                     lt_ffi_patience(patience));
    if (status == LT_ACQUIRED)
        lt__lock_unlock(lock);
    lt_attach(state);
    return (int)status;
}

static bool lt_ffi_lock_release(lt_lock *lock)
{
    bool wakes = lt_begin_release(lock);
    bool released = lt_lock_release(lock);
    lt_end_release(wakes);
    return released;
}

static bool lt_ffi_rlock_release(lt_rlock *rlock)
{
    bool wakes = lt_begin_release(&rlock->lock);
    bool released = lt_rlock_release(rlock);
    lt_end_release(wakes);
    return released;
}

/* Makes the wait known from here until lt__wait_end, also while handlers of signals run. */
static void lt_ffi_suspend(lt__wait *wait, void *lock, int awaited, int64_t deadline, int64_t since)
{
    lt_store(&wait->ended, 0);
    lt__wait_begin(wait, (lt_wait_record){.lock = lock,
                                          .awaited = awaited,
                                          .since = since,
                                          .deadline = deadline,
                                          .suspended = true});
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
