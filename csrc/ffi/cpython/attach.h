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

/* Makes a thread of our own one that the interpreter knows, for as long as it lives: its
 * thread state, and the thread-locals in it, end with lt_leave. */
typedef PyGILState_STATE lt_entered;

static inline lt_entered lt_enter(void)
{
    return PyGILState_Ensure();
}

static inline void lt_leave(lt_entered state)
{
    PyGILState_Release(state);
}

#endif
