/* The parker: puts one thread to sleep until another one wakes it.
 *
 * This is all that the lock asks of a platform.  One file of platform/park_*.c
 * implements it; the build compiles exactly one.
 *
 * A parker belongs to one thread and holds at most one token.
 * - lt_parker_init, lt_park and lt_parker_destroy are called by that thread alone.
 * - lt_unpark may be called by any thread, once for each token that its owner then
 *   takes.  The owner destroys the parker only when no lt_unpark is owed to it or
 *   under way: after it has taken the token of each.
 * - lt_unpark is the waker's last use of the parker: the owner may be gone before it
 *   returns.  A backend touches no memory of the parker after the token can be seen
 *   (waking by an address that is no longer used is allowed).
 * - Taking a token acquires what lt_unpark released. */
#ifndef LT_PARK_H
#define LT_PARK_H

#include "lowthreads.h"

/* Storage for any backend's parker; each asserts that it fits. */
typedef struct lt_parker {
    void *space[24];
} lt_parker;

typedef enum lt_wake {
    LT_WAKE_TOKEN,   /* there was a token, and it was taken */
    LT_WAKE_TIMEOUT, /* the deadline has passed */
    LT_WAKE_SIGNAL,  /* look for signals; never for LT_PLAIN */
} lt_wake;

void lt_parker_init(lt_parker *parker);
lt_wake lt_park(lt_parker *parker, int64_t deadline, lt_patience patience);
void lt_unpark(lt_parker *parker);
void lt_parker_destroy(lt_parker *parker);

#endif
