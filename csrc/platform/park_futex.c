/* The parker on Linux: a futex word.
 *
 *   EMPTY    no token, the owner is awake
 *   PARKED   no token, the owner sleeps on the futex, or is about to
 *   POLLING  no token, the owner sleeps in posix_poll.c, or is about to
 *   TOKEN    a token, not taken yet
 *
 * The owner leaves EMPTY and comes back to it; a waker exchanges any state for TOKEN,
 * and what it found tells it whom to wake. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* syscall */
#endif
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "posix_poll.h"

/* A 32-bit system whose time_t has 64 bits has a call of its own for that. */
#ifdef SYS_futex_time64
#define FUTEX_CALL (sizeof(time_t) > sizeof(int32_t) ? SYS_futex_time64 : SYS_futex)
#else
#define FUTEX_CALL SYS_futex
#endif

enum { EMPTY = 0, PARKED = 1, POLLING = 2, TOKEN = 3 };

typedef struct futex_parker {
    lt_atomic_u32 word;
} futex_parker;

_Static_assert(sizeof(futex_parker) <= sizeof(lt_parker), "lt_parker is too small");

static futex_parker *of(lt_parker *parker)
{
    return (futex_parker *)parker;
}

void lt_parker_init(lt_parker *parker)
{
    lt_store(&of(parker)->word, EMPTY);
}

void lt_parker_destroy(lt_parker *parker)
{
    (void)parker;
}

/* Back to EMPTY without a token, unless one came. */
static lt_wake leave(futex_parker *self, lt_wake why)
{
    return lt_exchange(&self->word, EMPTY) == TOKEN ? LT_WAKE_TOKEN : why;
}

static lt_wake sleep_on_futex(futex_parker *self, int64_t deadline)
{
    struct timespec until, *limit = NULL;
    if (deadline != LT_FOREVER) {
        deadline = deadline > 0 ? deadline : 0; /* EINVAL, otherwise, without sleeping */
        until.tv_sec = (time_t)(deadline / 1000000000);
        until.tv_nsec = (long)(deadline % 1000000000);
        limit = &until;
    }
    /* WAIT_BITSET, for it takes a point in time, on CLOCK_MONOTONIC. */
    long result = syscall(FUTEX_CALL, &self->word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG,
                          PARKED, limit, NULL, FUTEX_BITSET_MATCH_ANY);
    if (result == 0 || errno == EAGAIN)
        return LT_WAKE_TOKEN; /* perhaps */
    return errno == ETIMEDOUT ? LT_WAKE_TIMEOUT : LT_WAKE_SIGNAL;
}

lt_wake lt_park(lt_parker *parker, int64_t deadline, lt_patience patience)
{
    futex_parker *self = of(parker);
    int64_t brief = LT_FOREVER;
    uint32_t asleep = PARKED;
    if (patience == LT_PATIENT && lt_signals_fd() >= 0)
        asleep = POLLING;
    else if (patience != LT_PLAIN)
        brief = lt_now() + LT_BRIEF_NS;

    uint32_t empty = EMPTY;
    while (!lt_cas_acquire(&self->word, &empty, asleep)) {
        if (empty == TOKEN)
            return leave(self, LT_WAKE_TOKEN);
    }
    for (;;) {
        lt_wake wake = asleep == POLLING
                           ? lt__poll_sleep(deadline)
                           : sleep_on_futex(self, deadline < brief ? deadline : brief);
        if (lt_load(&self->word) == TOKEN)
            return leave(self, LT_WAKE_TOKEN);
        if (wake == LT_WAKE_TIMEOUT)
            return leave(self, deadline <= brief ? LT_WAKE_TIMEOUT : LT_WAKE_SIGNAL);
        if (wake == LT_WAKE_SIGNAL && patience != LT_PLAIN)
            return leave(self, LT_WAKE_SIGNAL);
    }
}

void lt_unpark(lt_parker *parker)
{
    lt_atomic_u32 *word = &of(parker)->word;
    uint32_t found = lt_exchange(word, TOKEN);
    if (found == PARKED)
        syscall(FUTEX_CALL, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1);
    else if (found == POLLING)
        lt__poll_wake();
}
