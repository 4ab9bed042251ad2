/* The table of functions for other C code, as such code sees it: with the public header's
 * meaning of results, and with an interpreter that is pretended. */
#include "lt_api.h"
#include "stress.h"

static const lt_api *const lt = &lt_api_table;

/* ---- Locks and threads ------------------------------------------------------------ */

static guarded shared_lock;
static struct {
    lt_rlock rlock;
    volatile uint64_t entered;
} shared_rlock;

static int64_t some_deadline(worker *self)
{
    return pick(self, 2) ? LT_FOREVER : lt_after(lt, pick(self, 50000));
}

static bool take(worker *self, lt_lock *lock)
{
    switch (pick(self, 3)) {
    case 0:
        return lt->lock_try(lock) > 0;
    case 1:
        return lt->lock_acquire(lock, some_deadline(self)) > 0;
    default:
        return lt->lock_acquire_attached(lock, some_deadline(self)) > 0;
    }
}

static void use_lock(worker *self)
{
    if (!take(self, &shared_lock.lock))
        return;
    enter(&shared_lock, self);
    self->entered[0]++;
    linger(self);
    leave(&shared_lock, self);
    CHECK(lt->lock_release(&shared_lock.lock) == 1);
}

static void use_rlock(worker *self)
{
    lt_rlock *rlock = &shared_rlock.rlock;
    uint32_t levels = 1 + pick(self, 3);
    if (lt->rlock_acquire(rlock, some_deadline(self)) <= 0)
        return;
    for (uint32_t i = 1; i < levels; i++)
        CHECK(lt->rlock_acquire_attached(rlock, 0) == LT_OK);
    CHECK(lt->rlock_levels(rlock) == levels && lt->rlock_owner(rlock) == self->ident);
    shared_rlock.entered++;
    self->entered[1]++;
    linger(self);
    for (uint32_t i = 0; i < levels; i++)
        CHECK(lt->rlock_release(rlock) == 1);
    CHECK(lt->rlock_release(rlock) == 0 && lt->rlock_levels(rlock) == 0);
}

static void api_body(void *arg)
{
    worker *self = arg;
    self->ident = lt->thread_ident();
    for (; lt->now() < stress_end; self->operations++) {
        use_lock(self);
        use_rlock(self);
    }
}

static void *pretend_detach(void)
{
    return &shared_lock;
}

static void pretend_attach(void *state)
{
    CHECK(state == &shared_lock);
}

static bool pretend_detached(void)
{
    return false;
}

static const lt_interpreter pretended = {pretend_detached, pretend_detach, pretend_attach};

static void run_api(void)
{
    lt_handle *handles[WORKERS];
    lt_api_connect(&pretended);
    lt->rlock_init(&shared_rlock.rlock);
    shared_rlock.entered = 0;
    for (int i = 0; i < WORKERS; i++) {
        stress_workers[i].index = i;
        stress_workers[i].random = stress_seed + (uint64_t)i + 1;
        CHECK(lt->thread_start(api_body, &stress_workers[i], 0, &handles[i]) == 0);
    }
    uint64_t rlocks = 0;
    for (int i = 0; i < WORKERS; i++) {
        CHECK(lt->thread_join(handles[i], 0) == LT_TIMEOUT || lt->now() >= stress_end);
        CHECK(lt->thread_join_attached(handles[i], LT_FOREVER) == LT_OK);
        CHECK(lt->thread_join(handles[i], 0) == LT_OK);
        lt->thread_drop(handles[i]);
        rlocks += stress_workers[i].entered[1];
    }
    check_counts(&shared_lock, 0);
    CHECK(rlocks == shared_rlock.entered);
    check_idle(&shared_rlock.rlock.lock);
}

/* ---- Events ------------------------------------------------------------------------- */

/* Pairs: one waits for an event on its own stack, and is gone with it at once; the other one
 * sets it.  All meet at one event that is set and reset all the time. */
typedef struct meeting {
    lt_atomic_uptr event; /* which the partner is to set; 0: none, 1: no more */
    lt_atomic_uptr ident; /* of who waits */
    int payload;
} meeting;

static meeting meetings[WORKERS / 2];
static lt_event bell;
static lt_atomic_u32 cancelled;

static void waiting_body(worker *self)
{
    meeting *mine = &meetings[self->index / 2];
    lt_store_uptr(&mine->ident, lt->thread_ident());
    for (; lt_now() < stress_end; self->operations++) {
        lt_event event = LT_INIT;
        int payload = mine->payload;
        lt_store_uptr_release(&mine->event, (uintptr_t)&event);
        if (pick(self, 4) == 0)
            spin(pick(self, 5000));
        int result;
        while ((result = lt->event_wait(&event, some_deadline(self))) != LT_OK)
            if (result == LT_CANCELLED)
                lt_fetch_add(&cancelled, 1);
        CHECK(mine->payload == payload + 1);
        CHECK(lt->event_is_set(&event) == 1);
        if (pick(self, 8) == 0)
            lt->event_wait_attached(&bell, lt_after(lt, pick(self, 100000)));
    }
    lt_store_uptr_release(&mine->event, 1);
}

