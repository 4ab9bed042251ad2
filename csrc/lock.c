/* The lock: a word of state, a queue of waiters, and who took it last.
 *
 * Guarantees
 * - Mutual exclusion: LT_LOCKED goes from clear to set in one compare-and-swap, or
 *   stays set while the lock is handed to a waiter; whoever did that, or was handed
 *   the lock, owns it until it is released.
 * - No lost wake-up: while threads wait, either the lock is held, or a woken waiter is
 *   on its way (LT_WAKING).
 * - No starvation: the waiter that has been in the queue longest is first, and once it has
 *   waited for HANDOFF_NS a release hands it the lock, so that nobody can take it before.
 *   It loses at most one race after that, when it had been woken already (while it is on its way,
 *   others may take the lock any number of times).
 * - Nothing is owed to a waiter that has left: it leaves after it has taken the token
 *   of whoever chose it.
 *
 * State bits and fields
 *
 *   LT_LOCKED   set by the one who takes the lock; cleared by a release.
 *   LT_QUEUED   set exactly while the queue has waiters, whenever LT_EDITING is clear.
 *   LT_WAKING   set exactly while one waiter, in the queue, is WOKEN; releases then
 *               wake nobody: a spinner that takes and releases the lock again and again
 *               costs one wake-up, not one each time.
 *   LT_EDITING  held for the queue (newest, and the waiters' next, prev and progress).
 *               LT_LOCKED may be set at any time meanwhile, by a thread that barges in,
 *               or cleared, by a release that need not look at the queue.
 *   LT_ORPHAN   set while the lock is held by a thread that a fork left behind.
 *   the rest    the census generation in which the others were set; 0 if none is.  A state of an
 *               older one is from before a fork: its waiters do not exist in the child, nor does
 *               the memory of their stacks for sure, and the thread that holds the lock only if it
 *               is the one that forked.  Who comes upon it makes it one of now first (renew).
 *   newest      the last waiter of a ring, whose next is the first; NULL when empty.
 *   owner       ident of who took the lock, and marks; 0 while it is free, and until the
 *               one who took it has written it.  Written by who takes it or hands it over, by
 *               who releases it, and without LT_FRESH by who took it.
 *   levels      of a lock (not of an lt_rlock): 1 once a thread has released it that was not
 *               its owner.
 *
 *   from                      event                          to
 *   -                         try, wait                      LOCKED
 *   LOCKED                    wait: enqueue                  LOCKED QUEUED
 *   LOCKED                    release                        -
 *   LOCKED QUEUED             release, first waited long     LOCKED (QUEUED), handed over
 *   LOCKED QUEUED             release otherwise              QUEUED WAKING
 *   QUEUED WAKING             try, wait: barge               LOCKED QUEUED WAKING
 *   QUEUED WAKING             woken waiter takes it          LOCKED (QUEUED)
 *   LOCKED QUEUED WAKING      release                        QUEUED WAKING
 *   LOCKED QUEUED WAKING      woken waiter came too late     LOCKED QUEUED
 *   LOCKED QUEUED [WAKING]    a waiter gives up              LOCKED (QUEUED) [WAKING]
 *   any, of before a fork     renew                          (LOCKED [ORPHAN])
 *   LOCKED ORPHAN [QUEUED]    try, wait: LT_FORK_RESET       LOCKED [QUEUED]
 *   LOCKED ORPHAN [QUEUED]    release                        as without ORPHAN
 *
 * A woken waiter that gives up while the lock is free takes it instead, so that
 * LT_WAKING never ends with the lock free and threads waiting. */
#include "lowthreads.h"
#include "lt_park.h"
#include "lt_thread.h"
#include "lt_waits.h"

/* A waiter that has waited this long is handed the lock. */
#define HANDOFF_NS 1000000

/* Bits of the state that speak of the queue. */
#define OF_QUEUE (LT_QUEUED | LT_WAKING | LT_EDITING)

