/* lowthreads: locks and threads on the operating system's own, in portable C.
 *
 * This header is the whole contract of the shim.  `lt_` is public, `lt__` is
 * internal (in this header only because the fast paths are inlined).  Nothing
 * here knows of Python: it builds and is tested without it.
 *
 * Times are signed 64-bit nanoseconds on the monotonic clock, see lt_now().
 */
#ifndef LOWTHREADS_H
#define LOWTHREADS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lt_atomic.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Clock and threads: platform/thread_*.c and thread.c ------------------- */

#define LT_FOREVER INT64_MAX /* as a deadline: none */

/* Now, in nanoseconds, on a clock that is never set back. */
int64_t lt_now(void);

/* The calling thread's ident: never 0, and even, so that its lowest bit is free.
 * The value that Python's threading.get_ident() gives for the same thread. */
uintptr_t lt_thread_ident(void);

/* The calling thread's number in the operating system. */
uint64_t lt_thread_native_id(void);

/* Starts a detached thread that runs body(arg, generation), where the generation is for
 * the census, below.  stack_size is in bytes, 0 for the platform's default.  Returns 0
 * and stores the thread's ident, or returns an errno. */
typedef void (*lt_thread_body)(void *arg, uint32_t generation);
int lt_thread_start(lt_thread_body body, void *arg, size_t stack_size, uintptr_t *ident);

/* Whether lt_thread_start would take this stack size (in bytes, not 0). */
bool lt_stack_size_valid(size_t stack_size);

/* Sends signum to a thread, as the operating system delivers signals: what the
 * thread is blocked in returns early.  Returns 0 or an errno. */
int lt_thread_signal(uintptr_t ident, int signum);

/* Lets another thread run. */
void lt_thread_yield(void);

/* Holds back all signals from the calling thread, until lt_signals_release (calls
 * nest).  For LT_PATIENT waits, see lt_park.h.  One thread of a process at a time
 * uses these two: the one that runs signal handlers. */
void lt_signals_hold(void);
void lt_signals_release(void);

/* In the child after a fork: forgets what is the parent's. */
void lt_platform_after_fork(void);

/* ---- Waiting --------------------------------------------------------------- */

typedef enum lt_status {
    LT_TIMED_OUT = 0,
    LT_ACQUIRED = 1,
    LT_INTERRUPTED = 2, /* look for signals to handle, then wait again */
} lt_status;

/* How a wait takes signals. */
typedef enum lt_patience {
    LT_PLAIN = 0,   /* no signal ends the wait: for threads that handle none */
    LT_BRIEF = 1,   /* the wait ends LT_INTERRUPTED after LT_BRIEF_NS at the latest */
    LT_PATIENT = 2, /* between lt_signals_hold and lt_signals_release: signals are let
                       in for as long as the thread sleeps, and end the wait */
} lt_patience;

#define LT_BRIEF_NS 5000000

/* ---- The lock: lock.c ------------------------------------------------------- */

struct lt_waiter;

/* All zero is an unlocked lock.  It has no destructor, may live anywhere, and must
 * not move or be freed while a thread waits for it.  lock.c describes the fields. */
typedef struct lt_lock {
    lt_atomic_u32 state;
    uint32_t reserved;
    struct lt_waiter *newest;
    lt_atomic_uptr owner;
} lt_lock;

enum {
    LT_LOCKED = 1u,  /* a thread holds the lock */
    LT_QUEUED = 2u,  /* threads wait in the queue */
    LT_WAKING = 4u,  /* one of them was woken and has not looked yet: wake no other */
    LT_EDITING = 8u, /* a thread edits the queue (a spin lock of a few instructions) */
};

#define LT_FRESH ((uintptr_t)1) /* in owner, beside the ident: see lt_lock_undo */

bool lt__lock_release_slowly(lt_lock *lock);

/* Makes lt_lock_undo do nothing until the calling thread takes the lock again. */
void lt_lock_settle(lt_lock *lock);

/* Takes the lock if it is free.  Never blocks. */
static inline bool lt_lock_try(lt_lock *lock)
{
    uint32_t state = lt_load(&lock->state);
    while (!(state & LT_LOCKED)) {
        if (lt_cas_acquire(&lock->state, &state, state | LT_LOCKED)) {
            lt_store_uptr(&lock->owner, lt_thread_ident() | LT_FRESH);
            return true;
        }
    }
    return false;
}

/* Waits until the lock is taken or the deadline (LT_FOREVER: none) has passed, or the
 * wait was interrupted.  `since` is when the caller began to wait, for a wait that
 * goes on after an interruption; it decides when the lock is handed over. */
lt_status lt_lock_wait(lt_lock *lock, int64_t deadline, int64_t since, lt_patience patience);

/* Unlocks; any thread may.  Returns false, and does nothing, if it was not locked.
 * Never blocks. */
static inline bool lt_lock_release(lt_lock *lock)
{
    uint32_t state = LT_LOCKED;
    if (lt_cas_release(&lock->state, &state, 0))
        return true;
    return lt__lock_release_slowly(lock);
}

/* Releases the lock if the calling thread took it since its last lt_lock_settle, and
 * holds it.  For a caller that was torn away (by an exception out of a signal handler)
 * before it could see whether it took the lock.  Returns whether it released. */
bool lt_lock_undo(lt_lock *lock);

/* Whether a thread holds the lock. */
static inline bool lt_lock_locked(lt_lock *lock)
{
    return (lt_load(&lock->state) & LT_LOCKED) != 0;
}

/* The ident of the thread that last took the lock, 0 if none ever did. */
static inline uintptr_t lt_lock_owner(lt_lock *lock)
{
    return lt_load_uptr(&lock->owner) & ~LT_FRESH;
}

/* Makes the lock as new.  In the child after a fork: nobody waits there. */
void lt_lock_reinit(lt_lock *lock);

/* ---- The census of threads: thread.c ------------------------------------------- */

/* A thread is starting from before it is created until its body says that it has arrived
 * (for Python: until the interpreter knows it), and running from then until its body
 * says that it leaves.  A body that says neither is counted for ever. */
void lt_census_arrive(uint32_t generation);
void lt_census_leave(uint32_t generation);

/* How many threads are starting or running. */
uint32_t lt_census_count(void);

/* Waits until no thread is starting.  For one thread at a time.  May block. */
void lt_census_await_arrivals(void);

/* In the child after a fork: counts from 0 again. */
void lt_census_after_fork(void);

#ifdef __cplusplus
}
#endif
#endif
