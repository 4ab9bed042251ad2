/* Threads, clock and signals on POSIX systems. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "../lt_thread.h"
#include "posix_poll.h"

#ifdef __linux__
#include <sys/syscall.h>
#endif

int64_t lt_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

uint64_t lt_thread_native_id(void)
{
#if defined(__linux__)
    return (uint64_t)syscall(SYS_gettid);
#elif defined(__APPLE__)
    uint64_t id = 0;
    pthread_threadid_np(NULL, &id);
    return id;
#else
#error "no native thread id known for this platform: add it here"
#endif
}

/* ---- Names ------------------------------------------------------------------- */

size_t lt_thread_name_max(void)
{
#ifdef __APPLE__
    return 63;
#else
    return 15;
#endif
}

int lt_thread_set_name(const char *name)
{
#ifdef __APPLE__
    return pthread_setname_np(name) == 0 ? 0 : errno;
#else
    return pthread_setname_np(pthread_self(), name);
#endif
}

int lt_thread_get_name(char *name, size_t size)
{
    return pthread_getname_np(pthread_self(), name, size);
}

void lt_thread_yield(void)
{
    sched_yield();
}

/* ---- Starting ---------------------------------------------------------------- */

static void *run(void *start)
{
    lt__thread_main(start);
    return NULL;
}

int lt__thread_create(lt__start *start, size_t stack_size, uintptr_t *ident)
{
    pthread_t thread;
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error != 0)
        return error;
    if (stack_size != 0)
        error = pthread_attr_setstacksize(&attributes, stack_size);
    if (error == 0)
        error = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    if (error == 0)
        error = pthread_create(&thread, &attributes, run, start);
    pthread_attr_destroy(&attributes);
    if (error == 0)
        *ident = (uintptr_t)thread;
    return error;
}

bool lt_stack_size_valid(size_t stack_size)
{
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0)
        return false;
    bool valid = pthread_attr_setstacksize(&attributes, stack_size) == 0;
    pthread_attr_destroy(&attributes);
    return valid;
}

/* ---- Signals ------------------------------------------------------------------ */

int lt_thread_signal(uintptr_t ident, int signum)
{
    return pthread_kill((pthread_t)ident, signum);
}

static void (*handler_before)(int);

static void ask_first(int signum)
{
    lt__watch_ask();
    handler_before(signum);
}

int lt_watch_signal(int signum)
{
    struct sigaction action;
    if (sigaction(signum, NULL, &action) != 0)
        return errno;
    if ((action.sa_flags & SA_SIGINFO) || action.sa_handler == SIG_DFL ||
        action.sa_handler == SIG_IGN || action.sa_handler == ask_first)
        return EINVAL;
    handler_before = action.sa_handler;
    action.sa_handler = ask_first;
    return sigaction(signum, &action, NULL) == 0 ? 0 : errno;
}

/* ---- Writing ------------------------------------------------------------------- */

void lt__write(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, text, size);
        if (written < 0 && errno != EINTR)
            return;
        if (written > 0) {
            text += written;
            size -= (size_t)written;
        }
    }
}

/* ---- Forks --------------------------------------------------------------------- */

static void (*watcher)(void);

static void after_fork(void)
{
    lt__poll_after_fork();
    watcher();
}

int lt_platform_watch_forks(void (*before)(void), void (*in_parent)(void), void (*in_child)(void))
{
    watcher = in_child;
    return pthread_atfork(before, in_parent, after_fork);
}
