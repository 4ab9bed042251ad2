/* Locks under load. */
#include <string.h>

#include "lt_waits.h"
#include "stress.h"

static guarded one;

static void count_body(worker *self)
{
    while (lt_now() < stress_end) {
        if (pick(self, 2) == 0 || !lt_lock_try(&one.lock))
            CHECK(wait_forever(&one.lock));
        enter(&one, self);
        linger(self);
        leave(&one, self);
        CHECK(lt_lock_release(&one.lock));
        self->entered[0]++;
        self->operations++;
        linger(self);
    }
}

static void run_count(void)
{
    run_workers(WORKERS, count_body);
    check_counts(&one, 0);
}

/* Some only try, against some that wait. */
static void try_body(worker *self)
{
    while (lt_now() < stress_end) {
        bool taken = self->index % 2 == 0 ? lt_lock_try(&one.lock) : wait_forever(&one.lock);
        self->operations++;
        if (taken) {
            enter(&one, self);
            linger(self);
            leave(&one, self);
            CHECK(lt_lock_release(&one.lock));
            self->entered[0]++;
        } else {
            linger(self);
        }
    }
}

static void run_try(void)
{
    run_workers(WORKERS, try_body);
    check_counts(&one, 0);
}

/* Waits whose deadline comes close to the moment at which the lock is released. */
static lt_atomic_uptr release_at; /* since the program's start, in ns, cut to a pointer */

static void timed_body(worker *self)
{
    while (lt_now() < stress_end) {
        int64_t now = lt_now();
        int64_t left = (int64_t)(intptr_t)(lt_load_uptr(&release_at) - (uintptr_t)now);
        int64_t length = pick(self, 4) == 0 ? 0 : (int64_t)pick(self, 100000) - 50000;
        if (left > 0 && left < 5 * MILLISECOND)
            length += left;
        int64_t since = pick(self, 4) == 0 ? LONG_AGO : pick(self, 3) == 0 ? NEVER : now;
        self->operations++;
        if (!wait_until(&one.lock, now + length, since)) {
            CHECK(!lt_lock_undo(&one.lock));
            continue;
        }
        enter(&one, self);
        self->entered[0]++;
        int64_t hold = pick(self, pick(self, 8) == 0 ? 2000000 : 50000);
        lt_store_uptr(&release_at, (uintptr_t)(lt_now() + hold));
        if (hold > 200 * MICROSECOND)
            nap(hold - 100 * MICROSECOND);
        else
            spin(hold);
        leave(&one, self);
        CHECK(lt_lock_release(&one.lock));
    }
}

static void run_timed(void)
{
    run_workers(WORKERS, timed_body);
    check_counts(&one, 0);
}

/* For a pair of workers, the first of which begins each round. */
typedef struct pair {
    guarded it;
    lt_atomic_u32 round; /* odd: the second worker's turn */
    volatile int64_t moment;
} pair;

static pair pairs[WORKERS / 2];

static bool await_round(pair *ours, uint32_t round)
{
    unsigned looks = 0;
    while (lt_load_acquire(&ours->round) != round) {
        if (lt_load_acquire(&ours->round) == UINT32_MAX)
            return false;
        if (++looks % 64 == 0)
            lt_thread_yield();
    }
    return true;
}

static void run_pairs(int count, void (*body)(worker *))
{
    for (int i = 0; i < count; i++)
        set_word(&pairs[i].round, 0);
    run_workers(2 * count, body);
    for (int i = 0; i < count; i++)
        check_counts(&pairs[i].it, i);
}

static void enter_and_release(guarded *it, worker *self)
{
    enter(it, self);
    self->entered[self->index / 2]++;
    leave(it, self);
    CHECK(lt_lock_release(&it->lock));
}

