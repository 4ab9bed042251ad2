/* The re-entrant lock.
 *
 * Guarantees
 * - owner is the calling thread's ident exactly while that thread holds the lock: only the
 *   thread itself stores its ident there (or who hands the lock over to it, while it
 *   waits), and it is taken out before the lock is free.
 * - levels belongs to the thread that holds the lock; it is 0 while nobody does. */
#include "lowthreads.h"
#include "lt_waits.h"

lt_status lt_rlock_wait(lt_rlock *rlock, int64_t deadline, int64_t since, lt_patience patience)
{
    lt_status status = lt__lock_wait(&rlock->lock, LT_FOR_RLOCK, 0, deadline, since, patience);
    if (status == LT_ACQUIRED)
        lt_store(&rlock->lock.levels, 1);
    return status;
}

lt_status lt__rlock_reenter(lt__wait *wait, uintptr_t marks)
{
    lt_rlock *rlock = (lt_rlock *)wait->record.lock;
    if (!lt_rlock_owned(rlock))
        return LT_TIMED_OUT;
    if (lt_rlock_levels(rlock) == LT_RLOCK_MAX)
        return LT_OVERFLOW; /* the wait has not got what it was for */
    lt__wait_decide(wait, LT_ENDED);
    int code = lt__wait_end(wait);
    return code != 0 ? (lt_status)code : lt_rlock_try_marked(rlock, marks);
}

uint32_t lt_rlock_release_all(lt_rlock *rlock)
{
    if (!lt_rlock_owned(rlock))
        return 0;
    uint32_t levels = lt_rlock_levels(rlock);
    lt_store(&rlock->lock.levels, 1);
    lt_rlock_release(rlock);
    return levels;
}

void lt_rlock_restore(lt_rlock *rlock, uint32_t levels)
{
    lt_store(&rlock->lock.levels, levels);
}

void lt_rlock_adopt(lt_rlock *rlock, uintptr_t ident, uint32_t levels, uint32_t generation)
{
    lt_store(&rlock->lock.levels, levels);
    lt_store_uptr(&rlock->lock.owner, ident);
    lt_store(&rlock->lock.state, LT_LOCKED | generation);
}

void lt_rlock_settle(lt_rlock *rlock)
{
    lt_lock_settle(&rlock->lock);
}

bool lt_rlock_undo(lt_rlock *rlock)
{
    bool fresh = (lt_load_uptr(&rlock->lock.owner) & LT_FRESH) != 0;
    return fresh && lt_rlock_release(rlock);
}

void lt_rlock_reinit(lt_rlock *rlock)
{
    lt_lock_reinit(&rlock->lock);
}
