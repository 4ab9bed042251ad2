/* Threads and clock on Windows. */
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include <errno.h>
#include <limits.h>
#include <process.h>
#include <stdlib.h>

#include "../lt_thread.h"

int64_t lt_now(void)
{
    LARGE_INTEGER ticks, per_second;
    QueryPerformanceCounter(&ticks);
    QueryPerformanceFrequency(&per_second);
    /* In two parts: ticks * 1000000000 overflows after some minutes. */
    int64_t seconds = ticks.QuadPart / per_second.QuadPart;
    int64_t rest = ticks.QuadPart % per_second.QuadPart;
    return seconds * 1000000000 + rest * 1000000000 / per_second.QuadPart;
}

/* The system's numbers are multiples of 4, and not 0. */
uintptr_t lt_thread_ident(void)
{
    return GetCurrentThreadId();
}

uint64_t lt_thread_native_id(void)
{
    return GetCurrentThreadId();
}

void lt_thread_yield(void)
{
    SwitchToThread();
}

/* ---- Starting ---------------------------------------------------------------- */

static unsigned __stdcall run(void *start)
{
    lt__thread_main(start);
    return 0;
}

/* _beginthreadex, not CreateThread: the C runtime has data for each thread.  Without
 * STACK_SIZE_PARAM_IS_A_RESERVATION the size would be what is committed at once. */
int lt__thread_create(lt__start *start, size_t stack_size, uintptr_t *ident)
{
    unsigned id = 0;
    if (stack_size > UINT_MAX)
        return EINVAL;
    errno = 0;
    uintptr_t thread = _beginthreadex(NULL, (unsigned)stack_size, run, start,
                                      STACK_SIZE_PARAM_IS_A_RESERVATION, &id);
    if (thread == 0)
        /* Too few resources are EACCES here, and EAGAIN to pthread_create. */
        return errno == 0 || errno == EACCES ? EAGAIN : errno;
    CloseHandle((HANDLE)thread);
    *ident = id;
    return 0;
}

/* The limits that CPython has on Windows. */
bool lt_stack_size_valid(size_t stack_size)
{
    return stack_size >= 0x8000 && stack_size < 0x10000000;
}

/* ---- Names ------------------------------------------------------------------- */

#define NAME_MAX_UNITS 32766 /* of UTF-16; a description's length is an unsigned short */

typedef HRESULT(WINAPI *set_description)(HANDLE, PCWSTR);
typedef HRESULT(WINAPI *get_description)(HANDLE, PWSTR *);

/* From Windows 10 on. */
static void (*kernel_function(const char *name))(void)
{
    HMODULE kernel = GetModuleHandleW(L"kernelbase.dll");
    return kernel == NULL ? NULL : (void (*)(void))GetProcAddress(kernel, name);
}

size_t lt_thread_name_max(void)
{
    return NAME_MAX_UNITS;
}

int lt_thread_set_name(const char *name)
{
    set_description set = (set_description)kernel_function("SetThreadDescription");
    static const int room = NAME_MAX_UNITS + 1;
    if (set == NULL)
        return ENOSYS;
    PWSTR wide = malloc(room * sizeof *wide);
    if (wide == NULL)
        return ENOMEM;
    int error = EINVAL;
    if (MultiByteToWideChar(CP_UTF8, 0, name, -1, wide, room) > 0 &&
        SUCCEEDED(set(GetCurrentThread(), wide)))
        error = 0;
    free(wide);
    return error;
}

int lt_thread_get_name(char *name, size_t size)
{
    get_description get = (get_description)kernel_function("GetThreadDescription");
    PWSTR wide = NULL;
    if (get == NULL)
        return ENOSYS;
    if (!SUCCEEDED(get(GetCurrentThread(), &wide)))
        return EINVAL;
    int written = WideCharToMultiByte(CP_UTF8, 0, wide, -1, name, (int)size, NULL, NULL);
    LocalFree(wide);
    return written > 0 ? 0 : ERANGE;
}

/* ---- Signals and forks ---------------------------------------------------------- */

/* Windows knows no signals: they are the C runtime's, and belong to no thread. */
int lt_thread_signal(uintptr_t ident, int signum)
{
    (void)ident;
    (void)signum;
    return ENOSYS;
}

int lt_watch_signal(int signum)
{
    (void)signum;
    return ENOSYS;
}

/* The C runtime's own report of an invalid descriptor would end the process: see put in
 * win32_signals.c. */
void lt__write(int fd, const char *text, size_t size)
{
    HANDLE file = GetStdHandle(fd == 1 ? STD_OUTPUT_HANDLE : STD_ERROR_HANDLE);
    DWORD written;
    while (size > 0 && WriteFile(file, text, (DWORD)size, &written, NULL)) {
        text += written;
        size -= written;
    }
}

int lt_platform_watch_forks(void (*before)(void), void (*in_parent)(void), void (*in_child)(void))
{
    (void)before, (void)in_parent, (void)in_child;
    return 0;
}
