/* The table of functions for other C code: lowthreads/include/lowthreads.h describes each.
 *
 * Where an interpreter is there (lt_api_connect), a wait takes it into account:
 * - one of the `attached` functions lets the interpreter go meanwhile;
 * - one of the others should have been called detached.  If it was not, whoever has the lock
 *   may wait for the GIL: then nobody can run, no Python code to find that out either.  So the
 *   thread that waits says it itself.  It looks only once it has to sleep. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lt_api.h"
#include "lt_thread.h"
#include "lt_waits.h"

/* A wait while attached is told after so long. */
#define TELL_AFTER_NS 1000000000

#define STDERR 2

static const lt_interpreter *interpreter;

void lt_api_connect(const lt_interpreter *connected)
{
    interpreter = connected;
}

/* ---- Waiting ------------------------------------------------------------------ */

static int wait_for(const lt_wait_record *record)
{
    lt__wait wait;
    lt__wait_init(&wait, *record);
    lt_status status = record->awaited == LT_FOR_EVENT ? lt__event_wait_on(&wait)
                                                       : lt__lock_wait_on(&wait, 0, LT_PLAIN);
    switch (status) {
    case LT_ACQUIRED:
        return LT_OK;
    case LT_TIMED_OUT:
        return LT_TIMEOUT;
    case LT_ORPHANED:
        return LT_LEFT_BEHIND;
    default:
        return LT_CANCELLED;
    }
}

static void tell_of_attached(const lt_wait_record *record)
{
    char owner[64] = "", text[400];
    uintptr_t ident = record->awaited == LT_FOR_EVENT ? 0 : lt_lock_owner(record->lock);
    if (ident != 0)
        snprintf(owner, sizeof owner, ", owned by thread 0x%" PRIxPTR, ident);
    int size = snprintf(
        text, sizeof text,
        "lowthreads: thread 0x%" PRIxPTR " (native %" PRIu64 ") waits in C for %s 0x%" PRIxPTR
        "%s, while it holds the GIL: nobody who needs the GIL can end that wait. Call it "
        "detached (Py_BEGIN_ALLOW_THREADS), or call the function's _attached twin.\n",
        lt_thread_ident(), lt_thread_native_id(), lt__awaited_name(record->awaited),
        (uintptr_t)record->lock, owner);
    lt__write(STDERR, text, (size_t)size);
}

static int wait_attached(lt_wait_record *record)
{
    int64_t deadline = record->deadline, tell = record->since + TELL_AFTER_NS;
    record->attached = true;
    if (tell < deadline) {
        record->deadline = tell;
        int result = wait_for(record);
        if (result != LT_TIMEOUT)
            return result;
        tell_of_attached(record);
        record->deadline = deadline;
    }
    return wait_for(record);
}

static lt_wait_record request(void *what, lt_awaited awaited, int64_t deadline)
{
    return (lt_wait_record){
        .lock = what, .awaited = awaited, .since = lt_now(), .deadline = deadline, .in_c = true};
}

static int wait_detached(void *what, lt_awaited awaited, int64_t deadline)
{
    lt_wait_record record = request(what, awaited, deadline);
    if (interpreter != NULL && interpreter->is_attached())
        return wait_attached(&record);
    return wait_for(&record);
}

static int detach_and_wait(void *what, lt_awaited awaited, int64_t deadline)
{
    lt_wait_record record = request(what, awaited, deadline);
    void *state = interpreter == NULL ? NULL : interpreter->detach();
    int result = wait_for(&record);
    if (interpreter != NULL)
        interpreter->attach(state);
    return result;
}

/* One of these two. */
typedef int (*waiting)(void *what, lt_awaited awaited, int64_t deadline);

/* ---- The lock ------------------------------------------------------------------- */

static int lock_try(lt_lock *lock)
{
    return lt_lock_try(lock) ? LT_OK : LT_TIMEOUT;
}

static int lock_acquire(lt_lock *lock, int64_t deadline)
{
    return lt_lock_try(lock) ? LT_OK : wait_detached(lock, LT_FOR_LOCK, deadline);
}

static int lock_acquire_attached(lt_lock *lock, int64_t deadline)
{
    return lt_lock_try(lock) ? LT_OK : detach_and_wait(lock, LT_FOR_LOCK, deadline);
}

static int lock_release(lt_lock *lock)
{
    return lt_lock_release(lock);
}

static int lock_locked(lt_lock *lock)
{
    return lt_lock_locked(lock);
}

static uintptr_t lock_owner(lt_lock *lock)
{
    return lt_lock_owner(lock);
}

/* ---- The re-entrant lock ---------------------------------------------------------- */

static int rlock_try(lt_rlock *rlock)
{
    lt_status status = lt_rlock_try(rlock);
    return status == LT_OVERFLOW ? LT_TOO_OFTEN : status == LT_ACQUIRED ? LT_OK : LT_TIMEOUT;
}

