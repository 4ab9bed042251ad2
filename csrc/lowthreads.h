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
#include "lt_ident.h" /* lt_thread_ident */

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Clock and threads: platform/thread_*.c and thread.c ------------------- */

#define LT_FOREVER INT64_MAX /* as a deadline: none */

/* Now, in nanoseconds, on a clock that is never set back. */
int64_t lt_now(void);

/* The calling thread's number in the operating system. */
uint64_t lt_thread_native_id(void);

/* Starts a detached thread that runs body(arg, generation), where the generation is for
 * the census, below.  stack_size is in bytes, 0 for the platform's default.  The handle,
 * claimed, or NULL, is done when the body has returned.  Returns 0 and stores the thread's
 * ident, or returns an errno, the handle then as before it was claimed. */
struct lt_handle;
typedef void (*lt_thread_body)(void *arg, uint32_t generation);
int lt_thread_start(lt_thread_body body, void *arg, size_t stack_size, struct lt_handle *handle,
                    uintptr_t *ident);

/* The longest name of a thread that the platform takes, in bytes (on Windows in units of
 * UTF-16); and the calling thread's name, as UTF-8 there and in the file system's encoding
 * elsewhere, cut to that by the caller.  Return 0 or an errno. */
size_t lt_thread_name_max(void);
int lt_thread_set_name(const char *name);
int lt_thread_get_name(char *name, size_t size);

/* Whether lt_thread_start would take this stack size (in bytes, not 0). */
bool lt_stack_size_valid(size_t stack_size);

/* Sends signum to a thread, as the operating system delivers signals: what the
 * thread is blocked in returns early.  Returns 0 or an errno (ENOSYS on Windows). */
int lt_thread_signal(uintptr_t ident, int signum);

/* Lets another thread run. */
void lt_thread_yield(void);

/* For LT_PATIENT waits, of the one thread that runs signal handlers.  Whoever takes a
 * signal, on any thread, writes its number, one byte, to the descriptor that
 * lt_signals_fd returns (a socket on Windows; -1: there is none to be had): that ends the
 * wait, also one that only begins then.  Each number read is written on to the descriptor that was given to
 * lt_signals_forward (-1: none); lt_signals_flush does so for those not read yet. */
int lt_signals_fd(void);
void lt_signals_forward(int fd);
void lt_signals_flush(void);

/* Calls these within each fork() from now on: before it, and after it in the parent or in the
 * child, where it also forgets what is the parent's.  The first two may be NULL.  Once a process.
 * Returns 0 or an errno. */
int lt_platform_watch_forks(void (*before)(void), void (*in_parent)(void), void (*in_child)(void));

/* ---- Waiting --------------------------------------------------------------- */

typedef enum lt_status {
    LT_TIMED_OUT = 0,
    LT_ACQUIRED = 1,
    LT_INTERRUPTED = 2, /* look for signals to handle, then wait again */
    LT_OVERFLOW = 3,    /* an lt_rlock was taken too often */
    LT_ORPHANED = 5,    /* a fork left the lock behind: see lt_set_fork_policy */
    LT_EXPELLED = 16,   /* lt_interrupt ended the wait: this, or any code above that it was given */
    LT_EXPELLED_MAX = INT32_MAX,
} lt_status;

/* How a wait takes signals. */
typedef enum lt_patience {
    LT_PLAIN = 0,   /* no signal ends the wait: for threads that handle none */
    LT_BRIEF = 1,   /* the wait ends LT_INTERRUPTED after LT_BRIEF_NS at the latest */
    LT_PATIENT = 2, /* as long as it takes; ended by what is written to lt_signals_fd */
    LT_FIRM = 3,    /* as LT_PLAIN, and lt_interrupt doesn't end it either: not for a parker */
} lt_patience;

#define LT_BRIEF_NS 5000000

/* ---- The lock: lock.c ------------------------------------------------------- */

struct lt_waiter;

/* All zero is an unlocked lock.  It has no destructor, may live anywhere, and must
 * not move or be freed while a thread waits for it.  lock.c describes the fields. */
typedef struct lt_lock {
    lt_atomic_u32 state;
    lt_atomic_u32 levels; /* of an lt_rlock; of a lock, whether it is a signal */
    struct lt_waiter *newest;
    lt_atomic_uptr owner;
} lt_lock;

