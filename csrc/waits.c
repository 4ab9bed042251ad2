/* Which threads wait, for what, and who has it: a snapshot at any time.
 *
 * Guarantees
 * - Costs nothing where nobody waits: a thread joins the list just before it sleeps.
 * - The snapshot needs no thread's help but that of one that is just joining or leaving the
 *   list, a few instructions; it can be taken while all others are stuck.
 * - A thread is in it exactly if its wait has begun and it has neither been given the lock
 *   nor given up.  So an owner that is the waiter itself is one that took it before: who
 *   takes the lock says so (LT_ENDED) before the owner's name changes.
 * - A wait is ended either by what it waits for, or its time, or by lt_interrupt, which then
 *   returns true. */
#include "lt_park.h"
#include "lt_thread.h"
#include "lt_waits.h"

/* The list, of those who wait on all locks, in no order that matters. */
static lt_atomic_u32 editing;
static lt__wait *first;

static void begin_edit(void)
{
    uint32_t expected = 0;
    while (!lt_cas_acquire(&editing, &expected, 1)) {
        expected = 0;
        lt_thread_yield();
    }
}

static void end_edit(void)
{
    uint32_t expected = 1;
    lt_cas_release(&editing, &expected, 0);
}

/* The calling thread's; a system call that is worth sparing. */
static uint64_t native_id(void)
{
    static LT_THREAD_LOCAL uint64_t known;
    static LT_THREAD_LOCAL uint32_t generation;
    if (known == 0 || !lt__census_has(generation)) {
        known = lt_thread_native_id();
        generation = lt_census_generation();
    }
    return known;
}

void lt__wait_init(lt__wait *wait, lt_wait_record record)
{
    wait->record = record;
    wait->firm = wait->listed = false;
    wait->host = NULL;
    wait->outside = NULL;
    wait->interpreter = NULL;
    lt_store(&wait->fate, LT_PENDING);
}

static bool is_listed(const lt__wait *wait)
{
    return wait->listed && lt__census_has(wait->generation);
}

void lt__wait_show(lt__wait *wait, void *waiter)
{
    bool joins = !is_listed(wait);
    if (joins) {
        wait->record.ident = lt_thread_ident();
        wait->record.native_id = native_id();
        wait->generation = lt_census_generation();
        wait->listed = true;
    }
    begin_edit();
    wait->waiter = waiter;
    wait->record.suspended = waiter == NULL;
    if (joins) {
        wait->next = first;
        wait->to_me = &first;
        if (first != NULL)
            first->to_me = &wait->next;
        first = wait;
    }
    end_edit();
}

void lt__wait_move(lt__wait *from, lt__wait *to)
{
    bool listed = is_listed(from);
    begin_edit();
    *to = *from;
    if (listed) {
        *to->to_me = to;
        if (to->next != NULL)
            to->next->to_me = &to->next;
    }
    end_edit();
    from->listed = false;
}

int lt__wait_end(lt__wait *wait)
{
    if (is_listed(wait)) {
        begin_edit();
        *wait->to_me = wait->next;
        if (wait->next != NULL)
            wait->next->to_me = wait->to_me;
        end_edit();
    }
    wait->listed = false;
    return lt__wait_code(wait);
}

/* With the list held: the lock is there, and so is the waiter. */
static bool end_wait(lt__wait *wait, int code, lt_parker **asleep)
{
    if (wait->firm)
        return false;
    if (wait->waiter == NULL) /* suspended: it looks before it goes on */
        return lt__wait_decide(wait, (uint32_t)code);
    if (wait->record.awaited == LT_FOR_EVENT)
        return lt__event_expel(wait->record.event, wait->waiter, code, asleep);
    return lt__lock_expel(wait->record.lock, wait->waiter, code, asleep);
}

static bool is_meant(const lt__wait *wait, uintptr_t ident, int64_t since, const void *interpreter)
{
    bool is_others = interpreter != NULL && wait->interpreter != NULL;
    return wait->record.ident == ident && (since < 0 || since == wait->record.since) &&
           !(is_others && wait->interpreter != interpreter);
}

int lt_interrupt(uintptr_t ident, int64_t since, int code, const void *interpreter)
{
    lt_parker *asleep = NULL;
    int ended = 0;
    begin_edit();
    /* Of a thread's waits, the innermost comes first. */
    for (lt__wait *wait = first; wait != NULL && ended == 0; wait = wait->next)
        if (is_meant(wait, ident, since, interpreter) && end_wait(wait, code, &asleep))
            ended = wait->record.in_c ? LT_IN_C : 1;
    end_edit();
    if (asleep != NULL) /* it is there until it has this token */
        lt_unpark(asleep);
    return ended;
}

/* With the list held still, so that the lock is there. */
static bool look(lt__wait *wait, lt_wait_record *record)
{
    *record = wait->record;
    if (record->awaited == LT_FOR_EVENT)
        return lt_load(&wait->fate) == LT_PENDING; /* nobody has it */
    lt_lock *lock = record->lock;
    uintptr_t owner = lt_load_uptr_acquire(&lock->owner);
    bool held = lt_lock_locked(lock);
    record->owner = held ? owner & ~LT_MARKS : 0;
    record->scoped = held && (owner & LT_SCOPED) != 0;
    record->orphan = held && (lt_load(&lock->state) & LT_ORPHAN) != 0;
    record->signal = record->awaited == LT_FOR_LOCK && lt_lock_is_signal(lock);
    return lt_load(&wait->fate) == LT_PENDING;
}

size_t lt_waits(lt_wait_record *records, size_t room)
{
    size_t count = 0;
    lt_wait_record record;
    begin_edit();
    for (lt__wait *wait = first; wait != NULL; wait = wait->next) {
        if (look(wait, &record)) {
            if (count < room)
                records[count] = record;
            count++;
        }
    }
    end_edit();
    return count;
}

const char *lt__awaited_name(int awaited)
{
    static const char *const names[] = {
        [LT_FOR_LOCK] = "lock",
        [LT_FOR_RLOCK] = "RLock",
        [LT_FOR_THREAD] = "the end of thread",
        [LT_FOR_A_MOMENT] = "lock",
        [LT_FOR_EVENT] = "event",
    };
    return names[awaited];
}

void lt__waits_after_fork(void)
{
    lt_store(&editing, 0);
    first = NULL;
}
