/* What a lock or RLock object is on CPython: memory for the shim's lock, and C methods for
 * the usual calls as long as all goes well.  Everything else is Python: a C method calls the
 * Python method of the same name, behind an underscore (`_acquire`), which checks
 * arguments, waits on and raises.
 *
 * A call of a Python method costs as much as the whole of `_thread`'s acquire, and a
 * signal handler may run, and raise, between any two of its steps: at the entry of an
 * `__exit__` in Python, for one, with the lock never released.  In a C method it can't. */
#ifndef LT_OBJECT_H
#define LT_OBJECT_H

#include "layout.h" /* of embedded/ or opaque/: the build chooses */

#ifndef METH_FASTCALL
#define METH_FASTCALL 0x0080 /* in the limited API since 3.10, and the same since 3.7 */
#endif

static lt_lock *lt_lock_of(PyObject *self)
{
    return &lt_rlock_of(self)->lock;
}

/* Whether None, True and False live for ever, as they do from 3.12 on: in C, references to them
 * need not be counted then.  To count them takes a store, and the next atomic operation waits
 * for it: `acquire(); release()` took 1.10 of `_thread`'s time on CPython 3.15, 1.00 without. */
static bool lt_constants_are_immortal;

static void lt_learn_constants(void)
{
    lt_constants_are_immortal = Py_REFCNT(Py_None) >= 1 << 29;
}

/* A reference to None, True or False, to return. */
static inline PyObject *lt_constant(PyObject *constant)
{
    if (!lt_constants_are_immortal)
        Py_INCREF(constant);
    return constant;
}

static inline PyObject *lt_bool(bool value)
{
    return lt_constant(value ? Py_True : Py_False);
}

LT_COLD static PyObject *lt_call_python(PyObject *self, const char *name, PyObject *const *args,
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

/* An exception came out of the Python that went on with a wait, which lt_interrupt ended with
 * `code`.  If it isn't the one that this is to raise, but a signal handler's, both are raised. */
static void lt_raise_both(PyObject *self, int code)
{
    PyObject *type, *raised, *traceback;
    PyErr_Fetch(&type, &raised, &traceback);
    PyErr_NormalizeException(&type, &raised, &traceback);
    if (traceback != NULL)
        PyException_SetTraceback(raised, traceback);
    PyObject *done = PyObject_CallMethod(self, "_raise_expelled", "iO", code, raised);
    if (done == NULL) {
        Py_XDECREF(type), Py_XDECREF(raised), Py_XDECREF(traceback);
        return;
    }
    Py_DECREF(done);
    PyErr_Restore(type, raised, traceback);
}

/* Waits in C for as long as all goes well, and goes on in Python, where signals are handled and
 * exceptions raised. */
LT_COLD static PyObject *lt_wait_for(PyObject *self, int awaited, unsigned marks)
{
    lt__wait wait;
    lt_ffi_prepare(&wait, lt_lock_of(self), awaited, LT_FOREVER, lt_now());
    int status = lt_ffi_wait_on(&wait, marks, LT_BRIEF, false);
    if (status == LT_ACQUIRED)
        Py_RETURN_TRUE;
    PyObject *address = PyLong_FromVoidPtr(&wait), *result = NULL;
    if (address != NULL)
        result = PyObject_CallMethod(self, "_go_on", "OIi", address, marks, status);
    Py_XDECREF(address);
    int code = lt__wait_end(&wait);
    if (result == NULL && code != 0)
        lt_raise_both(self, code);
    return result;
}

/* What the arguments of acquire ask for, where they are the usual ones. */
typedef enum lt_usual { LT_UNUSUAL, LT_WAITS, LT_TRIES } lt_usual;

static lt_usual lt_usual_arguments(PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    if (keywords != NULL || count > 1)
        return LT_UNUSUAL;
    if (count == 0 || args[0] == Py_True)
        return LT_WAITS;
    return args[0] == Py_False ? LT_TRIES : LT_UNUSUAL;
}

static const char lt_address_doc[] =
    "Where the lock is for C code, as an int: an lt_lock, or for an RLock an lt_rlock, of\n"
    "lowthreads.h.  Valid as long as the object lives.";

static PyObject *lt_object_address(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromVoidPtr(lt_lock_of(self));
}

static PyGetSetDef lt_object_getters[] = {
    {"_address", lt_object_address, NULL, NULL, NULL}, /* which no subclass redefines */
    {"address", lt_object_address, NULL, lt_address_doc, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef lt_object_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(lt_object, weak_references),
     READONLY | LT_OFFSET_FLAG, NULL},
    {NULL, 0, 0, 0, NULL},
};

#define LT_FAST(function) (PyCFunction)(void (*)(void))function, METH_FASTCALL
#define LT_FAST_KEYWORDS(function) \
    (PyCFunction)(void (*)(void))function, METH_FASTCALL | METH_KEYWORDS

#endif
