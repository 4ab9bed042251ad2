/* What thread.c asks of a platform beyond lowthreads.h, and what it gives. */
#ifndef LT_THREAD_H
#define LT_THREAD_H

#include "lowthreads.h"

typedef struct lt__start lt__start;

/* Creates a detached thread that calls lt__thread_main(start) and nothing else.  Returns
 * 0 and stores the thread's ident, or returns an errno and leaves `start` alone. */
int lt__thread_create(lt__start *start, size_t stack_size, uintptr_t *ident);

void lt__thread_main(lt__start *start);

#endif
