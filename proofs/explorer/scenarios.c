/* What the threads do, and what must hold.  See explorer.h.
 *
 * Compiled as the shim is: what a lock guards is not atomic, so that two threads which hold
 * it, or hold it one after the other without seeing what the other did, are a race. */
#include <string.h>

#include "lt_park.h"
#include "lt_thread.h"
#include "lt_waits.h"
#include "explorer.h"

#define MILLISECOND INT64_C(1000000)

/* As the beginning of a wait: the lock is handed over at once, or never. */
#define LONG_AGO INT64_C(0)
#define NEVER (LT_FOREVER / 2)

static struct {
    lt_lock lock, other;
    lt_rlock rlock;
    lt_event event;
    uintptr_t holder;
    int entered;
    lt_atomic_uptr since;
    lt_atomic_u32 flag;
    lt_handle *handle;
    int result;
    lt_parker parker;
    int interrupted, has_interrupted;
    uintptr_t inside; /* who is in the interpreter */
} it;

static void begin(void)
{
    memset(&it, 0, sizeof it);
    lt_set_fork_policy(LT_FORK_BLOCK);
    memory_constant(&lt__held);
}

static void enter(void)
{
    CHECK(it.holder == 0);
    it.holder = lt_thread_ident();
    CHECK(lt_lock_locked(&it.lock));
    CHECK(lt_lock_owner(&it.lock) == lt_thread_ident());
    it.entered++;
}

static void leave(void)
{
    CHECK(it.holder == lt_thread_ident());
    it.holder = 0;
}

static void end(void)
{
    CHECK(it.holder == 0);
    CHECK(it.lock.state == 0);
    CHECK(it.lock.newest == NULL);
    CHECK(it.lock.owner == 0);
    CHECK(lt_waits(NULL, 0) == 0);
}

static lt_status wait_for(lt_lock *lock, uintptr_t marks, int64_t deadline, int64_t since,
                          lt_patience patience)
{
    bool lends = threads[current].lends;
    int64_t began = lt_now();
    threads[current].lends = true;
    lt_status status = lt__lock_wait(lock, LT_FOR_LOCK, marks, deadline, since, patience);
    threads[current].lends = lends;
    CHECK(status == LT_ACQUIRED || status == LT_TIMED_OUT || status == LT_INTERRUPTED);
    if (status == LT_TIMED_OUT) {
        CHECK(deadline != LT_FOREVER && lt_now() >= deadline);
        CHECK(threads[current].limit == (deadline > 0 ? deadline : 0));
    }
    CHECK(status != LT_INTERRUPTED || patience != LT_PLAIN);
    if (status == LT_INTERRUPTED && patience == LT_BRIEF)
        CHECK(lt_now() <= began + LT_BRIEF_NS);
    return status;
}

static void acquire(int64_t since)
{
    CHECK(wait_for(&it.lock, 0, LT_FOREVER, since, LT_PLAIN) == LT_ACQUIRED);
    enter();
}

static void release(void)
{
    leave();
    CHECK(lt_lock_release(&it.lock));
}

enum { GONE = 8, FIRST = 16, SECOND = 32 }; /* idents */

/* ---- Taking and releasing ------------------------------------------------------------------ */

static void waits_twice(void)
{
    for (int i = 0; i < 2; i++) {
        acquire(NEVER);
        release();
    }
}

static void waits(void)
{
    acquire(NEVER);
    release();
}

static void waits_long(void)
{
    acquire(LONG_AGO);
    release();
}

static void waits_long_twice(void)
{
    waits_long();
    waits_long();
}

static void tries(void)
{
    for (int i = 0; i < 2; i++)
        if (lt_lock_try(&it.lock)) {
            enter();
            release();
        }
}

static void spins(void)
{
    if (!lt_lock_spin(&it.lock, 0))
        CHECK(wait_for(&it.lock, 0, LT_FOREVER, NEVER, LT_PLAIN) == LT_ACQUIRED);
    enter();
    release();
}

static void waits_for_a_time(int64_t deadline, int64_t since, lt_patience patience)
{
    lt_status status = wait_for(&it.lock, LT_FRESH, deadline, since, patience);
    if (status != LT_ACQUIRED) {
        CHECK(!lt_lock_undo(&it.lock));
        return;
    }
    enter();
    leave();
    CHECK(lt_lock_undo(&it.lock));
}

