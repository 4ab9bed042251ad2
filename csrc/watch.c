/* A watchdog for when the interpreter lets nobody run: it is a thread that no interpreter knows,
 * and says what the shim knows.
 *
 * Guarantees
 * - To look, it needs nothing but the list of waits, held for a few instructions.  It allocates
 *   nothing, and writes with the system's call alone.
 * - Each time that the beats fail to come, it writes one report; none while nobody waits.
 * - Time in which the process is stopped doesn't count: only what it was awake to see. */
#include <stdio.h>

#include "lt_park.h"
#include "lt_thread.h"
#include "lt_waits.h"

#define TICK_NS 100000000

/* So long a signal's report may be on its way: to the interpreter's own, which says more. */
#define ANSWER_TICKS 3

/* What one report has room for. */
#define MOST 256

static lt_atomic_u32 started_in; /* the generation of the census plus one; 0: not started */
static lt_atomic_u32 stopped, beats, asked;
static int descriptor;
static int64_t patience;

/* ---- The report -------------------------------------------------------------- */

static lt_wait_record records[MOST]; /* the watching thread's */
static size_t known;

static const lt_wait_record *wait_of(uintptr_t ident)
{
    for (size_t i = 0; i < known; i++)
        if (records[i].ident == ident)
            return &records[i];
    return NULL;
}

static void put(const char *text, int size)
{
    if (size > 0)
        lt__write(descriptor, text, (size_t)size);
}

static void put_thread(uintptr_t ident)
{
    char text[80];
    const lt_wait_record *wait = wait_of(ident);
    if (wait == NULL)
        put(text, snprintf(text, sizeof text, "ident 0x%llx", (unsigned long long)ident));
    else
        put(text, snprintf(text, sizeof text, "native %llu (ident 0x%llx)",
                           (unsigned long long)wait->native_id, (unsigned long long)ident));
}

static void put_wait(const lt_wait_record *wait, int64_t now)
{
    char text[80];
    put("  ", 2);
    put_thread(wait->ident);
    put(text, snprintf(text, sizeof text, " waits for %s 0x%llx",
                       lt__awaited_name(wait->awaited), (unsigned long long)(uintptr_t)wait->lock));
    if (wait->owner != 0) {
        put(", taken by ", 11);
        put_thread(wait->owner);
    }
    if (wait->attached)
        put(", while it holds the GIL", 24);
    int64_t tenths = (now - wait->since) / (TICK_NS);
    put(text, snprintf(text, sizeof text, ", for %lld.%d s\n", (long long)(tenths / 10),
                       (int)(tenths % 10)));
}

/* Whom the thread waits for, if nobody else can end it: as lowthreads/_waits.py decides it, where
 * it need not look at what the thread runs.  0: nobody. */
static uintptr_t blocker(uintptr_t ident)
{
    const lt_wait_record *wait = wait_of(ident);
    if (wait == NULL || wait->deadline != LT_FOREVER || wait->signal || wait->suspended)
        return 0;
    bool may_be_signal = wait->awaited == LT_FOR_LOCK && !wait->scoped && wait->owner == ident;
    return may_be_signal ? 0 : wait->owner;
}

/* Each cycle once: from the one of its threads that has the lowest ident. */
static void put_cycle_from(uintptr_t first)
{
    uintptr_t ident = blocker(first);
    for (size_t steps = 0; ident != first; steps++) {
        if (ident < first || steps == known)
            return; /* also for 0 */
        ident = blocker(ident);
    }
    put("  Deadlock: ", 12);
    do {
        put_thread(ident);
        put(" -> ", 4);
        ident = blocker(ident);
    } while (ident != first);
    put_thread(first);
    put("\n", 1);
}

/* Returns whether there was something to say. */
static bool report(int64_t quiet)
{
    char text[160];
    int64_t now = lt_now();
    size_t count = lt_waits(records, MOST);
    known = count < MOST ? count : MOST;
    if (count == 0)
        return false;
    put(text, snprintf(text, sizeof text,
                       "lowthreads: the interpreter lets no other thread run for %lld.%d s now; "
                       "%llu wait\n",
                       (long long)(quiet / 1000000000), (int)(quiet / TICK_NS % 10),
                       (unsigned long long)count));
    for (size_t i = 0; i < known; i++)
        put_wait(&records[i], now);
    for (size_t i = 0; i < known; i++)
        put_cycle_from(records[i].ident);
    return true;
}

/* ---- The thread ------------------------------------------------------------------ */

static void watch(void *unused, uint32_t generation)
{
    (void)unused;
    lt_parker parker;
    lt_census_arrive(generation);
    lt_census_leave(generation); /* nobody is to wait for it */
    lt_thread_set_name("lt-native");
    lt_parker_init(&parker);
    uint32_t last = lt_load(&beats);
    int64_t quiet = 0;
    int unanswered = 0;
    bool told = false;
    while (lt_load(&stopped) == 0) {
        lt_park(&parker, lt_now() + TICK_NS, LT_PLAIN);
        uint32_t beat = lt_load(&beats);
        if (beat != last) {
            told = false;
            quiet = 0;
        }
        last = beat;
        quiet += TICK_NS;
        unanswered = lt_load(&asked) != 0 && quiet > TICK_NS ? unanswered + 1 : 0;
        if ((quiet >= patience && !told) || unanswered >= ANSWER_TICKS) {
            told = report(quiet);
            lt_watch_answered();
        }
    }
    lt_parker_destroy(&parker);
}

int lt_watch_start(int fd, int64_t after)
{
    uintptr_t ident;
    uint32_t found = lt_load(&started_in), mine = lt_census_generation() + 1;
    if (found == mine || !lt_cas_release(&started_in, &found, mine))
        return 0;
    descriptor = fd;
    patience = after;
    return lt_thread_start(watch, NULL, 0, NULL, &ident);
}

void lt_watch_beat(void)
{
    lt_fetch_add(&beats, 1);
}

void lt_watch_stop(void)
{
    lt_store(&stopped, 1);
}

uint32_t lt_watch_threads(void)
{
    return lt_load(&started_in) == lt_census_generation() + 1 && lt_load(&stopped) == 0;
}

void lt__watch_ask(void)
{
    lt_store(&asked, 1);
}

bool lt_watch_asked(void)
{
    return lt_load(&asked) != 0;
}

void lt_watch_answered(void)
{
    lt_store(&asked, 0);
}
