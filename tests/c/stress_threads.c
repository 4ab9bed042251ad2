/* Parkers, and the starting and counting of threads, under load. */
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
            CHECK(lt_thread_start(born, &births[i], size, &ident) == 0);
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
    CHECK(lt_thread_start(born, &births[0], (size_t)1 << (sizeof(size_t) * 8 - 2), &ident) != 0);
    CHECK(lt_census_count() == 0);
    lt_census_await_arrivals();
    memset(stress_workers, 0, sizeof stress_workers);
    stress_workers[0].operations = started;
}

const kind thread_kinds[] = {
    {"tokens", run_tokens, false},
    {"census", run_census, false},
    {NULL, NULL, false},
};