enum {
    LT_LOCKED = 1u,  /* a thread holds the lock */
    LT_QUEUED = 2u,  /* threads wait in the queue */
    LT_WAKING = 4u,  /* one of them was woken and has not looked yet: wake no other */
    LT_EDITING = 8u, /* a thread edits the queue (a spin lock of a few instructions) */
    LT_ORPHAN = 16u, /* it is held by a thread that a fork left behind */
};

/* The state of a lock that is taken now, while nobody waits for it: LT_LOCKED, and above those
 * bits, in steps of LT__GENERATION_STEP, the census generation.  Changes in the child of a fork
 * alone. */
#define LT__GENERATION_STEP 32u
extern lt_atomic_u32 lt__held;

/* In owner, beside the ident: what whoever took the lock said about it.
 * - LT_FRESH: it may be torn away (by an exception out of a signal handler) before it sees
 *   whether it took the lock.  It settles, tries or waits in C, and undoes if it is torn
 *   away, which releases the lock if it is still marked.
 * - LT_SCOPED: the same thread will release it (it is in a `with` statement). */
#define LT_FRESH ((uintptr_t)1)
#define LT_SCOPED ((uintptr_t)2)
#define LT_MARKS (LT_FRESH | LT_SCOPED)

/* What a thread that wants a lock is waiting for. */
typedef enum lt_awaited {
    LT_FOR_LOCK = 0,
    LT_FOR_RLOCK = 1,
    LT_FOR_THREAD = 2, /* its end */
    LT_FOR_A_MOMENT = 3, /* for a lock of the shim's own: no snapshot shows it */
    LT_FOR_EVENT = 4,
} lt_awaited;

bool lt__lock_try_slowly(lt_lock *lock, lt_awaited awaited, uintptr_t marks);

/* Takes a lock that is free and has no queue. */
static inline bool lt__lock_try_quickly(lt_lock *lock, uintptr_t marks)
{
    uint32_t state = 0;
    if (!lt_cas_acquire(&lock->state, &state, lt_load(&lt__held)))
        return false;
    lt_store_uptr(&lock->owner, lt_thread_ident() | marks);
    return true;
}

static inline bool lt__lock_try(lt_lock *lock, lt_awaited awaited, uintptr_t marks)
{
    return lt__lock_try_quickly(lock, marks) || lt__lock_try_slowly(lock, awaited, marks);
}

/* Takes the lock if it is free, with marks.  Never blocks. */
static inline bool lt_lock_try_marked(lt_lock *lock, uintptr_t marks)
{
    return lt__lock_try(lock, LT_FOR_LOCK, marks);
}

static inline bool lt_lock_try(lt_lock *lock)
{
    return lt_lock_try_marked(lock, 0);
}

/* The state, as one of the present generation. */
uint32_t lt__lock_state(lt_lock *lock);

lt_status lt__lock_wait(lt_lock *lock, lt_awaited awaited, uintptr_t marks, int64_t deadline,
                        int64_t since, lt_patience patience);

/* Takes a lock that is held for a few instructions at a time. */
static inline void lt__lock_enter(lt_lock *lock)
{
    if (!lt__lock_try(lock, LT_FOR_A_MOMENT, 0))
        lt__lock_wait(lock, LT_FOR_A_MOMENT, 0, LT_FOREVER, lt_now(), LT_PLAIN);
}

/* Waits until the lock is taken or the deadline (LT_FOREVER: none) has passed, or the
 * wait was interrupted.  `since` is when the caller began to wait, for a wait that
 * goes on after an interruption; it decides when the lock is handed over. */
lt_status lt_lock_wait(lt_lock *lock, int64_t deadline, int64_t since, lt_patience patience);

/* Tries for a moment, for callers that must prepare for a wait, at a price: after pauses that
 * double, up to LT_SPIN.  The more often who waits looks, the slower is who holds the lock: with
 * equal pauses, of as much time together, 4 threads that do nothing while they hold it took 3
 * times as long, and twice as long as pthread_mutex_t.
 * The build sets LT_SPIN to 0 where one thread runs at a time: whoever holds the lock could
 * not release it meanwhile.  On CPython 3.13t, with two threads that take and release a
 * lock all the time on two cores, the time relative to the interpreter's own lock was 1.3
 * to 1.7 with 0, and with 100 from 0.75 (much work while it is held) to 1.2 (none).
 * Never blocks. */
