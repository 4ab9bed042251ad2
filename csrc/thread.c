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

static lt_lock gate;
static uint32_t generation;
static uint32_t starting;
static uint32_t running;
static lt_parker *sleeper; /* in lt_census_await_arrivals; it is owed one token */

static void open_gate(void)
{
    lt_lock_release(&gate);
}

static void close_gate(void)
{
    if (!lt_lock_try(&gate))
        lt_lock_wait(&gate, LT_FOREVER, lt_now(), LT_PLAIN);
}

/* One thread less is starting; runs with the gate closed. */
static void end_start(void)
{
    starting--;
    if (starting == 0 && sleeper != NULL) {
        lt_unpark(sleeper);
        sleeper = NULL;
    }
}

void lt_census_arrive(uint32_t mine)
{
    close_gate();
    if (mine == generation) {
        running++;
        end_start();
    }
    open_gate();
}

void lt_census_leave(uint32_t mine)
{
    close_gate();
    if (mine == generation)
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

void lt_census_await_arrivals(void)
{
    lt_parker self;
    lt_parker_init(&self);
    close_gate();
    bool must_wait = starting > 0;
    if (must_wait)
        sleeper = &self;
    open_gate();
    if (must_wait)
        lt_park(&self, LT_FOREVER, LT_PLAIN);
    lt_parker_destroy(&self);
}

void lt_census_after_fork(void)
{
    lt_lock_reinit(&gate);
    generation++;
    starting = running = 0;
    sleeper = NULL;
}

/* ---- Starting ---------------------------------------------------------------- */

struct lt__start {
    lt_thread_body body;
    void *arg;
    uint32_t generation;
};

static void cancel(lt__start *start)
{
    close_gate();
    if (start->generation == generation)
        end_start();
    open_gate();
    free(start);
}

int lt_thread_start(lt_thread_body body, void *arg, size_t stack_size, uintptr_t *ident)
{
    lt__start *start = malloc(sizeof *start);
    if (start == NULL)
        return ENOMEM;
    start->body = body;
    start->arg = arg;
    close_gate();
    starting++;
    start->generation = generation;
    open_gate();
    int error = lt__thread_create(start, stack_size, ident);
    if (error != 0)
        cancel(start);
    return error;
}

void lt__thread_main(lt__start *start)
{
    lt__start mine = *start;
    free(start);
    mine.body(mine.arg, mine.generation);
}
