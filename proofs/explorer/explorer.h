/* The explorer: runs the shim's real code, compiled, in every order of its steps.
 *
 * The shim is compiled with -fsanitize=thread, and linked not with ThreadSanitizer, but with
 * memory.c, which is told of each access to memory, and its memory order.  Threads are
 * coroutines; before each atomic operation and each call of the system another one may go on.
 * A scenario is run again and again, until all orders were tried that have at most so many
 * deviations: a thread that is interrupted, and anything else that is rare, such as a load
 * that sees an older value, a wake-up for no reason, a signal, memory that runs out.
 *
 *   scheduler.c   threads, choices, and the search
 *   memory.c      what loads may see, and which accesses race (C11, without the orders in
 *                 which not even the writing of one word is in the order of execution)
 *   platform.c    the clock, futexes, mutexes, allocation: what the shim asks of a system
 *   scenarios.c   what the threads do, and what must hold */
#ifndef EXPLORER_H
#define EXPLORER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MAX_THREADS = 6, NOBODY = -1 };

/* ---- Scenarios ----------------------------------------------------------------- */

typedef struct scenario {
    const char *name;
    void (*threads[MAX_THREADS])(void); /* ends with NULL */
    void (*begin)(void);                /* before the threads; may be NULL */
    void (*end)(void);                  /* after them; may be NULL */
    int bound;                          /* deviations that are affordable in a quick run */
} scenario;

extern const scenario scenarios[]; /* ends with one whose name is NULL */

#define CHECK(condition) \
    ((condition) ? (void)0 : explorer_fail("%s:%d: does not hold: %s", __FILE__, __LINE__, #condition))

void explorer_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* ---- Threads and choices: scheduler.c -------------------------------------------- */

typedef struct clock_vector {
    uint32_t at[MAX_THREADS];
} clock_vector;

/* How a thread that is blocked may go on. */
typedef enum outcome { WOKEN, TIMED_OUT, SIGNALLED, SPURIOUS } outcome;

typedef enum thread_state { UNUSED, READY, BLOCKED, STUTTERING, ENDED } thread_state;

typedef struct thread {
    thread_state state;
    clock_vector seen;   /* what happened before, of each thread */
    bool woken;          /* while BLOCKED: its wait is over */
    bool has_limit, takes_signals;
    int64_t limit;       /* of the wait it is in, or was in last */
    const void *awaited; /* what it is BLOCKED on */
    uint64_t waits_for_write; /* while STUTTERING: the count of writes that it saw */
    unsigned stutters;
    uint64_t same;       /* how often it looked at the same word in a row */
    const void *looked_at;
    uint64_t looked_when;
    bool lends;          /* other threads may use its stack */
    bool in_system;      /* what it does is not looked at */
} thread;

extern thread threads[MAX_THREADS];
extern int current;       /* NOBODY: before and after the threads run */
extern uint64_t writes;   /* to atomic words, by all */
extern int64_t time_now;

/* Another thread may go on first. */
void explorer_step(const char *what, const void *where);

/* Others go on first, until one of them has written something. */
void explorer_yield(void);

/* Sleeps until another one sets `woken`. */
outcome explorer_block(const void *awaited, bool has_limit, int64_t limit, bool takes_signals);

/* One of so many; any but 0 is a deviation. */
int explorer_deviation(int count, const char *what);

/* Starts one more thread; returns its number. */
int explorer_start(void (*body)(void *), void *arg);

/* Whether that is a thread-local variable. */
bool explorer_is_local(const void *address);

/* Which thread's stack that address is in; NOBODY: in none. */
int explorer_stack_owner(uintptr_t address);

/* ---- Memory: memory.c ------------------------------------------------------------- */

void memory_begin(void);

/* Between the calls of the second one by one thread and the first by the next one, all that
 * the one did happens before what the other does. */
void memory_acquire(const clock_vector *from);
void memory_release(clock_vector *to);

/* No thread writes that word: to load it is not a step. */
void memory_constant(const void *address);

/* What is there is over: an access to it is an error, until it is used for something new. */
void memory_free(const void *address, size_t size);
void memory_reuse(const void *address, size_t size);

/* ---- Platform: platform.c ----------------------------------------------------------- */

void platform_begin(void);
void platform_end(void); /* nothing is left allocated */

/* A thread waits in fn; others may use what is on its stack meanwhile. */
#define LENDING(call)                  \
    (threads[current].lends = true, (call))

#endif