bool lt_lock_spin(lt_lock *lock, uintptr_t marks);

/* The ident of the thread that took the lock; 0 if it is free, or just being taken. */
static inline uintptr_t lt_lock_owner(lt_lock *lock)
{
    return lt_load_uptr(&lock->owner) & ~LT_MARKS;
}

/* Whether the lock was ever released by a thread that had not taken it: it tells others of
 * something, and its owner says nothing about who will release it. */
static inline bool lt_lock_is_signal(lt_lock *lock)
{
    return lt_load(&lock->levels) != 0;
}

bool lt__lock_unlock_slowly(lt_lock *lock);
void lt__lock_note_signal(lt_lock *lock);

/* Of a lock that is held and nobody waits for; false, and perhaps without an owner, otherwise. */
static inline bool lt__lock_unlock_quickly(lt_lock *lock)
{
    uint32_t state = lt_load(&lt__held);
    if (lt_load(&lock->state) != state)
        return false;
    /* Before it is free: an owner that is gone could be taken for the next one. */
    lt_store_uptr(&lock->owner, 0);
    return lt_cas_release(&lock->state, &state, 0);
}

/* lt_lock_release, for those who took the lock. */
static inline bool lt__lock_unlock(lt_lock *lock)
{
    return lt__lock_unlock_quickly(lock) || lt__lock_unlock_slowly(lock);
}

/* Unlocks; any thread may.  Returns false, and does nothing, if it was not locked.
 * Never blocks. */
static inline bool lt_lock_release(lt_lock *lock)
{
    if (lt_lock_owner(lock) != lt_thread_ident())
        lt__lock_note_signal(lock);
    return lt__lock_unlock(lock);
}

/* For LT_FRESH, see there. */
void lt_lock_settle(lt_lock *lock);
bool lt_lock_undo(lt_lock *lock);

/* What becomes, in the child of a fork, of a lock that is held by a thread which the fork left
 * behind.  Not of one that is known to be a signal, see lt_lock_is_signal: any thread may be the
 * one to release that. */
typedef enum lt_fork_policy {
    LT_FORK_BLOCK = 0, /* it is held, until somebody releases it */
    LT_FORK_RESET = 1, /* it is free for who comes and wants it */
    LT_FORK_RAISE = 2, /* a wait for it ends at once, LT_ORPHANED; to try fails */
} lt_fork_policy;

/* For all locks, and the children of children, too.  Returns what it was before. */
lt_fork_policy lt_set_fork_policy(lt_fork_policy policy);

/* Whether a thread holds the lock. */
static inline bool lt_lock_locked(lt_lock *lock)
{
    return (lt_load(&lock->state) & LT_LOCKED) != 0;
}

/* Makes the lock as new.  In the child after a fork: nobody waits there. */
void lt_lock_reinit(lt_lock *lock);

/* ---- The re-entrant lock: rlock.c --------------------------------------------- */

/* A lock that the thread which holds it may take again, and releases as often.  All zero
 * is unlocked.  While no thread holds it, its owner is 0. */
typedef struct lt_rlock {
    lt_lock lock;
} lt_rlock;

#define LT_RLOCK_MAX UINT32_MAX /* times that it can be taken */

bool lt__rlock_owned_slowly(lt_rlock *rlock);

/* Whether the calling thread holds it: and not one that had its ident before a fork.  The state
 * first: who sees it held in this generation sees no owner of an older one. */
static inline bool lt_rlock_owned(lt_rlock *rlock)
{
    uint32_t state = lt_load_acquire(&rlock->lock.state);
    return lt_lock_owner(&rlock->lock) == lt_thread_ident() &&
           ((state ^ lt_load(&lt__held)) < LT_ORPHAN || lt__rlock_owned_slowly(rlock));
}

static inline bool lt_rlock_locked(lt_rlock *rlock)
{
    return lt_lock_locked(&rlock->lock);
}

/* The ident of the thread that holds it, 0 if none does. */
static inline uintptr_t lt_rlock_owner(lt_rlock *rlock)
{
    return lt_lock_owner(&rlock->lock);
}

/* How often the thread that holds it took it. */
static inline uint32_t lt_rlock_levels(lt_rlock *rlock)
{
    return lt_load(&rlock->lock.levels);
}

