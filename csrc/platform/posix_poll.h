/* The sleep that any signal ends, however it is timed: for LT_PATIENT waits of the POSIX
 * parkers, and the descriptors of lowthreads.h's lt_signals_fd.
 *
 * Neither a futex nor a condition variable can tell a signal that came just before the
 * sleep from none, and a signal to the process may be taken by another thread.  A byte in
 * a pipe stays until it is read.  One thread of a process sleeps so at a time. */
#ifndef LT_POSIX_POLL_H
#define LT_POSIX_POLL_H

#include "../lt_park.h"

/* Sleeps until lt__poll_wake, a signal's number in the pipe, or the deadline.  May return
 * LT_WAKE_TOKEN for no reason: look again. */
lt_wake lt__poll_sleep(int64_t deadline);

/* Ends the sleep, also one that is only about to begin. */
void lt__poll_wake(void);

/* Forgets the pipe, which is the parent's, after a fork. */
void lt__poll_after_fork(void);

#endif
