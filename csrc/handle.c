/* Handles of threads.
 *
 *   NOT_STARTED --claim--> STARTING --adopt--> RUNNING --finish--> DONE
 *        ^                     |
 *        +----- the start failed
 *
 * `running` is held from claim to finish.  The thread's own reference is dropped when it
 * has finished, outside of any interpreter, so the memory is the shim's. */
#include <stdlib.h>

#include "lt_thread.h"

lt_handle *lt_handle_new(void)
{
    lt_handle *handle = calloc(1, sizeof *handle);
    if (handle != NULL)
        lt_store(&handle->references, 1);
    return handle;
}

void lt_handle_keep(lt_handle *handle)
{
    lt_fetch_add(&handle->references, 1);
}

void lt_handle_drop(lt_handle *handle)
{
    if (lt_fetch_add(&handle->references, (uint32_t)-1) == 1)
        free(handle);
}

/* Takes `running` first: who sees LT_STARTING may wait for it at once.  If a thread that
 * waited for a start which failed holds it, that one is about to release it. */
bool lt_handle_claim(lt_handle *handle)
{
    uint32_t expected = LT_NOT_STARTED;
    for (;;) {
        if (lt_load(&handle->progress) != expected)
            return false;
        if (lt_lock_try(&handle->running)) {
            lt_store_uptr(&handle->running.owner, 0); /* not the starter: lt_handle_adopt says */
            break;
        }
        lt_thread_yield();
    }
    lt_store(&handle->generation, lt_census_generation());
    if (lt_cas_release(&handle->progress, &expected, LT_STARTING))
        return true;
    lt_lock_release(&handle->running);
    return false;
}

void lt__handle_unclaim(lt_handle *handle)
{
    lt_lock_release(&handle->running);
    lt_store(&handle->progress, LT_NOT_STARTED);
}

void lt_handle_adopt(lt_handle *handle, uintptr_t ident)
{
    uint32_t starting = LT_STARTING;
    lt_store_uptr(&handle->ident, ident);
    lt_store_uptr(&handle->running.owner, ident); /* it is the one to wait for */
    lt_cas_release(&handle->progress, &starting, LT_RUNNING);
}

void lt_handle_finish(lt_handle *handle)
{
    if (lt_exchange(&handle->progress, LT_DONE) != LT_DONE)
        lt_lock_release(&handle->running);
}

/* In the child of a fork a thread is done unless it made the fork: its `running` is held there as
 * any lock of the thread's, and forgets those who waited for it. */
lt_handle_progress lt_handle_progress_of(lt_handle *handle)
{
    uint32_t progress = lt_load_acquire(&handle->progress);
    uint32_t theirs = lt_load(&handle->generation);
    if (progress == LT_NOT_STARTED || lt__census_has(theirs) ||
        lt__census_has_survivor(theirs, lt_handle_ident(handle)))
        return (lt_handle_progress)progress;
    return LT_DONE;
}

lt_handle *lt_handle_of_self(void)
{
    lt__thread *self = lt__thread_self();
    if (self == NULL)
        return NULL;
    if (self->own == NULL)
        self->own = lt_handle_new();
    if (self->own != NULL) {
        lt_store_uptr(&self->own->ident, lt_thread_ident());
        lt_store(&self->own->generation, lt_census_generation());
        lt_handle_keep(self->own);
    }
    return self->own;
}
