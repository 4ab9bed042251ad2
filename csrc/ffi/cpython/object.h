/* What a lock or RLock object is on CPython: memory for the shim's lock, and C methods for
 * the usual calls as long as all goes well.  Everything else is Python: a C method calls the
 * Python method of the same name behind `_lt_`, a prefix that is no subclass's own, which checks
 * arguments, waits on and raises.
 *
 * A call of a Python method costs as much as the whole of `_thread`'s acquire, and a
 * signal handler may run, and raise, between any two of its steps: at the entry of an
 * `__exit__` in Python, for one, with the lock never released.  In a C method it can't. */
#ifndef LT_OBJECT_H
#define LT_OBJECT_H

#include <stdlib.h>

#include "layout.h" /* of embedded/ or opaque/: the build chooses */
#include "wakeups.h"

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

/* Whatever `__getattribute__` a subclass has. */
static PyObject *lt_own_attribute(PyObject *self, const char *name)
{
    PyObject *key = PyUnicode_FromString(name);
    PyObject *found = key == NULL ? NULL : PyObject_GenericGetAttr(self, key);
    Py_XDECREF(key);
    return found;
}

LT_COLD static PyObject *lt_call_python(PyObject *self, const char *name, PyObject *const *args,
                                        Py_ssize_t count, PyObject *keywords)
{
    PyObject *method = NULL, *positional = NULL, *named = NULL, *result = NULL;
    Py_ssize_t i, named_count = keywords == NULL ? 0 : PyTuple_Size(keywords);

    method = lt_own_attribute(self, name);
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

/* Takes the exception that lt_interrupt was given with the code out of the dict.  NULL with another
 * one set, or without: it is not there. */
static PyObject *lt_take_pending(PyObject *pending, int code)
{
    PyObject *key = PyLong_FromLong(code);
    PyObject *exception = key == NULL ? NULL : PyDict_GetItemWithError(pending, key);
    Py_XINCREF(exception);
    if (exception != NULL && PyDict_DelItem(pending, key) < 0)
        Py_CLEAR(exception);
    Py_XDECREF(key);
    return exception;
}

/* Makes one exception another's context; where that led to it before, it no longer does. */
static void lt_set_context(PyObject *exception, PyObject *raised)
{
    PyObject *each = raised, *context;
    for (int most = 1000; most > 0 && (context = PyException_GetContext(each)) != NULL; most--) {
        Py_DECREF(context); /* `each` has it */
        if (context == exception)
            PyException_SetContext(each, NULL);
        else
            each = context;
    }
    Py_INCREF(raised);
    PyException_SetContext(exception, raised);
}

/* Raises what lt_interrupt was given with the code.  What a signal handler raised meanwhile is its
 * context.  All in C: a handler that raises between two steps of Python would take its place. */
static void lt_raise_expelled(PyObject *holder, int code)
{
    PyObject *type, *raised, *traceback;
    PyErr_Fetch(&type, &raised, &traceback);
    /* While none is set: up to 3.11 it may be a class alone, which is called here. */
    if (type != NULL)
        PyErr_NormalizeException(&type, &raised, &traceback);
    PyObject *pending = lt_own_attribute(holder, "_lt_pending");
    PyObject *exception = pending == NULL ? NULL : lt_take_pending(pending, code);
    Py_XDECREF(pending);
    if (exception != NULL)
        PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    else if (!PyErr_Occurred())
        PyErr_SetString(PyExc_SystemError, "nothing is known of an interrupt");
    if (type != NULL && exception != NULL) {
        if (traceback != NULL)
            PyException_SetTraceback(raised, traceback);
        if (raised != exception)
            lt_set_context(exception, raised);
    }
    Py_XDECREF(type), Py_XDECREF(raised), Py_XDECREF(traceback);
    Py_XDECREF(exception);
}

/* Gives back what the wait took, if Python was torn away since; and not what a signal handler took
 * and kept meanwhile. */
static void lt_undo_wait(lt__wait *wait)
{
    bool took = lt__wait_fulfilled(wait);
    lt_lock *lock = wait->record.lock;
    if (took && wait->record.awaited == LT_FOR_RLOCK)
        lt_rlock_release((lt_rlock *)lock);
    else if (took)
        lt_lock_undo(lock);
}

/* Waits in C for as long as all goes well, and goes on in Python, where signals are handled and
 * exceptions raised: the holder's `_lt_go_on`.  `_lt_pending` is what _expel.py keeps for
 * lt_interrupt.  Here the wait ends, whatever is raised, and if anything is, with the lock not taken. */
static PyObject *lt_wait_for(PyObject *holder, lt__wait *stacked, unsigned marks, bool passes)
{
    Py_ssize_t had = lt_wakeups_taken();
    int status = lt_ffi_wait_on(stacked, marks, LT_BRIEF, passes);
    if (status == LT_ACQUIRED)
        Py_RETURN_TRUE;
    if (status == LT_TIMED_OUT)
        Py_RETURN_FALSE;
    /* Not on the stack, which greenlets move while they run others. */
    lt__wait *wait = malloc(sizeof *wait);
    bool moved = wait != NULL;
    if (moved)
        lt__wait_move(stacked, wait);
    else
        wait = stacked;
    PyObject *address = moved ? PyLong_FromVoidPtr(wait) : PyErr_NoMemory(), *result = NULL;
    PyObject *go_on = address == NULL ? NULL : lt_own_attribute(holder, "_lt_go_on");
    if (go_on != NULL)
        result = PyObject_CallFunction(go_on, "OIiO", address, marks | LT_FRESH, status,
                                       passes ? Py_True : Py_False);
    Py_XDECREF(go_on);
    Py_XDECREF(address);
    lt_give_wakeups_back(had);
    int code = lt__wait_end(wait);
    if (code != 0) {
        lt_raise_expelled(holder, code);
        Py_CLEAR(result);
    }
    if (result == NULL && !passes)
        lt_undo_wait(wait);
    if (moved)
        free(wait);
    return result;
}

LT_COLD static PyObject *lt_object_wait_until(PyObject *self, int awaited, unsigned marks,
                                              int64_t deadline, int64_t since)
{
    lt__wait wait;
    lt_ffi_prepare(&wait, lt_lock_of(self), awaited, deadline, since);
    return lt_wait_for(self, &wait, marks, false);
}

LT_COLD static PyObject *lt_object_wait(PyObject *self, int awaited, unsigned marks)
{
    return lt_object_wait_until(self, awaited, marks, LT_FOREVER, lt_now());
}

/* Takes it as the arguments say, which Python checks: its `_lt_limit` returns nanoseconds, negative
 * for no limit, or raises. */
LT_COLD static PyObject *lt_object_take(PyObject *self, int awaited, PyObject *const *args,
                                        Py_ssize_t count, PyObject *keywords)
{
    PyObject *limit = lt_call_python(self, "_lt_limit", args, count, keywords);
    long long nanoseconds = limit == NULL ? -1 : PyLong_AsLongLong(limit);
    Py_XDECREF(limit);
    if (nanoseconds == -1 && PyErr_Occurred())
        return NULL;
    lt_status status = LT_TIMED_OUT;
    if (awaited == LT_FOR_RLOCK)
        status = lt_rlock_try(lt_rlock_of(self));
    else if (lt_lock_try(lt_lock_of(self)))
        status = LT_ACQUIRED;
    if (status == LT_OVERFLOW)
        return lt_call_python(self, "_lt_overflow", NULL, 0, NULL);
    if (status == LT_ACQUIRED || nanoseconds == 0)
        return lt_bool(status == LT_ACQUIRED);
    int64_t since = lt_now();
    bool endless = nanoseconds < 0 || nanoseconds > LT_FOREVER - since;
    return lt_object_wait_until(self, awaited, 0, endless ? LT_FOREVER : since + nanoseconds, since);
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
