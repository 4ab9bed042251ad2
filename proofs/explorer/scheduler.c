/* Threads, choices, and the search.  See explorer.h.
 *
 * The search is depth first over the choices made in a run: the next run makes the same ones
 * but for the last that has another possibility left.  It begins with no deviations. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* dl_iterate_phdr */
#endif
#include <link.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>

#include "explorer.h"

enum { STACK = 1 << 16, MAX_CHOICES = 4096, MAX_STEPS = 20000, MAX_EVENTS = 4096 };

/* As often as this a thread may look at the same word in a row, seeing nothing new, before
 * others must go on. */
enum { LOOKS = 2 };

/* As often as this it may do so in a run.  Then it goes on when no other thread can. */
enum { PATIENCE = 16 };

thread threads[MAX_THREADS];
int current = NOBODY;
uint64_t writes;
int64_t time_now;

static ucontext_t contexts[MAX_THREADS], main_context;
static _Alignas(64) char stacks[MAX_THREADS][STACK];
static struct {
    void (*body)(void *);
    void *arg;
} bodies[MAX_THREADS];
static const scenario *running;

/* ---- Choices ---------------------------------------------------------------------- */

static struct {
    uint16_t chosen, count;
    bool costs; /* any but 0 is a deviation */
} choices[MAX_CHOICES];
static int made, known; /* in this run; from the one before */
static int deviations, bound;
static uint64_t dice; /* 0: search, else at random */
static uint64_t steps;

static struct {
    int by;
    const char *what;
    const void *where, *caller;
} events[MAX_EVENTS];
static unsigned event_count;

static void note(const char *what, const void *where)
{
    unsigned i = event_count++ % MAX_EVENTS;
    events[i].by = current;
    events[i].what = what;
    events[i].where = where;
}

static uint32_t roll(uint32_t below)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return (uint32_t)(dice >> 33) % below;
}

static int choose(int count, bool costs)
{
    if (count <= 1 || (costs && deviations >= bound))
        return 0;
    if (made >= MAX_CHOICES)
        explorer_fail("more than %d choices in one run", MAX_CHOICES);
    if (made == known) {
        choices[made].count = (uint16_t)count;
        choices[made].costs = costs;
        choices[made].chosen = 0;
        if (dice != 0 && (!costs || roll(6) == 0))
            choices[made].chosen = (uint16_t)roll((uint32_t)count);
        known++;
    }
    if (choices[made].count != count)
        explorer_fail("the run is not the same again: %d possibilities, not %d", count,
                      choices[made].count);
    int chosen = choices[made++].chosen;
    deviations += costs && chosen != 0;
    return chosen;
}

int explorer_deviation(int count, const char *what)
{
    int chosen = choose(count, true);
    if (chosen != 0)
        note(what, NULL);
    return chosen;
}

/* Prepares the next run; false: there is none. */
static bool advance(void)
{
    if (dice != 0) {
        known = 0;
        return true;
    }
    while (known > 0 && choices[known - 1].chosen + 1 >= choices[known - 1].count)
        known--;
    if (known == 0)
        return false;
    choices[known - 1].chosen++;
    return true;
}

/* ---- Failing ------------------------------------------------------------------------ */

void explorer_fail(const char *format, ...)
{
    va_list args;
    unsigned i, from = event_count > 60 ? event_count - 60 : 0;
    printf("%s: after these steps, with %d deviations:\n", running->name, deviations);
    for (i = from; i < event_count; i++)
        printf("  %*s%d %s %p\n", 3 * events[i % MAX_EVENTS].by + 3, "", events[i % MAX_EVENTS].by,
               events[i % MAX_EVENTS].what, events[i % MAX_EVENTS].where);
    printf("%s: FAILED: thread %d: ", running->name, current);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    fflush(NULL);
    _Exit(1);
}

/* ---- Threads ------------------------------------------------------------------------ */

int explorer_stack_owner(uintptr_t address)
{
    uintptr_t offset = address - (uintptr_t)stacks;
    return offset < sizeof stacks ? (int)(offset / STACK) : NOBODY;
}

/* The program's thread-local variables: each thread has a copy, which is in place while it
 * runs. */
enum { LOCALS = 64 };
static char *locals;
static size_t locals_size;
static char saved_locals[MAX_THREADS + 1][LOCALS];