typedef enum progress {
    WAITING, /* in the queue, asleep or about to be */
    WOKEN,   /* in the queue, a token is given: may take the lock if it is free */
    HANDED,  /* out of the queue, a token is given: owns the lock */
    EXPELLED, /* out of the queue, a token is given: lt_interrupt ended the wait */
    LEFT,    /* out of the queue, by itself */
} progress;

/* Lives on the stack of the thread that waits. */
typedef struct lt_waiter {
    struct lt_waiter *next, *prev;
    lt_parker parker;
    progress progress;
    uintptr_t as_owner; /* its ident, and marks */
    lt__wait *wait;
} waiter;

/* ---- The queue; LT_EDITING is held ------------------------------------------ */

static waiter *first_waiter(lt_lock *lock)
{
    return lock->newest->next;
}

static void append_waiter(lt_lock *lock, waiter *self)
{
    waiter *last = lock->newest;
    if (last == NULL) {
        self->next = self->prev = self;
    } else {
        self->next = last->next;
        self->prev = last;
        last->next->prev = self;
        last->next = self;
    }
    lock->newest = self;
}

static void remove_waiter(lt_lock *lock, waiter *self)
{
    if (self->next == self) {
        lock->newest = NULL;
        return;
    }
    self->prev->next = self->next;
    self->next->prev = self->prev;
    if (lock->newest == self)
        lock->newest = self->prev;
}

/* ---- LT_EDITING ------------------------------------------------------------- */

/* Waits for another thread's edit of the queue to end; returns the new state. */
static uint32_t await_edit(lt_lock *lock, unsigned *spins)
{
    lt__await_edit(spins);
    return lt_load(&lock->state);
}

static void begin_edit(lt_lock *lock)
{
    unsigned spins = 0;
    uint32_t state = lt_load(&lock->state);
    for (;;) {
        if (state & LT_EDITING)
            state = await_edit(lock, &spins);
        else if (lt_cas_acquire(&lock->state, &state, state | LT_EDITING))
            return;
    }
}

/* Ends the edit, setting and clearing bits.  LT_QUEUED is made to tell the truth. */
static void end_edit(lt_lock *lock, uint32_t set, uint32_t clear)
{
    clear |= LT_EDITING;
    if (lock->newest == NULL)
        clear |= LT_QUEUED;
    uint32_t new, state = lt_load(&lock->state);
    do {
        new = (state | set) & ~clear;
        if (!(new & (LT_LOCKED | OF_QUEUE)))
            new = 0;
    } while (!lt_cas_release(&lock->state, &state, new));
}

/* ---- Forks ------------------------------------------------------------------- */

static lt_atomic_u32 fork_policy;

lt_fork_policy lt_set_fork_policy(lt_fork_policy policy)
{
    return (lt_fork_policy)lt_exchange(&fork_policy, policy);
}

static bool is_old(uint32_t state)
{
    return state != 0 && (state ^ lt_census_generation()) >= LT__GENERATION_STEP;
}

/* Of an old state, in which the owner doesn't change: who holds the lock since before the fork
 * calls this before it says that it is not the owner any more. */
static bool outlived_fork(lt_lock *lock, uint32_t state)
{
    uintptr_t owner = lt_lock_owner(lock);
    uint32_t theirs = state & ~(LT__GENERATION_STEP - 1);
    return !(state & LT_ORPHAN) && lt__census_has_survivor(theirs, owner);
}

/* Turns an old state into one of now: with no queue, and saying whether it is an orphan. */
static uint32_t renew(lt_lock *lock, uint32_t state)
{
    uint32_t new = (state & LT_LOCKED) | LT_EDITING | lt_census_generation();
    if ((state & LT_LOCKED) && !outlived_fork(lock, state))
        new |= LT_ORPHAN;
    if (lt_cas_release(&lock->state, &state, new)) {
        lock->newest = NULL;
        end_edit(lock, 0, 0);
    }
    return lt_load(&lock->state);
}

uint32_t lt__lock_state(lt_lock *lock)
{
    uint32_t state = lt_load(&lock->state);
    while (is_old(state))
        state = renew(lock, state);
    return state;
}

