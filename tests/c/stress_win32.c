/* What is Windows': signals, the watchdog, and edge cases of handles and events. */
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include <errno.h>
#include <process.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "platform/win32.h"
#include "stress.h"

static const char *volatile hang_message;
static volatile LONG64 hang_at;

static unsigned __stdcall watch(void *unused)
{
    (void)unused;
    for (;;) {
        Sleep(100);
        if (lt_now() > hang_at) {
            fputs(hang_message, stderr);
            fflush(stderr);
            _Exit(1);
        }
    }
}

void platform_watch(unsigned seconds, const char *message)
{
    bool first = hang_message == NULL;
    hang_message = message;
    hang_at = lt_now() + (int64_t)seconds * SECOND;
    if (first)
        CloseHandle((HANDLE)_beginthreadex(NULL, 0, watch, NULL, 0, NULL));
}

/* The interpreter's part, as CPython plays it: its handler stays, notes the signal, and then
 * sets the event for SIGINT. */
static HANDLE sigint_event;

static void note_signal(int signum)
{
    signal(signum, note_signal);
    lt_fetch_add(&signals_seen, 1);
    if (signum == SIGINT)
        SetEvent(sigint_event);
}

void platform_catch(void)
{
    if (sigint_event == NULL)
        sigint_event = CreateEventW(NULL, TRUE, FALSE, NULL);
    ResetEvent(sigint_event);
    lt_set_interrupt_event(sigint_event);
    signal(SIGINT, note_signal);
    signal(SIGTERM, note_signal);
}

int platform_signal(uintptr_t ident, bool to_process)
{
    (void)to_process;
    return lt_thread_signal(ident, SIGINT);
}

void platform_begin_patience(void)
{
    lt_signals_flush();
}

void platform_end_patience(void)
{
}

/* Without an event to wait for, a patient wait is a brief one. */
static void test_no_event(void)
{
    lt_parker parker;
    int64_t since = lt_now();
    lt_parker_init(&parker);
    lt_signals_flush();
    CHECK(lt_park(&parker, LT_FOREVER, LT_PATIENT) == LT_WAKE_SIGNAL);
    CHECK(lt_now() - since >= LT_BRIEF_NS && lt_now() - since < 10 * SECOND);
    lt_parker_destroy(&parker);
}

static void test_interrupts(void)
{
    lt_parker parker;
    lt_parker_init(&parker);
    platform_catch();
    set_word(&signals_seen, 0);
    CHECK(lt_thread_signal(lt_thread_ident(), 0) == EINVAL);
    CHECK(lt_thread_signal(lt_thread_ident(), 1) == EINVAL);
    CHECK(lt_thread_signal(lt_thread_ident(), 1000) == EINVAL);
    /* Stays until it is looked for. */
    for (uint32_t i = 1; i <= 2; i++) {
        CHECK(lt_thread_signal(lt_thread_ident(), i == 1 ? SIGINT : SIGTERM) == 0);
        CHECK(lt_load(&signals_seen) == i);
        CHECK(lt_park(&parker, lt_now() + MILLISECOND, LT_PLAIN) == LT_WAKE_TIMEOUT);
        CHECK(lt_park(&parker, LT_FOREVER, LT_BRIEF) == LT_WAKE_SIGNAL);
        CHECK(lt_park(&parker, LT_FOREVER, LT_PATIENT) == LT_WAKE_SIGNAL);
        lt_unpark(&parker);
        CHECK(lt_park(&parker, LT_FOREVER, LT_PATIENT) == LT_WAKE_TOKEN);
        lt_signals_flush();
        int64_t deadline = lt_now() + 20 * MILLISECOND;
        CHECK(lt_park(&parker, deadline, LT_PATIENT) == LT_WAKE_TIMEOUT);
        CHECK(lt_now() >= deadline);
    }
    /* The event is known by a handle of our own. */
    HANDLE closed = sigint_event;
    sigint_event = NULL;
    CloseHandle(closed);
    lt__interrupt_set();
    CHECK(lt_park(&parker, LT_FOREVER, LT_PATIENT) == LT_WAKE_SIGNAL);
    lt_set_interrupt_event(NULL);
    lt__interrupt_set();
    CHECK(lt_park(&parker, lt_now() + MILLISECOND, LT_PATIENT) == LT_WAKE_TIMEOUT);
    lt_parker_destroy(&parker);
}

/* Longer than Windows can wait in one go. */
static lt_parker long_parker;

static void end_long_wait(worker *self)
{
    (void)self;
    nap(5 * MILLISECOND);
    lt_unpark(&long_parker);
}

static void test_long_wait(void)
{
    static worker waker;
    lt_parker_init(&long_parker);
    start_worker(&waker, 0, 0, end_long_wait);
    CHECK(lt_park(&long_parker, lt_now() + 5000000 * SECOND, LT_PLAIN) == LT_WAKE_TOKEN);
    await_threads();
    lt_parker_destroy(&long_parker);
}

/* A thread's event is closed when it ends. */
static void wait_shortly(worker *self)
{
    (void)self;
    nap(1);
}

static DWORD count_handles(void)
{
    DWORD count = 0;
    CHECK(GetProcessHandleCount(GetCurrentProcess(), &count));
    return count;
}

static void test_handles(void)
{
    run_workers(WORKERS, wait_shortly);
    Sleep(50);
    DWORD before = count_handles();
    for (int i = 0; i < 50; i++)
        run_workers(WORKERS, wait_shortly);
    Sleep(50); /* threads end soon after they have run */
    CHECK(count_handles() < before + 50);
}

static void run_win32_edges(void)
{
    test_no_event();
    test_interrupts();
    test_long_wait();
    test_handles();
    CHECK(!lt_stack_size_valid(0x7FFF) && lt_stack_size_valid(0x8000));
    CHECK(!lt_stack_size_valid(0x10000000) && lt_stack_size_valid(0x0FFFFFFF));
}

const kind platform_kinds[] = {
    {"win32", run_win32_edges, true},
    {NULL, NULL, false},
};
