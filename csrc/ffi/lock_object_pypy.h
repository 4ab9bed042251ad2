/* On PyPy, a lock object is all Python: its compiler needs no help. */
#ifndef LT_LOCK_OBJECT_PYPY_H
#define LT_LOCK_OBJECT_PYPY_H

#include <stdbool.h>

static bool lt_ffi_add_lock_type(const char *acquire_doc, const char *release_doc,
                                 const char *locked_doc)
{
    (void)acquire_doc;
    (void)release_doc;
    (void)locked_doc;
    return false;
}

#endif