static void gives_up(void)
{
    waits_for_a_time(lt_now() + 2 * MILLISECOND, NEVER, LT_PLAIN);
}

static void gives_up_late(void)
{
    waits_for_a_time(lt_now() + 3 * 1000 * MILLISECOND + 5, LONG_AGO, LT_PLAIN);
}

static void gives_up_at_once(void)
{
    waits_for_a_time(-5, lt_now(), LT_PLAIN);
}

static void waits_briefly(void)
{
    waits_for_a_time(LT_FOREVER, NEVER, LT_BRIEF);
}

static void waits_briefly_of_a_long_time(void)
{
    waits_for_a_time(lt_now() + 1000 * MILLISECOND, NEVER, LT_BRIEF);
}

static void waits_patiently(void)
{
    waits_for_a_time(LT_FOREVER, LONG_AGO, LT_PATIENT);
}

static void waits_patiently_for_a_time(void)
{
    waits_for_a_time(lt_now() + MILLISECOND, NEVER, LT_PATIENT);
}

/* ---- Bounded bypass ------------------------------------------------------------------------ */

/* A waiter that is in the queue, and has waited for the time after which the lock is handed to
 * it, loses it to nobody from then on, unless it had been woken before, and is on its way: then
 * to all who come before it looks. */
static void waits_from_now(void)
{
    int64_t now = lt_now();
    lt_store_uptr(&it.since, (uintptr_t)now);
    acquire(now);
    release();
}

static void lets_time_pass(void)
{
    CHECK(wait_for(&it.other, 0, lt_now() + 2 * MILLISECOND, NEVER, LT_PLAIN) == LT_TIMED_OUT);
}

static void begin_with_time(void)
{
    begin();
    CHECK(lt_lock_try(&it.other));
}

static void barges(void)
{
    int mine = 0;
    bool is_due = false;
    for (int i = 0; i < 4; i++) {
        if (!lt_lock_try(&it.lock))
            continue;
        enter();
        bool has_waited = it.entered > ++mine;
        CHECK(!is_due || has_waited);
        uintptr_t since = lt_load_uptr(&it.since);
        bool asleep = (lt_load(&it.lock.state) & (LT_QUEUED | LT_WAKING)) == LT_QUEUED;
        is_due = asleep && since != 0 && lt_now() - (int64_t)since >= MILLISECOND;
        release();
    }
}

/* Those who wait are served in the order in which they came. */
static void begin_held(void)
{
    begin();
    CHECK(lt_lock_try(&it.lock));
}

static void is_first(void)
{
    acquire(LONG_AGO);
    CHECK(it.entered == 1);
    release();
}

static void is_second(void)
{
    while (lt_waits(NULL, 0) < 1)
        lt_thread_yield();
    acquire(LONG_AGO);
    CHECK(it.entered == 2);
    release();
}

static void releases_when(size_t waiting)
{
    while (lt_waits(NULL, 0) < waiting)
        lt_thread_yield();
    CHECK(lt_lock_release(&it.lock));
}

static void releases_when_two_wait(void)
{
    releases_when(2);
}

/* The last one in the queue gives up first. */
static void gives_up_as_third(void)
{
    while (lt_waits(NULL, 0) < 2)
        lt_thread_yield();
    int64_t deadline = lt_now() + MILLISECOND;
    CHECK(wait_for(&it.lock, 0, deadline, NEVER, LT_PLAIN) == LT_TIMED_OUT);
    CHECK(lt_lock_release(&it.lock));
}

static void end_held(void)
{
    CHECK(lt_lock_release(&it.lock));
    end();
}

static void end_signal(void)
{
    CHECK(lt_lock_is_signal(&it.lock));
    end();
}

/* ---- With an interpreter: who is in it has the other lock ---------------------------------------- */

static void enter_host(lt__wait *wait)
{
    bool lends = threads[current].lends;
    threads[current].lends = true;
    lt__lock_enter(&it.other);
    threads[current].lends = lends;
    CHECK(it.inside == 0);
    it.inside = lt_thread_ident();
    wait->outside = NULL;
}

static void leave_host(lt__wait *wait)
{
    CHECK(wait->outside == NULL);
    CHECK(it.inside == lt_thread_ident());
    it.inside = 0;
    CHECK(lt_lock_release(&it.other));
    wait->outside = &it.other;
}