/* Takes it if it is free or the calling thread's: LT_ACQUIRED, LT_TIMED_OUT if it is
 * another's, LT_OVERFLOW.  Never blocks. */
static inline lt_status lt_rlock_try_marked(lt_rlock *rlock, uintptr_t marks)
{
    if (lt_rlock_owned(rlock)) {
        if (lt_rlock_levels(rlock) == LT_RLOCK_MAX)
            return LT_OVERFLOW;
        if (marks != 0)
            lt_store_uptr(&rlock->lock.owner, lt_thread_ident() | marks);
    } else if (!lt__lock_try(&rlock->lock, LT_FOR_RLOCK, marks)) {
        return LT_TIMED_OUT;
    }
    lt_store(&rlock->lock.levels, lt_rlock_levels(rlock) + 1);
    return LT_ACQUIRED;
}

static inline lt_status lt_rlock_try(lt_rlock *rlock)
{
    return lt_rlock_try_marked(rlock, 0);
}

/* As lt_lock_wait, for a lock that is not the calling thread's. */
lt_status lt_rlock_wait(lt_rlock *rlock, int64_t deadline, int64_t since, lt_patience patience);

/* Releases it once.  Returns false if the calling thread doesn't hold it.  Never blocks. */
static inline bool lt_rlock_release(lt_rlock *rlock)
{
    if (!lt_rlock_owned(rlock))
        return false;
    uint32_t levels = lt_rlock_levels(rlock) - 1;
    lt_store(&rlock->lock.levels, levels);
    if (levels == 0)
        lt__lock_unlock(&rlock->lock);
    return true;
}

/* Releases it altogether; returns how often it was taken, 0 if it isn't the calling
 * thread's.  lt_rlock_restore makes that so again, right after the thread took it once. */
uint32_t lt_rlock_release_all(lt_rlock *rlock);
void lt_rlock_restore(lt_rlock *rlock, uint32_t levels);

/* Makes a lock that no thread ever looked at that thread's, taken so often; the thread was there
 * in that generation (lt_census_generation). */
void lt_rlock_adopt(lt_rlock *rlock, uintptr_t ident, uint32_t levels, uint32_t generation);

/* As for the lock; to undo releases once. */
void lt_rlock_settle(lt_rlock *rlock);
bool lt_rlock_undo(lt_rlock *rlock);
void lt_rlock_reinit(lt_rlock *rlock);

/* ---- The event: event.c --------------------------------------------------------- */

/* Is set or not; threads wait until it is.  All zero is not set.  Like a lock, it has no
 * destructor, and must not move or be freed while a thread waits for it.  event.c describes the
 * fields. */
typedef struct lt_event {
    lt_atomic_u32 state;
    uint32_t unused;
    struct lt__sleeper *first;
    void *unused_too; /* as large as a lock, for what may come */
} lt_event;

/* Neither blocks for long.  What was done before lt_event_set is seen after the wait. */
void lt_event_set(lt_event *event);
void lt_event_reset(lt_event *event);
bool lt_event_is_set(lt_event *event);

/* ---- Who waits: waits.c -------------------------------------------------------- */

/* A thread that waits.  A wait that goes on after an interruption is the same one if its
 * thread, lock and `since` are. */
typedef struct lt_wait_record {
    uintptr_t ident; /* of the thread */
    uint64_t native_id;
    union {
        lt_lock *lock;
        lt_event *event; /* for LT_FOR_EVENT */
    };
    int awaited; /* lt_awaited */
    int64_t since, deadline;
    uintptr_t owner; /* who holds the lock now; 0: nobody, it is about to be taken */
    bool scoped;     /* it was taken LT_SCOPED */
    bool signal;     /* lt_lock_is_signal */
    bool orphan;     /* a fork left behind the thread that holds it */
    bool suspended;  /* the thread runs handlers of signals, and will go on waiting then */
    bool in_c;       /* it waits for C code, which raises no exception: see api.c */
    bool attached;   /* and, by mistake, while it has the interpreter */
} lt_wait_record;

/* Stores a record for each thread that waits now, as many as there is room for, and
 * returns how many there are.  May be called at any time; never blocks for long. */
size_t lt_waits(lt_wait_record *records, size_t room);

