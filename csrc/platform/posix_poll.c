/* See posix_poll.h.  A pipe wakes the sleeper; its one byte stays until it is read, so
 * that a wake-up can't come too early. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* ppoll */
#endif
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "posix_poll.h"

static int pipe_out = -1;
static lt_atomic_uptr pipe_in; /* the descriptor plus one; 0: none */

static bool make_private(int fd)
{
    return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0;
}

bool lt__poll_ready(void)
{
    int ends[2];
    if (pipe_out >= 0)
        return true;
    if (pipe(ends) != 0)
        return false;
    if (!make_private(ends[0]) || !make_private(ends[1])) {
        close(ends[0]);
        close(ends[1]);
        return false;
    }
    pipe_out = ends[0];
    lt_store_uptr(&pipe_in, (uintptr_t)ends[1] + 1);
    return true;
}

/* Where the platform has no ppoll: pselect, which takes fewer descriptors. */
#ifdef __APPLE__
#include <sys/select.h>

static int sleep_on(int fd, const struct timespec *limit, const sigset_t *mask)
{
    fd_set readable;
    if (fd >= FD_SETSIZE) {
        errno = EINTR; /* the caller looks for signals and comes back */
        return -1;
    }
    FD_ZERO(&readable);
    FD_SET(fd, &readable);
    return pselect(fd + 1, &readable, NULL, NULL, limit, mask);
}
#else
static int sleep_on(int fd, const struct timespec *limit, const sigset_t *mask)
{
    struct pollfd readable = {fd, POLLIN, 0};
    return ppoll(&readable, 1, limit, mask);
}
#endif

lt_wake lt__poll_sleep(int64_t deadline)
{
    struct timespec limit = {0, 0};
    if (deadline != LT_FOREVER) {
        int64_t left = deadline - lt_now();
        if (left > 0) {
            limit.tv_sec = (time_t)(left / 1000000000);
            limit.tv_nsec = (long)(left % 1000000000);
        }
    }
    int ready = sleep_on(pipe_out, deadline == LT_FOREVER ? NULL : &limit,
                         lt__signals_before_hold());
    if (ready < 0)
        return LT_WAKE_SIGNAL;
    if (ready == 0)
        return LT_WAKE_TIMEOUT;
    char bytes[16];
    while (read(pipe_out, bytes, sizeof bytes) > 0)
        ;
    return LT_WAKE_TOKEN;
}

void lt__poll_wake(void)
{
    int fd = (int)lt_load_uptr(&pipe_in) - 1;
    int before = errno;
    /* A full pipe (EAGAIN) wakes as well. */
    while (write(fd, "", 1) < 0 && errno == EINTR)
        ;
    errno = before;
}

void lt__poll_after_fork(void)
{
    if (pipe_out < 0)
        return;
    close(pipe_out);
    close((int)lt_load_uptr(&pipe_in) - 1);
    pipe_out = -1;
    lt_store_uptr(&pipe_in, 0);
}