static int take_rlock(lt_rlock *rlock, int64_t deadline, waiting wait)
{
    int result = rlock_try(rlock);
    if (result != LT_TIMEOUT)
        return result;
    result = wait(&rlock->lock, LT_FOR_RLOCK, deadline);
    if (result == LT_OK)
        lt_rlock_restore(rlock, 1);
    return result;
}

static int rlock_acquire(lt_rlock *rlock, int64_t deadline)
{
    return take_rlock(rlock, deadline, wait_detached);
}

static int rlock_acquire_attached(lt_rlock *rlock, int64_t deadline)
{
    return take_rlock(rlock, deadline, detach_and_wait);
}

static int rlock_release(lt_rlock *rlock)
{
    return lt_rlock_release(rlock);
}

static uintptr_t rlock_owner(lt_rlock *rlock)
{
    return lt_rlock_owner(rlock);
}

static uint32_t rlock_levels(lt_rlock *rlock)
{
    return lt_rlock_owned(rlock) ? lt_rlock_levels(rlock) : 0;
}

/* ---- The event ---------------------------------------------------------------------- */

static int event_is_set(lt_event *event)
{
    return lt_event_is_set(event);
}

static int event_wait(lt_event *event, int64_t deadline)
{
    return lt_event_is_set(event) ? LT_OK : wait_detached(event, LT_FOR_EVENT, deadline);
}

static int event_wait_attached(lt_event *event, int64_t deadline)
{
    return lt_event_is_set(event) ? LT_OK : detach_and_wait(event, LT_FOR_EVENT, deadline);
}

/* ---- Threads -------------------------------------------------------------------------- */

typedef struct start {
    void (*body)(void *arg);
    void *arg;
} start;

/* The interpreter has no part in the thread, and need not wait until it has begun. */
static void run(void *arg, uint32_t generation)
{
    start mine = *(start *)arg;
    free(arg);
    lt_census_arrive(generation);
    lt_census_leave(generation);
    mine.body(mine.arg);
}

static int thread_start(void (*body)(void *arg), void *arg, size_t stack_size, lt_handle **handle)
{
    if (stack_size != 0 && !lt_stack_size_valid(stack_size))
        return EINVAL;
    start *its = malloc(sizeof *its);
    lt_handle *new = handle == NULL ? NULL : lt_handle_new();
    int error = ENOMEM;
    uintptr_t ident;
    if (its != NULL && (handle == NULL || new != NULL)) {
        *its = (start){body, arg};
        if (new != NULL)
            lt_handle_claim(new);
        error = lt_thread_start(run, its, stack_size, new, &ident);
    }
    if (error != 0) {
        free(its);
        if (new != NULL)
            lt_handle_drop(new);
    } else if (handle != NULL) {
        *handle = new;
    }
    return error;
}

static int join(lt_handle *handle, int64_t deadline, waiting wait)
{
    if (lt_handle_progress_of(handle) == LT_DONE)
        return LT_OK;
    lt_lock *running = lt_handle_running(handle);
    int result = lt_lock_try(running) ? LT_OK : wait(running, LT_FOR_THREAD, deadline);
    if (result == LT_OK)
        lt__lock_unlock(running);
    return result == LT_LEFT_BEHIND ? LT_OK : result;
}

static int thread_join(lt_handle *handle, int64_t deadline)
{
    return join(handle, deadline, wait_detached);
}

static int thread_join_attached(lt_handle *handle, int64_t deadline)
{
    return join(handle, deadline, detach_and_wait);
}

/* ---- The table -------------------------------------------------------------------------- */

static void event_init(lt_event *event)
{
    *event = (lt_event){0};
}

const lt_api lt_api_table = {
    .version = LT_API_VERSION,
    .size = sizeof(lt_api),
    .now = lt_now,
    .thread_ident = lt_thread_ident,
    .lock_init = lt_lock_reinit,
    .lock_try = lock_try,
    .lock_acquire = lock_acquire,
    .lock_acquire_attached = lock_acquire_attached,
    .lock_release = lock_release,
    .lock_locked = lock_locked,
    .lock_owner = lock_owner,
    .rlock_init = lt_rlock_reinit,
    .rlock_try = rlock_try,
    .rlock_acquire = rlock_acquire,
    .rlock_acquire_attached = rlock_acquire_attached,
    .rlock_release = rlock_release,
    .rlock_owner = rlock_owner,
    .rlock_levels = rlock_levels,
    .event_init = event_init,
    .event_set = lt_event_set,
    .event_reset = lt_event_reset,
    .event_is_set = event_is_set,
    .event_wait = event_wait,
    .event_wait_attached = event_wait_attached,
    .thread_start = thread_start,
    .thread_join = thread_join,
    .thread_join_attached = thread_join_attached,
    .thread_drop = lt_handle_drop,
};
