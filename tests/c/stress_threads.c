/* Parkers, and the starting, counting and joining of threads, under load. */
#include <string.h>

#include "stress.h"

/* Pairs of an owner and a waker.  Each round has a new parker, in memory that the owner
 * uses for something else as soon as it has the token. */
typedef struct tokens {
    lt_atomic_u32 round; /* odd: there is a parker to unpark */
    lt_parker parker;
    int payload;
} tokens;

static tokens token_pairs[WORKERS / 2];

static void check_untouched(const lt_parker *parker)
{
    const volatile unsigned char *bytes = (const volatile unsigned char *)parker;
    for (int laps = 0; laps < 4; laps++)
        for (size_t i = 0; i < sizeof *parker; i++)
            CHECK(bytes[i] == 0xA5);
}

static void token_owner(tokens *pair, worker *self)
{
    uint32_t round = 0;
    while (lt_now() < stress_end) {
        lt_parker *parker = &pair->parker;
        lt_parker_init(parker);
        int payload = pair->payload;
        set_word(&pair->round, ++round);
        if (pick(self, 4) == 0)
            spin(pick(self, 5000));
        for (;;) {
            int64_t deadline = pick(self, 2) ? LT_FOREVER : lt_now() + pick(self, 20000);
            lt_patience patience = pick(self, 4) == 0 ? LT_BRIEF : LT_PLAIN;
            lt_wake wake = lt_park(parker, deadline, patience);
            if (wake == LT_WAKE_TOKEN)
                break;
            CHECK(wake == LT_WAKE_TIMEOUT ? lt_now() >= deadline : patience == LT_BRIEF);
        }
        CHECK(pair->payload == payload + 1);
        /* There was one token only. */
        if (pick(self, 16) == 0)
            CHECK(lt_park(parker, 0, LT_PLAIN) == LT_WAKE_TIMEOUT);
        lt_parker_destroy(parker);
        memset(parker, 0xA5, sizeof *parker);
        check_untouched(parker);
        await_word(&pair->round, ++round);
        check_untouched(parker);
        self->operations++;
    }
    set_word(&pair->round, UINT32_MAX);
}

static void token_waker(tokens *pair, worker *self)
{
    for (uint32_t round = 1;; round += 2) {
        while (lt_load_acquire(&pair->round) != round) {
            if (lt_load_acquire(&pair->round) == UINT32_MAX)
                return;
            lt_thread_yield();
        }
        if (pick(self, 4) == 0)
            spin(pick(self, 20000));
        pair->payload++;
        lt_unpark(&pair->parker);
        set_word(&pair->round, round + 1);
    }
}

static void token_body(worker *self)
{
    tokens *pair = &token_pairs[self->index / 2];
    if (self->index % 2 == 0)
        token_owner(pair, self);
    else
        token_waker(pair, self);
}

static void run_tokens(void)
{
    for (int i = 0; i < WORKERS / 2; i++)
        set_word(&token_pairs[i].round, 0);
    run_workers(WORKERS, token_body);
}

static lt_atomic_u32 arrived, born_go, left;
static lt_atomic_uptr born_ident;

/* Fails by a crash, if the stack is smaller than it should be. */
static void use_stack(size_t bytes)
{
    volatile char block[16384];
    block[0] = block[sizeof block - 1] = 1;
    if (bytes > 2 * sizeof block)
        use_stack(bytes - sizeof block);
    block[1] = block[0];
}

typedef struct birth {
    int64_t delay;
    size_t stack_used;
} birth;

static void born(void *arg, uint32_t generation)
{
    birth *mine = arg;
    if (mine->delay != 0)
        nap(mine->delay);
    use_stack(mine->stack_used);
    lt_store_uptr(&born_ident, lt_thread_ident());
    lt_fetch_add(&arrived, 1);
    lt_census_arrive(generation);
    await_word(&born_go, 1);
    lt_fetch_add(&left, 1);
    lt_census_leave(generation);
}