/* One releases the lock in the moment in which the other begins to wait for it. */
static void crossing_body(worker *self)
{
    pair *ours = &pairs[self->index / 2];
    lt_lock *lock = &ours->it.lock;
    uint32_t round = 0;
    if (self->index % 2 == 0) {
        while (lt_now() < stress_end) {
            CHECK(lt_lock_try(lock));
            ours->moment = lt_now() + 2000 + pick(self, 2000);
            set_word(&ours->round, ++round);
            spin(ours->moment + pick(self, 1000) - lt_now());
            CHECK(lt_lock_release(lock));
            if (pick(self, 3) == 0 && lt_lock_try(lock))
                enter_and_release(&ours->it, self);
            await_round(ours, ++round);
            check_idle(lock);
            self->operations++;
        }
        set_word(&ours->round, UINT32_MAX);
        return;
    }
    for (round = 1; await_round(ours, round); round += 2) {
        bool forever = pick(self, 2);
        spin(ours->moment + pick(self, 1000) - lt_now());
        if (wait_until(lock, forever ? LT_FOREVER : lt_now() + pick(self, 2000),
                       pick(self, 2) ? LONG_AGO : NEVER))
            enter_and_release(&ours->it, self);
        set_word(&ours->round, round + 1);
    }
}

static void run_crossing(void)
{
    run_pairs(1, crossing_body);
}

/* A holder and a waiter whose deadline passes just before the lock is released:
 * the holder keeps the queue from it until then.  Both then want the queue. */
static void give_up_holder(pair *ours, worker *self)
{
    lt_lock *lock = &ours->it.lock;
    uint32_t round = 0;
    while (lt_now() < stress_end) {
        CHECK(lt_lock_try(lock));
        ours->moment = lt_now() + 20 * MICROSECOND + pick(self, 100000);
        set_word(&ours->round, ++round);
        while (!(lt_load(&lock->state) & LT_QUEUED) && lt_load(&ours->round) == round)
            lt_thread_yield();
        hold_queue(lock);
        while (lt_now() < ours->moment + 10 * MICROSECOND)
            lt_thread_yield();
        let_queue(lock);
        CHECK(lt_lock_release(lock));
        if (pick(self, 2) && lt_lock_try(lock)) /* what was woken may come too late */
            enter_and_release(&ours->it, self);
        await_round(ours, ++round);
        check_idle(lock);
        self->operations++;
    }
    set_word(&ours->round, UINT32_MAX);
}

static void give_up_body(worker *self)
{
    pair *ours = &pairs[self->index / 2];
    if (self->index % 2 == 0) {
        give_up_holder(ours, self);
        return;
    }
    for (uint32_t round = 1; await_round(ours, round); round += 2) {
        if (wait_until(&ours->it.lock, ours->moment, pick(self, 2) ? LONG_AGO : NEVER))
            enter_and_release(&ours->it, self);
        set_word(&ours->round, round + 1);
    }
}

static void run_give_up(void)
{
    run_pairs(WORKERS / 2, give_up_body);
}

/* Pairs of threads, each of which releases the lock that the other waits for. */
typedef struct rally {
    lt_lock locks[2];
    uint64_t strokes;
    bool over;
} rally;

static rally rallies[WORKERS / 2];

static void rally_body(worker *self)
{
    rally *game = &rallies[self->index / 2];
    int side = self->index % 2;
    for (;;) {
        int64_t since = pick(self, 4) == 0 ? LONG_AGO : lt_now();
        bool taken = false;
        while (!taken) /* an own deadline, at times, to come back for the lock again */
            taken = wait_until(&game->locks[side],
                               pick(self, 8) == 0 ? lt_now() + pick(self, 100000) : LT_FOREVER,
                               since);
        if (game->over)
            break;
        CHECK(game->strokes % 2 == (uint64_t)side);
        game->strokes++;
        self->operations++;
        bool over = game->over = lt_now() >= stress_end;
        linger(self);
        CHECK(lt_lock_owner(&game->locks[1 - side]) != 0);
        CHECK(lt_lock_release(&game->locks[1 - side]));
        if (over)
            break;
    }
}

