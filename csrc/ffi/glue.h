/* Between cffi and the shim: the only C that knows of an interpreter.  It stands at the
 * head of the file that cffi generates, before the wrappers. */
#ifndef LT_GLUE_H
#define LT_GLUE_H

#include <errno.h>

#include "lowthreads.h"
#include "lt_api.h"
#include "lt_waits.h"

#include "attach.h" /* of cpython/ or pypy/: the build chooses */

/* The thread that runs signal handlers: after a fork, the one that forked.  0: not known yet. */
static lt_atomic_uptr lt_main_thread;

static void lt_ffi_set_main_thread(uintptr_t ident)
{
    lt_store_uptr(&lt_main_thread, ident);
}

static uintptr_t lt_ffi_main_thread(void)
{
    return lt_load_uptr(&lt_main_thread);
}

/* The thread that runs signal handlers waits as `patience` says, all others in one go: as soon as it
 * is known which one it is. */
static lt_patience lt_ffi_patience(int patience)
{
    uintptr_t main_thread = lt_ffi_main_thread();
    bool other = main_thread != 0 && main_thread != lt_thread_ident();
    return other && patience < LT_FIRM ? LT_PLAIN : (lt_patience)patience;
}

/* Goes on with a wait, or begins it, detached: unless a moment is enough.  Who only `passes`
 * doesn't keep the lock, not even until the caller runs again. */
static int lt_ffi_wait_on(lt__wait *wait, unsigned marks, int patience, bool passes)
{
    lt_lock *lock = wait->record.lock;
    lt_status status = LT_TIMED_OUT;
    if (wait->record.awaited == LT_FOR_RLOCK)
        status = lt__rlock_reenter(wait, marks);
    if (status != LT_TIMED_OUT)
        return (int)status;
    if (lt_lock_spin(lock, marks)) {
        status = lt__lock_took(wait);
        if (status == LT_ACQUIRED && passes)
            lt__lock_unlock(lock);
    } else {
        lt_go_out(wait);
        status = lt__lock_wait_on(wait, marks, lt_ffi_patience(patience));
        if (status == LT_ACQUIRED && passes)
            lt__lock_unlock(lock);
        else
            lt_after_wait();
        if (wait->outside != NULL)
            lt_come_back(wait);
    }
    if (status == LT_ACQUIRED && wait->record.awaited == LT_FOR_RLOCK)
        lt_rlock_restore((lt_rlock *)lock, 1);
    if (status == LT_ORPHANED && wait->record.awaited == LT_FOR_THREAD)
        status = LT_ACQUIRED; /* it has ended; that lock is nobody's to keep */
    return (int)status;
}

static void lt_ffi_prepare(lt__wait *wait, void *lock, int awaited, int64_t deadline, int64_t since)
{
    lt__wait_init(wait, (lt_wait_record){
                            .lock = lock, .awaited = awaited, .since = since, .deadline = deadline});
    wait->host = lt_host;
    wait->interpreter = lt_this_interpreter();
}

/* A wait that no signal interrupts, from its beginning to its end. */
static int lt_ffi_wait(void *lock, int awaited, unsigned marks, int64_t deadline, int64_t since,
                       int patience, bool passes)
{
    lt__wait wait;
    lt_ffi_prepare(&wait, lock, awaited, deadline, since);
    return lt_ffi_wait_on(&wait, marks, patience, passes);
}

/* Takes, after a wait, the lock that it was for, whatever may interrupt that. */
static void lt_ffi_take_back(lt__wait *wait, unsigned marks)
{
    lt_ffi_wait(wait->record.lock, wait->record.awaited, marks, LT_FOREVER, lt_now(), LT_FIRM, false);
}

/* A code for lt_interrupt that was not given out for a long time, to any interpreter. */
static int lt_ffi_new_code(void)
{
    static lt_atomic_u32 given;
    return (int)(LT_EXPELLED + lt_fetch_add(&given, 1) % (LT_EXPELLED_MAX - LT_EXPELLED));
}

/* Of this interpreter's waits: another one's could not raise what it keeps for the code. */
static int lt_ffi_interrupt(uintptr_t ident, int64_t since, int code)
{
    return lt_interrupt(ident, since, code, lt_this_interpreter());
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

/* Claims the handle, which may be NULL, and starts the thread, in one step for Python. */
static int lt_claim_and_start(lt_thread_body body, void *arg, size_t stack_size, lt_handle *handle,
                              uintptr_t *ident)
{
    if (handle != NULL && !lt_handle_claim(handle))
        return EALREADY;
    return lt_thread_start(body, arg, stack_size, handle, ident);
}

#include "interpreter.h"

/* Detaches only if there are any: up to 3.11, whoever comes back to an interpreter that the end of the
 * main one ends is ended, too. */
static void lt_ffi_await_arrivals(void)
{
    if (lt_census_starting() == 0)
        return;
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

/* Returns 0 or an errno; again, does nothing. */
static int lt_ffi_watch_forks(void)
{
    static lt_atomic_u32 watched;
    if (lt_exchange(&watched, 1) != 0)
        return 0;
    int error = lt_platform_watch_forks(lt_interpreter_before_fork,
                                        lt_interpreter_after_fork_in_parent, lt_ffi_after_fork);
    if (error != 0)
        lt_store(&watched, 0);
    return error;
}

/* ---- For other extensions: api.c --------------------------------------------------- */

static void *lt_leave_interpreter(void)
{
    return PyEval_SaveThread();
}

static void lt_reenter_interpreter(void *state)
{
    PyEval_RestoreThread(state);
}

/* The address of the table. */
static uintptr_t lt_ffi_table(void)
{
    static const lt_interpreter this_one = {lt_is_attached, lt_leave_interpreter,
                                            lt_reenter_interpreter};
    lt_api_connect(&this_one);
    return (uintptr_t)&lt_api_table;
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
