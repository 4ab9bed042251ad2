/* The lock object on CPython: see object.h. */
#ifndef LT_LOCK_OBJECT_H
#define LT_LOCK_OBJECT_H

#include "object.h"

/* The quick paths end in calls of the slow ones, and nothing else is called: so they save no
 * registers, and no store to the stack is in the way of their atomic operations.  That, and the
 * ident without a call, took `acquire(); release()` on CPython 3.15 from 1.06 of `_thread`'s time
 * to 0.97, and `with` from 1.05 to 1.01. */
LT_COLD static PyObject *lt_lock_take_slowly(PyObject *self, unsigned marks)
{
    if (lt_lock_try_marked(lt_lock_of(self), marks))
        return lt_bool(true);
    return lt_object_wait(self, LT_FOR_LOCK, marks);
}

LT_COLD static PyObject *lt_lock_try_again(PyObject *self)
{
    return lt_bool(lt_lock_try(lt_lock_of(self)));
}

LT_COLD static PyObject *lt_lock_leave_slowly(PyObject *self)
{
    if (lt_lock_release(lt_lock_of(self)))
        return lt_constant(Py_None);
    return lt_call_python(self, "_lt_release", NULL, 0, NULL);
}

static PyObject *lt_lock_acquire(PyObject *self, PyObject *const *args, Py_ssize_t count,
                                 PyObject *keywords)
{
    lt_usual usual = lt_usual_arguments(args, count, keywords);
    if (usual == LT_UNUSUAL)
        return lt_object_take(self, LT_FOR_LOCK, args, count, keywords);
    if (lt__lock_try_quickly(lt_lock_of(self), 0))
        return lt_bool(true);
    return usual == LT_TRIES ? lt_lock_try_again(self) : lt_lock_take_slowly(self, 0);
}

static PyObject *lt_lock_enter(PyObject *self, PyObject *unused)
{
    (void)unused;
    if (lt__lock_try_quickly(lt_lock_of(self), LT_SCOPED))
        return lt_bool(true);
    return lt_lock_take_slowly(self, LT_SCOPED);
}

static PyObject *lt_lock_leave(PyObject *self, PyObject *unused)
{
    lt_lock *lock = lt_lock_of(self);
    (void)unused;
    if (lt_lock_owner(lock) == lt_thread_ident() && lt__lock_unlock_quickly(lock))
        return lt_constant(Py_None);
    return lt_lock_leave_slowly(self);
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
    return lt_bool(lt_lock_locked(lt_lock_of(self)));
}

/* The documentation is that of the Python methods, see natives.h. */
static PyMethodDef lt_lock_methods[] = {
    {"acquire", LT_FAST_KEYWORDS(lt_lock_acquire), NULL},
    {"release", lt_lock_leave, METH_NOARGS, NULL},
    {"locked", lt_lock_is_locked, METH_NOARGS, NULL},
    {"acquire_lock", LT_FAST_KEYWORDS(lt_lock_acquire), NULL},
    {"release_lock", lt_lock_leave, METH_NOARGS, NULL},
    {"locked_lock", lt_lock_is_locked, METH_NOARGS, NULL},
    {"__enter__", lt_lock_enter, METH_NOARGS, NULL},
    {"__exit__", LT_FAST(lt_lock_exit), NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot lt_lock_slots[] = {
    {Py_tp_methods, lt_lock_methods},
    {Py_tp_getset, lt_object_getters},
    {Py_tp_members, lt_object_members},
    {0, NULL},
};

static PyType_Spec lt_lock_spec = {
    LT_MODULE ".LockMemory",
    LT_OBJECT_SIZE,
    0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    lt_lock_slots,
};

#endif