static void run_rally(void)
{
    for (int i = 0; i < WORKERS / 2; i++) {
        memset(&rallies[i], 0, sizeof rallies[i]);
        CHECK(lt_lock_try(&rallies[i].locks[1])); /* side 0 begins */
    }
    run_workers(WORKERS, rally_body);
    for (int i = 0; i < WORKERS / 2; i++)
        for (int side = 0; side < 2; side++) {
            CHECK(lt_lock_release(&rallies[i].locks[side]));
            check_idle(&rallies[i].locks[side]);
        }
}

/* A thread that takes and releases the lock all the time, against one that waits now and
 * then.  `late` counts what the spinner took of a lock that should have been handed over;
 * it may, when the waiter had been woken before and the scheduler let it wait. */
static lt_atomic_uptr waits_since; /* 0: does not wait */
static lt_atomic_u32 late;
static lt_atomic_u32 spinner_over;

static void spinner(worker *self)
{
    int64_t released = lt_now();
    while (lt_now() < stress_end) {
        if (!lt_lock_try(&one.lock))
            CHECK(wait_forever(&one.lock));
        enter(&one, self);
        self->entered[0]++;
        self->operations++;
        uintptr_t since = lt_load_uptr(&waits_since);
        if (since != 0 && (intptr_t)((uintptr_t)released - since) > MILLISECOND)
            lt_fetch_add(&late, 1);
        spin(20 * MICROSECOND);
        released = lt_now();
        leave(&one, self);
        CHECK(lt_lock_release(&one.lock));
    }
    set_word(&spinner_over, 1);
}

static void spinner_body(worker *self)
{
    if (self->index == 0) {
        spinner(self);
        return;
    }
    uint32_t waits = 0, unfair = 0;
    while (lt_load_acquire(&spinner_over) == 0) {
        nap(pick(self, 200000));
        lt_exchange(&late, 0);
        lt_store_uptr(&waits_since, (uintptr_t)lt_now());
        CHECK(wait_forever(&one.lock));
        lt_store_uptr(&waits_since, 0);
        enter(&one, self);
        self->entered[0]++;
        self->operations++;
        leave(&one, self);
        CHECK(lt_lock_release(&one.lock));
        waits++;
        if (lt_exchange(&late, 0) > 8)
            unfair++;
    }
    CHECK(waits < 10 || unfair <= waits / 2);
}

static void run_spinner(void)
{
    set_word(&spinner_over, 0);
    run_workers(2, spinner_body);
    check_counts(&one, 0);
}

/* Locks that are released by another thread than the one that took them: each worker
 * has a box, into which its neighbour puts the lock that it holds. */
static guarded foreign[2];

typedef struct box {
    lt_atomic_u32 full;
    int which;
    uintptr_t giver;
} box;

static box boxes[WORKERS];
static lt_atomic_u32 givers_left;

static void empty_box(box *mine)
{
    if (lt_load_acquire(&mine->full) == 0)
        return;
    guarded *it = &foreign[mine->which];
    CHECK(it->holder == mine->giver);
    CHECK(lt_lock_owner(&it->lock) == mine->giver);
    it->holder = 0;
    CHECK(!lt_lock_undo(&it->lock)); /* for it was another who took it */
    CHECK(lt_lock_release(&it->lock));
    set_word(&mine->full, 0);
}

static void foreign_body(worker *self)
{
    box *theirs = &boxes[(self->index + 1) % WORKERS];
    while (lt_now() < stress_end) {
        int which = (int)pick(self, 2);
        guarded *it = &foreign[which];
        int64_t now = lt_now();
        empty_box(&boxes[self->index]);
        if (!wait_until(&it->lock, now + pick(self, 300000), pick(self, 2) ? LONG_AGO : now))
            continue;
        enter(it, self);
        self->entered[which]++;
        self->operations++;
        linger(self);
        if (lt_load_acquire(&theirs->full) == 0) {
            theirs->which = which;
            theirs->giver = self->ident;
            set_word(&theirs->full, 1);
        } else {
            leave(it, self);
            CHECK(lt_lock_release(&it->lock));
        }
    }
    lt_fetch_add(&givers_left, UINT32_MAX);
    while (lt_load_acquire(&givers_left) != 0 || lt_load_acquire(&boxes[self->index].full)) {
        empty_box(&boxes[self->index]);
        lt_thread_yield();
    }
}

