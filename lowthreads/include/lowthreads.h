/* lowthreads for C and C++: the locks that Python code has, and more.
 *
 * Needs nothing but itself: no library to link with, no Python.h.  All is reached by one table
 * of functions, whose address Python gives: lowthreads.c_api(), an int.
 *
 *     const lt_api *lt = lt_api_from(address);
 *     if (lt->lock_acquire(lock, LT_FOREVER) > 0) { ...; lt->lock_release(lock); }
 *
 * A lock of Python's is at `lock.address`, an int too, for as long as the lock object lives.
 * For code with the Python C API, lt_api_import(), below, does it all.
 *
 * Attached and detached.  A thread is attached while it may use Python objects: with a GIL, that
 * is while it holds the GIL.  A wait must let it go, for the one who has what it waits for may
 * need the GIL to release it.  Each function that may block says which it wants:
 *
 *   detached   The caller has let the interpreter go (Py_BEGIN_ALLOW_THREADS, `with nogil:`), or
 *              is a thread that Python does not know.  Calls through cffi and ctypes (CDLL,
 *              CFUNCTYPE) are made detached.
 *   attached   The caller has the interpreter, as every function of a C extension that Python
 *              calls; the function lets it go for the wait, and comes back attached.  Meanwhile
 *              other Python code runs.
 *
 * All other functions never block, and may be called attached or detached.
 *
 * Times are nanoseconds on the monotonic clock, as `now` tells and time.monotonic_ns() on most
 * platforms; a deadline is the moment at which to give up, LT_FOREVER: never.  No signal ends a
 * wait, and no Python signal handler runs in one.
 *
 * Binary compatibility: what is here never changes, neither the sizes nor the order of what the
 * table holds; functions are only ever added at its end (see LT_API_HAS). */
#ifndef LOWTHREADS_C_API_H
#define LOWTHREADS_C_API_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LT_API_VERSION 1

#define LT_FOREVER INT64_MAX

/* What a wait, or an attempt, came to: above 0, and only then, it is as it was wanted. */
enum lt_result {
    LT_OK = 1,         /* the lock is held; the event was set; the thread has ended */
    LT_TIMEOUT = 0,    /* the deadline has passed, or (of an attempt) another thread has it */
    LT_CANCELLED = -1, /* lowthreads.interrupt() ended the wait; its exception is not raised */
    LT_TOO_OFTEN = -2, /* an lt_rlock was taken 4294967295 times */
    LT_LEFT_BEHIND = -3 /* a fork left behind who has the lock: set_fork_policy("raise") */
};

/* A lock, an lt_rlock (which the thread that holds it may take again) and an event may be
 * anywhere: in a struct, static, on the heap.  All zero is a new one (LT_INIT; lt_event: not
 * set), there is nothing to be destroyed, and no failure.  It must not move, nor be freed while
 * a thread uses it.  What is inside is nobody's business; 24 bytes where pointers have 64 bits. */
#ifndef LOWTHREADS_H /* the library's own sources know what is inside */
typedef struct lt_lock {
    uint32_t lt_words[2];
    void *lt_pointers[2];
} lt_lock;

typedef struct lt_rlock {
    lt_lock lt_inside;
} lt_rlock;

typedef struct lt_event {
    lt_lock lt_inside;
} lt_event;

typedef struct lt_handle lt_handle; /* of a thread that was started by thread_start */
#endif

#ifdef __cplusplus
#define LT_INIT {}
#else
#define LT_INIT {0}
#endif