static void setting_body(worker *self)
{
    meeting *mine = &meetings[self->index / 2];
    for (;; self->operations++) {
        uintptr_t event;
        while ((event = lt_load_uptr_acquire(&mine->event)) == 0)
            lt_thread_yield();
        if (event == 1)
            return;
        lt_store_uptr(&mine->event, 0);
        if (pick(self, 4) == 0)
            spin(pick(self, 20000));
        if (pick(self, 4) == 0)
            lt_interrupt(lt_load_uptr(&mine->ident), -1, LT_EXPELLED, NULL);
        mine->payload++;
        lt->event_set((lt_event *)event);
        if (pick(self, 8) == 0) {
            lt->event_set(&bell);
            lt->event_reset(&bell);
        }
    }
}

static void event_body(worker *self)
{
    if (self->index % 2 == 0)
        waiting_body(self);
    else
        setting_body(self);
}

static void run_events(void)
{
    lt->event_init(&bell);
    for (int i = 0; i < WORKERS / 2; i++)
        lt_store_uptr(&meetings[i].event, 0);
    set_word(&cancelled, 0);
    run_workers(WORKERS, event_body);
    CHECK(lt_load(&bell.state) == 0 && bell.first == NULL);
    CHECK(lt_load(&cancelled) > 0);
}

/* ---- As others see it: layout.c knows the public header alone --------------------------- */

int layout_use(uintptr_t address);

static void run_layout(void)
{
    CHECK(layout_use((uintptr_t)lt) == LT_OK);
}

/* ---- Edge cases ------------------------------------------------------------------------ */

static void release_it(void *lock)
{
    CHECK(lt->lock_release(lock) == 1);
}

static void run_results(void)
{
    lt_lock lock = LT_INIT;
    lt_rlock rlock = LT_INIT;
    lt_event event = LT_INIT;
    lt_handle *handle = NULL;
    CHECK(lt->lock_release(&lock) == 0 && lt->rlock_release(&rlock) == 0);
    CHECK(lt->lock_try(&lock) == LT_OK && lt->lock_try(&lock) == LT_TIMEOUT);
    CHECK(lt->lock_locked(&lock) && lt->lock_owner(&lock) == lt->thread_ident());
    CHECK(lt->lock_acquire(&lock, lt_after(lt, MILLISECOND)) == LT_TIMEOUT);
    CHECK(lt->thread_start(release_it, &lock, 0, &handle) == 0);
    CHECK(lt->lock_acquire(&lock, LT_FOREVER) == LT_OK);
    CHECK(lt->thread_join(handle, LT_FOREVER) == LT_OK);
    lt->thread_drop(handle);
    lt->lock_init(&lock);
    CHECK(lt->lock_owner(&lock) == 0 && !lt->lock_locked(&lock));

    CHECK(lt->rlock_try(&rlock) == LT_OK);
    lt_rlock_restore(&rlock, LT_RLOCK_MAX);
    CHECK(lt->rlock_try(&rlock) == LT_TOO_OFTEN);
    CHECK(lt->rlock_acquire(&rlock, LT_FOREVER) == LT_TOO_OFTEN);

    CHECK(lt->event_wait(&event, 0) == LT_TIMEOUT);
    lt->event_set(&event);
    CHECK(lt->event_wait(&event, 0) == LT_OK && lt->event_is_set(&event));
    lt->event_reset(&event);
    CHECK(!lt->event_is_set(&event));
    CHECK(lt->event_wait_attached(&event, lt_after(lt, MILLISECOND)) == LT_TIMEOUT);

    CHECK(lt->thread_start(release_it, &lock, 1, &handle) != 0);
    CHECK(lt_after(lt, -1) == LT_FOREVER && lt_after(lt, LT_FOREVER) == LT_FOREVER);
    CHECK(sizeof lock == 8 + 2 * sizeof(void *) && sizeof rlock == sizeof lock);
    CHECK(sizeof event == sizeof lock);
    CHECK(lt->size == sizeof(lt_api) && LT_API_HAS(lt, thread_drop));
    CHECK(lt_api_from((uintptr_t)lt) == lt && lt_api_from(0) == NULL);
}

const kind api_kinds[] = {
    {"results", run_results, true},
    {"layout", run_layout, true},
    {"api", run_api, false},
    {"events", run_events, false},
    {NULL, NULL, false},
};
