/* Edge cases that need no load. */
#include <string.h>

#include "stress.h"

/* As the beginning of a wait: hands the lock over at once, or never. */

static guarded edge;
static int64_t edge_since, edge_deadline;
static lt_atomic_u32 edge_result; /* 0: none yet, 1: timed out, 2: acquired */
static lt_atomic_u32 edge_go;

/* Waits for the edge lock, and keeps it until edge_go. */
static void edge_waiter(worker *self)
{
    bool taken = wait_until(&edge.lock, edge_deadline, edge_since);
    if (taken)
        enter(&edge, self);
    else
        CHECK(!lt_lock_undo(&edge.lock));
    set_word(&edge_result, taken ? 2 : 1);
    await_word(&edge_go, 1);
    if (taken) {
        leave(&edge, self);
        CHECK(lt_lock_undo(&edge.lock)); /* also when it was handed over */
    }
}

static void start_edge_waiter(int64_t deadline, int64_t since)
{
    edge_deadline = deadline;
    edge_since = since;
    set_word(&edge_result, 0);
    set_word(&edge_go, 0);
    start_worker(&stress_workers[0], 0, 0, edge_waiter);
    while (!(lt_load(&edge.lock.state) & LT_QUEUED) && lt_load(&edge_result) == 0)
        nap(10 * MICROSECOND);
}

static void end_edge_waiter(void)
{
    set_word(&edge_go, 1);
    await_threads();
    check_idle(&edge.lock);
}

/* In a thread of its own: the main thread's name is the program's. */
static void name_itself(worker *self)
{
    char name[64];
    (void)self;
    CHECK(lt_thread_name_max() >= 15);
    CHECK(lt_thread_set_name("stress") == 0);
    CHECK(lt_thread_get_name(name, sizeof name) == 0);
    CHECK(strcmp(name, "stress") == 0);
}

static void test_unlocked(void)
{
    lt_lock lock = {0};
    CHECK(!lt_lock_locked(&lock));
    CHECK(lt_lock_owner(&lock) == 0);
    CHECK(!lt_lock_release(&lock));
    CHECK(!lt__lock_unlock_slowly(&lock));
    CHECK(!lt_lock_undo(&lock));
    CHECK(lt_lock_try(&lock));
    CHECK(!lt_lock_try(&lock));
    CHECK(lt_lock_locked(&lock));
    CHECK(lt_lock_owner(&lock) == lt_thread_ident());
    CHECK(lt_lock_release(&lock));
    CHECK(!lt_lock_release(&lock));
    CHECK(!lt_lock_locked(&lock));
    CHECK(lt_lock_owner(&lock) == 0);
    CHECK(wait_until(&lock, 0, 0)); /* the deadline has passed, but the lock is free */
    CHECK(lt_lock_release(&lock));
    check_idle(&lock);
}

static void test_deadlines(void)
{
    static const int64_t lengths[] = {-1000 * SECOND, -1, 0, 1, 999, 1000, 50000, 999999,
                                      1000000, 1000001, 1999999, 5500000, 20000000};
    lt_lock lock = {0};
    CHECK(lt_lock_try(&lock));
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        int64_t since = lt_now();
        int64_t deadline = since + lengths[i];
        if (deadline < 0)
            deadline = 0;
        CHECK(!wait_until(&lock, deadline, since));
        CHECK(lt_now() - since < 10 * SECOND);
        CHECK(lt_load(&lock.state) == LT_LOCKED && lock.newest == NULL);
    }
    CHECK(!wait_until(&lock, -1, LONG_AGO));
    /* One that brief waits do not end. */
    int64_t since = lt_now();
    lt_status status;
    do
        status = lt_lock_wait(&lock, since + 12 * MILLISECOND, since, LT_BRIEF);
    while (status == LT_INTERRUPTED);
    CHECK(status == LT_TIMED_OUT);
    CHECK(lt_now() >= since + 12 * MILLISECOND);
    CHECK(lt_lock_release(&lock));
    check_idle(&lock);
}

static void test_undo(void)
{
    lt_lock lock = {0};
    CHECK(lt_lock_try(&lock));
    CHECK(!lt_lock_undo(&lock)); /* not marked */
    mark_fresh(&lock);
    CHECK(lt_lock_owner(&lock) == lt_thread_ident());
    CHECK(lt_lock_undo(&lock));
    CHECK(!lt_lock_undo(&lock));
    CHECK(wait_forever(&lock));
    CHECK(lt_lock_undo(&lock));
    CHECK(!lt_lock_locked(&lock));
    /* What was taken before it was settled stays taken. */
    CHECK(wait_forever(&lock));
    lt_lock_settle(&lock);
    CHECK(lt_lock_owner(&lock) == lt_thread_ident());
    CHECK(!lt_lock_undo(&lock));
    CHECK(!lt_lock_try(&lock));
    CHECK(!lt_lock_undo(&lock));
    CHECK(!wait_until(&lock, 0, 0));
    CHECK(!lt_lock_undo(&lock));
    CHECK(lt_lock_release(&lock));
    check_idle(&lock);
}