typedef struct lt_api {
    uint32_t version; /* LT_API_VERSION of the lowthreads that is loaded */
    uint32_t size;    /* in bytes, of its table: may be less or more than sizeof(lt_api) here */

    /* ---- The clock, and who one is ---- */

    /* Now, in nanoseconds; never set back. */
    int64_t (*now)(void);

    /* The calling thread: never 0, and what threading.get_ident() gives in that thread. */
    uintptr_t (*thread_ident)(void);

    /* ---- The lock: lowthreads.lock ---- */

    /* Makes it a new one, unlocked, whatever it was.  Needless for memory that is all zero.
     * For the child of a fork: a lock that another thread held stays held there. */
    void (*lock_init)(lt_lock *lock);

    /* Takes it if it is free: LT_OK or LT_TIMEOUT. */
    int (*lock_try)(lt_lock *lock);

    /* Takes it, waiting for it until the deadline: LT_OK, LT_TIMEOUT or LT_CANCELLED.  A deadline
     * in the past is an attempt.  May block: detached.
     * A call that waits attached is a mistake: a deadlock, if the thread that holds the lock
     * needs the GIL.  Where that can be told, on CPython and PyPy, a wait of a second is reported
     * on stderr, and goes on. */
    int (*lock_acquire)(lt_lock *lock, int64_t deadline);

    /* The same.  May block: attached. */
    int (*lock_acquire_attached)(lt_lock *lock, int64_t deadline);

    /* Unlocks it; any thread may.  Returns 1, or 0 if it was not locked. */
    int (*lock_release)(lt_lock *lock);

    /* Whether a thread holds it: 1 or 0. */
    int (*lock_locked)(lt_lock *lock);

    /* The ident of the thread that took it; 0 if none has, or just does. */
    uintptr_t (*lock_owner)(lt_lock *lock);

    /* ---- The re-entrant lock: lowthreads.RLock ---- */

    /* As for the lock; a thread that holds it takes it once more, at once.  LT_TOO_OFTEN, too. */
    void (*rlock_init)(lt_rlock *rlock);
    int (*rlock_try)(lt_rlock *rlock);
    int (*rlock_acquire)(lt_rlock *rlock, int64_t deadline);          /* may block: detached */
    int (*rlock_acquire_attached)(lt_rlock *rlock, int64_t deadline); /* may block: attached */

    /* Releases it once.  Returns 1, or 0, and does nothing, if the calling thread doesn't hold
     * it. */
    int (*rlock_release)(lt_rlock *rlock);

    /* The ident of the thread that holds it, 0 if none does. */
    uintptr_t (*rlock_owner)(lt_rlock *rlock);

    /* How often the calling thread holds it, 0 if it doesn't. */
    uint32_t (*rlock_levels)(lt_rlock *rlock);

    /* ---- The event ---- */

    /* Makes it a new one, not set, whatever it was. */
    void (*event_init)(lt_event *event);

    /* Sets it: all waits for it end, also if it is reset at once.  What was done before is seen
     * by who waited. */
    void (*event_set)(lt_event *event);

    /* Makes it not set. */
    void (*event_reset)(lt_event *event);

    /* Whether it is set: 1 or 0. */
    int (*event_is_set)(lt_event *event);

    /* Waits until it is set, or the deadline: LT_OK, LT_TIMEOUT or LT_CANCELLED.  If no other
     * thread waits for it, too, it may be freed then, even if event_set has not returned yet. */
    int (*event_wait)(lt_event *event, int64_t deadline);          /* may block: detached */
    int (*event_wait_attached)(lt_event *event, int64_t deadline); /* may block: attached */

    /* ---- Threads ---- */

    /* Starts a thread that calls body(arg), detached, and ends when that returns.  The stack's
     * size is in bytes, 0: the platform's default.  Returns 0, and stores a handle of the thread
     * unless `handle` is NULL, or returns an errno: EINVAL for a size that the platform doesn't
     * take, EAGAIN, ENOMEM; ECANCELED once the interpreter ends.
     * Python doesn't know the thread, and doesn't wait for it when it ends.  The thread may call
     * Python after PyGILState_Ensure, or through a callback of cffi's or ctypes'. */
    int (*thread_start)(void (*body)(void *arg), void *arg, size_t stack_size, lt_handle **handle);

    /* Waits until the thread has ended: LT_OK, LT_TIMEOUT or LT_CANCELLED; as often as one likes,
     * by any threads but itself, while the handle is there.  What it did is seen after that. */
    int (*thread_join)(lt_handle *handle, int64_t deadline);          /* may block: detached */
    int (*thread_join_attached)(lt_handle *handle, int64_t deadline); /* may block: attached */

    /* Gives the handle back, once, whether the thread has ended or not. */
    void (*thread_drop)(lt_handle *handle);
} lt_api;

/* Whether the table has a function that was not in version 1's first release. */
#define LT_API_HAS(api, function) \
    ((api)->size >= offsetof(lt_api, function) + sizeof((api)->function))

/* The table at an address that lowthreads.c_api() gave; NULL if it is not one of this version. */
static inline const lt_api *lt_api_from(uintptr_t address)
{
    const lt_api *api = (const lt_api *)address;
    return api != NULL && api->version == LT_API_VERSION ? api : NULL;
}

/* The deadline so many nanoseconds from now; below 0, or too far away: LT_FOREVER. */
static inline int64_t lt_after(const lt_api *api, int64_t nanoseconds)
{
    int64_t now = api->now();
    return nanoseconds < 0 || nanoseconds > LT_FOREVER - now ? LT_FOREVER : now + nanoseconds;
}

#ifdef Py_PYTHON_H
/* For code that has included Python.h before: imports `package` ("lowthreads", or the name of a
 * vendored copy) and returns its table, or NULL with an exception set.  Call it attached. */
static inline const lt_api *lt_api_import(const char *package)
{
    const lt_api *api = NULL;
    PyObject *module = PyImport_ImportModule(package);
    PyObject *address = module == NULL ? NULL : PyObject_CallMethod(module, "c_api", NULL);
    void *pointer = address == NULL ? NULL : PyLong_AsVoidPtr(address);
    if (pointer != NULL) {
        api = lt_api_from((uintptr_t)pointer);
        if (api == NULL)
            PyErr_Format(PyExc_ImportError, "%s has another version of the C API", package);
    }
    Py_XDECREF(address);
    Py_XDECREF(module);
    return api;
}

/* The same for a lock or RLock object: its address, or NULL with an exception set.  Valid as long
 * as the object lives: keep a reference. */
static inline void *lt_address_of(PyObject *lock)
{
    PyObject *address = PyObject_GetAttrString(lock, "address");
    void *pointer = address == NULL ? NULL : PyLong_AsVoidPtr(address);
    Py_XDECREF(address);
    return pointer;
}
#endif

#ifdef __cplusplus
}
#endif
#endif