/* As threads of an interpreter do; returns how it ended, and where. */
static lt_status waits_inside(int64_t deadline, int64_t since, bool *outside)
{
    static const lt__host host = {enter_host, leave_host};
    lt__wait wait;
    lt__wait_init(&wait, (lt_wait_record){.lock = &it.lock, .since = since, .deadline = deadline});
    enter_host(&wait);
    wait.host = &host;
    leave_host(&wait);
    threads[current].lends = true;
    lt_status status = lt__lock_wait_on(&wait, 0, LT_PLAIN);
    threads[current].lends = false;
    *outside = wait.outside != NULL;
    if (*outside)
        enter_host(&wait);
    if (status == LT_ACQUIRED) {
        enter();
        release();
    }
    leave_host(&wait);
    return status;
}

static void waits_in_host(void)
{
    bool outside;
    CHECK(waits_inside(LT_FOREVER, NEVER, &outside) == LT_ACQUIRED);
}

static void gives_up_in_host(void)
{
    bool outside;
    lt_status status = waits_inside(lt_now() + MILLISECOND, NEVER, &outside);
    CHECK(status == LT_ACQUIRED || status == LT_TIMED_OUT);
}

/* Who slept, and was not handed the lock, takes it inside. */
static void is_woken_inside(void)
{
    bool outside;
    CHECK(waits_inside(LT_FOREVER, NEVER, &outside) == LT_ACQUIRED);
    CHECK(!outside);
}

/* Who is handed it has it at once. */
static void is_handed_it_outside(void)
{
    bool outside;
    CHECK(waits_inside(LT_FOREVER, LONG_AGO, &outside) == LT_ACQUIRED);
    CHECK(outside);
}

static void releases_when_one_waits(void)
{
    releases_when(1);
}

static void end_inside(void)
{
    CHECK(it.inside == 0 && it.other.state == 0);
    end();
}

/* ---- Released by another, and undone --------------------------------------------------------- */

static void releases_for_another(void)
{
    CHECK(lt_lock_release(&it.lock));
}

static void takes_and_leaves_it(void)
{
    CHECK(wait_for(&it.lock, 0, LT_FOREVER, NEVER, LT_PLAIN) == LT_ACQUIRED);
    CHECK(lt_lock_release(&it.other));
}

static void begin_rally(void)
{
    begin_held();
    CHECK(lt_lock_try(&it.other));
}

static void answers(void)
{
    CHECK(lt_lock_release(&it.lock));
    CHECK(wait_for(&it.other, 0, LT_FOREVER, LONG_AGO, LT_PLAIN) == LT_ACQUIRED);
    CHECK(lt_lock_release(&it.lock));
}

static void releases_anyhow(void)
{
    lt_lock_release(&it.lock);
}

static void counts_its_release(void)
{
    if (lt_lock_release(&it.lock))
        lt_fetch_add(&it.flag, 1);
}

static void end_released_once(void)
{
    CHECK(lt_load(&it.flag) == 1);
    CHECK(it.lock.state == 0 && it.lock.newest == NULL);
}

static void takes_fresh_and_undoes(void)
{
    if (lt_lock_try_marked(&it.lock, LT_FRESH))
        lt_lock_undo(&it.lock);
}

static void takes_fresh_and_settles(void)
{
    if (lt_lock_try_marked(&it.lock, LT_FRESH | LT_SCOPED)) {
        lt_lock_settle(&it.lock);
        CHECK(!lt_lock_undo(&it.lock));
        lt_lock_release(&it.lock);
    }
}

static void end_undone(void)
{
    CHECK(it.lock.state == 0 && it.lock.newest == NULL);
}

/* ---- The re-entrant lock ------------------------------------------------------------------------ */

static void takes_rlock(int64_t deadline)
{
    lt_status status = lt_rlock_try(&it.rlock);
    if (status == LT_TIMED_OUT) {
        CHECK(!lt_rlock_owned(&it.rlock));
        threads[current].lends = true;
        status = lt_rlock_wait(&it.rlock, deadline, NEVER, LT_PLAIN);
        threads[current].lends = false;
    }
    if (status != LT_ACQUIRED) {
        CHECK(status == LT_TIMED_OUT && deadline != LT_FOREVER);
        CHECK(!lt_rlock_release(&it.rlock) && lt_rlock_release_all(&it.rlock) == 0);
        return;
    }
    CHECK(it.holder == 0);
    it.holder = lt_thread_ident();
    CHECK(lt_rlock_owned(&it.rlock) && lt_rlock_levels(&it.rlock) == 1);
    CHECK(lt_rlock_try_marked(&it.rlock, LT_FRESH) == LT_ACQUIRED);
    CHECK(lt_rlock_levels(&it.rlock) == 2);
    CHECK(lt_rlock_undo(&it.rlock));
    it.holder = 0;
    CHECK(lt_rlock_release_all(&it.rlock) == 1);
}

