/* What a lock object is on CPython: memory for an lt_lock, and C methods for the usual
 * calls as long as all goes well.  Everything else is Python: a C method calls the Python
 * method of the same name, behind an underscore (`_acquire`), which checks arguments, waits
 * on and raises.
 *
 * A call of a Python method costs as much as the whole of `_thread`'s acquire, and a
 * signal handler may run, and raise, between any two of its steps: at the entry of an
 * `__exit__` in Python, for one, with the lock never released.  In a C method it can't. */
#ifndef LT_LOCK_OBJECT_H
#define LT_LOCK_OBJECT_H

#include <Python.h>
#include <stddef.h>
#include <structmember.h>

#include "lowthreads.h"

typedef struct lt_lock_object {
    PyObject_HEAD
    PyObject *weak_references;
    lt_lock lock;
} lt_lock_object;

static lt_lock *lt_lock_of(PyObject *self)
{
    return &((lt_lock_object *)self)->lock;
}

static PyObject *lt_call_python(PyObject *self, const char *name, PyObject *const *args,
                                Py_ssize_t count, PyObject *keywords)
{
    PyObject *method = NULL, *positional = NULL, *named = NULL, *result = NULL;
    Py_ssize_t i, named_count = keywords == NULL ? 0 : PyTuple_Size(keywords);

    method = PyObject_GetAttrString(self, name);
    positional = PyTuple_New(count);
    named = named_count == 0 ? NULL : PyDict_New();
    if (method == NULL || positional == NULL || (named_count != 0 && named == NULL))
        goto done;
    for (i = 0; i < count; i++) {
        Py_INCREF(args[i]);
        PyTuple_SetItem(positional, i, args[i]);
    }
    for (i = 0; i < named_count; i++)
        if (PyDict_SetItem(named, PyTuple_GetItem(keywords, i), args[count + i]) < 0)
            goto done;
    result = PyObject_Call(method, positional, named);
done:
    Py_XDECREF(method);
    Py_XDECREF(positional);
    Py_XDECREF(named);
    return result;
}

/* Takes the lock, waiting as long as no signal needs to be handled. */
static bool lt_lock_take(lt_lock *lock)
{
    return lt_lock_try(lock) ||
           lt_ffi_lock_wait(lock, LT_FOREVER, lt_now(), LT_BRIEF) == LT_ACQUIRED;
}

static PyObject *lt_lock_acquire(PyObject *self, PyObject *const *args, Py_ssize_t count,
                                 PyObject *keywords)
{
    lt_lock *lock = lt_lock_of(self);
    if (keywords == NULL && (count == 0 || (count == 1 && args[0] == Py_True))) {
        if (lt_lock_take(lock))
            Py_RETURN_TRUE;
    } else if (keywords == NULL && count == 1 && args[0] == Py_False) {
        return PyBool_FromLong(lt_lock_try(lock));
    }
    return lt_call_python(self, "_acquire", args, count, keywords);
}

static PyObject *lt_lock_enter(PyObject *self, PyObject *unused)
{
    (void)unused;
    if (lt_lock_take(lt_lock_of(self)))
        Py_RETURN_TRUE;
    return lt_call_python(self, "_acquire", NULL, 0, NULL);
}

static PyObject *lt_lock_leave(PyObject *self, PyObject *unused)
{
    (void)unused;
    if (lt_lock_release(lt_lock_of(self)))
        Py_RETURN_NONE;
    return lt_call_python(self, "_release", NULL, 0, NULL);
}

static PyObject *lt_lock_exit(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    (void)args;
    (void)count;
    return lt_lock_leave(self, NULL);
}

static PyObject *lt_lock_is_locked(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(lt_lock_locked(lt_lock_of(self)));
}

static PyObject *lt_lock_address(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromVoidPtr(lt_lock_of(self));
}

#define LT_ACQUIRE (PyCFunction)(void (*)(void))lt_lock_acquire, METH_FASTCALL | METH_KEYWORDS
#define LT_EXIT (PyCFunction)(void (*)(void))lt_lock_exit, METH_FASTCALL

/* The documentation is that of the Python methods, see lt_lock_document. */
static PyMethodDef lt_lock_methods[] = {
    {"acquire", LT_ACQUIRE, NULL},
    {"release", lt_lock_leave, METH_NOARGS, NULL},
    {"locked", lt_lock_is_locked, METH_NOARGS, NULL},
    {"acquire_lock", LT_ACQUIRE, NULL},
    {"release_lock", lt_lock_leave, METH_NOARGS, NULL},
    {"locked_lock", lt_lock_is_locked, METH_NOARGS, NULL},
    {"__enter__", lt_lock_enter, METH_NOARGS, NULL},
    {"__exit__", LT_EXIT, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef lt_lock_getters[] = {
    {"_address", lt_lock_address, NULL, "Where the lt_lock is, as an int.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef lt_lock_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(lt_lock_object, weak_references), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot lt_lock_slots[] = {
    {Py_tp_methods, lt_lock_methods},
    {Py_tp_getset, lt_lock_getters},
    {Py_tp_members, lt_lock_members},
    {0, NULL},
};

static PyType_Spec lt_lock_spec = {
    LT_MODULE ".LockMemory",
    sizeof(lt_lock_object),
    0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    lt_lock_slots,
};

/* The strings must stay where they are. */
static void lt_lock_document(const char *acquire, const char *release, const char *locked)
{
    const char *docs[] = {acquire, release, locked};
    size_t i;
    for (i = 0; i < 6; i++)
        lt_lock_methods[i].ml_doc = docs[i % 3];
}

#endif