/* Of a lock whose owner it was a moment ago, in the state of a moment ago. */
bool lt__rlock_owned_slowly(lt_rlock *rlock)
{
    bool orphan = (lt__lock_state(&rlock->lock) & LT_ORPHAN) != 0;
    return !orphan && lt_rlock_owned(rlock);
}

/* What becomes of an orphan.  What one sets is for a lock that only its owner would release; a thread
 * that the fork left behind has ended. */
static lt_fork_policy policy_for(lt_lock *lock, lt_awaited awaited)
{
    if (awaited == LT_FOR_THREAD)
        return LT_FORK_RAISE;
    if (awaited == LT_FOR_RLOCK || (awaited == LT_FOR_LOCK && !lt_lock_is_signal(lock)))
        return (lt_fork_policy)lt_load(&fork_policy);
    return LT_FORK_BLOCK;
}

/* ---- Taking ----------------------------------------------------------------- */

static void own(lt_lock *lock, waiter *self)
{
    lt__wait_decide(self->wait, LT_ENDED); /* first: see waits.c; too late: see settle */
    lt_store_uptr_release(&lock->owner, self->as_owner);
}

/* For a WOKEN waiter, with LT_EDITING held; ends LT_WAKING.  Takes the lock if it is
 * free; otherwise the thread that holds it will look at the queue when it releases. */
static bool take_as_woken(lt_lock *lock, waiter *self)
{
    uint32_t state = lt_load(&lock->state);
    for (;;) {
        if (state & LT_LOCKED) {
            /* In one step with seeing it locked: see the guarantees. */
            if (lt_cas_acquire(&lock->state, &state, state & ~(uint32_t)LT_WAKING)) {
                self->progress = WAITING;
                return false;
            }
        } else if (lt_cas_acquire(&lock->state, &state,
                                  (state | LT_LOCKED) & ~(uint32_t)LT_WAKING)) {
            own(lock, self);
            remove_waiter(lock, self);
            return true;
        }
    }
}

bool lt_lock_spin(lt_lock *lock, uintptr_t marks)
{
    int pauses, i;
    for (pauses = 1; pauses <= LT_SPIN; pauses *= 2) {
        for (i = 0; i < pauses; i++)
            lt_pause();
        if (!lt_lock_locked(lock) && lt_lock_try_marked(lock, marks))
            return true;
    }
    return false;
}

typedef enum attempt {
    TOOK,
    HELD,
    REFUSED, /* held for good, and the policy is not to wait */
} attempt;

/* Takes the lock if it is free, or an orphan that the policy gives to who comes.  Stores the
 * state in which it was held. */
static attempt take_if_free(lt_lock *lock, lt_awaited awaited, uint32_t *held)
{
    unsigned spins = 0;
    uint32_t state = lt__lock_state(lock);
    for (;;) {
        if (!(state & LT_LOCKED)) {
            if (lt_cas_acquire(&lock->state, &state, state | lt_load(&lt__held)))
                return TOOK;
            continue;
        }
        lt_fork_policy policy = state & LT_ORPHAN ? policy_for(lock, awaited) : LT_FORK_BLOCK;
        if (policy == LT_FORK_BLOCK) {
            *held = state;
            return HELD;
        } else if (policy == LT_FORK_RAISE) {
            return REFUSED;
        } else if (state & LT_EDITING) {
            state = await_edit(lock, &spins); /* by one who releases it, perhaps */
        } else if (lt_cas_acquire(&lock->state, &state, state | LT_EDITING)) {
            /* Before it is no orphan: a thread may have the ident of the one that is gone. */
            lt_store_uptr(&lock->owner, 0);
            if (awaited == LT_FOR_RLOCK)
                lt_store(&lock->levels, 0);
            end_edit(lock, 0, LT_ORPHAN);
            return TOOK;
        }
    }
}

bool lt__lock_try_slowly(lt_lock *lock, lt_awaited awaited, uintptr_t marks)
{
    uint32_t held;
    if (take_if_free(lock, awaited, &held) != TOOK)
        return false;
    lt_store_uptr(&lock->owner, lt_thread_ident() | marks);
    return true;
}

