/* Stress for the shim, without Python: stress [seconds] [seed] [kind]
 *
 * Ends with 1 and says what broke, or with 0. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stress.h"

int64_t stress_end;
uint64_t stress_seed;
worker stress_workers[WORKERS];

static const char *kind_name = "start";

void stress_fail(const char *file, int line, const char *condition)
{
    fprintf(stderr, "stress: %s: %s:%d: does not hold: %s\n", kind_name, file, line, condition);
    fflush(NULL);
    _Exit(1);
}

/* ---- Threads ------------------------------------------------------------------ */

static lt_atomic_u32 threads_left;

static void run_worker(void *arg, uint32_t generation)
{
    worker *self = arg;
    lt_census_arrive(generation);
    self->ident = lt_thread_ident();
    self->body(self);
    lt_census_leave(generation);
    lt_fetch_add(&threads_left, UINT32_MAX); /* one less */
}

void start_worker(worker *self, int index, size_t stack_size, void (*body)(worker *))
{
    uintptr_t ident;
    memset(self, 0, sizeof *self);
    self->index = index;
    self->random = (stress_seed * 1000003 + (uint64_t)index + 1) * UINT64_C(0x9E3779B97F4A7C15) | 1;
    self->body = body;
    lt_fetch_add(&threads_left, 1);
    CHECK(lt_thread_start(run_worker, self, stack_size, NULL, &ident) == 0);
    CHECK(ident != 0 && ident % 2 == 0);
}

void await_threads(void)
{
    await_word(&threads_left, 0);
}

void run_workers(int count, void (*body)(worker *))
{
    for (int i = 0; i < count; i++)
        start_worker(&stress_workers[i], i, 0, body);
    for (int i = count; i < WORKERS; i++)
        memset(&stress_workers[i], 0, sizeof stress_workers[i]);
    await_threads();
}

static uint64_t all_operations(void)
{
    uint64_t sum = 0;
    for (int i = 0; i < WORKERS; i++)
        sum += stress_workers[i].operations;
    return sum;
}

/* ---- Time and chance ------------------------------------------------------------ */

uint32_t pick(worker *self, uint32_t below)
{
    self->random ^= self->random << 13;
    self->random ^= self->random >> 7;
    self->random ^= self->random << 17;
    return (uint32_t)(self->random >> 32) % below;
}

void nap(int64_t nanoseconds)
{
    lt_parker parker;
    int64_t until = lt_now() + nanoseconds;
    lt_parker_init(&parker);
    CHECK(lt_park(&parker, until, LT_PLAIN) == LT_WAKE_TIMEOUT);
    CHECK(lt_now() >= until);
    lt_parker_destroy(&parker);
}

void spin(int64_t nanoseconds)
{
    int64_t until = lt_now() + nanoseconds;
    while (lt_now() < until)
        ;
}

void linger(worker *self)
{
    uint32_t chance = pick(self, 4096);
    if (chance == 0)
        nap(100 * MICROSECOND);
    else if (chance < 16)
        spin(20 * MICROSECOND);
    else if (chance < 64)
        spin(1 * MICROSECOND);
    else if (chance < 128)
        lt_thread_yield();
}

void await_word(lt_atomic_u32 *word, uint32_t value)
{
    for (unsigned looks = 1; lt_load_acquire(word) != value; looks++) {
        if (looks > 1000)
            nap(100 * MICROSECOND);
        else
            lt_thread_yield();
    }
}

void set_word(lt_atomic_u32 *word, uint32_t value)
{
    lt_exchange(word, value);
}

/* ---- Locks ---------------------------------------------------------------------- */

void enter(guarded *it, worker *self)
{
    CHECK(it->holder == 0);
    it->holder = self->ident;
    it->entered++;
    CHECK(lt_lock_owner(&it->lock) == self->ident);
}

void leave(guarded *it, worker *self)
{
    CHECK(it->holder == self->ident);
    CHECK(lt_lock_locked(&it->lock));
    it->holder = 0;
}

void check_idle(lt_lock *lock)
{
    CHECK(lt_load(&lock->state) == 0);
    CHECK(lock->newest == NULL);
}

