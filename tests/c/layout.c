/* The public header by itself, in C99 and in C++11, and what it promises never to change: a
 * line here may only ever be added.  Compiled is all that it must be. */
#include "include/lowthreads.h"

#define HOLDS(name, condition) typedef char lt_holds_##name[(condition) ? 1 : -1]

/* The functions stand behind two words, each as wide as a pointer. */
#define IS_NUMBER(number, function) \
    HOLDS(function, offsetof(lt_api, function) == 8 + (number) * sizeof(void (*)(void)))

HOLDS(version, offsetof(lt_api, version) == 0 && LT_API_VERSION == 1);
HOLDS(size, offsetof(lt_api, size) == 4);
IS_NUMBER(0, now);
IS_NUMBER(1, thread_ident);
IS_NUMBER(2, lock_init);
IS_NUMBER(3, lock_try);
IS_NUMBER(4, lock_acquire);
IS_NUMBER(5, lock_acquire_attached);
IS_NUMBER(6, lock_release);
IS_NUMBER(7, lock_locked);
IS_NUMBER(8, lock_owner);
IS_NUMBER(9, rlock_init);
IS_NUMBER(10, rlock_try);
IS_NUMBER(11, rlock_acquire);
IS_NUMBER(12, rlock_acquire_attached);
IS_NUMBER(13, rlock_release);
IS_NUMBER(14, rlock_owner);
IS_NUMBER(15, rlock_levels);
IS_NUMBER(16, event_init);
IS_NUMBER(17, event_set);
IS_NUMBER(18, event_reset);
IS_NUMBER(19, event_is_set);
IS_NUMBER(20, event_wait);
IS_NUMBER(21, event_wait_attached);
IS_NUMBER(22, thread_start);
IS_NUMBER(23, thread_join);
IS_NUMBER(24, thread_join_attached);
IS_NUMBER(25, thread_drop);
HOLDS(end, sizeof(lt_api) == 8 + 26 * sizeof(void (*)(void)));

#define STORAGE (8 + 2 * sizeof(void *))
HOLDS(lock, sizeof(lt_lock) == STORAGE);
HOLDS(rlock, sizeof(lt_rlock) == STORAGE);
HOLDS(event, sizeof(lt_event) == STORAGE);

HOLDS(results, LT_OK == 1 && LT_TIMEOUT == 0 && LT_CANCELLED == -1 && LT_TOO_OFTEN == -2);
HOLDS(left_behind, LT_LEFT_BEHIND == -3);
HOLDS(forever, LT_FOREVER == INT64_MAX);

/* As it is used, and all types of the functions with it. */
lt_lock layout_lock = LT_INIT;
int layout_use(uintptr_t address);

static void body(void *arg)
{
    (void)arg;
}

int layout_use(uintptr_t address)
{
    lt_rlock rlock = LT_INIT;
    lt_event event = LT_INIT;
    lt_handle *handle;
    const lt_api *lt = lt_api_from(address);
    if (lt == NULL || !LT_API_HAS(lt, thread_drop) || lt->thread_ident() == 0)
        return -1;
    if (lt->lock_acquire(&layout_lock, lt_after(lt, 1000)) > 0)
        lt->lock_release(&layout_lock);
    if (lt->rlock_acquire_attached(&rlock, LT_FOREVER) > 0 && lt->rlock_levels(&rlock) == 1)
        lt->rlock_release(&rlock);
    lt->event_set(&event);
    if (lt->thread_start(body, NULL, 0, &handle) == 0) {
        lt->thread_join(handle, LT_FOREVER);
        lt->thread_drop(handle);
    }
    return lt->event_wait(&event, 0);
}
