/* The table for other C code, and what an interpreter adds to it: api.c. */
#ifndef LT_API_H
#define LT_API_H

#include "lowthreads.h"

#include "include/lowthreads.h" /* what other C code sees, in the package's folder */

extern const lt_api lt_api_table;

typedef struct lt_interpreter {
    /* Whether the calling thread, which may be any, is attached. */
    bool (*is_attached)(void);

    /* Detaches the calling thread, which is attached, and attaches it again. */
    void *(*detach)(void);
    void (*attach)(void *state);
} lt_interpreter;

/* Before the table is given to anybody.  Again: does nothing new. */
void lt_api_connect(const lt_interpreter *interpreter);

#endif