static void run_census(void)
{
    static const size_t sizes[] = {0, 256 << 10, 1 << 20, 4 << 20, 16 << 20};
    static birth births[WORKERS];
    worker chance = {.random = stress_seed | 1};
    uint64_t started = 0;
    while (lt_now() < stress_end) {
        uint32_t count = 1 + pick(&chance, WORKERS);
        uintptr_t ident = 0;
        set_word(&arrived, 0);
        set_word(&left, 0);
        set_word(&born_go, pick(&chance, 2)); /* at times they leave at once */
        for (uint32_t i = 0; i < count; i++) {
            size_t size = sizes[pick(&chance, sizeof sizes / sizeof *sizes)];
            births[i].delay = pick(&chance, 3) == 0 ? (int64_t)pick(&chance, 300000) : 0;
            /* Some of the stack goes to thread-locals: a sanitizer has 750 kB of them. */
            births[i].stack_used = size >= 4 << 20 ? size / 4 * 3 : 0;
            CHECK(lt_thread_start(born, &births[i], size, NULL, &ident) == 0);
            CHECK(ident != 0);
        }
        if (pick(&chance, 2))
            nap(pick(&chance, 200000));
        lt_census_await_arrivals();
        CHECK(lt_load_acquire(&arrived) == count);
        CHECK(count > 1 || lt_load_uptr(&born_ident) == ident);
        uint32_t counted = lt_census_count();
        CHECK(lt_load_acquire(&born_go) ? counted <= count : counted == count);
        set_word(&born_go, 1);
        while (lt_census_count() != 0)
            lt_thread_yield();
        CHECK(lt_load_acquire(&left) == count);
        started += count;
    }
    /* A thread that can't be started is not counted. */
    uintptr_t ident;
    size_t too_large = SIZE_MAX / 8 * 7;
    lt_handle *handle = lt_handle_new();
    CHECK(lt_handle_claim(handle));
    CHECK(lt_thread_start(born, &births[0], too_large, NULL, &ident) != 0);
    CHECK(lt_thread_start(born, &births[0], too_large, handle, &ident) != 0);
    CHECK(lt_handle_progress_of(handle) == LT_NOT_STARTED);
    CHECK(lt_handle_claim(handle));
    lt_handle_drop(handle);
    CHECK(lt_census_count() == 0);
    lt_census_await_arrivals();
    memset(stress_workers, 0, sizeof stress_workers);
    stress_workers[0].operations = started;
}

/* Several wait for a thread that is late to arrive, and are all woken. */
static lt_atomic_u32 may_arrive, awaited;

static void arrive_late(void *arg, uint32_t generation)
{
    (void)arg;
    await_word(&may_arrive, 1);
    lt_census_arrive(generation);
    lt_census_leave(generation);
}

static void await_arrivals(void *arg, uint32_t generation)
{
    (void)arg;
    lt_census_arrive(generation);
    lt_census_await_arrivals();
    lt_fetch_add(&awaited, 1);
    lt_census_leave(generation);
}

static void run_arrivals(void)
{
    uintptr_t ident;
    while (lt_now() < stress_end) {
        set_word(&may_arrive, 0);
        set_word(&awaited, 0);
        CHECK(lt_thread_start(arrive_late, NULL, 0, NULL, &ident) == 0);
        for (int i = 0; i < 3; i++)
            CHECK(lt_thread_start(await_arrivals, NULL, 0, NULL, &ident) == 0);
        nap(200 * MICROSECOND);
        CHECK(lt_load(&awaited) == 0);
        set_word(&may_arrive, 1);
        await_word(&awaited, 3);
        while (lt_census_count() != 0)
            lt_thread_yield();
        stress_workers[0].operations += 4;
    }
}

/* ---- Handles ------------------------------------------------------------------------------ */

/* In each round, some workers want to start the thread of one handle, which one may, and
 * then all join it. */
enum { HANDLES = 64 };

