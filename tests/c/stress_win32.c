/* What is Windows': signals, the watchdog, and edge cases of handles and events. */
#define WIN32_LEAN_AND_MEAN
#include <winsock2.h>

#include <fcntl.h>
#include <io.h>
#include <process.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

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

/* The interpreter's part, as CPython plays it: notes the signal, and then sends its number to
 * the descriptor that it was told.  On any thread. */
static lt_atomic_u32 wakeup_fd; /* plus one; 0: none */

static void note_signal(int signum)
{
    char number = (char)signum;
    lt_fetch_add(&signals_seen, 1);
    int fd = (int)lt_load_acquire(&wakeup_fd) - 1;
    if (fd >= 0 && send((SOCKET)fd, &number, 1, 0) < 0)
        CHECK(WSAGetLastError() == WSAEWOULDBLOCK);
}

void platform_catch(void)
{
}

int platform_signal(uintptr_t ident, bool to_process)
{
    (void)ident;
    (void)to_process;
    note_signal(SIGINT);
    return 0;
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

/* Before there is a socket, a patient wait is a brief one. */
static void test_no_socket(void)
{
    lt_parker parker;
    int64_t since = lt_now();
    lt_parker_init(&parker);
    lt_signals_flush();
    CHECK(lt_park(&parker, LT_FOREVER, LT_PATIENT) == LT_WAKE_SIGNAL);
    CHECK(lt_now() - since >= LT_BRIEF_NS && lt_now() - since < 10 * SECOND);
    lt_parker_destroy(&parker);
}

static char received(SOCKET from)
{
    char number = 0;
    CHECK(recv(from, &number, 1, 0) == 1);
    return number;
}

static SOCKET connected_to_itself(void)
{
    struct sockaddr_in self = {0};
    int size = sizeof self;
    SOCKET made = socket(AF_INET, SOCK_DGRAM, 0);
    self.sin_family = AF_INET;
    self.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(bind(made, (struct sockaddr *)&self, sizeof self) == 0);
    CHECK(getsockname(made, (struct sockaddr *)&self, &size) == 0);
    CHECK(connect(made, (struct sockaddr *)&self, sizeof self) == 0);
    return made;
}

/* A signal ends the sleep that comes after it, and nothing else but one does; its number is
 * written on, to a socket or a descriptor. */
static void test_patience(void)
{
    int ends[2];
    char number = 0;
    lt_parker parker;
    lt_parker_init(&parker);
    platform_begin_patience();
    set_word(&signals_seen, 0);
    for (uint32_t i = 1; i <= 2; i++) {
        CHECK(platform_signal(0, true) == 0 && lt_load(&signals_seen) == i);
        CHECK(lt_park(&parker, lt_now() + MILLISECOND, LT_PLAIN) == LT_WAKE_TIMEOUT);
        CHECK(lt_park(&parker, LT_FOREVER, LT_PATIENT) == LT_WAKE_SIGNAL);
        int64_t deadline = lt_now() + 20 * MILLISECOND;
        CHECK(lt_park(&parker, deadline, LT_PATIENT) == LT_WAKE_TIMEOUT);
        CHECK(lt_now() >= deadline);
    }
    SOCKET other = connected_to_itself();
    lt_signals_forward((int)other);
    CHECK(platform_signal(0, true) == 0);
    lt_unpark(&parker); /* a token counts more */
    CHECK(lt_park(&parker, LT_FOREVER, LT_PATIENT) == LT_WAKE_TOKEN);
    CHECK(lt_park(&parker, lt_now() + MILLISECOND, LT_PATIENT) == LT_WAKE_SIGNAL);
    CHECK(received(other) == SIGINT);
    CHECK(_pipe(ends, 64, _O_BINARY) == 0);
    lt_signals_forward(ends[1]);
    CHECK(platform_signal(0, true) == 0);
    platform_end_patience();
    CHECK(_read(ends[0], &number, 1) == 1 && number == SIGINT);
    /* Closed meanwhile: nothing happens. */
    CHECK(_close(ends[0]) == 0 && _close(ends[1]) == 0);
    platform_begin_patience();
    CHECK(platform_signal(0, true) == 0);
    platform_end_patience();
    lt_signals_forward(-1);
    CHECK(closesocket(other) == 0);
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
    test_no_socket();
    test_patience();
    test_long_wait();
    test_handles();
    CHECK(!lt_stack_size_valid(0x7FFF) && lt_stack_size_valid(0x8000));
    CHECK(!lt_stack_size_valid(0x10000000) && lt_stack_size_valid(0x0FFFFFFF));
}

const kind platform_kinds[] = {
    {"win32", run_win32_edges, true},
    {NULL, NULL, false},
};