static void takes_rlock_in_the_end(void)
{
    takes_rlock(LT_FOREVER);
}

static void takes_rlock_in_time(void)
{
    takes_rlock(lt_now() + MILLISECOND);
}

static void end_rlock(void)
{
    CHECK(it.rlock.lock.state == 0 && it.rlock.lock.levels == 0 && it.rlock.lock.owner == 0);
}

/* ---- Interrupted by another thread -------------------------------------------------------------- */

enum { CODE = LT_EXPELLED + 3 };

/* Either interrupts_first has ended the wait, and says so, or the lock was taken. */
static void is_interrupted(int64_t deadline, int64_t since)
{
    threads[current].lends = true;
    lt_status status = lt_lock_wait(&it.lock, deadline, since, LT_PLAIN);
    threads[current].lends = false;
    it.interrupted = status == (lt_status)CODE;
    if (status == LT_ACQUIRED) {
        enter();
        release();
    } else {
        CHECK(it.interrupted || (status == LT_TIMED_OUT && deadline != LT_FOREVER));
    }
}

static void is_interrupted_soon(void)
{
    is_interrupted(LT_FOREVER, NEVER);
}

static void is_interrupted_late(void)
{
    is_interrupted(LT_FOREVER, LONG_AGO);
}

static void is_interrupted_or_late(void)
{
    is_interrupted(lt_now() + MILLISECOND, NEVER);
}

static void interrupts_first(void)
{
    it.has_interrupted = lt_interrupt(FIRST, -1, CODE, NULL);
}

/* What is left on a stack is used no more. */
static void __attribute__((noinline)) clobber(void)
{
    uintptr_t used[128];
    for (unsigned i = 0; i < sizeof used / sizeof *used; i++)
        ((volatile uintptr_t *)used)[i] = 0xA5A5A5A5;
}

/* As the main thread, which does other things between two parts of a wait. */
static void is_interrupted_in_parts(void)
{
    lt__wait wait;
    lt_status status;
    threads[current].lends = true;
    lt__wait_init(&wait, (lt_wait_record){.lock = &it.lock, .since = NEVER, .deadline = LT_FOREVER});
    status = lt__lock_wait_on(&wait, 0, LT_BRIEF);
    if (status == LT_INTERRUPTED) {
        clobber();
        status = lt__lock_wait_on(&wait, 0, LT_PLAIN);
    }
    it.interrupted = lt__wait_end(&wait) == CODE;
    threads[current].lends = false;
    CHECK(it.interrupted == (status == (lt_status)CODE));
    if (status == LT_ACQUIRED)
        CHECK(lt_lock_release(&it.lock));
}

static void interrupts_first_and_releases(void)
{
    interrupts_first();
    CHECK(lt_lock_release(&it.lock));
}

static void end_interrupted(void)
{
    CHECK(it.interrupted == it.has_interrupted);
    end();
}

/* ---- The event ------------------------------------------------------------------------------------ */

static void awaits_event(void)
{
    lt__wait wait;
    threads[current].lends = true;
    lt__wait_init(&wait, (lt_wait_record){.event = &it.event,
                                          .awaited = LT_FOR_EVENT,
                                          .since = LONG_AGO,
                                          .deadline = LT_FOREVER});
    lt_status status = lt__event_wait_on(&wait);
    lt__wait_end(&wait);
    threads[current].lends = false;
    CHECK(status == LT_ACQUIRED && it.result == 7);
}

static void sets_event(void)
{
    it.result = 7;
    lt_event_set(&it.event);
    lt_event_reset(&it.event);
    lt_event_set(&it.event);
}

static void end_event(void)
{
    CHECK(lt_event_is_set(&it.event) && it.event.first == NULL);
    CHECK(lt_waits(NULL, 0) == 0);
}

/* ---- What a fork left behind ---------------------------------------------------------------------- */

