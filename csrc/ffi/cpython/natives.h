/* What the extension holds on CPython beside what cffi makes: the memory of lock objects,
 * with their quickest methods, the start of threads, and a look at signals.  Python adds it
 * on import, and builds the lock and start_new_thread on it. */
#ifndef LT_NATIVES_H
#define LT_NATIVES_H

#include <stdlib.h>
#include <string.h>

#include "lock_object.h"
#include "rlock_object.h"
#include "thread_start.h"

static PyMethodDef lt_start_thread_method = {
    "start_thread", (PyCFunction)(void (*)(void))lt_start_thread, METH_FASTCALL, NULL};

/* _thread's own two, for the module in its place: a function of Python is slower, and one
 * that a class keeps becomes a method. */
static PyObject *lt_get_ident(PyObject *module, PyObject *nothing)
{
    (void)module;
    (void)nothing;
    return PyLong_FromUnsignedLongLong(lt_thread_ident());
}

static PyObject *lt_get_native_id(PyObject *module, PyObject *nothing)
{
    (void)module;
    (void)nothing;
    return PyLong_FromUnsignedLongLong(lt_thread_native_id());
}

static PyMethodDef lt_ident_methods[] = {
    {"get_ident", lt_get_ident, METH_NOARGS,
     "get_ident($module, /)\n--\n\nReturn the calling thread's identifier."},
    {"get_native_id", lt_get_native_id, METH_NOARGS,
     "get_native_id($module, /)\n--\n\n"
     "Return the number that the operating system knows the calling thread by."},
};

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

/* wait_for(address of the lock, awaited, marks, deadline, since, passes): see lowthreads/_wait.py. */
static PyObject *lt_wait_for_lock(PyObject *module, PyObject *arguments)
{
    unsigned long long address;
    long long deadline, since;
    unsigned marks;
    int awaited, passes;
    lt__wait wait;
    if (!PyArg_ParseTuple(arguments, "KiILLp:wait_for", &address, &awaited, &marks, &deadline,
                          &since, &passes))
        return NULL;
    lt_ffi_prepare(&wait, (void *)(uintptr_t)address, awaited, deadline, since);
    return lt_wait_for(module, &wait, marks, passes != 0);
}

static PyMethodDef lt_wait_for_method = {"wait_for", lt_wait_for_lock, METH_VARARGS, NULL};

/* api_capsule((name, address)): a capsule of the table for other code, see api.c. */
static PyObject *lt_api_capsule(PyObject *module, PyObject *arguments)
{
    const char *name;
    unsigned long long address;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "sK:api_capsule", &name, &address))
        return NULL;
    char *copy = malloc(strlen(name) + 1); /* stays, as the capsule may */
    if (copy == NULL)
        return PyErr_NoMemory();
    return PyCapsule_New((void *)(uintptr_t)address, strcpy(copy, name), NULL);
}

static PyMethodDef lt_api_capsule_method = {"api_capsule", lt_api_capsule, METH_O, NULL};

/* own_methods(class, base): gives a class the methods of LockMemory or RLockMemory, from which
 * it inherits them, as its own.  The interpreter specialises the call of a C method for objects of
 * the very type that has it: inherited, `acquire(); release()` took twice as long on
 * CPython 3.11 to 3.13, and 1.3 times on 3.14 and 3.15. */
static PyObject *lt_own_methods(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    if (count != 2)
        return PyErr_Format(PyExc_TypeError, "own_methods takes 2 arguments, got %zd", count);
    PyTypeObject *class = (PyTypeObject *)args[0];
    PyMethodDef *method = PyType_GetSlot((PyTypeObject *)args[1], Py_tp_methods);
    for (; method->ml_name != NULL; method++) {
        PyObject *own = PyDescr_NewMethod(class, method);
        int failed = own == NULL || PyObject_SetAttrString(args[0], method->ml_name, own) < 0;
        Py_XDECREF(own);
        if (failed)
            return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef lt_own_methods_method = {
    "own_methods", (PyCFunction)(void (*)(void))lt_own_methods, METH_FASTCALL, NULL};

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

static PyObject *lt_new_builtin(PyMethodDef *method)
{
    PyObject *in = PyUnicode_FromString("_thread");
    PyObject *function = in == NULL ? NULL : PyCFunction_NewEx(method, NULL, in);
    Py_XDECREF(in);
    return function;
}

static bool lt_add_natives_to(PyObject *module)
{
    PyObject *locks = PyType_FromSpec(&lt_lock_spec);
    PyObject *version = PySys_GetObject("hexversion");
    long hexversion = version == NULL ? 0 : PyLong_AsLong(version);
    lt_learn_constants();
    lt_learn_host(hexversion);
    lt_learn_private(hexversion);
    lt_gates_entries = hexversion < 0x030D0000;
    return lt_learn_layout(locks) && lt_add_native(module, "LockMemory", locks) &&
           lt_add_native(module, "RLockMemory", PyType_FromSpec(&lt_rlock_spec)) &&
           lt_add_native(module, "get_ident", lt_new_builtin(&lt_ident_methods[0])) &&
           lt_add_native(module, "get_native_id", lt_new_builtin(&lt_ident_methods[1])) &&
           lt_add_native(module, "run_handlers", PyCFunction_New(&lt_run_handlers_method, NULL)) &&
           lt_add_native(module, "api_capsule", PyCFunction_New(&lt_api_capsule_method, NULL)) &&
           lt_add_native(module, "own_methods", PyCFunction_New(&lt_own_methods_method, NULL)) &&
           lt_add_native(module, "give_wakeups_back",
                         PyCFunction_New(&lt_give_back_method, NULL)) &&
           lt_add_native(module, "lend_wakeups", PyCFunction_New(&lt_lend_wakeups_method, NULL)) &&
           lt_add_native(module, "wait_for", PyCFunction_New(&lt_wait_for_method, module)) &&
           lt_add_native(module, "start_thread",
                         PyCFunction_New(&lt_start_thread_method, module));
}

/* To the extension, by the name that it was imported under.  Returns false after it printed
 * an exception. */
static bool lt_ffi_add_natives(const char *imported)
{
    PyObject *name = PyUnicode_FromString(imported);
    PyObject *module = name == NULL ? NULL : PyImport_GetModule(name);
    bool added = module != NULL && lt_add_natives_to(module);
    if (!added)
        PyErr_Print();
    Py_XDECREF(module);
    Py_XDECREF(name);
    return added;
}

#endif