static void release_for_another(worker *self)
{
    CHECK(lt_lock_release(&edge.lock));
    self->operations++;
}

/* What is a signal once stays one; what its owner releases is none. */
static void test_signal(void)
{
    lt_lock_reinit(&edge.lock);
    CHECK(lt_lock_try(&edge.lock) && lt_lock_release(&edge.lock));
    CHECK(!lt_lock_release(&edge.lock));
    CHECK(!lt_lock_is_signal(&edge.lock));
    CHECK(lt_lock_try(&edge.lock));
    run_workers(1, release_for_another);
    CHECK(lt_lock_is_signal(&edge.lock));
    CHECK(lt_lock_try(&edge.lock) && lt_lock_release(&edge.lock));
    CHECK(lt_lock_is_signal(&edge.lock));
    lt_lock_reinit(&edge.lock);
    CHECK(!lt_lock_is_signal(&edge.lock));
}

static lt_wait_record await_waits(size_t count)
{
    lt_wait_record records[WORKERS];
    while (lt_waits(records, WORKERS) != count)
        lt_thread_yield();
    return records[0];
}

static void wait_for_edge(worker *self)
{
    CHECK(lt_lock_wait(&edge.lock, LT_FOREVER, 7, LT_PLAIN) == LT_ACQUIRED);
    CHECK(lt_lock_release(&edge.lock));
    self->operations++;
}

static void test_waits(void)
{
    CHECK(lt_waits(NULL, 0) == 0);
    CHECK(lt_lock_try_marked(&edge.lock, LT_SCOPED));
    start_worker(&stress_workers[0], 0, 0, wait_for_edge);
    lt_wait_record record = await_waits(1);
    CHECK(lt_waits(NULL, 0) == 1);
    CHECK(record.ident == stress_workers[0].ident && record.native_id != lt_thread_native_id());
    CHECK(record.lock == &edge.lock && record.awaited == LT_FOR_LOCK);
    CHECK(record.since == 7 && record.deadline == LT_FOREVER);
    CHECK(record.owner == lt_thread_ident() && record.scoped && !record.signal);
    start_worker(&stress_workers[1], 1, 0, wait_for_edge);
    await_waits(2);
    CHECK(lt_lock_release(&edge.lock));
    await_threads();
    CHECK(lt_waits(NULL, 0) == 0);
    check_idle(&edge.lock);
}

static void test_reinit(void)
{
    lt_lock lock = {0};
    CHECK(lt_lock_try(&lock));
    lt_lock_reinit(&lock);
    check_idle(&lock);
    CHECK(lt_lock_owner(&lock) == 0);
    CHECK(lt_lock_try(&lock));
    CHECK(lt_lock_release(&lock));
}

static void test_rlock(void)
{
    static lt_rlock rlock;
    CHECK(!lt_rlock_locked(&rlock) && lt_rlock_owner(&rlock) == 0);
    CHECK(!lt_rlock_release(&rlock) && lt_rlock_release_all(&rlock) == 0);
    CHECK(!lt_rlock_undo(&rlock));
    CHECK(lt_rlock_wait(&rlock, LT_FOREVER, lt_now(), LT_PLAIN) == LT_ACQUIRED);
    CHECK(lt_rlock_levels(&rlock) == 1 && lt_rlock_owned(&rlock));
    CHECK(lt_rlock_try(&rlock) == LT_ACQUIRED);
    CHECK(lt_rlock_levels(&rlock) == 2);
    CHECK(!lt_rlock_undo(&rlock));
    mark_fresh(&rlock.lock);
    CHECK(lt_rlock_undo(&rlock));
    CHECK(lt_rlock_levels(&rlock) == 1 && lt_rlock_locked(&rlock));
    lt_rlock_restore(&rlock, LT_RLOCK_MAX);
    CHECK(lt_rlock_try(&rlock) == LT_OVERFLOW);
    CHECK(lt_rlock_release_all(&rlock) == LT_RLOCK_MAX);
    CHECK(!lt_rlock_locked(&rlock) && lt_rlock_owner(&rlock) == 0 && lt_rlock_levels(&rlock) == 0);
    CHECK(lt_rlock_try(&rlock) == LT_ACQUIRED);
    lt_rlock_reinit(&rlock);
    check_idle(&rlock.lock);
    CHECK(lt_rlock_owner(&rlock) == 0 && lt_rlock_levels(&rlock) == 0);
}