static void run_foreign(void)
{
    set_word(&givers_left, WORKERS);
    run_workers(WORKERS, foreign_body);
    check_counts(&foreign[0], 0);
    check_counts(&foreign[1], 1);
}

/* Undone at random; nobody else releases here, so that what is taken stays taken. */
static void undo_body(worker *self)
{
    while (lt_now() < stress_end) {
        int64_t now = lt_now();
        int64_t since = pick(self, 3) == 0 ? LONG_AGO : now;
        lt_lock_settle(&one.lock);
        bool taken = pick(self, 2) ? lt_lock_try(&one.lock)
                                   : wait_until(&one.lock, now + pick(self, 100000), since);
        self->operations++;
        if (!taken) {
            CHECK(!lt_lock_undo(&one.lock));
            linger(self);
            continue;
        }
        mark_fresh(&one.lock);
        enter(&one, self);
        self->entered[0]++;
        linger(self);
        if (pick(self, 3) == 0) {
            lt_lock_settle(&one.lock);
            CHECK(!lt_lock_try(&one.lock));
            CHECK(!lt_lock_undo(&one.lock));
            leave(&one, self);
            CHECK(lt_lock_release(&one.lock));
        } else {
            leave(&one, self);
            CHECK(lt_lock_undo(&one.lock));
        }
    }
}

static void run_undo(void)
{
    run_workers(WORKERS, undo_body);
    check_counts(&one, 0);
}

/* Several locks, in order, every way to take them, and looks at the queues. */
enum { MIXED = 3 };
static guarded mixed[MIXED];

static bool take_somehow(guarded *it, worker *self)
{
    int64_t now = lt_now();
    int64_t since = pick(self, 8) == 0 ? LONG_AGO : pick(self, 8) == 0 ? NEVER : now;
    lt_status status;
    switch (pick(self, 5)) {
    case 0:
        return lt_lock_try(&it->lock);
    case 1:
        return wait_until(&it->lock, now + pick(self, 2000000), since);
    case 2:
        do
            status = lt_lock_wait(&it->lock, LT_FOREVER, since, LT_BRIEF);
        while (status == LT_INTERRUPTED);
        CHECK(status == LT_ACQUIRED);
        return true;
    case 3:
        hold_queue(&it->lock);
        linger(self);
        let_queue(&it->lock);
        return false;
    default:
        return wait_until(&it->lock, LT_FOREVER, since);
    }
}

static void mix_from(int first, worker *self)
{
    int which = first + (int)pick(self, (uint32_t)(MIXED - first));
    guarded *it = &mixed[which];
    self->operations++;
    if (!take_somehow(it, self))
        return;
    enter(it, self);
    self->entered[which]++;
    linger(self);
    if (which + 1 < MIXED && pick(self, 2) == 0)
        mix_from(which + 1, self);
    leave(it, self);
    mark_fresh(&it->lock);
    CHECK(pick(self, 2) == 0 ? lt_lock_release(&it->lock) : lt_lock_undo(&it->lock));
}

static void mix_body(worker *self)
{
    while (lt_now() < stress_end) {
        mix_from(0, self);
        linger(self);
    }
}

static void run_mix(void)
{
    run_workers(WORKERS, mix_body);
    for (int i = 0; i < MIXED; i++)
        check_counts(&mixed[i], i);
}

/* The same, looked at all the time: nobody waits for a lock that it holds. */
static void look_body(worker *self)
{
    lt_wait_record records[WORKERS];
    if (self->index != 0) {
        mix_body(self);
        return;
    }
    while (lt_now() < stress_end) {
        size_t count = lt_waits(records, WORKERS);
        CHECK(count < WORKERS);
        for (size_t i = 0; i < count; i++) {
            CHECK(records[i].owner != records[i].ident);
            CHECK(records[i].lock >= &mixed[0].lock && records[i].lock <= &mixed[MIXED - 1].lock);
        }
        self->operations++;
    }
}

