/* The client that is a plain extension, with the Python C API. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "counting.h"

static const lt_api *api;

static PyObject *answer(int error)
{
    if (error != 0)
        return PyErr_Format(PyExc_RuntimeError, "no thread: error %d", error);
    Py_RETURN_NONE;
}

static PyObject *start(PyObject *module, PyObject *args)
{
    PyObject *lock;
    long long rounds;
    (void)module;
    if (!PyArg_ParseTuple(args, "OL", &lock, &rounds))
        return NULL;
    void *address = lt_address_of(lock);
    if (address == NULL)
        return NULL;
    return answer(start_counting((uintptr_t)api, (uintptr_t)address, rounds));
}

static PyObject *join(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    join_counting();
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyObject *take(PyObject *module, PyObject *args)
{
    PyObject *first, *second;
    (void)module;
    if (!PyArg_ParseTuple(args, "OO", &first, &second))
        return NULL;
    void *one = lt_address_of(first), *other = lt_address_of(second);
    if (one == NULL || other == NULL)
        return NULL;
    return answer(start_taking((uintptr_t)api, (uintptr_t)one, (uintptr_t)other));
}

static PyObject *taken(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    join_taking();
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyObject *get(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyLong_FromLongLong(counter);
}

static PyObject *set(PyObject *module, PyObject *value)
{
    (void)module;
    counter = PyLong_AsLongLong(value);
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

/* count_once(lock): attached all the time but while it waits. */
static PyObject *count_once(PyObject *module, PyObject *lock)
{
    (void)module;
    lt_lock *address = (lt_lock *)lt_address_of(lock);
    if (address == NULL || api->lock_acquire_attached(address, LT_FOREVER) <= 0)
        return NULL;
    counter++;
    api->lock_release(address);
    Py_RETURN_NONE;
}

/* hold_gil(lock): what not to do, for the report. */
static PyObject *hold_gil(PyObject *module, PyObject *lock)
{
    (void)module;
    lt_lock *address = (lt_lock *)lt_address_of(lock);
    if (address == NULL)
        return NULL;
    return PyLong_FromLong(api->lock_acquire(address, lt_after(api, 1500000000)));
}

static PyMethodDef methods[] = {
    {"start", start, METH_VARARGS, NULL},  {"join", join, METH_NOARGS, NULL},
    {"take", take, METH_VARARGS, NULL},    {"taken", taken, METH_NOARGS, NULL},
    {"get", get, METH_NOARGS, NULL},       {"set", set, METH_O, NULL},
    {"count_once", count_once, METH_O, NULL}, {"hold_gil", hold_gil, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_capi_client", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__capi_client(void)
{
    api = lt_api_import("lowthreads");
#ifndef PYPY_VERSION
    if (api != NULL && api != PyCapsule_Import("lowthreads._C_API", 0))
        return NULL;
#endif
    PyObject *module = api == NULL ? NULL : PyModule_Create(&definition);
#ifdef Py_GIL_DISABLED
    if (module != NULL)
        PyUnstable_Module_SetGIL(module, Py_MOD_GIL_NOT_USED);
#endif
    return module;
}
