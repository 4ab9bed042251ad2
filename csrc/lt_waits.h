/* Between lock.c and waits.c: waits, and the list of them. */
#ifndef LT_WAITS_H
#define LT_WAITS_H

#include "lowthreads.h"

struct lt_parker;

/* Whether a wait is over: its fate changes once, in a compare-and-swap. */
enum {
    LT_PENDING = 0,
    LT_ENDED = 1, /* the thread has been given what it waits for; set before it is the owner */
    /* from LT_EXPELLED on: what lt_interrupt was given */
};

struct lt__wait;

/* An interpreter whose threads have its lock (the GIL) while they run.  A thread that was woken
 * gets that first and only then takes the lock that it waited for: the other way round it would
 * hold that one while it waits, for as long as another thread likes to run. */
typedef struct lt__host {
    void (*enter)(struct lt__wait *wait);
    void (*leave)(struct lt__wait *wait);
} lt__host;

/* A wait from its beginning to its end, which may be interrupted and go on; mostly on the
 * stack of the thread that waits. */
typedef struct lt__wait {
    lt_wait_record record; /* but for what a snapshot finds out */
    lt_atomic_u32 fate;
    bool firm;   /* lt_interrupt doesn't end it */
    bool listed; /* for its own thread */
    uint32_t generation; /* of the census: what waited before a fork is not in the list */
    void *waiter; /* lock.c's or event.c's; NULL while it is suspended; with the list held */
    struct lt__wait *next, **to_me; /* with the list held */
    const lt__host *host; /* NULL: it takes the lock wherever it is */
    void *outside;        /* the host's; NULL while the thread is in it */
    const void *interpreter; /* whose code waits, which can tell its exceptions; NULL: none's */
} lt__wait;

void lt__wait_init(lt__wait *wait, lt_wait_record record);

/* From now on the list has it, if it hadn't, asleep as `waiter` in the lock's queue or, with
 * NULL, suspended.  Until the end, the lock is neither freed nor moved. */
void lt__wait_show(lt__wait *wait, void *waiter);

/* The list has it no more.  Returns the code of lt_interrupt if that has ended it, or else 0.
 * Again: the same. */
int lt__wait_end(lt__wait *wait);

/* The wait goes on elsewhere, while it is suspended. */
void lt__wait_move(lt__wait *from, lt__wait *to);

/* Decides the wait's fate, unless it is decided. */
static inline bool lt__wait_decide(lt__wait *wait, uint32_t fate)
{
    uint32_t pending = LT_PENDING;
    return lt_cas_release(&wait->fate, &pending, fate);
}

/* Whether it got what it was for. */
static inline bool lt__wait_fulfilled(lt__wait *wait)
{
    return lt_load(&wait->fate) == LT_ENDED;
}

/* lt_interrupt's code, 0 if that has not ended the wait. */
static inline int lt__wait_code(lt__wait *wait)
{
    uint32_t fate = lt_load(&wait->fate);
    return fate >= LT_EXPELLED ? (int)fate : 0;
}

/* For lt_interrupt, with the list held.  They store whom it is to wake after that. */
bool lt__lock_expel(lt_lock *lock, struct lt_waiter *waiter, int code, struct lt_parker **asleep);
bool lt__event_expel(lt_event *event, struct lt__sleeper *sleeper, int code,
                     struct lt_parker **asleep);

/* Waits for record.lock, in its own words; goes on with a wait that was LT_INTERRUPTED, which
 * the list then still has, until lt__wait_end. */
lt_status lt__lock_wait_on(lt__wait *wait, uintptr_t marks, lt_patience patience);

/* The same, for a lock that the caller has taken meanwhile. */
lt_status lt__lock_took(lt__wait *wait);

/* For a wait for an lt_rlock that goes on: if the calling thread has it by now, for a signal handler
 * took and kept it, takes it once more.  LT_TIMED_OUT if not. */
lt_status lt__rlock_reenter(lt__wait *wait, uintptr_t marks);

/* Waits for record.lock, an lt_event: LT_ACQUIRED, also if it was reset right after it was set,
 * LT_TIMED_OUT, or the code of lt_interrupt. */
lt_status lt__event_wait_on(lt__wait *wait);

/* What is awaited, an lt_awaited, for reports. */
const char *lt__awaited_name(int awaited);

void lt__waits_after_fork(void);

#endif
