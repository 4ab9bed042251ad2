/* What thread.c asks of a platform beyond lowthreads.h, and what it gives. */
#ifndef LT_THREAD_H
#define LT_THREAD_H

#include "lowthreads.h"

typedef struct lt__start lt__start;

/* Writes to a descriptor, as much as it takes; for reports, so there is nobody to tell an error. */
void lt__write(int fd, const char *text, size_t size);

/* What the handler of lt_watch_signal calls. */
void lt__watch_ask(void);

/* Creates a detached thread that calls lt__thread_main(start) and nothing else.  Returns
 * 0 and stores the thread's ident, or returns an errno and leaves `start` alone. */
int lt__thread_create(lt__start *start, size_t stack_size, uintptr_t *ident);

void lt__thread_main(lt__start *start);

/* What thread.c keeps for a thread that it started, for as long as it runs. */
typedef struct lt__thread {
    lt_handle *handle, *own; /* to finish when it ends; may be NULL: see lt_handle_of_self */
} lt__thread;

/* The calling thread's, NULL for threads that were not started here. */
lt__thread *lt__thread_self(void);

/* Between two looks at an edit of another thread's, which takes a few instructions; every 64th
 * time other threads may run, for that one may be among them.  `spins` begins as 0. */
static inline void lt__await_edit(unsigned *spins)
{
    if (++*spins % 64 == 0)
        lt_thread_yield();
}

bool lt__census_has(uint32_t generation);

/* Whether that is the thread which made the forks since that generation: it goes on. */
bool lt__census_has_survivor(uint32_t generation, uintptr_t ident);

void lt__handle_unclaim(lt_handle *handle);

#endif
