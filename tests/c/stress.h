/* What the files of the stress program share.
 *
 * The program is made of kinds of load.  Each runs for its share of the time, and the
 * first CHECK that does not hold ends the program. */
#ifndef LT_STRESS_H
#define LT_STRESS_H

#include "lt_park.h"

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif
#ifndef UNDER_TSAN
#define UNDER_TSAN 0
#endif

enum { WORKERS = 8 };

#define MICROSECOND INT64_C(1000)
#define MILLISECOND INT64_C(1000000)
#define SECOND INT64_C(1000000000)

#define CHECK(condition) \
    ((condition) ? (void)0 : stress_fail(__FILE__, __LINE__, #condition))

void stress_fail(const char *file, int line, const char *condition);

/* A lock and what it guards.  Neither field is atomic: two owners at a time lose counts,
 * and are a data race to ThreadSanitizer. */
typedef struct guarded {
    lt_lock lock;
    volatile uintptr_t holder;
    volatile uint64_t entered;
} guarded;

typedef struct worker {
    int index;
    uintptr_t ident;
    uint64_t random;
    uint64_t operations;
    uint64_t entered[WORKERS]; /* how often, by the index of what it entered */
    void (*body)(struct worker *);
} worker;

typedef struct kind {
    const char *name;
    void (*run)(void);
    bool once; /* edge cases: does not run for a time */
} kind;

/* Each ends with a kind whose name is NULL. */
extern const kind edge_kinds[], lock_kinds[], signal_kinds[], thread_kinds[], platform_kinds[],
    api_kinds[];

/* Ends the program with `message` on stderr unless it is called again within so many
 * seconds. */
void platform_watch(unsigned seconds, const char *message);

/* Signals, with the part that an interpreter has in them.  From the first of these calls on,
 * a signal adds 1 to signals_seen, before it ends a patient wait; the second one sends one,
 * to that thread, or to the process.  The others stand around a look at signals_seen and a
 * patient wait. */
void platform_catch(void);
int platform_signal(uintptr_t ident, bool to_process);
void platform_begin_patience(void);
void platform_end_patience(void);
extern lt_atomic_u32 signals_seen;

extern uint64_t stress_seed;
extern int64_t stress_end; /* when the kind that runs is to end */

/* Runs `body` in so many threads, numbered from 0, and waits for them. */
void run_workers(int count, void (*body)(worker *));
extern worker stress_workers[WORKERS];

/* Starts one more thread; await_threads waits until all have ended. */
void start_worker(worker *self, int index, size_t stack_size, void (*body)(worker *));
void await_threads(void);

uint32_t pick(worker *self, uint32_t below); /* a random number */
void nap(int64_t nanoseconds);
void spin(int64_t nanoseconds);
void linger(worker *self); /* mostly nothing; now and then yields, spins or naps */

/* Without a lock: sets the word, and waits until a thread has set it to the value. */
void set_word(lt_atomic_u32 *word, uint32_t value);
void await_word(lt_atomic_u32 *word, uint32_t value);

void enter(guarded *it, worker *self); /* just after its lock was taken */
void leave(guarded *it, worker *self); /* just before its lock is released */

/* At the end of a kind: nobody has the lock, nobody waits, and no count is lost; `index`
 * is that of worker.entered. */
void check_idle(lt_lock *lock);
void check_counts(guarded *it, int index);

/* As the beginning of a wait: lets the lock be handed over at once, or never. */
#define LONG_AGO INT64_C(0)
#define NEVER (LT_FOREVER / 2)

/* Takes part in the editing of a lock's queue: stalls whoever wants to edit it too.
 * hold_queue returns the newest waiter, NULL for none. */
struct lt_waiter *hold_queue(lt_lock *lock);
void let_queue(lt_lock *lock);

/* For who holds the lock, so that it can be undone. */
void mark_fresh(lt_lock *lock);

/* lt_lock_wait, without signals, so that what it takes can be undone.  Checks what it can
 * about the result. */
bool wait_until(lt_lock *lock, int64_t deadline, int64_t since);
bool wait_forever(lt_lock *lock);

#endif
