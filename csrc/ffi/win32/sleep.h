/* time.sleep in the main thread sleeps on an event of CPython's, on Windows, that its handler
 * sets for a SIGINT.  CPython's interrupt_main does not; so this does. */
#ifndef LT_SLEEP_H
#define LT_SLEEP_H

#include <windows.h>

/* With sys.dllhandle.  Does nothing for an interpreter that has no such event. */
static void lt_ffi_end_sleep(uintptr_t python_dll)
{
    typedef void *(*get_event)(void);
    get_event sigint_event = (get_event)(void (*)(void))GetProcAddress((HMODULE)python_dll,
                                                                       "_PyOS_SigintEvent");
    if (sigint_event != NULL)
        SetEvent((HANDLE)sigint_event());
}

#endif
