/* Where a lock object has the shim's lock: behind a head whose size only the interpreter
 * knows, for builds that serve CPythons with and without a GIL (abi3t, from 3.15 on).  Its
 * twin is embedded/layout.h. */
#ifndef LT_LAYOUT_H
#define LT_LAYOUT_H

#include <Python.h>
#include <stddef.h>
#include <structmember.h>

#include "lowthreads.h"

typedef struct lt_object {
    PyObject *weak_references;
    lt_rlock rlock; /* a lock uses rlock.lock alone */
} lt_object;

#define LT_OBJECT_SIZE (-(int)sizeof(lt_object)) /* negative: in addition to the head */
#define LT_OFFSET_FLAG Py_RELATIVE_OFFSET

/* From an object's address to its lt_object: the same in all interpreters of a process, so
 * that no type needs to be asked each time. */
static lt_atomic_uptr lt_head_size;

static inline lt_rlock *lt_rlock_of(PyObject *self)
{
    return &((lt_object *)((char *)self + lt_load_uptr(&lt_head_size)))->rlock;
}

static bool lt_learn_layout(PyObject *type)
{
    PyObject *probe = type == NULL ? NULL : PyObject_CallNoArgs(type);
    if (probe == NULL)
        return false;
    char *object = PyObject_GetTypeData(probe, (PyTypeObject *)type);
    if (object != NULL)
        lt_store_uptr(&lt_head_size, (uintptr_t)(object - (char *)probe));
    Py_DECREF(probe);
    return object != NULL;
}

#endif