void check_counts(guarded *it, int index)
{
    uint64_t sum = 0;
    for (int i = 0; i < WORKERS; i++)
        sum += stress_workers[i].entered[index];
    CHECK(it->holder == 0);
    CHECK(it->entered == sum);
    it->entered = 0; /* for the next kind */
    check_idle(&it->lock);
}

struct lt_waiter *hold_queue(lt_lock *lock)
{
    uint32_t state = lt_load(&lock->state);
    for (;;) {
        if (state & LT_EDITING) {
            lt_thread_yield();
            state = lt_load(&lock->state);
        } else if (lt_cas_acquire(&lock->state, &state, state | LT_EDITING)) {
            CHECK(!(state & LT_QUEUED) == (lock->newest == NULL));
            CHECK(!(state & LT_WAKING) || lock->newest != NULL);
            return lock->newest;
        }
    }
}

void let_queue(lt_lock *lock)
{
    uint32_t state = lt_load(&lock->state);
    while (!lt_cas_release(&lock->state, &state, state & ~(uint32_t)LT_EDITING))
        ;
}

/* Uses the stack that the call before used, and looks whether a waker that comes too
 * late writes to it. */
static void look_for_late_wakers(void)
{
    static lt_atomic_uptr escape; /* ThreadSanitizer watches no variable that is local */
    volatile unsigned char stack[1024];
    lt_store_uptr(&escape, (uintptr_t)stack);
    for (size_t i = 0; i < sizeof stack; i++)
        stack[i] = 0x5A;
    for (int laps = 0; laps < 3; laps++)
        for (size_t i = 0; i < sizeof stack; i++)
            CHECK(stack[i] == 0x5A);
}

/* Called by this, it is not inlined, and its stack is where lt_lock_wait's was. */
static void (*volatile look)(void) = look_for_late_wakers;

void mark_fresh(lt_lock *lock)
{
    lt_store_uptr(&lock->owner, lt_lock_owner(lock) | LT_FRESH);
}

bool wait_until(lt_lock *lock, int64_t deadline, int64_t since)
{
    lt_lock_settle(lock);
    lt_status status = lt__lock_wait(lock, LT_FOR_LOCK, LT_FRESH, deadline, since, LT_PLAIN);
    look();
    CHECK(status == LT_ACQUIRED || status == LT_TIMED_OUT);
    CHECK(status == LT_ACQUIRED || (deadline != LT_FOREVER && lt_now() >= deadline));
    return status == LT_ACQUIRED;
}

bool wait_forever(lt_lock *lock)
{
    return wait_until(lock, LT_FOREVER, lt_now());
}

/* ---- The program ------------------------------------------------------------------------- */

/* The platform's edge cases first: one of them needs a process that has not waited yet. */
static const kind *const groups[] = {platform_kinds, edge_kinds, signal_kinds, lock_kinds,
                                     thread_kinds,   api_kinds};

static void run_kind(const kind *it, int64_t share)
{
    static char message[80];
    int64_t start = lt_now();
    kind_name = it->name;
    snprintf(message, sizeof message, "stress: %s: hangs\n", it->name);
    platform_watch((unsigned)(share / SECOND) * 2 + 20, message);
    memset(stress_workers, 0, sizeof stress_workers);
    stress_end = start + share;
    it->run();
    CHECK(lt_census_count() == 0);
    printf("%-10s %10llu operations in %.2f s\n", it->name, (unsigned long long)all_operations(),
           (double)(lt_now() - start) / (double)SECOND);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 2.0;
    const char *only = argc > 3 ? argv[3] : NULL;
    stress_seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;

    const kind *all[32];
    int count = 0, timed = 0;
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        for (const kind *it = groups[i]; it->name != NULL; it++)
            if (only == NULL || strcmp(only, it->name) == 0) {
                all[count++] = it;
                timed += !it->once;
            }
    int64_t share = timed == 0 ? 0 : (int64_t)(seconds * (double)SECOND) / timed;
    for (int i = 0; i < count; i++)
        run_kind(all[i], share);
    printf("%d kinds held, seed %llu\n", count, (unsigned long long)stress_seed);
    return count == 0;
}
