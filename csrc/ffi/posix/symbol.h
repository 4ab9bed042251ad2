/* Finds a function of the running interpreter by its name; NULL: it has none.  Its twin is
 * win32/symbol.h. */
#ifndef LT_SYMBOL_H
#define LT_SYMBOL_H

#include <dlfcn.h>

static void *lt_symbol(const char *name)
{
    return dlsym(RTLD_DEFAULT, name);
}

#endif
