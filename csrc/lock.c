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
 *   It loses at most one race after that, when it had been woken already.
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
 *               or cleared, by a release that need not look at the queue; but not while
 *               LT_FRESH is set.
 *   LT_FRESH    the lock is held, by one who may not know it yet, see lt_lock_undo.  Set
 *               together with LT_LOCKED and within an edit, in which owner is stored too:
 *               who edits and sees it knows whose it is.  (With owner alone to tell, a
 *               thread that undoes could take for its own what another one just took.)
 *               Cleared with LT_LOCKED, or by its owner, who settles.
 *   newest      the last waiter of a ring, whose next is the first; NULL when empty.
 *   owner       ident of who took the lock last, a fact about the past: the lock may be
 *               free, or released by another.  Written by who takes it or hands it over.
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
 *
 * LT_FRESH comes and goes with LT_LOCKED, for those who mark what they take.
 *
 * A woken waiter that gives up while the lock is free takes it instead, so that
 * LT_WAKING never ends with the lock free and threads waiting. */
#include "lowthreads.h"
#include "lt_park.h"

/* A waiter that has waited this long is handed the lock. */
#define HANDOFF_NS 1000000

/* Spins on LT_EDITING this often before it lets other threads run. */
#define EDITING_SPINS 64

typedef enum progress {
    WAITING, /* in the queue, asleep or about to be */
    WOKEN,   /* in the queue, a token is given: may take the lock if it is free */
    HANDED,  /* out of the queue, a token is given: owns the lock */
} progress;

/* Lives on the stack of the thread that waits. */
typedef struct lt_waiter {
    struct lt_waiter *next, *prev;
    lt_parker parker;
    int64_t since;
    uintptr_t ident;
    uint32_t mark; /* LT_FRESH or 0: what it sets beside LT_LOCKED */
    progress progress;
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
    if (++*spins % EDITING_SPINS == 0)
        lt_thread_yield();
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
    uint32_t state = lt_load(&lock->state);
    while (!lt_cas_release(&lock->state, &state, (state | set) & ~clear))
        ;
}

/* ---- Taking ----------------------------------------------------------------- */

static void own(lt_lock *lock, uintptr_t ident)
{
    lt_store_uptr(&lock->owner, ident);
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
                                  (state | LT_LOCKED | self->mark) & ~(uint32_t)LT_WAKING)) {
            own(lock, self->ident);
            remove_waiter(lock, self);
            return true;
        }
    }
}

bool lt_lock_try_marked(lt_lock *lock)
{
    unsigned spins = 0;
    uint32_t state = lt_load(&lock->state);
    while (!(state & LT_LOCKED)) {
        uint32_t taken = state | LT_LOCKED | LT_FRESH;
        if (state & LT_EDITING) {
            state = await_edit(lock, &spins);
        } else if (lt_cas_acquire(&lock->state, &state, taken | LT_EDITING)) {
            own(lock, lt_thread_ident());
            /* In place of end_edit: nobody else may change these bits now. */
            lt_store_release(&lock->state, taken);
            return true;
        }
    }
    return false;
}

static bool try_to_take(lt_lock *lock, uint32_t mark)
{
    return mark ? lt_lock_try_marked(lock) : lt_lock_try(lock);
}

static bool spin_for(lt_lock *lock, uint32_t mark)
{
    int looks;
    for (looks = 0; looks < LT_SPIN; looks++) {
        if (!lt_lock_locked(lock) && try_to_take(lock, mark))
            return true;
        lt_pause();
    }
    return false;
}

bool lt_lock_spin(lt_lock *lock)
{
    return spin_for(lock, 0);
}

bool lt_lock_spin_marked(lt_lock *lock)
{
    return spin_for(lock, LT_FRESH);
}

/* Takes the lock, or joins the queue while another thread holds it. */
static bool take_or_enqueue(lt_lock *lock, waiter *self)
{
    unsigned spins = 0;
    uint32_t state = lt_load(&lock->state);
    for (;;) {
        if (!(state & LT_LOCKED)) {
            if (try_to_take(lock, self->mark))
                return true;
            state = lt_load(&lock->state);
        } else if (state & LT_EDITING) {
            state = await_edit(lock, &spins);
        } else if (lt_cas_acquire(&lock->state, &state, state | LT_QUEUED | LT_EDITING)) {
            /* LT_QUEUED in the same step: a release from now on looks at the queue. */
            append_waiter(lock, self);
            end_edit(lock, 0, 0);
            return false;
        }
    }
}