/* Ends the wait that a thread is in, as if it had given up, with the status `code`: LT_EXPELLED,
 * or any above.  Of waits within each other (a signal handler's, within the one that it
 * interrupts) it is the innermost that isn't over, or the one with that `since`, unless that is
 * negative.  Waits of other interpreters than that one are passed over, unless it is NULL.
 * Returns 0, and nothing happens, if there is none; LT_IN_C if it was a wait of C code, which is not
 * told the code; or else 1.  May be called at any time, by any thread; never blocks for long. */
#define LT_IN_C 2
int lt_interrupt(uintptr_t ident, int64_t since, int code, const void *interpreter);

/* ---- The watchdog for a stuck interpreter: watch.c ------------------------------- */

/* Writes to the descriptor who waits for what, from a thread of its own, when lt_watch_beat was
 * not called for `after` nanoseconds while threads wait: once each time.  Once a process; again
 * in the child of a fork.  Returns 0 or an errno. */
int lt_watch_start(int fd, int64_t after);
void lt_watch_beat(void);
void lt_watch_stop(void);

/* How many threads it has: 0 or 1. */
uint32_t lt_watch_threads(void);

/* When this signal comes, a report is asked for, before the signal's handler of now is called;
 * if nobody says that it was answered, while there are no beats either, this writes one.
 * Returns 0 or an errno (ENOSYS on Windows). */
int lt_watch_signal(int signum);
bool lt_watch_asked(void);
void lt_watch_answered(void);

/* ---- Handles of threads: handle.c ---------------------------------------------- */

/* Outlives the thread, and whoever started it: it is counted. */
typedef struct lt_handle {
    /* Held for as long as the thread isn't done: to join is to take and release it. */
    lt_lock running;
    lt_atomic_u32 references;
    lt_atomic_u32 progress; /* lt_handle_progress */
    lt_atomic_uptr ident;   /* of the thread, 0 until it is known */
    lt_atomic_u32 generation; /* of the census, in which it was claimed */
} lt_handle;

typedef enum lt_handle_progress {
    LT_NOT_STARTED = 0,
    LT_STARTING = 1,
    LT_RUNNING = 2,
    LT_DONE = 3,
} lt_handle_progress;

/* A handle of a thread that is not started, with one reference, or NULL. */
lt_handle *lt_handle_new(void);
void lt_handle_keep(lt_handle *handle);
void lt_handle_drop(lt_handle *handle); /* frees it with the last reference */

/* Claims the handle for a start: false if it is not LT_NOT_STARTED. */
bool lt_handle_claim(lt_handle *handle);

/* Makes it the handle of a thread that runs already. */
void lt_handle_adopt(lt_handle *handle, uintptr_t ident);

/* The thread is done: wakes who waits for it.  Again: does nothing. */
void lt_handle_finish(lt_handle *handle);

static inline uintptr_t lt_handle_ident(lt_handle *handle)
{
    return lt_load_uptr(&handle->ident);
}

/* What is held for as long as the thread isn't done. */
static inline lt_lock *lt_handle_running(lt_handle *handle)
{
    return &handle->running;
}

/* A thread that a fork left behind is done, in the child. */
lt_handle_progress lt_handle_progress_of(lt_handle *handle);

/* Whether the calling thread was started here. */
bool lt_thread_is_ours(void);

/* A handle of the calling thread beside the one that it was started with, and done when the thread
 * ends, too: only for threads started here (NULL for others, or without memory).  It is not
 * LT_RUNNING until its `running` is taken, by the thread.  The caller gets a reference. */
lt_handle *lt_handle_of_self(void);

/* ---- The census of threads: thread.c ------------------------------------------- */

/* A thread is starting from before it is created until its body says that it has arrived
 * (for Python: until the interpreter knows it), and running from then until its body
 * says that it leaves.  A body that says neither is counted for ever. */
void lt_census_arrive(uint32_t generation);
void lt_census_leave(uint32_t generation);

/* How many threads are starting or running. */
uint32_t lt_census_count(void);
uint32_t lt_census_starting(void);

/* From now on only that thread can start threads; for others it is ECANCELED. */
void lt_census_close(uintptr_t ident);

/* Waits until no thread is starting.  May block. */
void lt_census_await_arrivals(void);

/* The present generation: the next one begins in the child of a fork. */
uint32_t lt_census_generation(void);

/* In the child after a fork: a new generation begins, with the calling thread alone. */
void lt_census_after_fork(void);

#ifdef __cplusplus
}
#endif
#endif
