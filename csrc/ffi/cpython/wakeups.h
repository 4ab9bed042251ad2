/* The interpreter's wake-up descriptor, which patient waits of the main thread borrow: see
 * lowthreads/_wait.py.  They give it back from C: a signal handler that raises, between two steps of
 * Python, could keep them from it. */
#ifndef LT_WAKEUPS_H
#define LT_WAKEUPS_H

#include <Python.h>

#include "lowthreads.h"

/* The main interpreter's: a list of what waits found in its place, the outermost first, and what
 * sets it. */
static PyObject *lt_wakeups_found, *lt_set_wakeup;

/* How many waits have it.  0 for threads that do not run handlers. */
static Py_ssize_t lt_wakeups_taken(void)
{
    bool may = lt_wakeups_found != NULL && lt_thread_ident() == lt_ffi_main_thread();
    return may ? PyList_Size(lt_wakeups_found) : 0;
}

static bool lt_set_wakeup_to(PyObject *descriptor)
{
    PyObject *before = descriptor == NULL
                           ? NULL
                           : PyObject_CallFunctionObjArgs(lt_set_wakeup, descriptor, NULL);
    bool set = before != NULL;
    Py_XDECREF(before);
    if (!set)
        PyErr_Clear();
    return set;
}

/* For those that took it when so many had it. */
static void lt_give_wakeups_back(Py_ssize_t had)
{
    PyObject *type, *raised, *traceback;
    Py_ssize_t have = lt_wakeups_taken();
    if (have <= had)
        return;
    PyErr_Fetch(&type, &raised, &traceback);
    if (had == 0) {
        if (!lt_set_wakeup_to(PyList_GetItem(lt_wakeups_found, 0))) { /* closed meanwhile */
            PyObject *none = PyLong_FromLong(-1);
            lt_set_wakeup_to(none);
            Py_XDECREF(none);
        }
        lt_signals_flush();
    }
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

/* lend_wakeups(found, set_wakeup_fd), in the main interpreter */
static PyObject *lt_lend_wakeups(PyObject *module, PyObject *arguments)
{
    PyObject *found, *set;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "O!O:lend_wakeups", &PyList_Type, &found, &set))
        return NULL;
    Py_INCREF(found);
    Py_INCREF(set);
    Py_XDECREF(lt_wakeups_found);
    Py_XDECREF(lt_set_wakeup);
    lt_wakeups_found = found;
    lt_set_wakeup = set;
    Py_RETURN_NONE;
}

static PyMethodDef lt_lend_wakeups_method = {"lend_wakeups", lt_lend_wakeups, METH_VARARGS, NULL};

#endif