static void begin_after_fork(uint32_t bits, uintptr_t owner, lt_fork_policy policy)
{
    static char gone[256];
    begin();
    memset(gone, 0xA5, sizeof gone); /* whose pointers lead nowhere */
    it.lock.newest = bits & LT_QUEUED ? (struct lt_waiter *)gone : NULL;
    lt_store(&it.lock.state, bits | lt_census_generation());
    lt_store_uptr(&it.lock.owner, owner);
    lt_census_after_fork();
    lt_set_fork_policy(policy);
}

static void begin_orphan(void)
{
    begin_after_fork(LT_LOCKED, GONE, LT_FORK_BLOCK);
}

static void begin_reset(void)
{
    begin_after_fork(LT_LOCKED | LT_QUEUED, GONE, LT_FORK_RESET);
}

static void begin_raise(void)
{
    begin_after_fork(LT_LOCKED, GONE, LT_FORK_RAISE);
}

static void begin_survived(void)
{
    begin_after_fork(LT_LOCKED | LT_QUEUED, FIRST, LT_FORK_RESET);
}

static void begin_queue_left_behind(void)
{
    begin_after_fork(LT_LOCKED | LT_QUEUED, GONE, LT_FORK_BLOCK);
}

static void begin_edit_left_behind(void)
{
    begin_after_fork(LT_LOCKED | LT_QUEUED | LT_EDITING, GONE, LT_FORK_BLOCK);
}

static void begin_waking_left_behind(void)
{
    begin_after_fork(LT_QUEUED | LT_WAKING, 0, LT_FORK_BLOCK);
}

static void releases_and_waits(void)
{
    CHECK(lt_lock_release(&it.lock));
    waits_long();
}

/* The lock is no orphan: the thread that holds it made the fork. */
static void releases_what_it_held(void)
{
    CHECK(lt_lock_owner(&it.lock) == lt_thread_ident());
    CHECK(lt_lock_release(&it.lock));
    waits_long();
}

static void end_no_signal(void)
{
    CHECK(!lt_lock_is_signal(&it.lock));
    end();
}

static void is_refused_an_orphan(void)
{
    CHECK(!lt_lock_try(&it.lock));
    CHECK(lt_lock_wait(&it.lock, LT_FOREVER, LONG_AGO, LT_PLAIN) == LT_ORPHANED);
}

static void begin_rlock_left_behind(uintptr_t owner, uint32_t levels, lt_fork_policy policy)
{
    begin();
    lt_rlock_adopt(&it.rlock, owner, levels, lt_census_generation());
    lt_census_after_fork();
    lt_set_fork_policy(policy);
}

static void begin_rlock_reset(void)
{
    begin_rlock_left_behind(GONE, 3, LT_FORK_RESET);
}

static void begin_rlock_raise(void)
{
    begin_rlock_left_behind(GONE, 1, LT_FORK_RAISE);
}

static void begin_rlock_survived(void)
{
    begin_rlock_left_behind(FIRST, 2, LT_FORK_RESET);
}

/* The new thread has the ident of one that is gone, but not its locks. */
static void begin_rlock_of_the_same_ident(void)
{
    begin_rlock_left_behind(SECOND, 1, LT_FORK_RESET);
}

static void releases_rlock_twice(void)
{
    CHECK(lt_rlock_owned(&it.rlock) && lt_rlock_levels(&it.rlock) == 2);
    CHECK(lt_rlock_release(&it.rlock) && lt_rlock_owned(&it.rlock));
    CHECK(lt_rlock_release(&it.rlock) && !lt_rlock_owned(&it.rlock));
    takes_rlock(LT_FOREVER);
}

static void is_refused_an_orphaned_rlock(void)
{
    CHECK(!lt_rlock_owned(&it.rlock) && !lt_rlock_release(&it.rlock));
    CHECK(lt_rlock_try(&it.rlock) == LT_TIMED_OUT);
    threads[current].lends = true;
    CHECK(lt_rlock_wait(&it.rlock, LT_FOREVER, LONG_AGO, LT_PLAIN) == LT_ORPHANED);
}

static void begin_event_left_behind(void)
{
    static char gone[256];
    begin();
    memset(gone, 0xA5, sizeof gone);
    it.event.first = (struct lt__sleeper *)gone;
    lt_store(&it.event.state, 6u | lt_census_generation()); /* awaited, and within an edit */
    lt_census_after_fork();
}

/* ---- The snapshot of waits ---------------------------------------------------------------------------- */