static void run_looks(void)
{
    run_workers(WORKERS, look_body);
    CHECK(lt_waits(NULL, 0) == 0);
}

/* Waits that another thread ends, at random, while they begin, are given the lock, time out, are
 * suspended and go on: each lt_interrupt that returned true ends one, and nothing else does. */
static lt_lock never_released;
static lt_atomic_uptr idents[WORKERS];
static lt_atomic_u32 sent[WORKERS], waiting_left;

static void send_expulsions(worker *self)
{
    while (lt_load_acquire(&waiting_left) != 0) {
        uint32_t i = 1 + pick(self, WORKERS - 1);
        int code = (int)(LT_EXPELLED + i);
        uintptr_t ident = lt_load_uptr(&idents[i]);
        self->operations++;
        if (ident == 0 || !lt_interrupt(ident, -1, code, NULL))
            lt_thread_yield();
        else
            lt_fetch_add(&sent[i], 1);
        if (pick(self, 4) == 0)
            spin(pick(self, 20000));
    }
}

static lt_status wait_with_pauses(lt_lock *lock, int64_t deadline, worker *self)
{
    lt__wait wait;
    lt_status status;
    lt__wait_init(&wait, (lt_wait_record){.lock = lock, .since = lt_now(), .deadline = deadline});
    while ((status = lt__lock_wait_on(&wait, 0, LT_BRIEF)) == LT_INTERRUPTED)
        linger(self);
    CHECK(lt__wait_end(&wait) == (status >= LT_EXPELLED ? (int)status : 0));
    return status;
}

static lt_status wait_somehow(worker *self)
{
    int64_t now = lt_now(), deadline = pick(self, 2) ? LT_FOREVER : now + pick(self, 100000);
    switch (pick(self, 8)) {
    case 0:
        return lt__lock_wait(&never_released, LT_FOR_THREAD, 0, LT_FOREVER, now, LT_PLAIN);
    case 1:
        return wait_with_pauses(&never_released, LT_FOREVER, self);
    case 2:
    case 3:
        return wait_with_pauses(&one.lock, deadline, self);
    case 4:
        return lt__lock_wait(&one.lock, LT_FOR_LOCK, 0, deadline, now, LT_FIRM);
    default:
        return lt_lock_wait(&one.lock, deadline, pick(self, 4) == 0 ? LONG_AGO : now, LT_PLAIN);
    }
}

static void expelled_body(worker *self)
{
    int i = self->index;
    uint64_t received = 0;
    if (i == 0) {
        send_expulsions(self);
        return;
    }
    lt_store_uptr(&idents[i], self->ident);
    while (lt_now() < stress_end) {
        lt_status status = wait_somehow(self);
        if (status == LT_ACQUIRED) {
            enter(&one, self);
            self->entered[0]++;
            linger(self);
            leave(&one, self);
            CHECK(lt_lock_release(&one.lock));
        } else if (status != LT_TIMED_OUT) {
            CHECK((int)status == LT_EXPELLED + i);
            received++;
        }
        self->operations++;
    }
    CHECK(!lt_interrupt(self->ident, -1, LT_EXPELLED, NULL));
    CHECK(lt_load(&sent[i]) == received || lt_load(&sent[i]) + 1 == received);
    self->entered[1] = received;
    lt_fetch_add(&waiting_left, UINT32_MAX);
}

static void run_expelled(void)
{
    memset(&never_released, 0, sizeof never_released);
    CHECK(lt_lock_try(&never_released));
    set_word(&waiting_left, WORKERS - 1);
    for (int i = 0; i < WORKERS; i++) {
        set_word(&sent[i], 0);
        lt_store_uptr(&idents[i], 0);
    }
    run_workers(WORKERS, expelled_body);
    for (int i = 1; i < WORKERS; i++) {
        CHECK(stress_workers[i].entered[1] == lt_load(&sent[i]));
        stress_workers[i].entered[1] = 0;
    }
    check_counts(&one, 0);
    CHECK(lt_lock_release(&never_released));
    check_idle(&never_released);
    CHECK(lt_waits(NULL, 0) == 0);
}