static lt_handle *handles[HANDLES];
static int results[HANDLES]; /* of the threads; not atomic: to join is to see it */
static lt_atomic_u32 handles_ready, claims[HANDLES], joins[HANDLES];

static void give_result(void *arg, uint32_t generation)
{
    int *result = arg;
    lt_census_arrive(generation);
    lt_handle *mine = lt_handle_of_self();
    CHECK(mine != NULL && mine != handles[result - results]);
    CHECK(lt_handle_ident(mine) == lt_thread_ident());
    lt_handle_drop(mine);
    *result = (int)(result - results) + 1;
    lt_census_leave(generation);
}

static void join(lt_handle *handle, worker *self)
{
    if (lt_handle_progress_of(handle) != LT_DONE) {
        bool taken = lt_lock_try(&handle->running);
        while (!taken) {
            int64_t now = lt_now();
            int64_t deadline = pick(self, 2) ? LT_FOREVER : now + pick(self, 50000);
            taken = wait_until(&handle->running, deadline, now);
        }
        CHECK(lt_lock_release(&handle->running));
    }
    CHECK(lt_handle_progress_of(handle) == LT_DONE);
    CHECK(lt_handle_ident(handle) != 0);
}

static void handle_body(worker *self)
{
    for (uint32_t i = 0; i < HANDLES; i++) {
        while (lt_load_acquire(&handles_ready) <= i)
            lt_thread_yield();
        lt_handle *handle = handles[i];
        if (lt_handle_claim(handle)) {
            uintptr_t ident = 0;
            CHECK(lt_fetch_add(&claims[i], 1) == 0);
            if (pick(self, 2))
                linger(self);
            CHECK(lt_thread_start(give_result, &results[i], 0, handle, &ident) == 0);
            CHECK(lt_handle_ident(handle) == ident);
        }
        while (lt_handle_progress_of(handle) == LT_NOT_STARTED)
            ;
        join(handle, self);
        CHECK(results[i] == (int)i + 1);
        CHECK(!lt_handle_claim(handle));
        self->operations++;
        /* The last one to leave opens the next round. */
        bool last = lt_fetch_add(&joins[i], 1) == WORKERS / 2 - 1;
        lt_handle_drop(handle);
        if (last)
            set_word(&handles_ready, i + 2);
    }
}

static void run_handles(void)
{
    uint64_t joined = 0;
    while (lt_now() < stress_end) {
        for (int i = 0; i < HANDLES; i++) {
            handles[i] = lt_handle_new();
            CHECK(lt_handle_progress_of(handles[i]) == LT_NOT_STARTED);
            CHECK(lt_handle_ident(handles[i]) == 0);
            for (int more = 1; more < WORKERS / 2; more++)
                lt_handle_keep(handles[i]);
            results[i] = 0;
            set_word(&claims[i], 0);
            set_word(&joins[i], 0);
        }
        set_word(&handles_ready, 1);
        run_workers(WORKERS / 2, handle_body);
        joined += HANDLES;
    }
    memset(stress_workers, 0, sizeof stress_workers);
    stress_workers[0].operations = joined;
    /* One that was started elsewhere, or by nobody. */
    lt_handle *handle = lt_handle_new();
    CHECK(lt_handle_of_self() == NULL);
    CHECK(lt_handle_claim(handle));
    CHECK(!lt_handle_claim(handle));
    lt_handle_adopt(handle, lt_thread_ident());
    CHECK(lt_handle_progress_of(handle) == LT_RUNNING);
    CHECK(!lt_lock_try(&handle->running));
    lt_handle_finish(handle);
    lt_handle_finish(handle);
    check_idle(&handle->running);
    CHECK(lt_handle_progress_of(handle) == LT_DONE);
    lt_handle_drop(handle);
}

const kind thread_kinds[] = {
    {"tokens", run_tokens, false},
    {"census", run_census, false},
    {"arrivals", run_arrivals, false},
    {"handles", run_handles, false},
    {NULL, NULL, false},
};
