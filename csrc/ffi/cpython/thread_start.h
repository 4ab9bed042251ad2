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
    PyObject *function, *args, *kwargs; /* kwargs may be NULL */
} lt_call;

static void lt_call_free(lt_call *call)
{
    Py_DECREF(call->function);
    Py_DECREF(call->args);
    Py_XDECREF(call->kwargs);
    free(call);
}

/* Gives the exception that a thread's function let out to Python: the extension's
 * attribute report_in_thread, which does not raise. */
static void lt_call_report(PyObject *function)
{
    PyObject *type, *value, *traceback, *module, *report, *result = NULL;
    if (PyErr_ExceptionMatches(PyExc_SystemExit)) {
        PyErr_Clear();
        return;
    }
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL)
        PyException_SetTraceback(value, traceback);
    module = PyImport_AddModule(LT_MODULE); /* borrowed */
    report = module == NULL ? NULL : PyObject_GetAttrString(module, "report_in_thread");
    if (report != NULL)
        result = PyObject_CallFunctionObjArgs(report, function, value, NULL);
    if (result == NULL)
        PyErr_Print();
    Py_XDECREF(result);
    Py_XDECREF(report);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
}

/* The function is freed before the count drops, and both while the thread is attached. */
static void lt_thread_call(void *arg, uint32_t generation)
{
    lt_call *call = arg;
    lt_entered state = lt_enter();
    lt_census_arrive(generation);
    PyObject *result = PyObject_Call(call->function, call->args, call->kwargs);
    if (result == NULL)
        lt_call_report(call->function);
    else
        Py_DECREF(result);
    lt_call_free(call);
    lt_census_leave(generation);
    lt_leave(state);
}

/* start_thread(function, args, kwargs or None, stack_size), whose arguments Python has
 * checked.  Returns the thread's ident, or an errno, negative. */
static PyObject *lt_start_thread(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    size_t stack_size = count == 4 ? PyLong_AsSize_t(args[3]) : 0;
    if (count != 4 || PyErr_Occurred()) {
        if (!PyErr_Occurred())
            PyErr_BadArgument();
        return NULL;
    }
    lt_call *call = malloc(sizeof *call);
    if (call == NULL)
        return PyErr_NoMemory();
    call->function = args[0];
    call->args = args[1];
    call->kwargs = args[2] == Py_None ? NULL : args[2];
    Py_INCREF(call->function);
    Py_INCREF(call->args);
    Py_XINCREF(call->kwargs);
    uintptr_t ident = 0;
    int error = lt_thread_start(lt_thread_call, call, stack_size, &ident);
    if (error != 0)
        lt_call_free(call);
    return PyLong_FromLongLong(error == 0 ? (long long)ident : -(long long)error);
}

#endif