/* The re-entrant lock. */
static lt_rlock re_entrant;
static volatile uintptr_t re_holder;
static volatile uint64_t re_entered;

static bool take_rlock(worker *self)
{
    int64_t now = lt_now();
    lt_rlock_settle(&re_entrant);
    lt_status status = lt_rlock_try(&re_entrant);
    if (status == LT_TIMED_OUT && pick(self, 4) != 0)
        status = lt_rlock_wait(&re_entrant, pick(self, 2) ? LT_FOREVER : now + pick(self, 100000),
                               pick(self, 4) == 0 ? LONG_AGO : now, LT_PLAIN);
    CHECK(status == LT_ACQUIRED || status == LT_TIMED_OUT);
    CHECK(lt_rlock_owned(&re_entrant) == (status == LT_ACQUIRED));
    if (status == LT_TIMED_OUT)
        CHECK(!lt_rlock_undo(&re_entrant));
    else
        mark_fresh(&re_entrant.lock);
    return status == LT_ACQUIRED;
}

static void hold_rlock(worker *self, uint32_t level)
{
    CHECK(lt_rlock_levels(&re_entrant) == level);
    CHECK(lt_rlock_locked(&re_entrant));
    CHECK(re_holder == (level == 1 ? 0 : self->ident));
    re_holder = self->ident;
    re_entered++;
    self->entered[0]++;
    linger(self);
    if (level < 5 && pick(self, 2)) {
        CHECK(take_rlock(self));
        hold_rlock(self, level + 1);
    }
    CHECK(lt_rlock_levels(&re_entrant) == level);
    CHECK(re_holder == self->ident);
    if (pick(self, 8) == 0) { /* as a condition variable's wait does */
        re_holder = 0;
        CHECK(lt_rlock_release_all(&re_entrant) == level);
        CHECK(lt_rlock_release_all(&re_entrant) == 0);
        linger(self);
        while (!take_rlock(self))
            ;
        lt_rlock_restore(&re_entrant, level);
        CHECK(re_holder == 0);
        re_holder = self->ident;
    }
    if (level == 1)
        re_holder = 0;
    if (pick(self, 2)) {
        CHECK(lt_rlock_release(&re_entrant));
        return;
    }
    /* What was taken before it was settled can't be undone. */
    if (level > 1) {
        lt_rlock_settle(&re_entrant);
        CHECK(!lt_rlock_undo(&re_entrant));
        CHECK(take_rlock(self));
        CHECK(lt_rlock_undo(&re_entrant));
        CHECK(lt_rlock_levels(&re_entrant) == level);
    }
    CHECK(lt_rlock_release(&re_entrant));
}

static void rlock_body(worker *self)
{
    while (lt_now() < stress_end) {
        self->operations++;
        CHECK(!lt_rlock_owned(&re_entrant));
        CHECK(!lt_rlock_release(&re_entrant));
        if (take_rlock(self))
            hold_rlock(self, 1);
        linger(self);
    }
}

static void run_rlock(void)
{
    uint64_t sum = 0;
    re_entered = 0;
    run_workers(WORKERS, rlock_body);
    for (int i = 0; i < WORKERS; i++)
        sum += stress_workers[i].entered[0];
    CHECK(re_holder == 0 && re_entered == sum);
    CHECK(lt_rlock_owner(&re_entrant) == 0 && lt_rlock_levels(&re_entrant) == 0);
    check_idle(&re_entrant.lock);
}

const kind lock_kinds[] = {
    {"count", run_count, false},
    {"try", run_try, false},
    {"timed", run_timed, false},
    {"crossing", run_crossing, false},
    {"give up", run_give_up, false},
    {"rally", run_rally, false},
    {"spinner", run_spinner, false},
    {"foreign", run_foreign, false},
    {"undo", run_undo, false},
    {"mix", run_mix, false},
    {"looks", run_looks, false},
    {"expelled", run_expelled, false},
    {"rlock", run_rlock, false},
    {NULL, NULL, false},
};
