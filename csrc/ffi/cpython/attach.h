/* The GIL rule, on CPython.
 *
 * cffi lets the GIL go around every call.  For an operation of a few nanoseconds that is
 * most of its cost, and it hands the GIL to a neighbour in the middle of a critical
 * section.  So the wrappers that cffi generates, which come after this in the same file,
 * keep it; what can block lets it go itself, by lt_detach and lt_attach around the wait.
 * Nothing waits for another thread while attached. */
#ifndef LT_ATTACH_H
#define LT_ATTACH_H

#include <Python.h>

#include "lowthreads.h"
#include "lt_park.h"
#include "lt_thread.h"
#include "lt_waits.h"
#include "symbol.h"

#undef Py_BEGIN_ALLOW_THREADS
#undef Py_END_ALLOW_THREADS
#define Py_BEGIN_ALLOW_THREADS {
#define Py_END_ALLOW_THREADS }

/* cffi also saves errno after each call, for ffi.errno, which is not used here: functions
 * return their errors.  It costs a fifth to a third of a call of lt_lock_try. */
#undef _cffi_save_errno
#undef _cffi_restore_errno
#define _cffi_save_errno() ((void)0)
#define _cffi_restore_errno() ((void)0)

/* Lets the interpreter go; lt_attach takes it back.  Every detach is followed by one. */
typedef PyThreadState *lt_detached;

static inline lt_detached lt_detach(void)
{
    return PyEval_SaveThread();
}

static inline void lt_attach(lt_detached state)
{
    PyEval_RestoreThread(state);
}

static inline const void *lt_this_interpreter(void)
{
    return PyInterpreterState_Get();
}

/* The same for a wait. */
static void lt_go_out(lt__wait *wait)
{
    wait->outside = lt_detach();
}

static void lt_come_back(lt__wait *wait)
{
    lt_attach(wait->outside);
    wait->outside = NULL;
}

/* NULL up to 3.13: a thread that comes back to an interpreter which has ended ends there, with
 * its stack, and so would a waiter that is in the queue still.  From 3.14 on it stays for ever.
 *
 * Throughput of 4 threads that contend, relative to `_thread`, on 3.14 and 3.15: 0.54 to 0.69
 * without, 0.98 to 1.02 with it. */
static const lt__host *lt_host;

static void lt_learn_host(long version)
{
    static const lt__host one_with_a_gil = {lt_come_back, lt_go_out};
    if (version >= 0x030E0000)
        lt_host = &one_with_a_gil;
}

/* Functions that are not in the limited API; NULL: not found. */

/* Returns the current thread state, for any thread: up to 3.11 that of whoever has the GIL. */
static PyThreadState *(*lt_current_state)(void);

/* For the state that the calling thread made.  On 3.11 alone: there PyThreadState_New does that, and
 * crashes if there is no memory for one. */
static void (*lt_set_own_state)(PyThreadState *);

static void lt_learn_private(long version)
{
    void *found = lt_symbol("PyThreadState_GetUnchecked"); /* from 3.13 on, and public */
    if (found == NULL)
        found = lt_symbol("_PyThreadState_UncheckedGet");
    lt_current_state = (PyThreadState * (*)(void)) found;
    if (version >> 16 == 0x030B)
        lt_set_own_state = (void (*)(PyThreadState *))lt_symbol("_PyThreadState_SetCurrent");
}

/* For any thread, also one that Python doesn't know.  PyGILState_Check is no use: it says yes
 * once there has been a subinterpreter. */
static bool lt_is_attached(void)
{
    PyThreadState *mine = PyGILState_GetThisThreadState();
    return mine != NULL && lt_current_state != NULL && lt_current_state() == mine;
}

/* Releases keep the GIL: see pypy/attach.h. */
static inline bool lt_begin_release(lt_lock *lock)
{
    (void)lock;
    return false;
}

static inline void lt_end_release(bool wakes)
{
    (void)wakes;
}

static inline void lt_after_wait(void)
{
}

/* Held while a thread makes its thread state: up to 3.12 the interpreter has a lock of its own for
 * that, which it takes without the GIL, and the child of a fork would wait for it for ever if
 * another thread had it.  From 3.13 on the interpreter itself holds that lock within a fork.
 *
 * A fork takes it within fork(), and not in a hook of os.register_at_fork: hooks that were
 * registered before would run after that, and may wait for threads that start. */
static lt_lock lt_entering;
static bool lt_gates_entries; /* whether it is needed */

static void lt_hold_entries(void)
{
    if (!lt_gates_entries || lt_lock_try(&lt_entering))
        return;
    /* Whoever has it may wait for the GIL: tracemalloc takes that to note an allocation. */
    PyThreadState *state = lt_is_attached() ? PyEval_SaveThread() : NULL;
    lt__lock_enter(&lt_entering);
    if (state != NULL)
        PyEval_RestoreThread(state);
}

static void lt_let_entries(void)
{
    if (lt_gates_entries)
        lt_lock_release(&lt_entering);
}

/* Both are in the stable ABI, though not in its headers. */
PyAPI_FUNC(PyThreadState *) _PyThreadState_Prealloc(PyInterpreterState *);
PyAPI_FUNC(void) PyThreadState_DeleteCurrent(void);

static PyThreadState *lt_new_state(PyInterpreterState *interpreter)
{
    PyThreadState *state;
    lt_hold_entries();
    if (lt_set_own_state == NULL)
        state = PyThreadState_New(interpreter);
    else if ((state = _PyThreadState_Prealloc(interpreter)) != NULL)
        lt_set_own_state(state);
    lt_let_entries();
    return state;
}

/* A thread that got no memory for its state tries so often again, once a millisecond. */
#define LT_ENTER_TRIES 1000

static void lt_take_a_nap(void)
{
    lt_parker self;
    lt_parker_init(&self);
    lt_park(&self, lt_now() + 1000000, LT_PLAIN);
    lt_parker_destroy(&self);
}

/* Makes a thread of our own one that the interpreter knows, for as long as it lives: its
 * thread state, and the thread-locals in it, end with lt_leave.  False: no memory for that. */
static inline bool lt_enter(PyInterpreterState *interpreter)
{
    PyThreadState *state = lt_new_state(interpreter);
    for (int tries = 0; state == NULL && tries < LT_ENTER_TRIES; tries++) {
        lt_take_a_nap();
        state = lt_new_state(interpreter);
    }
    if (state == NULL) {
        static const char message[] = LT_MODULE ": a new thread ends: no memory for its state\n";
        lt__write(2, message, sizeof message - 1);
        return false;
    }
    PyEval_RestoreThread(state);
    return true;
}

/* PyGILState_Release would do both, but up to 3.12 it clears the state as one that nobody has: a
 * destructor that calls back into Python would end it a second time. */
static inline void lt_leave(void)
{
    PyThreadState_Clear(PyThreadState_Get());
    PyThreadState_DeleteCurrent();
}

#endif
