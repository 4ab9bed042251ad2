/* Starting a Python thread, on CPython.
 *
 * The new thread calls the function from C, not from a callback of cffi's: that, and what
 * Python had to do around it, made a thread's start a fifth slower than `_thread`'s. */
#ifndef LT_THREAD_START_H
#define LT_THREAD_START_H

#include <Python.h>
#include <errno.h>
#include <stdlib.h>

#include "attach.h"
#include "lowthreads.h"

typedef struct lt_call {
    PyObject *function, *args;
    PyObject *kwargs; /* may be NULL */
    PyObject *name;   /* bytes for the operating system, or NULL */
    PyObject *module; /* the extension */
    PyInterpreterState *interpreter;
    void *reserve; /* memory that the new thread frees, for its thread state */
} lt_call;

/* More than any interpreter's thread state takes.  Without it the start is refused: once there is a
 * thread, nobody could be told. */
#define LT_RESERVE 32768

static void lt_call_free(lt_call *call)
{
    Py_DECREF(call->function);
    Py_DECREF(call->args);
    Py_XDECREF(call->kwargs);
    Py_XDECREF(call->name);
    Py_DECREF(call->module);
    free(call->reserve);
    free(call);
}

/* Calls the extension's attribute report_in_thread, which does not raise; but what other threads
 * raise in this one may come out (PyThreadState_SetAsyncExc).  False: it did, and was told. */
static bool lt_call_report_once(lt_call *call, PyObject *error)
{
    PyObject *report = PyObject_GetAttrString(call->module, "report_in_thread"), *result = NULL;
    if (report != NULL)
        result = PyObject_CallFunctionObjArgs(report, call->function, error, NULL);
    Py_XDECREF(report);
    Py_XDECREF(result);
    if (result != NULL)
        return true;
    if (PyErr_ExceptionMatches(PyExc_SystemExit))
        PyErr_Clear();
    else
        PyErr_WriteUnraisable(call->function);
    return false;
}

/* Gives the exception that a thread's function let out to Python. */
static void lt_call_report(lt_call *call)
{
    PyObject *type, *value, *traceback;
    if (PyErr_ExceptionMatches(PyExc_SystemExit)) {
        PyErr_Clear();
        return;
    }
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL)
        PyException_SetTraceback(value, traceback);
    if (!lt_call_report_once(call, value))
        lt_call_report_once(call, value);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
}

/* The function is freed before the count drops, and both while the thread is attached. */
static void lt_thread_call(void *arg, uint32_t generation)
{
    lt_call *call = arg;
    free(call->reserve);
    call->reserve = NULL;
    bool entered = lt_enter(call->interpreter);
    lt_census_arrive(generation);
    if (!entered) { /* what it was to call stays: it takes the interpreter to free it */
        lt_census_leave(generation);
        return;
    }
    if (call->name != NULL)
        lt_thread_set_name(PyBytes_AsString(call->name)); /* a name is worth no failure */
    PyObject *result = PyObject_Call(call->function, call->args, call->kwargs);
    if (result == NULL)
        lt_call_report(call);
    else
        Py_DECREF(result);
    lt_call_free(call);
    lt_census_leave(generation);
    lt_leave();
}

static PyObject *lt_some(PyObject *object)
{
    if (object == Py_None)
        return NULL;
    Py_INCREF(object);
    return object;
}

/* start_thread(function, args, kwargs or None, stack_size, address of the lt_handle or 0,
 * name or None), which claims the handle, and whose arguments Python has checked.  Returns the thread's ident, or an
 * errno, negative. */
static PyObject *lt_start_thread(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (count != 6)
        return PyErr_Format(PyExc_TypeError, "start_thread takes 6 arguments, got %zd", count);
    size_t stack_size = PyLong_AsSize_t(args[3]);
    lt_handle *handle = PyLong_AsVoidPtr(args[4]);
    if (PyErr_Occurred())
        return NULL;
    lt_call *call = malloc(sizeof *call);
    void *reserve = malloc(LT_RESERVE);
    if (call == NULL || reserve == NULL) {
        free(call);
        free(reserve);
        return PyErr_NoMemory();
    }
    call->reserve = reserve;
    call->function = lt_some(args[0]);
    call->args = lt_some(args[1]);
    call->kwargs = lt_some(args[2]);
    call->name = lt_some(args[5]);
    call->module = lt_some(module);
    call->interpreter = PyInterpreterState_Get();
    uintptr_t ident = 0;
    int error = lt_claim_and_start(lt_thread_call, call, stack_size, handle, &ident);
    if (error != 0)
        lt_call_free(call);
    return PyLong_FromLongLong(error == 0 ? (long long)ident : -(long long)error);
}

#endif