static int find_locals(struct dl_phdr_info *info, size_t size, void *nothing)
{
    (void)size;
    (void)nothing;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_TLS) {
            locals = info->dlpi_tls_data;
            locals_size = info->dlpi_phdr[i].p_memsz;
            if (locals_size > LOCALS)
                abort();
        }
    return 1; /* the program is the first of all */
}

bool explorer_is_local(const void *address)
{
    return (uintptr_t)address - (uintptr_t)locals < locals_size;
}

static void change_locals(int before, int next)
{
    memcpy(saved_locals[before + 1], locals, locals_size);
    memcpy(locals, saved_locals[next + 1], locals_size);
}

static void switch_to(int next)
{
    int before = current;
    if (next == before)
        return;
    change_locals(before, next);
    current = next;
    swapcontext(&contexts[before], next == NOBODY ? &main_context : &contexts[next]);
}

/* The possibilities of threads that could go on: (thread, outcome) pairs. */
typedef struct option {
    int thread;
    outcome how;
} option;

static int add_options(option *options, int count, int i)
{
    thread *it = &threads[i];
    if (it->state == READY || (it->state == BLOCKED && it->woken))
        options[count++] = (option){i, WOKEN};
    else if (it->state == BLOCKED && it->has_limit)
        options[count++] = (option){i, TIMED_OUT};
    else if (it->state == STUTTERING && it->waits_for_write != writes && it->stutters < PATIENCE)
        options[count++] = (option){i, WOKEN};
    return count;
}

/* Without need: those that nothing is to wake. */
static int add_rarities(option *options, int count, int i)
{
    thread *it = &threads[i];
    if (it->state == BLOCKED && !it->woken) {
        options[count++] = (option){i, SPURIOUS};
        if (it->takes_signals)
            options[count++] = (option){i, SIGNALLED};
    }
    return count;
}

/* None can go on, but those that look at a word again and again: perhaps they end that. */
static uint64_t seen_writes, in_vain;

static int add_stuttering(option *options)
{
    int count = 0, i;
    in_vain = seen_writes == writes ? in_vain + 1 : 0;
    seen_writes = writes;
    for (i = 0; i < MAX_THREADS; i++)
        if (threads[i].state == STUTTERING)
            options[count++] = (option){i, WOKEN};
    if (count == 0 || in_vain > 300)
        explorer_fail("all threads that have not ended wait, and nothing will wake them");
    return count > 1 ? (options[0] = options[in_vain % (uint64_t)count], 1) : 1;
}

/* Lets a thread go on, perhaps the current one; returns how, when the current one does. */
static outcome how_next[MAX_THREADS];

static void dispatch(void)
{
    option options[3 * MAX_THREADS];
    int count = 0, i;
    if (++steps > MAX_STEPS)
        explorer_fail("no end after %d steps", MAX_STEPS);
    if (current != NOBODY && threads[current].state == READY)
        options[count++] = (option){current, WOKEN};
    bool goes_on = count == 1;
    for (i = 0; i < MAX_THREADS; i++)
        if (i != current || !goes_on)
            count = add_options(options, count, i);
    int usual = count;
    bool all_ended = true, is_stuck = count == 0;
    for (i = 0; i < MAX_THREADS; i++) {
        all_ended &= threads[i].state == UNUSED || threads[i].state == ENDED;
        count = add_rarities(options, count, i);
    }
    if (all_ended) {
        switch_to(NOBODY);
        return;
    }
    if (is_stuck)
        count = usual = add_stuttering(options);
    int chosen;
    if (goes_on) {
        chosen = choose(count, true);
    } else {
        /* One of the usual ones is no deviation. */
        int rare = count > usual ? choose(count - usual + 1, true) : 0;
        chosen = rare > 0 ? usual + rare - 1 : choose(usual, false);
    }
    i = options[chosen].thread;
    how_next[i] = options[chosen].how;
    if (how_next[i] == TIMED_OUT && threads[i].limit > time_now)
        time_now = threads[i].limit;
    threads[i].state = READY;
    switch_to(i);
}

void explorer_step(const char *what, const void *where)
{
    if (current == NOBODY)
        return;
    dispatch();
    note(what, where);
}

static void stutter(void)
{
    threads[current].state = STUTTERING;
    threads[current].waits_for_write = writes;
    threads[current].stutters++;
    dispatch();
}

void explorer_yield(void)
{
    if (current == NOBODY)
        return;
    note("yields", NULL);
    stutter();
}

