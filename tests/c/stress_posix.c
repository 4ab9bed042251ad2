/* What is POSIX's: signals, the watchdog, and edge cases of descriptors and fork. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lt_thread.h"
#include "stress.h"

static const char *hang_message;

static void hang(int signum)
{
    (void)signum;
    ssize_t written = write(2, hang_message, strlen(hang_message));
    _exit(written < 0 ? 3 : 1);
}

void platform_watch(unsigned seconds, const char *message)
{
    hang_message = message;
    signal(SIGALRM, hang);
    alarm(seconds);
}

/* As CPython's handler: notes the signal, and then writes its number to the descriptor that
 * it was told. */
static lt_atomic_u32 wakeup_fd; /* plus one; 0: none */

static void note_signal(int signum)
{
    int before = errno;
    unsigned char number = (unsigned char)signum;
    lt_fetch_add(&signals_seen, 1);
    int fd = (int)lt_load_acquire(&wakeup_fd) - 1;
    if (fd >= 0 && write(fd, &number, 1) < 0)
        CHECK(errno == EAGAIN);
    errno = before;
}

void platform_catch(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = note_signal;
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
}

int platform_signal(uintptr_t ident, bool to_process)
{
    return to_process ? kill(getpid(), SIGUSR1) : lt_thread_signal(ident, SIGUSR1);
}

void platform_begin_patience(void)
{
    int fd = lt_signals_fd();
    CHECK(fd >= 0);
    set_word(&wakeup_fd, (uint32_t)fd + 1);
}

void platform_end_patience(void)
{
    set_word(&wakeup_fd, 0);
    lt_signals_flush();
}

/* Without descriptors for its pipe, a patient wait is a brief one. */
static void test_no_descriptors(void)
{
    struct rlimit before, none;
    lt_parker parker;
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    none = before;
    none.rlim_cur = 0;
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    lt_parker_init(&parker);
    CHECK(lt_park(&parker, LT_FOREVER, LT_PATIENT) == LT_WAKE_SIGNAL);
    CHECK(lt_park(&parker, lt_now() + 1, LT_PATIENT) == LT_WAKE_TIMEOUT);
    lt_unpark(&parker);
    CHECK(lt_park(&parker, LT_FOREVER, LT_PATIENT) == LT_WAKE_TOKEN);
    lt_parker_destroy(&parker);
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
}

/* A signal ends the sleep that comes after it, and nothing else but one does; its number is
 * written on. */
static void test_patience(void)
{
    char number = 0;
    int forward[2];
    lt_parker parker;
    CHECK(pipe(forward) == 0);
    lt_parker_init(&parker);
    platform_catch();
    set_word(&signals_seen, 0);
    platform_begin_patience();
    CHECK(raise(SIGUSR1) == 0);
    CHECK(lt_load(&signals_seen) == 1);
    CHECK(lt_park(&parker, LT_FOREVER, LT_PATIENT) == LT_WAKE_SIGNAL);
    int64_t deadline = lt_now() + 20 * MILLISECOND;
    CHECK(lt_park(&parker, deadline, LT_PATIENT) == LT_WAKE_TIMEOUT);
    CHECK(lt_now() >= deadline);
    lt_signals_forward(forward[1]);
    CHECK(raise(SIGUSR1) == 0);
    lt_unpark(&parker); /* a token counts more */
    CHECK(lt_park(&parker, LT_FOREVER, LT_PATIENT) == LT_WAKE_TOKEN);
    CHECK(lt_park(&parker, lt_now(), LT_PATIENT) != LT_WAKE_TOKEN);
    CHECK(read(forward[0], &number, 1) == 1 && number == SIGUSR1);
    CHECK(raise(SIGUSR1) == 0);
    number = 0;
    platform_end_patience();
    CHECK(read(forward[0], &number, 1) == 1 && number == SIGUSR1);
    CHECK(raise(SIGUSR1) == 0);
    CHECK(lt_park(&parker, lt_now() + MILLISECOND, LT_PATIENT) != LT_WAKE_TOKEN);
    lt_signals_forward(-1);
    CHECK(close(forward[0]) == 0 && close(forward[1]) == 0);
    lt_parker_destroy(&parker);
}

static lt_atomic_u32 has_lived;

static void live_shortly(worker *self)
{
    (void)self;
    set_word(&has_lived, 1);
}

static int in_child;

static void note_fork(void)
{
    in_child++;
    lt_census_after_fork();
}

/* Starts a thread, and waits patiently for a lock, as a process that lost its parent's
 * threads can. */
