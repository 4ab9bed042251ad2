/* The end of an RLock's bias: lowthreads/_bias.py has the whole story. */
#ifndef LT_BIAS_H
#define LT_BIAS_H

#include "lowthreads.h"
#include "lt_thread.h"

typedef struct lt_biased {
    lt_rlock rlock;  /* free, and nobody looks at it, until the bias ends */
    uintptr_t maker; /* to whom it is biased */
    uint32_t generation; /* of the census, in which it was made */
    uint64_t ended;  /* 0 while it is biased, then 1 + the levels that the maker held */
} lt_biased;

static lt_lock lt_ending; /* held while a bias ends */

/* Ends the bias: the maker holds the rlock `levels` times from now on.  Only the first call
 * does something; all return the levels of the first. */
static uint32_t lt_biased_end(lt_biased *biased, uint32_t levels)
{
    lt__lock_enter(&lt_ending);
    if (biased->ended == 0) {
        if (levels > 0)
            lt_rlock_adopt(&biased->rlock, biased->maker, levels, biased->generation);
        biased->ended = 1 + (uint64_t)levels;
    }
    levels = (uint32_t)(biased->ended - 1);
    lt_lock_release(&lt_ending);
    return levels;
}

/* Whether who has the maker's ident is the maker, and not a thread of a child that got the ident. */
static bool lt_biased_outlived_fork(lt_biased *biased)
{
    return lt__census_has(biased->generation) ||
           lt__census_has_survivor(biased->generation, biased->maker);
}

/* The thread that held it may be gone; what it had half done is done again. */
static void lt_interpreter_after_fork(void)
{
    lt_lock_reinit(&lt_ending);
    lt_store(&lt_wakers, 0);
}

#endif