/* The same, or joins the queue while another thread holds it. */
static attempt take_or_enqueue(lt_lock *lock, lt_awaited awaited, waiter *self)
{
    unsigned spins = 0;
    uint32_t state;
    for (;;) {
        attempt found = take_if_free(lock, awaited, &state);
        if (found == TOOK)
            own(lock, self);
        if (found != HELD)
            return found;
        if (state & LT_EDITING) {
            await_edit(lock, &spins);
        } else if (lt_cas_acquire(&lock->state, &state, state | LT_QUEUED | LT_EDITING)) {
            /* LT_QUEUED in the same step: a release from now on looks at the queue. */
            append_waiter(lock, self);
            end_edit(lock, 0, 0);
            return HELD;
        }
    }
}

/* Sleeps until the waiter owns the lock or gives up. */
static lt_status sleep_in_queue(lt_lock *lock, waiter *self, int64_t deadline,
                                lt_patience patience)
{
    const lt__host *host = self->wait->host;
    for (;;) {
        lt_wake wake = lt_park(&self->parker, deadline, patience);
        /* With its token, WOKEN stays so until it looks. */
        bool enters = host != NULL && wake == LT_WAKE_TOKEN && self->progress == WOKEN;
        if (enters)
            host->enter(self->wait);
        begin_edit(lock);
        progress found = self->progress;
        bool owns = found == HANDED || (found == WOKEN && take_as_woken(lock, self));
        bool leaves = !owns && (wake != LT_WAKE_TOKEN || lt__wait_code(self->wait) != 0);
        if (leaves && found != EXPELLED) {
            remove_waiter(lock, self);
            self->progress = LEFT;
        }
        end_edit(lock, 0, 0);
        if (found != WAITING && wake != LT_WAKE_TOKEN)
            /* Chosen while it gave up: its token is there, or about to be. */
            lt_park(&self->parker, LT_FOREVER, LT_PLAIN);
        if (owns)
            return LT_ACQUIRED;
        if (leaves)
            return wake == LT_WAKE_SIGNAL ? LT_INTERRUPTED : LT_TIMED_OUT;
        if (enters)
            host->leave(self->wait);
    }
}

/* The status of a wait that is over, or at least out of the queue.  One that lt_interrupt had
 * ended before it was given the lock passes that on. */
static lt_status settle(lt__wait *wait, lt_status status)
{
    if (status == LT_INTERRUPTED)
        lt__wait_show(wait, NULL);
    int code = status == LT_INTERRUPTED ? lt__wait_code(wait) : lt__wait_end(wait);
    if (code == 0)
        return status;
    if (status == LT_ACQUIRED)
        lt__lock_unlock(wait->record.lock);
    return (lt_status)code;
}

lt_status lt__lock_took(lt__wait *wait)
{
    lt__wait_decide(wait, LT_ENDED);
    return settle(wait, LT_ACQUIRED);
}

lt_status lt__lock_wait_on(lt__wait *wait, uintptr_t marks, lt_patience patience)
{
    lt_lock *lock = wait->record.lock;
    waiter self;
    if (lt__wait_code(wait) != 0)
        return (lt_status)lt__wait_end(wait);
    self.as_owner = lt_thread_ident() | marks;
    self.progress = WAITING;
    self.wait = wait;
    if (!wait->listed)
        wait->firm = patience == LT_FIRM;
    lt_parker_init(&self.parker);
    attempt found = take_or_enqueue(lock, (lt_awaited)wait->record.awaited, &self);
    lt_status status = found == TOOK ? LT_ACQUIRED : LT_ORPHANED;
    if (found == HELD) {
        if (wait->record.awaited != LT_FOR_A_MOMENT)
            lt__wait_show(wait, &self);
        /* Ended while it was suspended: it is only to leave. */
        int64_t until = lt__wait_code(wait) != 0 ? 0 : wait->record.deadline;
        status = sleep_in_queue(lock, &self, until, wait->firm ? LT_PLAIN : patience);
    }
    status = settle(wait, status);
    lt_parker_destroy(&self.parker);
    return status;
}

