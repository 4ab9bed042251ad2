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
 * thread state, and the thread-locals in it, end with lt_leave.
 *
 * PyGILState_Ensure knows the main interpreter alone; for another one, the thread state is
 * made by hand. */
typedef struct lt_entered {
    PyGILState_STATE main;
    PyThreadState *other; /* NULL in the main interpreter */
} lt_entered;

/* The calling thread's interpreter, for lt_enter: NULL for the main one. */
static inline PyInterpreterState *lt_interpreter(void)
{
    PyInterpreterState *interpreter = PyInterpreterState_Get();
    return PyInterpreterState_GetID(interpreter) == 0 ? NULL : interpreter;
}

static inline lt_entered lt_enter(PyInterpreterState *interpreter)
{
    lt_entered state = {PyGILState_UNLOCKED, NULL};
    if (interpreter == NULL) {
        state.main = PyGILState_Ensure();
    } else {
        state.other = PyThreadState_New(interpreter);
        if (state.other == NULL)
            Py_FatalError("lowthreads: no memory for a thread state");
        PyEval_RestoreThread(state.other);
    }
    return state;
}

static inline void lt_leave(lt_entered state)
{
    if (state.other == NULL) {
        PyGILState_Release(state.main);
    } else {
        PyThreadState_Clear(state.other);
        PyEval_SaveThread();
        PyThreadState_Delete(state.other);
    }
}

#endif
