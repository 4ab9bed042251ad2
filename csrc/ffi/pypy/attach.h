/* The GIL rule, on PyPy: cffi lets the GIL go around every call there, at the price of
 * one store. */
#ifndef LT_ATTACH_H
#define LT_ATTACH_H

#include <Python.h>

#include "lowthreads.h"
#include "lt_waits.h"

typedef int lt_detached;

static inline lt_detached lt_detach(void)
{
    return 0;
}

static inline void lt_attach(lt_detached state)
{
    (void)state;
}

static inline const void *lt_this_interpreter(void)
{
    return NULL;
}

static const lt__host *const lt_host = NULL;

static inline void lt_go_out(lt__wait *wait)
{
    (void)wait;
}

static inline void lt_come_back(lt__wait *wait)
{
    (void)wait;
}

/* For any thread: one of PyPy's C API, in another extension, is attached. */
static bool lt_is_attached(void)
{
    return PyGILState_Check() != 0;
}

/* A release lets the GIL go as well: a thread that it wakes could take the GIL and run before
 * the one that woke it goes on. With PyPy's own locks, which wake while they hold it, that does
 * not happen, and programs came to count on it, if they know it or not (what a thread does right
 * after `Future.set_result` is done before anybody sees the result). So whoever may wake another
 * thread says so, and who was woken lets it go first, for a while. */
static lt_atomic_u32 lt_wakers;

#define LT_YIELDS 100 /* to a waker that is in the midst of it */
#define LT_PAUSES 50  /* until it has the GIL: a few instructions */

static inline bool lt_begin_release(lt_lock *lock)
{
    bool wakes = lt_load(&lock->state) != lt_load(&lt__held);
    if (wakes)
        lt_fetch_add(&lt_wakers, 1);
    return wakes;
}

static inline void lt_end_release(bool wakes)
{
    if (wakes)
        lt_fetch_add(&lt_wakers, (uint32_t)-1);
}

static inline void lt_after_wait(void)
{
    int i;
    for (i = 0; i < LT_YIELDS && lt_load(&lt_wakers) != 0; i++)
        lt_thread_yield();
    for (i = 0; i < LT_PAUSES; i++)
        lt_pause();
}

#endif
