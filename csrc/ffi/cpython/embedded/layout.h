/* Where a lock object has the shim's lock: behind the head of all objects, whose size the
 * build knows.  Its twin is opaque/layout.h; the build chooses. */
#ifndef LT_LAYOUT_H
#define LT_LAYOUT_H

#include <Python.h>
#include <stddef.h>
#include <structmember.h>

#include "lowthreads.h"

typedef struct lt_object {
    PyObject_HEAD
    PyObject *weak_references;
    lt_rlock rlock; /* a lock uses rlock.lock alone */
} lt_object;

/* What PyType_Spec and PyMemberDef say of it. */
#define LT_OBJECT_SIZE ((int)sizeof(lt_object))
#define LT_OFFSET_FLAG 0

static inline lt_rlock *lt_rlock_of(PyObject *self)
{
    return &((lt_object *)self)->rlock;
}

/* To be called with a type of that size before the first use of lt_rlock_of. */
static inline bool lt_learn_layout(PyObject *type)
{
    return type != NULL;
}

#endif
