/* The wake-up descriptor on Windows: see win32.h, and lowthreads.h's lt_signals_fd.
 *
 * One UDP socket is both ends: bound to the loopback interface, and connected to itself, so
 * that it takes nothing but what is sent through it.  A pipe would not do: CPython can't write
 * to one without blocking, and takes its descriptor for a socket of that number if there is
 * one. */
#define WIN32_LEAN_AND_MEAN
#include <winsock2.h>

#include <errno.h>
#include <io.h>
#include <limits.h>
#include <stdlib.h>

#include "../lowthreads.h"
#include "win32.h"

#ifdef __MINGW64_VERSION_MAJOR /* whose stdlib.h lacks it */
_invalid_parameter_handler __cdecl _set_thread_local_invalid_parameter_handler(
    _invalid_parameter_handler);
#endif

/* What is sent through the loopback interface arrives at once, or a filter keeps it. */
#define ARRIVAL_MS 100

static SOCKET wakeups = INVALID_SOCKET;
static HANDLE arrived;
static int forward = -1;

static SOCKET open_socket(void)
{
    struct sockaddr_in self = {0};
    int size = sizeof self;
    SOCKET opened = WSASocketW(AF_INET, SOCK_DGRAM, IPPROTO_UDP, NULL, 0,
                               WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
    if (opened == INVALID_SOCKET)
        return opened;
    self.sin_family = AF_INET;
    self.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (opened > INT_MAX || bind(opened, (struct sockaddr *)&self, sizeof self) != 0 ||
        getsockname(opened, (struct sockaddr *)&self, &size) != 0 ||
        connect(opened, (struct sockaddr *)&self, sizeof self) != 0) {
        closesocket(opened);
        return INVALID_SOCKET;
    }
    return opened;
}

/* Lets the event tell what arrives at the socket, which makes that non-blocking; and tries it. */
static bool works(SOCKET opened, HANDLE event)
{
    char byte = 0;
    return WSAEventSelect(opened, event, FD_READ) == 0 && send(opened, &byte, 1, 0) == 1 &&
           WaitForSingleObject(event, ARRIVAL_MS) == WAIT_OBJECT_0 &&
           recv(opened, &byte, 1, 0) == 1;
}

static void open_wakeups(void)
{
    WSADATA data;
    if (WSAStartup(MAKEWORD(2, 2), &data) != 0)
        return;
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);
    SOCKET opened = event == NULL ? INVALID_SOCKET : open_socket();
    if (opened != INVALID_SOCKET && works(opened, event)) {
        arrived = event;
        wakeups = opened;
        return;
    }
    if (opened != INVALID_SOCKET)
        closesocket(opened);
    if (event != NULL)
        CloseHandle(event);
    WSACleanup();
}

/* Tried once: what is missing stays so, but for handles, and then little else works. */
int lt_signals_fd(void)
{
    static bool tried;
    if (!tried)
        open_wakeups();
    tried = true;
    return wakeups == INVALID_SOCKET ? -1 : (int)wakeups;
}

void *lt__signals_event(void)
{
    return arrived;
}

/* ---- Writing on -------------------------------------------------------------- */

void lt_signals_forward(int fd)
{
    forward = fd;
}

static void ignore_invalid(const wchar_t *expression, const wchar_t *function,
                           const wchar_t *file, unsigned line, uintptr_t reserved)
{
    (void)expression, (void)function, (void)file, (void)line, (void)reserved;
}

/* As CPython does: a number is a socket if there is one, or else a descriptor of the C
 * runtime, which ends the process if it was closed meanwhile, unless told otherwise. */
static void put(int fd, const char *byte)
{
    int before = errno;
    if (send((SOCKET)fd, byte, 1, 0) < 0 && WSAGetLastError() == WSAENOTSOCK) {
        _invalid_parameter_handler handler =
            _set_thread_local_invalid_parameter_handler(ignore_invalid);
        if (_write(fd, byte, 1) < 0)
            errno = before; /* nobody reads it */
        _set_thread_local_invalid_parameter_handler(handler);
    }
    errno = before;
}

bool lt__signals_drain(void)
{
    char byte;
    bool found = false;
    /* First: what arrives from now on sets it again. */
    ResetEvent(arrived);
    while (recv(wakeups, &byte, 1, 0) == 1) {
        found = true;
        if (forward >= 0)
            put(forward, &byte);
    }
    return found;
}

void lt_signals_flush(void)
{
    if (wakeups != INVALID_SOCKET)
        lt__signals_drain();
}
