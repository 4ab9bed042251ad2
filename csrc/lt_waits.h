/* What lock.c tells waits.c. */
#ifndef LT_WAITS_H
#define LT_WAITS_H

#include "lowthreads.h"

/* Lives on the stack of the thread that waits. */
typedef struct lt__wait {
    lt_wait_record record; /* written before it begins, but for what a snapshot finds out */
    lt_atomic_u32 ended;   /* set before the waiter becomes the owner */
    uint32_t generation;   /* of the census: what waited before a fork is not in the list */
    struct lt__wait *next, **to_me; /* to_me: NULL when it is not in the list */
} lt__wait;

/* The calling thread begins to wait; `ended` is for the caller to clear, for it may be set by
 * now.  Until the end, the lock is neither freed nor moved.  To end it again does nothing. */
void lt__wait_begin(lt__wait *wait, lt_wait_record record);
void lt__wait_end(lt__wait *wait);

void lt__waits_after_fork(void);

#endif
