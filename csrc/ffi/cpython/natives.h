/* What the extension holds on CPython beside what cffi makes: the memory of lock objects,
 * with their quickest methods, and the start of threads.  Python adds it on import, and
 * builds the lock and start_new_thread on it. */
#ifndef LT_NATIVES_H
#define LT_NATIVES_H

#include <stdlib.h>
#include <string.h>

#include "lock_object.h"
#include "rlock_object.h"
#include "thread_start.h"

static PyMethodDef lt_start_thread_method = {
    "start_thread", (PyCFunction)(void (*)(void))lt_start_thread, METH_FASTCALL, NULL};

/* Makes `value` an attribute of the extension and lets it go. */
static bool lt_add_native(PyObject *module, const char *name, PyObject *value)
{
    bool added = value != NULL && PyObject_SetAttrString(module, name, value) == 0;
    Py_XDECREF(value);
    return added;
}

/* Documents a method of LockMemory or RLockMemory, before lt_ffi_add_natives.  Once a
 * process: the string stays, whichever interpreter gave it. */
static void lt_ffi_document(bool rlock, const char *name, const char *doc)
{
    PyMethodDef *method = rlock ? lt_rlock_methods : lt_lock_methods;
    for (; method->ml_name != NULL; method++) {
        if (method->ml_doc != NULL || strcmp(method->ml_name, name) != 0)
            continue;
        char *copy = malloc(strlen(doc) + 1);
        if (copy != NULL)
            method->ml_doc = strcpy(copy, doc);
    }
}

static bool lt_add_natives_to(PyObject *module)
{
    PyObject *locks = PyType_FromSpec(&lt_lock_spec);
    return lt_learn_layout(locks) && lt_add_native(module, "LockMemory", locks) &&
           lt_add_native(module, "RLockMemory", PyType_FromSpec(&lt_rlock_spec)) &&
           lt_add_native(module, "start_thread",
                         PyCFunction_New(&lt_start_thread_method, module));
}

/* Returns false after it printed an exception. */
static bool lt_ffi_add_natives(void)
{
    PyObject *name = PyUnicode_FromString(LT_MODULE);
    PyObject *module = name == NULL ? NULL : PyImport_GetModule(name);
    bool added = module != NULL && lt_add_natives_to(module);
    if (!added)
        PyErr_Print();
    Py_XDECREF(module);
    Py_XDECREF(name);
    return added;
}

#endif