/* A waiter that has waited long owns the lock as soon as it is released. */
static void test_hand_off(void)
{
    for (int round = 0; round < 20; round++) {
        CHECK(lt_lock_try(&edge.lock));
        start_edge_waiter(LT_FOREVER, round % 2 ? LONG_AGO : lt_now() - MILLISECOND);
        CHECK(lt_lock_release(&edge.lock));
        CHECK(lt_lock_locked(&edge.lock));
        CHECK(lt_lock_owner(&edge.lock) == stress_workers[0].ident);
        CHECK(!lt_lock_try(&edge.lock));
        CHECK(!lt_lock_undo(&edge.lock));
        await_word(&edge_result, 2);
        end_edge_waiter();
    }
}

/* Before that, a running thread may take it first, and the waiter is woken only once. */
static void test_barging(void)
{
    int barged = 0;
    /* On a busy machine the waiter may well come first, for long. */
    for (int round = 0; round < 200 || (barged == 0 && round < 20000); round++) {
        CHECK(lt_lock_try(&edge.lock));
        start_edge_waiter(LT_FOREVER, NEVER);
        bool mine = true;
        for (int i = 0; i < 3 && mine; i++) {
            CHECK(lt_lock_release(&edge.lock));
            mine = lt_lock_try(&edge.lock);
            barged += mine;
            if (mine) /* the waiter comes too late */
                await_word(&edge.lock.state, LT_LOCKED | LT_QUEUED);
        }
        if (mine)
            CHECK(lt_lock_release(&edge.lock));
        await_word(&edge_result, 2);
        end_edge_waiter();
    }
    CHECK(barged > 0);
}

static void test_one_timeout(void)
{
    CHECK(lt_lock_try(&edge.lock));
    start_edge_waiter(lt_now() + 3 * MILLISECOND, LONG_AGO);
    await_word(&edge_result, 1);
    CHECK(lt_load(&edge.lock.state) == LT_LOCKED && edge.lock.newest == NULL);
    CHECK(lt_lock_owner(&edge.lock) == lt_thread_ident());
    CHECK(lt_lock_release(&edge.lock));
    end_edge_waiter();
}

static int fifo_next;

static void fifo_waiter(worker *self)
{
    CHECK(wait_until(&edge.lock, LT_FOREVER, LONG_AGO));
    enter(&edge, self);
    CHECK(fifo_next++ == self->index);
    leave(&edge, self);
    CHECK(lt_lock_release(&edge.lock));
}

/* The lock is handed on in the order in which threads came. */
static void test_order(void)
{
    for (int round = 0; round < 5; round++) {
        struct lt_waiter *before = NULL;
        fifo_next = 0;
        CHECK(lt_lock_try(&edge.lock));
        for (int i = 0; i < WORKERS; i++) {
            start_worker(&stress_workers[i], i, 0, fifo_waiter);
            struct lt_waiter *newest = before;
            while (newest == before) {
                nap(10 * MICROSECOND);
                newest = hold_queue(&edge.lock);
                let_queue(&edge.lock);
            }
            before = newest;
        }
        CHECK(lt_lock_release(&edge.lock));
        await_threads();
        CHECK(fifo_next == WORKERS);
        check_idle(&edge.lock);
    }
}

static void test_parker(void)
{
    lt_parker parker;
    lt_parker_init(&parker);
    for (int patience = LT_PLAIN; patience <= LT_PATIENT; patience++) {
        lt_unpark(&parker);
        CHECK(lt_park(&parker, LT_FOREVER, (lt_patience)patience) == LT_WAKE_TOKEN);
        lt_unpark(&parker); /* a token counts more than a deadline */
        CHECK(lt_park(&parker, 0, (lt_patience)patience) == LT_WAKE_TOKEN);
        CHECK(lt_park(&parker, 0, (lt_patience)patience) == LT_WAKE_TIMEOUT);
        CHECK(lt_park(&parker, lt_now() + MILLISECOND, LT_PLAIN) == LT_WAKE_TIMEOUT);
    }
    int64_t since = lt_now();
    CHECK(lt_park(&parker, LT_FOREVER, LT_BRIEF) == LT_WAKE_SIGNAL);
    CHECK(lt_now() - since < 10 * SECOND);
    lt_parker_destroy(&parker);
}

static void test_thread_facts(void)
{
    int64_t before = lt_now();
    CHECK(before > 0 && lt_now() >= before);
    CHECK(lt_thread_ident() == lt_thread_ident());
    CHECK(lt_thread_native_id() != 0);
    CHECK(!lt_stack_size_valid(1));
    CHECK(lt_stack_size_valid(1 << 20));
    CHECK(lt_thread_signal(lt_thread_ident(), -1) != 0);
    CHECK(lt_census_count() == 0);
    lt_census_await_arrivals();
}

static void run_edges(void)
{
    test_thread_facts();
    run_workers(1, name_itself);
    test_unlocked();
    test_deadlines();
    test_undo();
    test_signal();
    test_waits();
    test_reinit();
    test_rlock();
    test_parker();
    test_one_timeout();
    test_hand_off();
    test_barging();
    test_order();
}

const kind edge_kinds[] = {
    {"edges", run_edges, true},
    {NULL, NULL, false},
};
