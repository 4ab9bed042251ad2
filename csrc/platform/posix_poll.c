/* See posix_poll.h.  In the pipe, 0 is a wake-up, all else a signal's number.
 *
 * The program may close any descriptor, as daemons do, and its next file gets the number.  So a
 * descriptor is only taken for an end of a pipe of ours while it has that pipe's identity. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* ppoll */
#endif
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "posix_poll.h"

typedef struct identity {
    dev_t device;
    ino_t inode;
} identity;

static int pipe_out = -1;
static lt_atomic_uptr pipe_in; /* the descriptor plus one; 0: none */
static identity pipe_identity; /* of both ends; stored before pipe_in, for who wakes */
static int forward = -1;
static int stale[2] = {-1, -1}; /* a pipe that is no longer used: closed when there is another one */
static identity stale_identity;

static int writing_end(void)
{
    return (int)lt_load_uptr_acquire(&pipe_in) - 1;
}

static bool identify(int fd, identity *found)
{
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0)
        return false;
    found->device = status.st_dev;
    found->inode = status.st_ino;
    return true;
}

static bool is_end_of(int fd, const identity *it)
{
    identity found;
    return identify(fd, &found) && found.device == it->device && found.inode == it->inode;
}

/* Above 2: where the program closed its standard descriptors, what C code writes to them isn't for
 * the pipe. */
static bool make_private(int *fd)
{
    int moved = fcntl(*fd, F_DUPFD_CLOEXEC, 3);
    if (moved < 0)
        return false;
    close(*fd);
    *fd = moved;
    return fcntl(moved, F_SETFL, O_NONBLOCK) == 0;
}

static void close_stale(void)
{
    int i;
    for (i = 0; i < 2; i++) {
        if (is_end_of(stale[i], &stale_identity))
            close(stale[i]);
        stale[i] = -1;
    }
}

/* The descriptors stay open as long as the interpreter may still write to them. */
static void abandon(void)
{
    close_stale();
    stale[0] = pipe_out;
    stale[1] = writing_end();
    stale_identity = pipe_identity;
    pipe_out = -1;
    lt_store_uptr(&pipe_in, 0);
}

int lt_signals_fd(void)
{
    int ends[2];
    if (pipe_out >= 0) {
        if (is_end_of(pipe_out, &pipe_identity) && is_end_of(writing_end(), &pipe_identity))
            return writing_end();
        abandon();
    }
    if (pipe(ends) != 0)
        return -1;
    if (!make_private(&ends[0]) || !make_private(&ends[1]) || !identify(ends[0], &pipe_identity)) {
        close(ends[0]);
        close(ends[1]);
        return -1;
    }
    pipe_out = ends[0];
    lt_store_uptr_release(&pipe_in, (uintptr_t)ends[1] + 1);
    close_stale();
    return ends[1];
}

/* A full pipe (EAGAIN) wakes as well. */
static void put(int fd, const char *byte)
{
    int before = errno;
    while (write(fd, byte, 1) < 0 && errno == EINTR)
        ;
    errno = before;
}

void lt_signals_forward(int fd)
{
    forward = fd;
}

/* Empties the pipe; returns whether there was a signal. */
static bool drain(void)
{
    char bytes[64];
    bool signalled = false;
    ssize_t i, count;
    while ((count = read(pipe_out, bytes, sizeof bytes)) > 0) {
        for (i = 0; i < count; i++) {
            if (bytes[i] == 0)
                continue;
            signalled = true;
            if (forward >= 0)
                put(forward, &bytes[i]);
        }
    }
    return signalled;
}

void lt_signals_flush(void)
{
    if (is_end_of(pipe_out, &pipe_identity))
        drain();
}

#ifdef __APPLE__
/* No ppoll there: whole milliseconds, rounded up. */
static int sleep_for(struct pollfd *readable, const struct timespec *limit)
{
    if (limit == NULL)
        return poll(readable, 1, -1);
    if (limit->tv_sec > 1000000)
        return poll(readable, 1, 1000000000);
    return poll(readable, 1, (int)(limit->tv_sec * 1000 + (limit->tv_nsec + 999999) / 1000000));
}
#else
static int sleep_for(struct pollfd *readable, const struct timespec *limit)
{
    return ppoll(readable, 1, limit, NULL);
}
#endif

/* In place of a sleep that can't be had: as a brief wait, after which one looks again. */
static lt_wake sleep_briefly(int64_t deadline)
{
    int64_t left = deadline - lt_now();
    struct timespec moment = {0, (long)(left < LT_BRIEF_NS ? left : LT_BRIEF_NS)};
    if (left > 0)
        nanosleep(&moment, NULL);
    return lt_now() < deadline ? LT_WAKE_SIGNAL : LT_WAKE_TIMEOUT;
}

lt_wake lt__poll_sleep(int64_t deadline)
{
    struct timespec limit = {0, 0};
    int64_t left = deadline - lt_now();
    if (left > 0) {
        limit.tv_sec = (time_t)(left / 1000000000);
        limit.tv_nsec = (long)(left % 1000000000);
    }
    struct pollfd readable = {pipe_out, POLLIN, 0};
    int ready = sleep_for(&readable, deadline == LT_FOREVER ? NULL : &limit);
    if (ready > 0 && (readable.revents & POLLNVAL) == 0)
        return drain() ? LT_WAKE_SIGNAL : LT_WAKE_TOKEN;
    if (ready < 0 && errno == EINTR) { /* this thread took it */
        drain(); /* before handlers run, which may close what it is written on to */
        return LT_WAKE_SIGNAL;
    }
    if (ready != 0) /* it is closed, or above a new limit of descriptors */
        return sleep_briefly(deadline);
    return lt_now() < deadline ? LT_WAKE_TOKEN : LT_WAKE_TIMEOUT;
}

/* If it is ours no more, the sleep is over by then, or sees that. */
void lt__poll_wake(void)
{
    int fd = writing_end();
    if (is_end_of(fd, &pipe_identity))
        put(fd, "");
}

void lt__poll_after_fork(void)
{
    forward = -1;
    if (pipe_out >= 0)
        abandon();
}