/* Sleeps until the waiter owns the lock or gives up. */
static lt_status sleep_in_queue(lt_lock *lock, waiter *self, int64_t deadline,
                                lt_patience patience)
{
    for (;;) {
        lt_wake wake = lt_park(&self->parker, deadline, patience);
        begin_edit(lock);
        progress found = self->progress;
        bool owns = found == HANDED || (found == WOKEN && take_as_woken(lock, self));
        bool leaves = !owns && wake != LT_WAKE_TOKEN;
        if (leaves)
            remove_waiter(lock, self);
        end_edit(lock, 0, 0);
        if (found != WAITING && wake != LT_WAKE_TOKEN)
            /* Chosen while it gave up: its token is there, or about to be. */
            lt_park(&self->parker, LT_FOREVER, LT_PLAIN);
        if (owns)
            return LT_ACQUIRED;
        if (leaves)
            return wake == LT_WAKE_SIGNAL ? LT_INTERRUPTED : LT_TIMED_OUT;
    }
}

static lt_status wait_for(lt_lock *lock, int64_t deadline, int64_t since, lt_patience patience,
                          uint32_t mark)
{
    waiter self;
    self.ident = lt_thread_ident();
    self.since = since;
    self.mark = mark;
    self.progress = WAITING;
    lt_parker_init(&self.parker);
    lt_status status = LT_ACQUIRED;
    if (!take_or_enqueue(lock, &self))
        status = sleep_in_queue(lock, &self, deadline, patience);
    lt_parker_destroy(&self.parker);
    return status;
}

lt_status lt_lock_wait(lt_lock *lock, int64_t deadline, int64_t since, lt_patience patience)
{
    return wait_for(lock, deadline, since, patience, 0);
}

lt_status lt_lock_wait_marked(lt_lock *lock, int64_t deadline, int64_t since,
                              lt_patience patience)
{
    return wait_for(lock, deadline, since, patience, LT_FRESH);
}

/* ---- Releasing --------------------------------------------------------------- */

/* Chooses the first waiter, hands it the lock or unlocks, and wakes it.  LT_EDITING and
 * LT_LOCKED are held, and the queue is not empty. */
static void release_to_first(lt_lock *lock)
{
    waiter *chosen = first_waiter(lock);
    if (lt_now() - chosen->since >= HANDOFF_NS) {
        remove_waiter(lock, chosen);
        own(lock, chosen->ident);
        chosen->progress = HANDED;
        end_edit(lock, chosen->mark, LT_FRESH & ~chosen->mark);
    } else {
        chosen->progress = WOKEN;
        end_edit(lock, LT_WAKING, LT_LOCKED | LT_FRESH);
    }
    lt_unpark(&chosen->parker);
}

bool lt__lock_release_slowly(lt_lock *lock)
{
    unsigned spins = 0;
    uint32_t state = lt_load(&lock->state);
    for (;;) {
        bool edits = (state & LT_EDITING) != 0;
        if (!(state & LT_LOCKED))
            return false;
        if ((state & (LT_QUEUED | LT_WAKING)) != LT_QUEUED && !(edits && (state & LT_FRESH))) {
            /* Nobody waits, or one who was woken is on its way. */
            if (lt_cas_release(&lock->state, &state, state & ~(uint32_t)(LT_LOCKED | LT_FRESH)))
                return true;
        } else if (edits) {
            state = await_edit(lock, &spins);
        } else if (lt_cas_acquire(&lock->state, &state, state | LT_EDITING)) {
            release_to_first(lock);
            return true;
        }
    }
}

/* ---- Being torn away -------------------------------------------------------- */

/* Whether it is marked, and the calling thread's.  Only an edit makes sure of it; but "no"
 * is the truth, for what this thread took it sees. */
static bool is_mine(lt_lock *lock)
{
    uint32_t fresh = LT_LOCKED | LT_FRESH;
    return (lt_load(&lock->state) & fresh) == fresh &&
           lt_lock_owner(lock) == lt_thread_ident();
}

void lt_lock_settle(lt_lock *lock)
{
    if (!is_mine(lock))
        return;
    begin_edit(lock);
    end_edit(lock, 0, is_mine(lock) ? LT_FRESH : 0);
}

void lt__lock_mark(lt_lock *lock)
{
    begin_edit(lock);
    end_edit(lock, LT_FRESH, 0);
}

bool lt_lock_undo(lt_lock *lock)
{
    if (!is_mine(lock))
        return false;
    begin_edit(lock);
    bool mine = is_mine(lock);
    uint32_t state = lt_load(&lock->state);
    if (mine && (state & (LT_QUEUED | LT_WAKING)) == LT_QUEUED)
        release_to_first(lock);
    else
        end_edit(lock, 0, mine ? LT_LOCKED | LT_FRESH : 0);
    return mine;
}

void lt_lock_reinit(lt_lock *lock)
{
    lt_store(&lock->state, 0);
    lt_store_uptr(&lock->owner, 0);
    lock->newest = NULL;
}