static void looks(void)
{
    lt_wait_record records[4];
    for (int laps = 0; laps < 2; laps++) {
        size_t count = lt_waits(records, 4);
        CHECK(count <= 2);
        for (size_t i = 0; i < count; i++) {
            CHECK(records[i].owner != records[i].ident);
            CHECK(records[i].lock == &it.lock && records[i].since == LONG_AGO);
            CHECK(records[i].deadline == LT_FOREVER && records[i].awaited == LT_FOR_LOCK);
        }
    }
}

/* ---- The parker ------------------------------------------------------------------------------------------- */

static void park_until_token(int64_t deadline, lt_patience patience)
{
    lt_parker_init(&it.parker);
    it.result = 1;
    uint32_t no = 0;
    CHECK(lt_cas_release(&it.flag, &no, 1));
    for (;;) {
        lt_wake wake = lt_park(&it.parker, deadline, patience);
        if (wake == LT_WAKE_TOKEN)
            break;
        CHECK(wake == LT_WAKE_TIMEOUT ? deadline != LT_FOREVER && lt_now() >= deadline
                                      : patience != LT_PLAIN);
        deadline = LT_FOREVER;
        patience = LT_PLAIN;
    }
    CHECK(it.result == 2); /* seen, since the token was taken */
    it.result = 3;
    CHECK(lt_park(&it.parker, 0, LT_PLAIN) == LT_WAKE_TIMEOUT); /* there was one token */
    lt_parker_destroy(&it.parker);
    memset(&it.parker, 0xA5, sizeof it.parker); /* races with a waker that comes too late */
}

static void parks(void)
{
    park_until_token(LT_FOREVER, LT_PLAIN);
}

static void parks_for_a_time(void)
{
    park_until_token(lt_now() + 1, LT_PLAIN);
}

static void parks_briefly(void)
{
    park_until_token(LT_FOREVER, LT_BRIEF);
}

static void parks_patiently(void)
{
    park_until_token(lt_now() + 5, LT_PATIENT);
}

static void unparks(void)
{
    while (lt_load_acquire(&it.flag) == 0)
        lt_thread_yield();
    CHECK(it.result == 1);
    it.result = 2;
    lt_unpark(&it.parker);
}

/* ---- Handles and the census --------------------------------------------------------------------------------- */

static void begin_handle(void)
{
    begin();
    it.handle = lt_handle_new();
    lt_handle_keep(it.handle);
    lt_handle_keep(it.handle);
}

static void body(void *arg, uint32_t generation)
{
    (void)arg;
    lt_census_arrive(generation);
    CHECK(it.handle == NULL || lt_handle_ident(it.handle) == lt_thread_ident());
    lt_handle *mine = lt_handle_of_self();
    CHECK(mine == NULL || lt_handle_ident(mine) == lt_thread_ident());
    CHECK(mine != it.handle || mine == NULL);
    if (mine != NULL)
        lt_handle_drop(mine);
    it.result = 7;
    lt_census_leave(generation);
}

static void join(void)
{
    while (lt_handle_progress_of(it.handle) == LT_NOT_STARTED)
        lt_thread_yield();
    if (lt_handle_progress_of(it.handle) != LT_DONE) {
        CHECK(wait_for(lt_handle_running(it.handle), 0, LT_FOREVER, LONG_AGO, LT_PLAIN) ==
              LT_ACQUIRED);
        CHECK(lt_lock_release(lt_handle_running(it.handle)));
    }
}

/* What a join may wait for in vain: a start that failed. */
static bool start_once(void)
{
    uintptr_t ident = 0;
    if (!lt_handle_claim(it.handle))
        return false;
    CHECK(lt_handle_progress_of(it.handle) == LT_STARTING);
    int error = lt_thread_start(body, NULL, 0, it.handle, &ident);
    CHECK(error != 0 || ident != 0);
    return error == 0;
}

static void starts(void)
{
    threads[current].lends = true; /* the census may let it wait */
    while (!start_once())
        if (lt_handle_progress_of(it.handle) != LT_NOT_STARTED)
            break;
    join();
    CHECK(lt_handle_progress_of(it.handle) == LT_DONE || lt_handle_progress_of(it.handle) == 0);
    CHECK(lt_handle_progress_of(it.handle) == 0 || it.result == 7);
    lt_handle_drop(it.handle);
}

static void starts_and_joins(void)
{
    threads[current].lends = true; /* the census may let it wait */
    while (!start_once())
        ;
    join();
    CHECK(lt_handle_progress_of(it.handle) == LT_DONE && it.result == 7);
    CHECK(!lt_handle_claim(it.handle));
    lt_handle_drop(it.handle);
}

