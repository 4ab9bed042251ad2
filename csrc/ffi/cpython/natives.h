/* What the extension holds on CPython beside what cffi makes: the memory of lock objects,
 * with their quickest methods, and the start of threads.  Python adds it on import, and
 * builds the lock and start_new_thread on it. */
#ifndef LT_NATIVES_H
#define LT_NATIVES_H

#ifndef METH_FASTCALL
#define METH_FASTCALL 0x0080 /* in the limited API since 3.10, and the same since 3.7 */
#endif

#include "lock_object.h"
#include "thread_start.h"

static PyMethodDef lt_start_thread_method = {
    "start_thread", (PyCFunction)(void (*)(void))lt_start_thread, METH_FASTCALL, NULL};

/* Makes `value` an attribute of the extension and lets it go. */
static bool lt_add_native(const char *name, PyObject *value)
{
    PyObject *module = PyImport_AddModule(LT_MODULE); /* borrowed */
    bool added = value != NULL && module != NULL &&
                 PyObject_SetAttrString(module, name, value) == 0;
    Py_XDECREF(value);
    return added;
}

/* The documentation must stay where it is.  Returns false after it printed an exception. */
static bool lt_ffi_add_natives(const char *acquire_doc, const char *release_doc,
                               const char *locked_doc)
{
    lt_lock_document(acquire_doc, release_doc, locked_doc);
    bool added = lt_add_native("LockMemory", PyType_FromSpec(&lt_lock_spec)) &&
                 lt_add_native("start_thread", PyCFunction_New(&lt_start_thread_method, NULL));
    if (!added)
        PyErr_Print();
    return added;
}

#endif
