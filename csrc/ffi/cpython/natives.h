/* What the extension holds on CPython beside what cffi makes: the memory of lock objects,
 * with their quickest methods, the start of threads, and a look at signals.  Python adds it
 * on import, and builds the lock and start_new_thread on it. */
#ifndef LT_NATIVES_H
#define LT_NATIVES_H

#include <string.h>

#include "lock_object.h"
#include "rlock_object.h"
#include "thread_start.h"

static PyMethodDef lt_start_thread_method = {
    "start_thread", (PyCFunction)(void (*)(void))lt_start_thread, METH_FASTCALL, NULL};

/* Runs the handlers of signals that came, if this is the main thread. */
static PyObject *lt_run_handlers(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    if (PyErr_CheckSignals() < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef lt_run_handlers_method = {"run_handlers", lt_run_handlers, METH_NOARGS, NULL};

/* Makes `value` an attribute of the extension and lets it go. */
static bool lt_add_native(const char *name, PyObject *value)
{
    PyObject *module = PyImport_AddModule(LT_MODULE); /* borrowed */
    bool added = value != NULL && module != NULL &&
                 PyObject_SetAttrString(module, name, value) == 0;
    Py_XDECREF(value);
    return added;
}

/* Documents a method of LockMemory or RLockMemory, before lt_ffi_add_natives.  The strings
 * must stay where they are. */
static void lt_ffi_document(bool rlock, const char *name, const char *doc)
{
    PyMethodDef *method = rlock ? lt_rlock_methods : lt_lock_methods;
    for (; method->ml_name != NULL; method++)
        if (strcmp(method->ml_name, name) == 0)
            method->ml_doc = doc;
}

/* Returns false after it printed an exception. */
static bool lt_ffi_add_natives(void)
{
    bool added = lt_add_native("LockMemory", PyType_FromSpec(&lt_lock_spec)) &&
                 lt_add_native("RLockMemory", PyType_FromSpec(&lt_rlock_spec)) &&
                 lt_add_native("start_thread", PyCFunction_New(&lt_start_thread_method, NULL)) &&
                 lt_add_native("run_handlers", PyCFunction_New(&lt_run_handlers_method, NULL));
    if (!added)
        PyErr_Print();
    return added;
}

#endif
