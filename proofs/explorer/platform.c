/* What the shim asks of a system, as the explorer has it.  See explorer.h.
 *
 * Time stands still, until a wait is over because its time is.  The futex and pthread parkers
 * are the real ones, over these futexes and mutexes; in place of posix_poll.c there is a
 * model of it. */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lt_thread.h"
#include "platform/posix_poll.h"
#include "explorer.h"

static size_t blocks; /* allocated, and not yet freed */
static struct {
    char *memory;
    size_t size;
} all_blocks[16];
static size_t block_count;
static uint32_t poll_bytes;
static clock_vector poll_carried; /* the kernel's lock of a pipe orders those who use it */

int64_t lt_now(void)
{
    return time_now;
}

/* In the C library's place, for lt_ident.h.  Before the threads, and after them, it is the
 * first one. */
pthread_t model_self(void)
{
    return current == NOBODY ? 16 : (pthread_t)(current + 1) * 16;
}

uint64_t lt_thread_native_id(void)
{
    return (uint64_t)current + 100;
}

void lt_thread_yield(void)
{
    explorer_yield();
}

/* ---- Futexes ------------------------------------------------------------------------ */

static int64_t in_nanoseconds(const struct timespec *time)
{
    CHECK(time->tv_sec >= 0 && time->tv_nsec >= 0 && time->tv_nsec < 1000000000);
    return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

static void wake_one(const void *awaited)
{
    for (int i = 0; i < MAX_THREADS; i++)
        if (threads[i].state == BLOCKED && !threads[i].woken && threads[i].awaited == awaited) {
            threads[i].woken = true;
            return;
        }
}

long model_syscall(long number, ...);

long model_syscall(long number, ...)
{
    va_list args;
    va_start(args, number);
    uint32_t *word = va_arg(args, uint32_t *);
    int operation = va_arg(args, int);
    uint32_t value = va_arg(args, uint32_t);
    if (operation == (FUTEX_WAKE | FUTEX_PRIVATE_FLAG)) {
        va_end(args);
        CHECK(value == 1);
        explorer_step("wakes", word);
        wake_one(word);
        return 0;
    }
    CHECK(operation == (FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG));
    const struct timespec *limit = va_arg(args, const struct timespec *);
    va_end(args);
    explorer_step("sleeps", word);
    if (*word != value) {
        errno = EAGAIN;
        return -1;
    }
    int64_t until = limit == NULL ? LT_FOREVER : in_nanoseconds(limit);
    switch (explorer_block(word, limit != NULL, until, true)) {
    case TIMED_OUT:
        errno = ETIMEDOUT;
        return -1;
    case SIGNALLED:
        errno = EINTR;
        return -1;
    default:
        return 0;
    }
}

/* ---- Mutexes and conditions ------------------------------------------------------------ */

typedef struct mutex {
    uint32_t magic;
    int holder;
    clock_vector carried; /* by who unlocks it */
} mutex;

enum { MUTEX = 0x6d757478, CONDITION = 0x636f6e64 };

_Static_assert(sizeof(mutex) <= sizeof(pthread_mutex_t), "a mutex is too large");

static mutex *of(pthread_mutex_t *it)
{
    mutex *self = (mutex *)it;
    int owner = explorer_stack_owner((uintptr_t)it);
    if (owner != NOBODY && owner != current && !threads[owner].lends)
        explorer_fail("uses a mutex of thread %d, which does not wait", owner);
    if (self->magic != MUTEX)
        explorer_fail("uses what is no mutex");
    return self;
}

int model_mutex_init(pthread_mutex_t *it, const void *attributes)
{
    (void)attributes;
    memset(it, 0, sizeof *it);
    ((mutex *)it)->magic = MUTEX;
    ((mutex *)it)->holder = NOBODY;
    return 0;
}

int model_mutex_lock(pthread_mutex_t *it)
{
    explorer_step("locks", it);
    while (of(it)->holder != NOBODY) {
        CHECK(of(it)->holder != current);
        explorer_block(it, false, 0, false);
    }
    of(it)->holder = current;
    memory_acquire(&of(it)->carried);
    return 0;
}

static void unlock(pthread_mutex_t *it)
{
    CHECK(of(it)->holder == current);
    of(it)->holder = NOBODY;
    memory_release(&of(it)->carried);
    writes++;
    wake_one(it);
}

int model_mutex_unlock(pthread_mutex_t *it)
{
    explorer_step("unlocks", it);
    unlock(it);
    return 0;
}

int model_mutex_destroy(pthread_mutex_t *it)
{
    CHECK(of(it)->holder == NOBODY);
    ((mutex *)it)->magic = 0;
    return 0;
}

static void check_condition(pthread_cond_t *it)
{
    if (*(uint32_t *)it != CONDITION)
        explorer_fail("uses what is no condition");
}

int model_cond_init(pthread_cond_t *it, const void *attributes)
{
    /* In place of pthread_condattr_t's own: what model_condattr_setclock wrote. */
    CHECK(attributes != NULL && *(const int *)attributes == CLOCK_MONOTONIC + 1);
    *(uint32_t *)it = CONDITION;
    return 0;
}

int model_cond_destroy(pthread_cond_t *it)
{
    check_condition(it);
    *(uint32_t *)it = 0;
    return 0;
}

int model_cond_signal(pthread_cond_t *it)
{
    explorer_step("signals", it);
    check_condition(it);
    wake_one(it);
    return 0;
}

int model_cond_timedwait(pthread_cond_t *it, pthread_mutex_t *mutex, const struct timespec *limit)
{
    explorer_step("waits", it);
    check_condition(it);
    int64_t until = limit == NULL ? LT_FOREVER : in_nanoseconds(limit);
    unlock(mutex);
    outcome how = explorer_block(it, limit != NULL, until, false);
    model_mutex_lock(mutex);
    check_condition(it);
    return how == TIMED_OUT ? ETIMEDOUT : 0;
}

int model_cond_wait(pthread_cond_t *it, pthread_mutex_t *mutex)
{
    return model_cond_timedwait(it, mutex, NULL);
}

int model_condattr_init(pthread_condattr_t *it)
{
    *(int *)it = 0;
    return 0;
}

int model_condattr_setclock(pthread_condattr_t *it, int clock)
{
    *(int *)it = clock + 1;
    return 0;
}

int model_condattr_destroy(pthread_condattr_t *it)
{
    *(int *)it = 0;
    return 0;
}

/* ---- The pipe of patient waits ------------------------------------------------------------ */

int lt_signals_fd(void)
{
    return 3;
}

lt_wake lt__poll_sleep(int64_t deadline)
{
    explorer_step("polls", &poll_bytes);
    outcome how = WOKEN;
    if (poll_bytes == 0)
        how = explorer_block(&poll_bytes, deadline != LT_FOREVER, deadline, true);
    if (poll_bytes > 0) {
        poll_bytes = 0;
        memory_acquire(&poll_carried);
        return LT_WAKE_TOKEN;
    }
    return how == TIMED_OUT ? LT_WAKE_TIMEOUT : how == SIGNALLED ? LT_WAKE_SIGNAL : LT_WAKE_TOKEN;
}

void lt__poll_wake(void)
{
    explorer_step("writes to the pipe", &poll_bytes);
    poll_bytes++;
    memory_release(&poll_carried);
    wake_one(&poll_bytes);
}

/* ---- Memory, and threads --------------------------------------------------------------------- */

void *model_calloc(size_t count, size_t size)
{
    if (current != NOBODY && explorer_deviation(2, "has no memory") != 0)
        return NULL;
    CHECK(block_count < sizeof all_blocks / sizeof *all_blocks);
    char *memory = calloc(count, size);
    CHECK(memory != NULL);
    memory_reuse(memory, count * size);
    all_blocks[block_count].memory = memory;
    all_blocks[block_count++].size = count * size;
    blocks++;
    return memory;
}

void *model_malloc(size_t size)
{
    return model_calloc(1, size);
}

void model_free(void *memory)
{
    size_t i = 0;
    while (i < block_count && all_blocks[i].memory != memory)
        i++;
    CHECK(i < block_count);
    memory_free(memory, all_blocks[i].size);
    blocks--;
}

void platform_begin(void)
{
    poll_bytes = 0;
    memset(&poll_carried, 0, sizeof poll_carried);
}

void platform_end(void)
{
    CHECK(blocks == 0);
    for (size_t i = 0; i < block_count; i++)
        free(all_blocks[i].memory);
    block_count = 0;
}

static void run_thread(void *start)
{
    threads[current].lends = true; /* the census may let it wait */
    lt__thread_main(start);
}

int lt__thread_create(lt__start *start, size_t stack_size, uintptr_t *ident)
{
    static const int errors[] = {0, EAGAIN, ENOMEM, EPERM, EINVAL};
    (void)stack_size;
    int error = errors[current == NOBODY ? 0 : explorer_deviation(5, "starts no thread")];
    explorer_step("starts a thread", start);
    if (error == 0)
        *ident = (uintptr_t)(explorer_start(run_thread, start) + 1) * 16;
    return error;
}
