/* Starting threads, and the census of those that were started.
 *
 * The census knows how many threads there are, and whether some are between their
 * creation and their arrival: at that time the interpreter must not end, for they are
 * about to enter it.  What was counted before a fork does not exist in the child: there
 * another generation begins, and a thread of an older one no longer counts.
 *
 * The fields are guarded by `gate`, which is held for a few instructions. */
#include <errno.h>
#include <stdlib.h>

#include "lt_park.h"
#include "lt_thread.h"
#include "lt_waits.h"

static LT_THREAD_LOCAL lt__thread *current;

lt_atomic_u32 lt__held = LT_ATOMIC(LT_LOCKED);

static lt_lock gate;
static uintptr_t survivor;      /* of the last fork: its thread in the child; 0: no fork yet */
static uint32_t survivor_since; /* the oldest generation in which it may have begun */
static uintptr_t only_starter;  /* 0: all may start threads; see lt_census_close */
static uint32_t starting;
static uint32_t running;
static struct sleeper { /* in lt_census_await_arrivals; each is owed one token */
    lt_parker parker;
    struct sleeper *next;
} *sleepers;

static void open_gate(void)
{
    lt_lock_release(&gate);
}

static void close_gate(void)
{
    lt__lock_enter(&gate);
}

/* One thread less is starting; runs with the gate closed. */
static void end_start(void)
{
    starting--;
    while (starting == 0 && sleepers != NULL) {
        struct sleeper *woken = sleepers;
        sleepers = woken->next; /* it may be gone once it is woken */
        lt_unpark(&woken->parker);
    }
}

void lt_census_arrive(uint32_t mine)
{
    close_gate();
    if (lt__census_has(mine)) {
        running++;
        end_start();
    }
    open_gate();
}

void lt_census_leave(uint32_t mine)
{
    close_gate();
    if (lt__census_has(mine))
        running--;
    open_gate();
}

uint32_t lt_census_count(void)
{
    close_gate();
    uint32_t count = starting + running;
    open_gate();
    return count;
}

uint32_t lt_census_starting(void)
{
    close_gate();
    uint32_t count = starting;
    open_gate();
    return count;
}

void lt_census_close(uintptr_t ident)
{
    close_gate();
    only_starter = ident;
    open_gate();
}

void lt_census_await_arrivals(void)
{
    struct sleeper self;
    lt_parker_init(&self.parker);
    close_gate();
    bool must_wait = starting > 0;
    if (must_wait) {
        self.next = sleepers;
        sleepers = &self;
    }
    open_gate();
    if (must_wait)
        lt_park(&self.parker, LT_FOREVER, LT_PLAIN);
    lt_parker_destroy(&self.parker);
}

uint32_t lt_census_generation(void)
{
    return lt_load(&lt__held) - LT_LOCKED;
}

bool lt__census_has(uint32_t theirs)
{
    return theirs == lt_census_generation();
}

bool lt__census_has_survivor(uint32_t theirs, uintptr_t ident)
{
    return ident == survivor &&
           theirs - survivor_since <= lt_census_generation() - survivor_since;
}

void lt_census_after_fork(void)
{
    lt__waits_after_fork();
    lt_lock_reinit(&gate);
    if (survivor != lt_thread_ident()) {
        survivor = lt_thread_ident();
        survivor_since = lt_census_generation();
    }
    lt_store(&lt__held, lt_load(&lt__held) + LT__GENERATION_STEP);
    starting = running = 0;
    sleepers = NULL;
    if (only_starter != 0)
        only_starter = survivor;
}

/* ---- Starting ---------------------------------------------------------------- */

struct lt__start {
    lt_thread_body body;
    void *arg;
    lt_handle *handle;
    uint32_t generation;
};

bool lt_thread_is_ours(void)
{
    return current != NULL;
}

lt__thread *lt__thread_self(void)
{
    return current;
}

static void cancel(lt__start *start)
{
    close_gate();
    if (lt__census_has(start->generation))
        end_start();
    open_gate();
    if (start->handle != NULL) {
        lt__handle_unclaim(start->handle);
        lt_handle_drop(start->handle);
    }
    free(start);
}

int lt_thread_start(lt_thread_body body, void *arg, size_t stack_size, lt_handle *handle,
                    uintptr_t *ident)
{
    lt__start *start = malloc(sizeof *start);
    if (start == NULL) {
        if (handle != NULL)
            lt__handle_unclaim(handle);
        return ENOMEM;
    }
    start->body = body;
    start->arg = arg;
    start->handle = handle;
    if (handle != NULL)
        lt_handle_keep(handle);
    close_gate();
    if (only_starter != 0 && only_starter != lt_thread_ident()) {
        open_gate();
        if (handle != NULL) {
            lt__handle_unclaim(handle);
            lt_handle_drop(handle);
        }
        free(start);
        return ECANCELED;
    }
    starting++;
    start->generation = lt_census_generation();
    open_gate();
    int error = lt__thread_create(start, stack_size, ident);
    if (error != 0)
        cancel(start);
    else if (handle != NULL)
        lt_store_uptr(&handle->ident, *ident);
    return error;
}

static void finish(lt_handle *handle)
{
    if (handle == NULL)
        return;
    lt_handle_finish(handle);
    lt_handle_drop(handle);
}

void lt__thread_main(lt__start *start)
{
    lt__start mine = *start;
    lt__thread self = {mine.handle, NULL};
    free(start);
    current = &self;
    if (self.handle != NULL)
        lt_handle_adopt(self.handle, lt_thread_ident());
    mine.body(mine.arg, mine.generation);
    current = NULL;
    finish(self.own);
    finish(self.handle);
}