static void live_in_child(void)
{
    static worker again;
    lt_lock lock = {0};
    CHECK(in_child == 1);
    CHECK(lt_census_count() == 0);
    lt_census_await_arrivals();
    start_worker(&again, 0, 0, live_shortly);
    while (lt_census_count() != 0 || lt_load(&has_lived) == 0)
        lt_thread_yield();
    CHECK(lt_lock_try(&lock));
    platform_begin_patience();
    CHECK(lt_lock_wait(&lock, lt_now() + MILLISECOND, 0, LT_PATIENT) == LT_TIMED_OUT);
    CHECK(raise(SIGUSR1) == 0);
    CHECK(lt_lock_wait(&lock, LT_FOREVER, 0, LT_PATIENT) == LT_INTERRUPTED);
    platform_end_patience();
    CHECK(lt_lock_release(&lock));
    check_idle(&lock);
    _exit(0);
}

static lt_atomic_u32 may_end;
static lt_lock orphan, is_signal, own;
static lt_rlock orphan_rlock;
static uintptr_t left_behind;

/* An orphan stays one, though the thread that forks again has the ident of who left it. */
static void inherit_again(void)
{
    int status = -1;
    lt_store_uptr(&orphan.owner, lt_thread_ident());
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(lt_lock_wait(&orphan, LT_FOREVER, 0, LT_PLAIN) == LT_ORPHANED);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* The thread that forked has its own lock; others' are as the policy says. */
static void inherit_locks(void)
{
    CHECK(!lt_lock_try(&own) && lt_lock_release(&own) && lt_lock_try(&own));
    CHECK(!lt_lock_try(&orphan) && lt_lock_locked(&orphan));
    CHECK(lt_lock_owner(&orphan) == left_behind);
    CHECK(lt_lock_wait(&orphan, lt_now() + MILLISECOND, 0, LT_PLAIN) == LT_TIMED_OUT);
    lt_set_fork_policy(LT_FORK_RAISE);
    CHECK(!lt_lock_try(&orphan) && lt_rlock_try(&orphan_rlock) == LT_TIMED_OUT);
    CHECK(lt_lock_wait(&orphan, LT_FOREVER, 0, LT_PLAIN) == LT_ORPHANED);
    CHECK(lt_rlock_wait(&orphan_rlock, LT_FOREVER, 0, LT_PLAIN) == LT_ORPHANED);
    CHECK(lt_lock_wait(&is_signal, lt_now() + MILLISECOND, 0, LT_PLAIN) == LT_TIMED_OUT);
    inherit_again();
    CHECK(lt_set_fork_policy(LT_FORK_RESET) == LT_FORK_RAISE);
    CHECK(!lt_lock_try(&is_signal));
    CHECK(lt_rlock_try(&orphan_rlock) == LT_ACQUIRED && lt_rlock_levels(&orphan_rlock) == 1);
    CHECK(lt_rlock_release(&orphan_rlock) && !lt_rlock_locked(&orphan_rlock));
    CHECK(lt_lock_wait(&orphan, LT_FOREVER, 0, LT_PLAIN) == LT_ACQUIRED);
    CHECK(!lt_lock_try(&orphan) && lt_lock_owner(&orphan) == lt_thread_ident());
    CHECK(lt_lock_release(&orphan) && lt_lock_release(&own) && lt_lock_release(&is_signal));
    check_idle(&orphan);
    check_idle(&own);
}

static void outlive_fork(worker *self)
{
    (void)self;
    CHECK(lt_lock_try(&orphan) && lt_lock_release(&is_signal) && lt_lock_try(&is_signal));
    CHECK(lt_rlock_try(&orphan_rlock) == LT_ACQUIRED && lt_rlock_try(&orphan_rlock) == LT_ACQUIRED);
    left_behind = lt_thread_ident();
    set_word(&may_end, 1);
    await_word(&may_end, 2);
    CHECK(lt_lock_release(&orphan) && lt_lock_release(&is_signal));
    CHECK(lt_rlock_release_all(&orphan_rlock) == 2);
}

static void test_fork(void)
{
    int status = -1;
    CHECK(lt_platform_watch_forks(NULL, NULL, note_fork) == 0);
    set_word(&may_end, 0);
    CHECK(lt_lock_try(&own) && lt_lock_try(&is_signal));
    start_worker(&stress_workers[0], 0, 0, outlive_fork);
    await_word(&may_end, 1);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        inherit_locks();
        live_in_child();
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(in_child == 0);
    CHECK(lt_census_count() == 1);
    set_word(&may_end, 2);
    await_threads();
    CHECK(lt_lock_release(&own));
}

/* What leaves after the census began anew is not counted. */
static void test_generations(void)
{
    lt_census_arrive(UINT32_MAX - 1);
    CHECK(lt_census_count() == 0);
    lt_census_leave(UINT32_MAX - 1);
    CHECK(lt_census_count() == 0);
}

/* Two threads in a deadlock, which an expulsion ends, and no beats: a report each time that they
 * fail to come. */
static lt_lock crossed[2];
static lt_atomic_u32 crossing;

static void cross(worker *self)
{
    int i = self->index;
    CHECK(lt_lock_try_marked(&crossed[i], LT_SCOPED));
    lt_fetch_add(&crossing, 1);
    await_word(&crossing, 2);
    lt_status status = lt_lock_wait(&crossed[1 - i], LT_FOREVER, lt_now(), LT_PLAIN);
    CHECK(status == LT_ACQUIRED || status == LT_EXPELLED);
    if (status == LT_ACQUIRED)
        CHECK(lt_lock_release(&crossed[1 - i]));
    CHECK(lt_lock_release(&crossed[i]));
}

/* A report that came before both waited tells of no deadlock: a beat makes another one follow. */
static void read_report(int fd)
{
    static char text[4096];
    struct pollfd readable = {fd, POLLIN, 0};
    size_t size = 0;
    do {
        while (poll(&readable, 1, 1000) == 0)
            lt_watch_beat();
        ssize_t count = read(fd, text + size, sizeof text - 1 - size);
        CHECK(count > 0);
        size += (size_t)count;
        text[size] = 0;
    } while (strstr(text, "\n  Deadlock: native ") == NULL || text[size - 1] != '\n');
    CHECK(strncmp(text, "lowthreads: the interpreter ", 28) == 0);
    CHECK(strstr(text, " 2 wait\n") != NULL);
    CHECK(strstr(strstr(text, " waits for lock 0x"), ", taken by native ") != NULL);
}

static void test_watch(void)
{
    int ends[2]; /* stay open, for a thread that may be slow to end */
    CHECK(pipe(ends) == 0);
    CHECK(lt_watch_threads() == 0);
    CHECK(lt_watch_start(ends[1], 150 * MILLISECOND) == 0);
    CHECK(lt_watch_start(ends[1], 0) == 0 && lt_watch_threads() == 1);
    nap(400 * MILLISECOND); /* nothing to say, so far */
    set_word(&crossing, 0);
    for (int i = 0; i < 2; i++)
        start_worker(&stress_workers[i], i, 0, cross);
    while (lt_waits(NULL, 0) != 2)
        lt_thread_yield();
    read_report(ends[0]);
    lt_watch_beat();
    read_report(ends[0]);
    CHECK(lt_interrupt(stress_workers[0].ident, -1, LT_EXPELLED, NULL));
    await_threads();
    lt_watch_stop();
    CHECK(lt_watch_threads() == 0 && lt_waits(NULL, 0) == 0);
    check_idle(&crossed[0]);
    check_idle(&crossed[1]);
}

/* What signals cut into pieces is written altogether. */
static char text[300000];
static int text_ends[2];

static void write_text(worker *self)
{
    (void)self;
    lt__write(text_ends[1], text, sizeof text);
    CHECK(close(text_ends[1]) == 0);
}

static void test_write(void)
{
    char part[1000];
    size_t size = 0;
    ssize_t count, i;
    for (size_t at = 0; at < sizeof text; at++)
        text[at] = (char)(at * 31 / 7);
    CHECK(pipe(text_ends) == 0);
    platform_catch();
    start_worker(&stress_workers[0], 0, 0, write_text);
    while ((count = read(text_ends[0], part, sizeof part)) > 0) {
        for (i = 0; i < count; i++)
            CHECK(size + (size_t)i < sizeof text && part[i] == text[size + (size_t)i]);
        size += (size_t)count;
        if (size < sizeof text - 1)
            CHECK(platform_signal(stress_workers[0].ident, false) == 0);
    }
    CHECK(count == 0 && size == sizeof text);
    await_threads();
    CHECK(close(text_ends[0]) == 0);
}

static void run_posix_edges(void)
{
    test_write();
    test_watch();
    test_no_descriptors();
    test_patience();
    test_no_descriptors(); /* but for the pipe that is there */
    test_generations();
    /* ThreadSanitizer starts no threads after a fork with threads. */
    if (!UNDER_TSAN)
        test_fork();
}

const kind platform_kinds[] = {
    {"posix", run_posix_edges, true},
    {NULL, NULL, false},
};
