/* Random sequences of operations over a few threads, for libFuzzer, against a model.
 *
 * Each two bytes are one operation: who does what to which lock.  What comes out is known, for
 * those who wait are handed the lock, in the order in which they came. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lowthreads.h"

enum { THREADS = 4, LOCKS = 2, NOBODY = -1 };

#define CHECK(condition) ((condition) ? (void)0 : fail(__LINE__, #condition))

static void fail(int line, const char *condition)
{
    fprintf(stderr, "fuzz_locks.c:%d: does not hold: %s\n", line, condition);
    abort();
}

typedef enum operation {
    TRY,
    TRY_FRESH,
    WAIT,
    WAIT_IN_VAIN,
    WAIT_BRIEFLY,
    RELEASE,
    UNDO,
    SETTLE,
    RE_TRY,
    RE_WAIT,
    RE_RELEASE,
    RE_RELEASE_ALL,
    OPERATIONS,
} operation;

/* ---- The threads -------------------------------------------------------------------- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static struct {
    operation operation;
    int which;
    bool busy;
    int result;
    uintptr_t ident;
} workers[THREADS];

static lt_lock locks[LOCKS];
static lt_rlock rlocks[LOCKS];

static int perform(operation operation, lt_lock *lock, lt_rlock *rlock)
{
    switch (operation) {
    case TRY:
        return lt_lock_try(lock);
    case TRY_FRESH:
        return lt_lock_try_marked(lock, LT_FRESH);
    case WAIT:
        return lt_lock_wait(lock, LT_FOREVER, 0, LT_PLAIN);
    case WAIT_IN_VAIN:
        return lt_lock_wait(lock, 0, 0, LT_PLAIN);
    case WAIT_BRIEFLY:
        return lt_lock_wait(lock, lt_now() + 20000, 0, LT_BRIEF);
    case RELEASE:
        return lt_lock_release(lock);
    case UNDO:
        return lt_lock_undo(lock);
    case SETTLE:
        lt_lock_settle(lock);
        return 0;
    case RE_TRY:
        return lt_rlock_try(rlock);
    case RE_WAIT:
        return lt_rlock_owned(rlock) ? lt_rlock_try(rlock)
                                     : lt_rlock_wait(rlock, LT_FOREVER, 0, LT_PLAIN);
    case RE_RELEASE:
        return lt_rlock_release(rlock);
    case RE_RELEASE_ALL:
        return (int)lt_rlock_release_all(rlock);
    default:
        return 0;
    }
}

static void *work(void *arg)
{
    int me = (int)(intptr_t)arg;
    pthread_mutex_lock(&mutex);
    workers[me].ident = lt_thread_ident();
    pthread_cond_broadcast(&changed);
    for (;;) {
        while (!workers[me].busy)
            pthread_cond_wait(&changed, &mutex);
        operation operation = workers[me].operation;
        int which = workers[me].which;
        pthread_mutex_unlock(&mutex);
        int result = perform(operation, &locks[which], &rlocks[which]);
        pthread_mutex_lock(&mutex);
        workers[me].result = result;
        workers[me].busy = false;
        pthread_cond_broadcast(&changed);
    }
    return NULL;
}

static void start(void)
{
    pthread_t thread;
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&thread, NULL, work, (void *)(intptr_t)i) == 0);
    pthread_mutex_lock(&mutex);
    for (int i = 0; i < THREADS; i++)
        while (workers[i].ident == 0)
            pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
}

static void begin(int who, operation operation, int which)
{
    pthread_mutex_lock(&mutex);
    workers[who].operation = operation;
    workers[who].which = which;
    workers[who].busy = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

static int result_of(int who)
{
    pthread_mutex_lock(&mutex);
    while (workers[who].busy)
        pthread_cond_wait(&changed, &mutex);
    int result = workers[who].result;
    pthread_mutex_unlock(&mutex);
    return result;
}

/* ---- The model ------------------------------------------------------------------------ */

typedef struct model {
    int owner;
    uint32_t levels;
    bool fresh;
    int queue[THREADS], waiting;
} model;

static model plain[LOCKS], re_entrant[LOCKS];
static size_t all_waiting;

static void take(model *it, int who, bool fresh)
{
    it->owner = who;
    it->levels = 1;
    it->fresh = fresh;
}

static void queue_up(model *it, int who)
{
    it->queue[it->waiting++] = who;
    all_waiting++;
    while (lt_waits(NULL, 0) != all_waiting)
        lt_thread_yield();
}

/* The lock is free, or handed to the first who waits; that one's wait is over. */
static void give_on(model *it, lt_lock *lock)
{
    it->owner = NOBODY;
    it->levels = 0;
    if (it->waiting == 0) {
        CHECK(!lt_lock_locked(lock) && lt_lock_owner(lock) == 0);
        return;
    }
    int next = it->queue[0];
    memmove(it->queue, it->queue + 1, sizeof it->queue - sizeof *it->queue);
    it->waiting--;
    all_waiting--;
    take(it, next, false);
    CHECK(result_of(next) == LT_ACQUIRED);
    while (lt_waits(NULL, 0) != all_waiting)
        lt_thread_yield();
    CHECK(lt_lock_owner(lock) == workers[next].ident);
}

