/* Finds a function of the running interpreter by its name; NULL: it has none.  Its twin is
 * posix/symbol.h. */
#ifndef LT_SYMBOL_H
#define LT_SYMBOL_H

#include <Python.h>
#include <windows.h>

/* In the library that a function is of which all interpreters have. */
static void *lt_symbol(const char *name)
{
    HMODULE interpreter;
    DWORD flags = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS |
                  GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT;
    if (!GetModuleHandleExA(flags, (const char *)(uintptr_t)PyEval_SaveThread, &interpreter))
        return NULL;
    return (void *)(uintptr_t)GetProcAddress(interpreter, name);
}

#endif