lt_status lt__lock_wait(lt_lock *lock, lt_awaited awaited, uintptr_t marks, int64_t deadline,
                        int64_t since, lt_patience patience)
{
    lt__wait wait;
    lt__wait_init(&wait, (lt_wait_record){
                             .lock = lock, .awaited = awaited, .since = since, .deadline = deadline});
    lt_status status = lt__lock_wait_on(&wait, marks, patience);
    int code = lt__wait_end(&wait);
    return code != 0 ? (lt_status)code : status;
}

bool lt__lock_expel(lt_lock *lock, waiter *self, int code, lt_parker **asleep)
{
    begin_edit(lock);
    bool expelled = lt__wait_decide(self->wait, (uint32_t)code);
    if (expelled && self->progress == WAITING) {
        remove_waiter(lock, self);
        self->progress = EXPELLED;
        *asleep = &self->parker;
    }
    end_edit(lock, 0, 0);
    return expelled;
}

lt_status lt_lock_wait(lt_lock *lock, int64_t deadline, int64_t since, lt_patience patience)
{
    return lt__lock_wait(lock, LT_FOR_LOCK, 0, deadline, since, patience);
}

/* ---- Releasing --------------------------------------------------------------- */

/* Chooses the first waiter, hands it the lock or unlocks, and wakes it.  LT_EDITING and
 * LT_LOCKED are held, and the queue is not empty. */
static void release_to_first(lt_lock *lock)
{
    waiter *chosen = first_waiter(lock);
    if (lt_now() - chosen->wait->record.since >= HANDOFF_NS) {
        remove_waiter(lock, chosen);
        own(lock, chosen);
        chosen->progress = HANDED;
        end_edit(lock, 0, LT_ORPHAN);
    } else {
        chosen->progress = WOKEN;
        end_edit(lock, LT_WAKING, LT_LOCKED | LT_ORPHAN);
    }
    lt_unpark(&chosen->parker);
}

/* Before it is released: after that the lock may be gone. */
void lt__lock_note_signal(lt_lock *lock)
{
    if (lt_lock_locked(lock) && lt_lock_owner(lock) != 0)
        lt_store(&lock->levels, 1);
}

bool lt__lock_unlock_slowly(lt_lock *lock)
{
    unsigned spins = 0;
    uint32_t state = lt__lock_state(lock);
    if (!(state & LT_LOCKED))
        return false;
    lt_store_uptr(&lock->owner, 0);
    for (;;) {
        if (!(state & LT_LOCKED))
            return false;
        if ((state & (LT_QUEUED | LT_WAKING)) != LT_QUEUED) {
            /* Nobody waits, or one who was woken is on its way. */
            uint32_t queue = state & OF_QUEUE ? state & ~(uint32_t)(LT_LOCKED | LT_ORPHAN) : 0;
            if (lt_cas_release(&lock->state, &state, queue))
                return true;
        } else if (state & LT_EDITING) {
            state = await_edit(lock, &spins);
        } else if (lt_cas_acquire(&lock->state, &state, state | LT_EDITING)) {
            release_to_first(lock);
            return true;
        }
    }
}

/* ---- Being torn away -------------------------------------------------------- */

static bool is_fresh(uintptr_t owner)
{
    return (owner & ~LT_SCOPED) == (lt_thread_ident() | LT_FRESH);
}

void lt_lock_settle(lt_lock *lock)
{
    uintptr_t owner = lt_load_uptr(&lock->owner);
    if (is_fresh(owner))
        lt_cas_uptr(&lock->owner, &owner, owner & ~LT_FRESH);
}

bool lt_lock_undo(lt_lock *lock)
{
    lt__lock_state(lock);
    uintptr_t owner = lt_load_uptr(&lock->owner);
    /* In one step: if another thread releases it meanwhile, it is not for this one to. */
    return is_fresh(owner) && lt_cas_uptr(&lock->owner, &owner, 0) && lt__lock_unlock(lock);
}

void lt_lock_reinit(lt_lock *lock)
{
    lt_store(&lock->state, 0);
    lt_store_uptr(&lock->owner, 0);
    lt_store(&lock->levels, 0);
    lock->newest = NULL;
}