static int run(int who, operation operation, int which)
{
    begin(who, operation, which);
    return result_of(who);
}

static void step(int who, operation operation, int which)
{
    model *it = operation >= RE_TRY ? &re_entrant[which] : &plain[which];
    lt_lock *lock = operation >= RE_TRY ? &rlocks[which].lock : &locks[which];
    bool is_free = it->owner == NOBODY;
    bool is_mine = it->owner == who;
    switch (operation) {
    case TRY:
    case TRY_FRESH:
        CHECK(run(who, operation, which) == is_free);
        if (is_free)
            take(it, who, operation == TRY_FRESH);
        break;
    case WAIT_IN_VAIN:
    case WAIT_BRIEFLY:
        CHECK(run(who, operation, which) == (is_free ? LT_ACQUIRED : LT_TIMED_OUT));
        if (is_free)
            take(it, who, false);
        break;
    case WAIT:
    case RE_WAIT:
        if (is_free || (is_mine && operation == RE_WAIT)) {
            CHECK(run(who, operation, which) == LT_ACQUIRED);
            it->levels++;
            if (is_free)
                take(it, who, false);
        } else {
            begin(who, operation, which);
            queue_up(it, who);
        }
        break;
    case RELEASE:
        CHECK(run(who, operation, which) == !is_free);
        if (!is_free)
            give_on(it, lock);
        break;
    case UNDO:
        CHECK(run(who, operation, which) == (is_mine && it->fresh));
        if (is_mine && it->fresh)
            give_on(it, lock);
        break;
    case SETTLE:
        run(who, operation, which);
        it->fresh &= !is_mine;
        break;
    case RE_TRY:
        CHECK(run(who, operation, which) == (is_free || is_mine ? LT_ACQUIRED : LT_TIMED_OUT));
        if (is_free)
            take(it, who, false);
        else
            it->levels += is_mine;
        break;
    case RE_RELEASE:
        CHECK(run(who, operation, which) == is_mine);
        if (is_mine && --it->levels == 0)
            give_on(it, lock);
        break;
    case RE_RELEASE_ALL:
        CHECK((uint32_t)run(who, operation, which) == (is_mine ? it->levels : 0));
        if (is_mine)
            give_on(it, lock);
        break;
    default:
        break;
    }
    CHECK(lt_lock_locked(lock) == (it->owner != NOBODY));
    if (operation >= RE_TRY)
        CHECK(lt_rlock_levels(&rlocks[which]) == it->levels);
}

/* Releases all, until nobody waits. */
static void finish(void)
{
    for (int which = 0; which < LOCKS; which++) {
        while (plain[which].owner != NOBODY) {
            CHECK(lt_lock_release(&locks[which]));
            give_on(&plain[which], &locks[which]);
        }
        CHECK(lt_load(&locks[which].state) == 0 && locks[which].newest == NULL);
        lt_lock_reinit(&locks[which]);
    }
    /* Who holds an rlock may wait for another lock, which is free by now, or the other rlock. */
    for (int left = 2 * THREADS; left > 0; left--)
        for (int which = 0; which < LOCKS; which++) {
            model *it = &re_entrant[which];
            if (it->owner != NOBODY && !workers[it->owner].busy)
                step(it->owner, RE_RELEASE_ALL, which);
        }
}

/* Whether it would wait, directly or not, for a lock that it holds itself. */
static bool deadlocks(int who, const model *wanted)
{
    int owner = wanted->owner;
    for (int hops = 0; hops < THREADS && owner != NOBODY; hops++) {
        if (owner == who)
            return true;
        int next = NOBODY;
        for (int i = 0; i < LOCKS; i++)
            for (int k = 0; k < re_entrant[i].waiting; k++)
                if (re_entrant[i].queue[k] == owner)
                    next = re_entrant[i].owner;
        owner = next;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool started;
    if (!started)
        start();
    started = true;
    for (int i = 0; i < LOCKS; i++)
        plain[i].owner = re_entrant[i].owner = NOBODY;
    for (size_t i = 0; i + 1 < size && i < 200; i += 2) {
        int who = data[i] % THREADS, which = data[i] / THREADS % LOCKS;
        operation operation = (enum operation)(data[i + 1] % OPERATIONS);
        if (workers[who].busy || (operation == RE_WAIT && re_entrant[which].owner != who &&
                                  deadlocks(who, &re_entrant[which])))
            continue;
        step(who, operation, which);
    }
    finish();
    CHECK(lt_waits(NULL, 0) == 0 && all_waiting == 0);
    return 0;
}
