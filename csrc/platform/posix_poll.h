/* The sleep that any signal ends, however it is timed: for LT_PATIENT waits of the
 * POSIX parkers.
 *
 * Neither a futex nor a condition variable can tell a signal that came just before the
 * sleep from none.  So the thread holds its signals back (lt_signals_hold), looks
 * whether one came earlier, and sleeps in ppoll, which lets them in for as long as it
 * sleeps.  One thread of a process sleeps so at a time. */
#ifndef LT_POSIX_POLL_H
#define LT_POSIX_POLL_H

#include "../lt_park.h"

/* Whether lt__poll_sleep can be used: it needs two file descriptors. */
bool lt__poll_ready(void);

/* Sleeps until lt__poll_wake, the deadline or a signal.  May return LT_WAKE_TOKEN for
 * no reason: look again. */
lt_wake lt__poll_sleep(int64_t deadline);

/* Ends the sleep, also one that is only about to begin. */
void lt__poll_wake(void);

/* Forgets the file descriptors, which are the parent's, after a fork. */
void lt__poll_after_fork(void);

/* What signals the thread took before lt_signals_hold. */
const void *lt__signals_before_hold(void);

#endif