outcome explorer_block(const void *awaited, bool has_limit, int64_t limit, bool takes_signals)
{
    thread *self = &threads[current];
    self->state = BLOCKED;
    self->woken = false;
    self->awaited = awaited;
    self->has_limit = has_limit;
    self->limit = limit;
    self->takes_signals = takes_signals;
    dispatch();
    self->awaited = NULL;
    static const char *const names[] = {"is woken", "times out", "takes a signal", "wakes for no reason"};
    note(names[how_next[current]], awaited);
    return how_next[current];
}

static void run_body(int number)
{
    bodies[number].body(bodies[number].arg);
    note("ends", NULL);
    threads[number].state = ENDED;
    dispatch();
    abort();
}

int explorer_start(void (*body)(void *), void *arg)
{
    int i = 0;
    while (i < MAX_THREADS && threads[i].state != UNUSED)
        i++;
    if (i == MAX_THREADS)
        explorer_fail("more than %d threads", MAX_THREADS);
    memset(&threads[i], 0, sizeof threads[i]);
    threads[i].state = READY;
    if (current != NOBODY)
        memory_release(&threads[i].seen);
    bodies[i].body = body;
    bodies[i].arg = arg;
    getcontext(&contexts[i]);
    contexts[i].uc_stack.ss_sp = stacks[i];
    contexts[i].uc_stack.ss_size = STACK;
    contexts[i].uc_link = NULL;
    makecontext(&contexts[i], (void (*)(void))run_body, 1, i);
    return i;
}

static void call(void *function)
{
    (*(void (**)(void))function)();
}

/* ---- The program ---------------------------------------------------------------------- */

static void run_once(const scenario *it)
{
    memset(threads, 0, sizeof threads);
    memset(saved_locals, 0, sizeof saved_locals);
    memset(locals, 0, locals_size);
    made = deviations = 0;
    event_count = 0;
    steps = writes = seen_writes = in_vain = 0;
    time_now = INT64_C(3000000000000000007); /* its seconds need more than 31 bits */
    current = NOBODY;
    memory_begin();
    platform_begin();
    if (it->begin != NULL)
        it->begin();
    for (int i = 0; it->threads[i] != NULL; i++)
        explorer_start(call, (void *)&it->threads[i]);
    /* As from a thread that ended: the first one is chosen, too. */
    option first = {choose(it->threads[1] == NULL ? 1 : it->threads[2] == NULL ? 2 : 3, false), WOKEN};
    change_locals(NOBODY, first.thread);
    current = first.thread;
    swapcontext(&main_context, &contexts[current]);
    if (it->end != NULL)
        it->end();
    platform_end();
}

/* Of the processor: the result doesn't depend on what else the machine does. */
static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Returns whether all of it was tried. */
static bool explore(const scenario *it, double limit, uint64_t *runs)
{
    double end = seconds() + limit;
    known = 0;
    do {
        run_once(it);
        ++*runs;
        if (*runs % 64 == 0 && seconds() > end)
            return false;
    } while (advance());
    return true;
}

/* explorer [scenario or all] [deviations more than the scenario's bound] [seconds for each] */
int main(int argc, char **argv)
{
    const char *only = argc > 1 ? argv[1] : "all";
    int more = argc > 2 ? atoi(argv[2]) : 0;
    double limit = argc > 3 ? atof(argv[3]) : 600, began = seconds();
    uint64_t all = 0;
    int found = 0;
    dl_iterate_phdr(find_locals, NULL);
    for (const scenario *it = scenarios; it->name != NULL; it++) {
        if (strcmp(only, "all") != 0 && strcmp(only, it->name) != 0)
            continue;
        double start = seconds();
        uint64_t runs = 0;
        bool complete = true;
        running = it;
        for (bound = 0; complete && bound <= it->bound + more; bound++)
            complete = explore(it, limit, &runs);
        bound--;
        if (!complete) { /* the rest of it at random, as long again */
            bound = 1 << 20;
            dice = UINT64_C(0x9E3779B97F4A7C15);
            explore(it, limit / 2, &runs);
            dice = 0;
            bound = it->bound + more;
        }
        printf("%-16s %9llu runs, %s up to %d deviations, %.1f s\n", it->name, (unsigned long long)runs,
               complete ? "all" : "NOT ALL", bound, seconds() - start);
        fflush(stdout);
        all += runs;
        found++;
    }
    printf("%d scenarios held in %llu runs, %.1f s\n", found, (unsigned long long)all, seconds() - began);
    return found == 0;
}
