/* The loops of the C core whose instructions instructions.py counts: `instructions WHAT TIMES`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lowthreads.h"

static lt_lock lock;
static lt_rlock rlock;

static void empty(void)
{
}

static void try_release(void)
{
    lt_lock_try(&lock);
    lt_lock_release(&lock);
}

static void rlock_try_release(void)
{
    lt_rlock_try(&rlock);
    lt_rlock_release(&rlock);
}

static void wait_release(void)
{
    lt_lock_wait(&lock, LT_FOREVER, 0, LT_PLAIN);
    lt_lock_release(&lock);
}

static const struct {
    const char *name;
    void (*step)(void);
} loops[] = {
    {"empty", empty},
    {"try, release", try_release},
    {"rlock: try, release", rlock_try_release},
    {"wait for a free lock, release", wait_release},
};

int main(int count, char **arguments)
{
    size_t i;
    for (i = 0; count == 3 && i < sizeof loops / sizeof *loops; i++) {
        if (strcmp(arguments[1], loops[i].name) == 0) {
            void (*volatile step)(void) = loops[i].step;
            for (long left = atol(arguments[2]); left > 0; left--)
                step();
            return 0;
        }
    }
    fprintf(stderr, "usage: %s WHAT TIMES\n", arguments[0]);
    return 2;
}