static void joins(void)
{
    do
        join();
    while (lt_handle_progress_of(it.handle) != LT_DONE);
    CHECK(it.result == 7);
    lt_handle_drop(it.handle);
}

static void drops(void)
{
    lt_handle_drop(it.handle);
}

static void end_handle(void)
{
    CHECK(lt_census_count() == 0);
}

/* A thread that is in the child of a fork, or is not; its handle has three references. */
static void begin_handle_left_behind(uintptr_t ident)
{
    begin_handle();
    CHECK(lt_handle_claim(it.handle));
    lt_handle_adopt(it.handle, ident);
    lt_census_after_fork();
}

static void begin_handle_of_gone(void)
{
    begin_handle_left_behind(GONE);
}

static void begin_handle_of_survivor(void)
{
    begin_handle_left_behind(FIRST);
}

static void finds_it_done(void)
{
    CHECK(lt_handle_progress_of(it.handle) == LT_DONE);
    lt_handle_finish(it.handle); /* by its own account: nothing is owed */
    CHECK(lt_handle_progress_of(it.handle) == LT_DONE);
    lt_handle_drop(it.handle);
}

/* So that its generation isn't the one it has before it is claimed. */
static void begin_handle_in_child(void)
{
    begin_handle();
    lt_census_after_fork();
}

/* Of two that claim a handle, one does, though the other one comes when it is done. */
static void claims(void)
{
    if (lt_handle_claim(it.handle)) {
        lt_fetch_add(&it.flag, 1);
        lt_handle_adopt(it.handle, GONE);
        it.result = 7;
        lt_handle_finish(it.handle);
    }
    lt_handle_drop(it.handle);
}

/* Whoever sees it running knows its ident; it is done when it is, and not while it starts. */
static void looks_at_handle(void)
{
    for (int i = 0; i < 3; i++) {
        lt_handle_progress found = lt_handle_progress_of(it.handle);
        CHECK(found != LT_RUNNING || lt_handle_ident(it.handle) == GONE);
        CHECK(found != LT_DONE || it.result == 7);
    }
    lt_handle_drop(it.handle);
}

static void end_claimed_once(void)
{
    CHECK(lt_load(&it.flag) == 1);
    end_handle();
}

static void finishes(void)
{
    CHECK(lt_handle_ident(it.handle) == lt_thread_ident());
    it.result = 7;
    lt_handle_finish(it.handle);
    lt_handle_drop(it.handle);
}

static void awaits_arrivals(void)
{
    threads[current].lends = true; /* the census may let it wait */
    uintptr_t ident;
    lt_thread_start(body, NULL, 0, NULL, &ident);
    lt_census_await_arrivals();
    CHECK(lt_census_count() <= 1);
}

static void is_refused(void)
{
    threads[current].lends = true; /* the census may let it wait */
    uintptr_t ident;
    lt_census_close(4);
    CHECK(lt_thread_start(body, NULL, 0, NULL, &ident) != 0);
    CHECK(lt_census_count() == 0);
    lt_census_close(0);
}

