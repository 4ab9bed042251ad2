/* What the compiled clients share: threads of C that count under a lock of Python's. */
#ifndef COUNTING_H
#define COUNTING_H

#include <lowthreads.h>

#ifndef _WIN32
#include <pthread.h>
#endif

#define THREADS 4

static const lt_api *lt;

/* Guarded by the lock, and by nothing else. */
static lt_lock *counter_lock;
static volatile int64_t counter;

static int64_t rounds_each;
static lt_handle *handles[THREADS];

static void count(void *unused)
{
    int64_t i;
    (void)unused;
    for (i = 0; i < rounds_each; i++) {
        if (lt->lock_acquire(counter_lock, LT_FOREVER) <= 0)
            return; /* the sum tells */
        counter++;
        lt->lock_release(counter_lock);
    }
}

/* One of the threads is made without lowthreads, where that is as simple. */
#ifndef _WIN32
static pthread_t stranger;

static void *count_as_stranger(void *unused)
{
    count(unused);
    return NULL;
}

static int start_stranger(void)
{
    return pthread_create(&stranger, NULL, count_as_stranger, NULL);
}

static void join_stranger(void)
{
    pthread_join(stranger, NULL);
}
#else
static int start_stranger(void)
{
    return 0;
}

static void join_stranger(void)
{
    count(NULL);
}
#endif

/* Starts THREADS + 1 threads that count to `rounds` each; an errno, or 0. */
static int start_counting(uintptr_t table, uintptr_t lock, int64_t rounds)
{
    int i, error = 0;
    lt = lt_api_from(table);
    if (lt == NULL)
        return -1;
    counter_lock = (lt_lock *)lock;
    counter = 0;
    rounds_each = rounds;
    for (i = 0; i < THREADS && error == 0; i++)
        error = lt->thread_start(count, NULL, 0, &handles[i]);
    return error != 0 ? error : start_stranger();
}

/* Waits for them.  Detached. */
static void join_counting(void)
{
    int i;
    for (i = 0; i < THREADS; i++) {
        lt->thread_join(handles[i], LT_FOREVER);
        lt->thread_drop(handles[i]);
    }
    join_stranger();
}

/* A thread that takes one lock and then another, and so may be part of a deadlock. */
static lt_lock *first_lock, *second_lock;
static lt_handle *taker;

static void take_both(void *unused)
{
    (void)unused;
    lt->lock_acquire(first_lock, LT_FOREVER);
    lt->lock_acquire(second_lock, LT_FOREVER);
    lt->lock_release(second_lock);
    lt->lock_release(first_lock);
}

static int start_taking(uintptr_t table, uintptr_t first, uintptr_t second)
{
    lt = lt_api_from(table);
    if (lt == NULL)
        return -1;
    first_lock = (lt_lock *)first;
    second_lock = (lt_lock *)second;
    return lt->thread_start(take_both, NULL, 0, &taker);
}

static void join_taking(void)
{
    lt->thread_join(taker, LT_FOREVER);
    lt->thread_drop(taker);
}

#endif
