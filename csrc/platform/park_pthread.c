/* The parker on any POSIX system: a mutex and a condition variable.  macOS uses it, and
 * Linux can (the build option LOWTHREADS_PARKER=pthread).
 *
 * The states are those of park_futex.c, under the mutex.  The waker signals before it
 * unlocks: the owner can't leave lt_park, and destroy the parker, until then. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "posix_poll.h"

typedef enum state { EMPTY, PARKED, POLLING, TOKEN } state;

typedef struct pthread_parker {
    pthread_mutex_t mutex;
    pthread_cond_t woken;
    state state;
} pthread_parker;

_Static_assert(sizeof(pthread_parker) <= sizeof(lt_parker), "lt_parker is too small");

static pthread_parker *of(lt_parker *parker)
{
    return (pthread_parker *)parker;
}

/* macOS can't wait on the monotonic clock until a point in time, but for a time. */
#ifdef __APPLE__
static void init_condition(pthread_cond_t *condition)
{
    pthread_cond_init(condition, NULL);
}

static int wait_until(pthread_parker *self, int64_t deadline)
{
    int64_t left = deadline - lt_now();
    if (left <= 0)
        return ETIMEDOUT;
    struct timespec limit = {(time_t)(left / 1000000000), (long)(left % 1000000000)};
    return pthread_cond_timedwait_relative_np(&self->woken, &self->mutex, &limit);
}
#else
static void init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

static int wait_until(pthread_parker *self, int64_t deadline)
{
    deadline = deadline > 0 ? deadline : 0; /* EINVAL, otherwise, without sleeping */
    struct timespec until = {(time_t)(deadline / 1000000000), (long)(deadline % 1000000000)};
    return pthread_cond_timedwait(&self->woken, &self->mutex, &until);
}
#endif

void lt_parker_init(lt_parker *parker)
{
    pthread_parker *self = of(parker);
    pthread_mutex_init(&self->mutex, NULL);
    init_condition(&self->woken);
    self->state = EMPTY;
}

void lt_parker_destroy(lt_parker *parker)
{
    pthread_cond_destroy(&of(parker)->woken);
    pthread_mutex_destroy(&of(parker)->mutex);
}

/* Sleeps once, with the mutex held before and after. */
static lt_wake sleep_once(pthread_parker *self, int64_t deadline)
{
    if (self->state == POLLING) {
        pthread_mutex_unlock(&self->mutex);
        lt_wake wake = lt__poll_sleep(deadline);
        pthread_mutex_lock(&self->mutex);
        return wake;
    }
    if (deadline == LT_FOREVER)
        return pthread_cond_wait(&self->woken, &self->mutex), LT_WAKE_TOKEN;
    return wait_until(self, deadline) == ETIMEDOUT ? LT_WAKE_TIMEOUT : LT_WAKE_TOKEN;
}

lt_wake lt_park(lt_parker *parker, int64_t deadline, lt_patience patience)
{
    pthread_parker *self = of(parker);
    int64_t brief = LT_FOREVER;
    state asleep = PARKED;
    if (patience == LT_PATIENT && lt_signals_fd() >= 0)
        asleep = POLLING;
    else if (patience != LT_PLAIN)
        brief = lt_now() + LT_BRIEF_NS;

    pthread_mutex_lock(&self->mutex);
    lt_wake wake = LT_WAKE_TOKEN;
    if (self->state == EMPTY)
        self->state = asleep;
    while (self->state == asleep && wake == LT_WAKE_TOKEN)
        wake = sleep_once(self, deadline < brief ? deadline : brief);
    if (self->state == TOKEN)
        wake = LT_WAKE_TOKEN;
    else if (wake == LT_WAKE_TIMEOUT && brief < deadline)
        wake = LT_WAKE_SIGNAL;
    self->state = EMPTY;
    pthread_mutex_unlock(&self->mutex);
    return wake;
}

void lt_unpark(lt_parker *parker)
{
    pthread_parker *self = of(parker);
    pthread_mutex_lock(&self->mutex);
    bool polling = self->state == POLLING;
    self->state = TOKEN;
    pthread_cond_signal(&self->woken);
    pthread_mutex_unlock(&self->mutex);
    if (polling)
        lt__poll_wake();
}
