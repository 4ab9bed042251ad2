/* The RLock object on CPython: see object.h. */
#ifndef LT_RLOCK_OBJECT_H
#define LT_RLOCK_OBJECT_H

#include "object.h"

static PyObject *lt_rlock_take(PyObject *self)
{
    lt_status status = lt_rlock_try(lt_rlock_of(self));
    if (status == LT_ACQUIRED)
        return lt_bool(true);
    if (status == LT_TIMED_OUT)
        return lt_object_wait(self, LT_FOR_RLOCK, 0);
    return lt_call_python(self, "_lt_overflow", NULL, 0, NULL);
}

static PyObject *lt_rlock_acquire(PyObject *self, PyObject *const *args, Py_ssize_t count,
                                  PyObject *keywords)
{
    lt_usual usual = lt_usual_arguments(args, count, keywords);
    if (usual == LT_TRIES) {
        lt_status status = lt_rlock_try(lt_rlock_of(self));
        if (status != LT_OVERFLOW)
            return lt_bool(status == LT_ACQUIRED);
    } else if (usual == LT_WAITS) {
        return lt_rlock_take(self);
    }
    return lt_object_take(self, LT_FOR_RLOCK, args, count, keywords);
}

static PyObject *lt_rlock_enter(PyObject *self, PyObject *unused)
{
    (void)unused;
    return lt_rlock_take(self);
}

static PyObject *lt_rlock_leave(PyObject *self, PyObject *unused)
{
    (void)unused;
    if (lt_rlock_release(lt_rlock_of(self)))
        return lt_constant(Py_None);
    return lt_call_python(self, "_lt_release", NULL, 0, NULL);
}

static PyObject *lt_rlock_exit(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    (void)args;
    (void)count;
    return lt_rlock_leave(self, NULL);
}

static PyObject *lt_rlock_is_locked(PyObject *self, PyObject *unused)
{
    (void)unused;
    return lt_bool(lt_lock_locked(lt_lock_of(self)));
}

static PyObject *lt_rlock_is_owned(PyObject *self, PyObject *unused)
{
    (void)unused;
    return lt_bool(lt_rlock_owned(lt_rlock_of(self)));
}

/* In C, and without a look at signals, for the Condition that waits must get its lock back
 * before an exception can pass. */
static PyObject *lt_rlock_save(PyObject *self, PyObject *unused)
{
    (void)unused;
    uint32_t levels = lt_rlock_release_all(lt_rlock_of(self));
    if (levels == 0)
        return lt_call_python(self, "_lt_release", NULL, 0, NULL);
    return Py_BuildValue("(kN)", (unsigned long)levels, PyLong_FromSize_t(lt_thread_ident()));
}

static PyObject *lt_rlock_restore_saved(PyObject *self, PyObject *state)
{
    PyObject *given, *owner;
    lt_rlock *rlock = lt_rlock_of(self);
    if (!PyTuple_Check(state))
        return PyErr_Format(PyExc_TypeError, "argument must be a tuple, not %R", Py_TYPE(state));
    if (!PyArg_ParseTuple(state, "OO:_acquire_restore", &given, &owner))
        return NULL;
    unsigned long long levels = PyLong_AsUnsignedLongLong(given);
    if (levels == (unsigned long long)-1 && PyErr_Occurred())
        return NULL;
    if (levels > LT_RLOCK_MAX)
        return PyErr_Format(PyExc_OverflowError, "lock count %R is out of range", given);
    if (levels == 0) /* from a pickler that read it off the lock's repr */
        Py_RETURN_NONE;
    if (lt_rlock_try(rlock) != LT_ACQUIRED &&
        lt_ffi_wait(rlock, LT_FOR_RLOCK, 0, LT_FOREVER, lt_now(), LT_FIRM, false) != LT_ACQUIRED)
        return lt_call_python(self, "_lt_refuse", NULL, 0, NULL);
    lt_rlock_restore(rlock, (uint32_t)levels);
    Py_RETURN_NONE;
}

/* The documentation is that of the Python methods, see natives.h. */
static PyMethodDef lt_rlock_methods[] = {
    {"acquire", LT_FAST_KEYWORDS(lt_rlock_acquire), NULL},
    {"release", lt_rlock_leave, METH_NOARGS, NULL},
    {"locked", lt_rlock_is_locked, METH_NOARGS, NULL},
    {"__enter__", lt_rlock_enter, METH_NOARGS, NULL},
    {"__exit__", LT_FAST(lt_rlock_exit), NULL},
    {"_is_owned", lt_rlock_is_owned, METH_NOARGS, NULL},
    {"_release_save", lt_rlock_save, METH_NOARGS, NULL},
    {"_acquire_restore", lt_rlock_restore_saved, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot lt_rlock_slots[] = {
    {Py_tp_methods, lt_rlock_methods},
    {Py_tp_getset, lt_object_getters},
    {Py_tp_members, lt_object_members},
    {0, NULL},
};

static PyType_Spec lt_rlock_spec = {
    LT_MODULE ".RLockMemory",
    LT_OBJECT_SIZE,
    0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    lt_rlock_slots,
};

#endif
