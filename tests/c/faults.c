/* For LD_PRELOAD, on Linux: calls of the system that fail, or return early, when the shim makes
 * them, and only then.  tests/test_faults.py says which, by faults_set, and sees how many there
 * were, by faults_count. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { NO_THREAD, NO_MEMORY, SPURIOUS, INTERRUPTED, CLOCK, NO_MEMORY_THERE, KINDS };

/* For NO_THREAD an errno.  For NO_MEMORY, which allocation from now on fails, 0: none.  For the
 * next two, how many sleeps of three end at once.  For CLOCK, by how many seconds the wall clock
 * is wrong.  For NO_MEMORY_THERE, how many of the first allocations fail, whoever makes them, in
 * threads that the shim starts. */
static _Atomic(long) settings[KINDS], counts[KINDS];

void faults_set(int kind, long setting);
long faults_count(int kind);

void faults_set(int kind, long setting)
{
    counts[kind] = 0;
    settings[kind] = setting;
}

long faults_count(int kind)
{
    return counts[kind];
}

static int is_shim(const void *caller)
{
    Dl_info info;
    return dladdr(caller, &info) != 0 && strstr(info.dli_fname, "/lowthreads/_native") != NULL;
}

#define BY_SHIM is_shim(__builtin_return_address(0))
#define REAL(name) __typeof__(name) *real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static _Thread_local int is_new; /* it has not been refused memory yet as often as it is to be */

static struct start {
    void *(*body)(void *);
    void *arg;
} starts[1024];

static void *begin(void *it)
{
    struct start *start = it;
    is_new = settings[NO_MEMORY_THERE] != 0;
    return start->body(start->arg);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *),
                   void *arg)
{
    static _Atomic(unsigned) started;
    REAL(pthread_create);
    if (!BY_SHIM)
        return real(thread, attributes, body, arg);
    if (settings[NO_THREAD] != 0)
        return counts[NO_THREAD]++, (int)settings[NO_THREAD];
    struct start *start = &starts[started++ % 1024];
    *start = (struct start){body, arg};
    return real(thread, attributes, begin, start);
}

/* ---- Memory ------------------------------------------------------------------------- */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);

static int is_refused(const void *caller)
{
    static _Thread_local int busy; /* dladdr may allocate */
    if (is_new) {
        is_new = counts[NO_MEMORY_THERE] < settings[NO_MEMORY_THERE];
        counts[NO_MEMORY_THERE] += is_new;
        errno = is_new ? ENOMEM : errno;
        return is_new;
    }
    if (settings[NO_MEMORY] == 0 || busy)
        return 0;
    busy = 1;
    int refused = is_shim(caller) && ++counts[NO_MEMORY] == settings[NO_MEMORY];
    busy = 0;
    if (refused)
        errno = ENOMEM;
    return refused;
}

void *malloc(size_t size)
{
    return is_refused(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return is_refused(__builtin_return_address(0)) ? NULL : __libc_calloc(count, size);
}

/* ---- Sleeps that end early -------------------------------------------------------------- */

static int ends(int kind)
{
    static _Atomic(unsigned) turns[KINDS];
    if (settings[kind] == 0 || (long)(turns[kind]++ % 3) >= settings[kind])
        return 0;
    counts[kind]++;
    return 1;
}

long syscall(long number, ...)
{
    long arguments[6];
    va_list list;
    REAL(syscall);
    va_start(list, number);
    for (int i = 0; i < 6; i++)
        arguments[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_futex && ((int)arguments[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET && BY_SHIM) {
        if (ends(SPURIOUS))
            return 0;
        if (ends(INTERRUPTED)) {
            errno = EINTR;
            return -1;
        }
    }
    return real(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
                arguments[5]);
}

int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    int (*real)(pthread_cond_t *, pthread_mutex_t *) =
        (int (*)(pthread_cond_t *, pthread_mutex_t *))dlvsym(RTLD_NEXT, "pthread_cond_wait", VERSION);
    if (BY_SHIM && ends(SPURIOUS)) {
        pthread_mutex_unlock(mutex);
        pthread_mutex_lock(mutex);
        return 0;
    }
    return real(condition, mutex);
}

int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                           const struct timespec *until)
{
    int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *) =
        (int (*)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *))dlvsym(
            RTLD_NEXT, "pthread_cond_timedwait", VERSION);
    if (BY_SHIM && ends(SPURIOUS)) {
        pthread_mutex_unlock(mutex);
        pthread_mutex_lock(mutex);
        return 0;
    }
    return real(condition, mutex, until);
}

int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *limit, const sigset_t *signals)
{
    REAL(ppoll);
    if (BY_SHIM && ends(INTERRUPTED)) {
        errno = EINTR;
        return -1;
    }
    return real(fds, count, limit, signals);
}

/* ---- The wall clock, for all ------------------------------------------------------------- */

int clock_gettime(clockid_t clock, struct timespec *now)
{
    REAL(clock_gettime);
    int result = real(clock, now);
    if (clock == CLOCK_REALTIME)
        now->tv_sec += settings[CLOCK];
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    REAL(gettimeofday);
    int result = real(now, zone);
    now->tv_sec += settings[CLOCK];
    return result;
}

time_t time(time_t *at)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at != NULL)
        *at = now.tv_sec;
    return now.tv_sec;
}
