/* The interpreter's wake-up descriptor, which patient waits of the main thread borrow: see
 * lowthreads/_wait.py.  They give it back from C: a signal handler that raises, between two steps of
 * Python, could keep them from it. */
#ifndef LT_WAKEUPS_H
#define LT_WAKEUPS_H

#include <Python.h>

#include "lowthreads.h"

/* The main interpreter's: a list of what waits found in its place, the outermost first; what sets it;
 * and that whose attribute `fd` is the shim's descriptor. */
static PyObject *lt_wakeups_found, *lt_set_wakeup, *lt_wakeups_lent;

/* How many were found.  0 for threads that do not run handlers. */
static Py_ssize_t lt_wakeups_taken(void)
{
    bool may = lt_wakeups_found != NULL && lt_thread_ident() == lt_ffi_main_thread();
    return may ? PyList_Size(lt_wakeups_found) : 0;
}

/* Returns whether it was set, and what was before; false also if there is no memory for that. */
static bool lt_try_set_wakeup(long descriptor, long *found)
{
    PyObject *number = PyLong_FromLong(descriptor), *before = NULL;
    if (number != NULL)
        before = PyObject_CallFunctionObjArgs(lt_set_wakeup, number, NULL);
    bool set = before != NULL;
    *found = set ? PyLong_AsLong(before) : -1;
    Py_XDECREF(number);
    Py_XDECREF(before);
    return set;
}

/* Returns what was set before.  Sets none in place of one that was closed meanwhile. */
static long lt_set_wakeup_to(long descriptor)
{
    long found;
    for (int tries = 3; tries > 0 && !lt_try_set_wakeup(descriptor, &found); tries--) {
        if (!PyErr_ExceptionMatches(PyExc_MemoryError))
            descriptor = -1;
        PyErr_Clear();
    }
    return found;
}

/* The last one that was found and is not the shim's, which is `lent`; that, if all are. */
static long lt_wakeups_last(Py_ssize_t had, long lent)
{
    long descriptor = lent;
    for (Py_ssize_t i = lt_wakeups_taken(); i > had && descriptor == lent; i--)
        descriptor = PyLong_AsLong(PyList_GetItem(lt_wakeups_found, i - 1));
    return descriptor;
}

/* For those that took it when so many had it. */
static void lt_give_wakeups_back(Py_ssize_t had)
{
    PyObject *type, *raised, *traceback;
    Py_ssize_t have = lt_wakeups_taken();
    if (have <= had)
        return;
    PyErr_Fetch(&type, &raised, &traceback);
    PyObject *number = PyObject_GetAttrString(lt_wakeups_lent, "fd");
    long lent = PyLong_AsLong(number), descriptor = lt_wakeups_last(had, lent);
    Py_XDECREF(number);
    if (descriptor != lent) {
        long current = lt_set_wakeup_to(descriptor);
        if (current != lent) /* a handler has set it meanwhile */
            lt_set_wakeup_to(current);
    }
    if (had == 0)
        lt_signals_flush();
    if (PyList_SetSlice(lt_wakeups_found, had, have, NULL) < 0)
        PyErr_Clear();
    PyErr_Restore(type, raised, traceback);
}

/* give_wakeups_back(had) */
static PyObject *lt_give_back(PyObject *module, PyObject *had)
{
    (void)module;
    lt_give_wakeups_back(PyLong_AsSsize_t(had));
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef lt_give_back_method = {"give_wakeups_back", lt_give_back, METH_O, NULL};

/* lend_wakeups(found, set_wakeup_fd, lent), in the main interpreter */
static PyObject *lt_lend_wakeups(PyObject *module, PyObject *arguments)
{
    PyObject *found, *set, *lent;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "O!OO:lend_wakeups", &PyList_Type, &found, &set, &lent))
        return NULL;
    Py_INCREF(found);
    Py_INCREF(set);
    Py_INCREF(lent);
    /* Those before may be of an interpreter that is gone, in a program that embeds Python. */
    lt_wakeups_found = found;
    lt_set_wakeup = set;
    lt_wakeups_lent = lent;
    Py_RETURN_NONE;
}

static PyMethodDef lt_lend_wakeups_method = {"lend_wakeups", lt_lend_wakeups, METH_VARARGS, NULL};

#endif