const scenario scenarios[] = {
    {"two", {waits_twice, waits_twice}, begin, end, 3},
    {"three", {waits, waits, waits}, begin, end, 2},
    {"three long", {waits_long, waits_long, waits_long}, begin, end, 2},
    {"two long", {waits_long_twice, waits_long_twice}, begin, end, 3},
    {"tries", {waits, tries, waits_long}, begin, end, 2},
    {"spins", {spins, spins}, begin, end, 3},
    {"gives up", {waits, gives_up}, begin, end, 3},
    {"gives up, three", {waits, gives_up, waits}, begin, end, 2},
    {"gives up late", {waits_long, gives_up_late, waits}, begin, end, 2},
    {"at once", {waits_long, gives_up_at_once, gives_up}, begin, end, 2},
    {"brief", {waits_long, waits_briefly, waits}, begin, end, 2},
    {"brief, timed", {waits_briefly_of_a_long_time}, begin_held, end_held, 3},
    {"patient", {waits_long, waits_patiently, waits}, begin, end, 2},
    {"patient, timed", {waits, waits_patiently_for_a_time}, begin, end, 3},
    {"bypass", {waits_from_now, barges, lets_time_pass}, begin_with_time, end, 1},
    {"order", {is_first, is_second, releases_when_two_wait}, begin_held, end_signal, 1},
    {"host", {waits_in_host, waits_in_host, waits}, begin, end_inside, 2},
    {"host, gives up", {waits, gives_up_in_host}, begin, end_inside, 3},
    {"host, woken", {is_woken_inside, releases_when_one_waits}, begin_held, end_inside, 3},
    {"host, handed", {is_handed_it_outside, releases_when_one_waits}, begin_held, end_inside, 3},
    {"order, left", {is_first, is_second, gives_up_as_third}, begin_held, end_signal, 1},
    {"signal", {waits_long, releases_for_another}, begin_held, end_signal, 3},
    {"rally", {takes_and_leaves_it, answers}, begin_rally, NULL, 3},
    {"undo", {takes_fresh_and_undoes, releases_anyhow, takes_fresh_and_settles}, begin, end_undone, 2},
    {"rlock", {takes_rlock_in_the_end, takes_rlock_in_time, takes_rlock_in_the_end}, begin, end_rlock, 2},
    {"interrupt", {is_interrupted_soon, interrupts_first, waits}, begin, end_interrupted, 2},
    {"interrupt late", {is_interrupted_late, interrupts_first, waits_long}, begin, end_interrupted, 2},
    {"interrupt, timed", {is_interrupted_or_late, interrupts_first, waits}, begin, end_interrupted, 2},
    {"interrupt, in parts", {is_interrupted_in_parts, interrupts_first_and_releases}, begin_held, end_interrupted, 3},
    {"event", {awaits_event, sets_event, awaits_event}, begin, end_event, 2},
    {"left: queue", {releases_and_waits, waits, tries}, begin_queue_left_behind, end_signal, 2},
    {"left: edit", {releases_and_waits, waits_long}, begin_edit_left_behind, end_signal, 3},
    {"left: waking", {waits_long, waits}, begin_waking_left_behind, end, 3},
    {"left: orphan", {releases_and_waits, gives_up}, begin_orphan, end_signal, 3},
    {"left: released", {counts_its_release, counts_its_release}, begin_orphan, end_released_once, 3},
    {"left: reset", {waits, tries, waits_long}, begin_reset, end_no_signal, 2},
    {"left: raise", {is_refused_an_orphan, is_refused_an_orphan}, begin_raise, end_held, 3},
    {"left: survived", {releases_what_it_held, waits}, begin_survived, end_no_signal, 3},
    {"left: rlock, reset", {takes_rlock_in_the_end, takes_rlock_in_time, takes_rlock_in_the_end}, begin_rlock_reset, end_rlock, 1},
    {"left: rlock, raise", {is_refused_an_orphaned_rlock, is_refused_an_orphaned_rlock}, begin_rlock_raise, NULL, 3},
    {"left: rlock, survived", {releases_rlock_twice, takes_rlock_in_the_end}, begin_rlock_survived, end_rlock, 2},
    {"left: rlock, same ident", {takes_rlock_in_the_end, takes_rlock_in_the_end}, begin_rlock_of_the_same_ident, end_rlock, 2},
    {"left: event", {awaits_event, sets_event, awaits_event}, begin_event_left_behind, end_event, 2},
    {"looks", {waits_long, looks, waits_long}, begin, end, 1},
    {"looks, handed", {releases_when_one_waits, waits_long, looks}, begin_held, end, 2},
    {"token", {parks, unparks}, begin, NULL, 4},
    {"token, timed", {parks_for_a_time, unparks}, begin, NULL, 4},
    {"token, brief", {parks_briefly, unparks}, begin, NULL, 4},
    {"token, patient", {parks_patiently, unparks}, begin, NULL, 4},
    {"start and join", {starts_and_joins, joins, drops}, begin_handle, end_handle, 1},
    {"starts", {starts, starts, drops}, begin_handle, end_handle, 1},
    {"claims", {claims, claims, looks_at_handle}, begin_handle_in_child, end_claimed_once, 3},
    {"left: done", {finds_it_done, finds_it_done, drops}, begin_handle_of_gone, end_handle, 2},
    {"left: running", {finishes, joins, joins}, begin_handle_of_survivor, end_handle, 2},
    {"arrivals", {awaits_arrivals}, begin, end_handle, 3},
    {"refused", {is_refused}, begin, end_handle, 3},
    {NULL, {NULL}, NULL, NULL, 0},
};
