/* Waits that signals interrupt, under load.  Worker 0 plays the main thread: the one that
 * handles signals. */
#include <string.h>

#include "stress.h"

lt_atomic_u32 signals_seen;

static lt_atomic_uptr main_ident;
static guarded contended;

/* As lowthreads waits: brief at first, and then patient. */
static lt_status wait_as_main(lt_lock *lock, int64_t deadline)
{
    int64_t since = lt_now();
    lt_status status = lt_lock_wait(lock, deadline, since, LT_BRIEF);
    while (status == LT_INTERRUPTED) {
        platform_begin_patience();
        status = lt_lock_wait(lock, deadline, since, LT_PATIENT);
        platform_end_patience();
    }
    CHECK(status == LT_ACQUIRED || (status == LT_TIMED_OUT && lt_now() >= deadline));
    return status;
}

static lt_atomic_u32 storm_over;

static void storm_body(worker *self)
{
    if (self->index == 0)
        lt_store_uptr(&main_ident, self->ident);
    while (lt_now() < stress_end) {
        if (self->index == 1) {
            if (lt_load_uptr(&main_ident) != 0)
                CHECK(platform_signal(lt_load_uptr(&main_ident), pick(self, 2)) == 0);
            nap(pick(self, 4) == 0 ? 0 : pick(self, 300000));
            self->operations++;
            continue;
        }
        bool taken;
        if (self->index == 0) {
            int64_t deadline = pick(self, 2) ? LT_FOREVER : lt_now() + pick(self, 9000000);
            taken = wait_as_main(&contended.lock, deadline) == LT_ACQUIRED;
        } else {
            taken = wait_forever(&contended.lock);
        }
        if (!taken)
            continue;
        enter(&contended, self);
        self->entered[0]++;
        self->operations++;
        if (pick(self, 64) == 0)
            nap(pick(self, 8000000));
        linger(self);
        leave(&contended, self);
        CHECK(lt_lock_release(&contended.lock));
    }
    /* Nobody signals a thread that has ended. */
    if (self->index == 0)
        await_word(&storm_over, 1);
    else if (self->index == 1)
        set_word(&storm_over, 1);
}

static void run_storm(void)
{
    memset(&contended, 0, sizeof contended);
    set_word(&storm_over, 0);
    platform_catch();
    lt_store_uptr(&main_ident, 0);
    set_word(&signals_seen, 0);
    run_workers(6, storm_body);
    check_counts(&contended, 0);
}

/* No signal is missed: in each round one is sent, at any moment around the wait; the lock
 * is not released until worker 0 has noticed it, or else soon after it was sent. */
enum { NEVER_RELEASED = 1, RELEASED = 2, LAST = 3 };

static lt_lock kept;
static lt_atomic_u32 round_kind; /* 0 between rounds */

static void one_signal_main(worker *self)
{
    uint32_t slow = 0;
    lt_store_uptr(&main_ident, self->ident);
    for (uint32_t before = 0;; before++) {
        uint32_t this_round;
        while ((this_round = lt_load_acquire(&round_kind)) == 0)
            lt_thread_yield();
        if (this_round == LAST) {
            /* A patient wait may be over now and then for no reason: that would hide some
             * misses. */
            CHECK(slow <= before / 20 + 5);
            return;
        }
        if (pick(self, 2))
            spin(pick(self, 30000));
        int64_t start = lt_now(), since = pick(self, 2) ? LONG_AGO : start;
        lt_status status = LT_INTERRUPTED;
        do {
            platform_begin_patience();
            if (lt_load(&signals_seen) == before)
                status = lt_lock_wait_marked(&kept, LT_FOREVER, since, LT_PATIENT);
            platform_end_patience();
        } while (status == LT_INTERRUPTED && lt_load(&signals_seen) == before);
        CHECK(status == LT_INTERRUPTED || status == LT_ACQUIRED);
        slow += lt_now() - start > 50 * MILLISECOND;
        if (status == LT_ACQUIRED) {
            CHECK(this_round == RELEASED);
            CHECK(lt_lock_undo(&kept));
        }
        while (lt_load(&signals_seen) == before) /* when the lock came first */
            lt_thread_yield();
        CHECK(lt_load(&signals_seen) == before + 1);
        self->operations++;
        set_word(&round_kind, 0);
    }
}

static void one_signal_sender(worker *self)
{
    while (lt_load_uptr(&main_ident) == 0)
        lt_thread_yield();
    while (lt_now() < stress_end) {
        bool releases = pick(self, 2);
        CHECK(wait_forever(&kept));
        set_word(&round_kind, releases ? RELEASED : NEVER_RELEASED);
        if (pick(self, 8) != 0)
            spin(pick(self, 40000));
        else if (pick(self, 64) == 0)
            nap(7 * MILLISECOND);
        CHECK(platform_signal(lt_load_uptr(&main_ident), pick(self, 2)) == 0);
        if (releases) {
            if (pick(self, 2))
                spin(pick(self, 20000));
            CHECK(lt_lock_release(&kept));
        }
        await_word(&round_kind, 0);
        if (!releases)
            CHECK(lt_lock_release(&kept));
        check_idle(&kept);
    }
    set_word(&round_kind, LAST);
}

static void one_signal_body(worker *self)
{
    if (self->index == 0)
        one_signal_main(self);
    else
        one_signal_sender(self);
}

static void run_one_signal(void)
{
    set_word(&round_kind, 0);
    memset(&kept, 0, sizeof kept);
    platform_catch();
    lt_store_uptr(&main_ident, 0);
    set_word(&signals_seen, 0);
    run_workers(2, one_signal_body);
    check_idle(&kept);
}

const kind signal_kinds[] = {
    {"storm", run_storm, false},
    {"one signal", run_one_signal, false},
    {NULL, NULL, false},
};
