/* What loads may see, and which accesses race.  See explorer.h.
 *
 * The functions are those that gcc calls for -fsanitize=thread.  Memory itself always holds the
 * newest value; a word that is used atomically has a history besides.
 *
 * - A store that releases carries what its thread has seen; a load that acquires adds it.  A
 *   read-modify-write carries on what the store before it carried.
 * - A load may see an older store, as a deviation: any not older than the one that it knows of
 *   (that happened before, or that its thread has seen).
 * - Two accesses to the same word, one of which writes and one of which is not atomic, race
 *   unless one happened before the other. */
#include <string.h>

#include "explorer.h"

enum { HISTORY = 4, TABLE = 1 << 12 };

typedef struct store {
    uint64_t value;
    int by; /* NOBODY: before the threads */
    uint32_t when;
    clock_vector carried;
} store;

typedef struct word {
    uintptr_t address; /* 0: not used */
    /* Atomic accesses. */
    uint64_t count; /* of stores; the newest is the last one */
    store stores[HISTORY];
    uint64_t seen[MAX_THREADS]; /* by each thread, the number of a store */
    uint32_t atomic_writes[MAX_THREADS], atomic_reads[MAX_THREADS];
    /* The others: when each thread did last, 0: never. */
    uint32_t plain_writes[MAX_THREADS], plain_reads[MAX_THREADS];
    bool is_free;
} word;

static word table[TABLE];
static uint32_t used[TABLE], used_count;

void memory_begin(void)
{
    for (uint32_t i = 0; i < used_count; i++)
        table[used[i]].address = 0;
    used_count = 0;
}

static const void *constant;

void memory_constant(const void *address)
{
    constant = address;
}

static word *find(uintptr_t address)
{
    uint32_t i = (uint32_t)((address >> 2) * 2654435761u) % TABLE;
    while (table[i].address != 0 && table[i].address != address)
        i = (i + 1) % TABLE;
    if (table[i].address == 0) {
        if (used_count > TABLE / 2)
            explorer_fail("more than %d words of memory", TABLE / 2);
        memset(&table[i], 0, sizeof table[i]);
        table[i].address = address;
        used[used_count++] = i;
    }
    return &table[i];
}

/* ---- What happened before ------------------------------------------------------------ */

static bool knows(int reader, int by, uint32_t when)
{
    return by == NOBODY || by == reader || threads[reader].seen.at[by] >= when;
}

static uint32_t now(void)
{
    return threads[current].seen.at[current] + 1;
}

static void tick(void)
{
    threads[current].seen.at[current]++;
}

static void join(clock_vector *into, const clock_vector *from)
{
    for (int i = 0; i < MAX_THREADS; i++)
        if (into->at[i] < from->at[i])
            into->at[i] = from->at[i];
}

void memory_acquire(const clock_vector *from)
{
    join(&threads[current].seen, from);
}

void memory_release(clock_vector *to)
{
    tick();
    join(to, &threads[current].seen);
}

static void check_order(const word *it, const uint32_t *others, const char *what)
{
    for (int i = 0; i < MAX_THREADS; i++)
        if (!knows(current, i, others[i]))
            explorer_fail("races with thread %d: %s at %p", i, what, (void *)it->address);
}

static word *look_up(const void *address)
{
    int owner = explorer_stack_owner((uintptr_t)address);
    if (owner != NOBODY && owner != current && !threads[owner].lends)
        explorer_fail("uses the stack of thread %d, which does not wait, at %p", owner, address);
    word *it = find((uintptr_t)address);
    if (it->is_free)
        explorer_fail("uses memory that is free, at %p", address);
    return it;
}

/* ---- Accesses that are not atomic ------------------------------------------------------- */

static bool is_watched(void)
{
    return current != NOBODY && !threads[current].in_system;
}

/* By words of 4 bytes: each field that threads share has at least that. */
static void access(const void *start, size_t size, bool writes_it)
{
    if (!is_watched() || explorer_is_local(start))
        return;
    uintptr_t address = (uintptr_t)start & ~(uintptr_t)3, end = (uintptr_t)start + size;
    for (; address < end; address += 4) {
        word *it = look_up((void *)address);
        check_order(it, it->plain_writes, "a write before");
        check_order(it, it->atomic_writes, "an atomic write before");
        if (writes_it) {
            check_order(it, it->plain_reads, "a read before");
            check_order(it, it->atomic_reads, "an atomic read before");
        }
        (writes_it ? it->plain_writes : it->plain_reads)[current] = now();
    }
}

#define ACCESS(size)                             \
    void __tsan_read##size(void *address);       \
    void __tsan_write##size(void *address);      \
    void __tsan_read##size(void *address)        \
    {                                            \
        access(address, size, false);            \
    }                                            \
    void __tsan_write##size(void *address)       \
    {                                            \
        access(address, size, true);             \
    }

ACCESS(1)
ACCESS(2)
ACCESS(4)
ACCESS(8)
ACCESS(16)

void __tsan_read_range(void *address, unsigned long size);
void __tsan_write_range(void *address, unsigned long size);
void __tsan_init(void);

void __tsan_read_range(void *address, unsigned long size)
{
    access(address, size, false);
}

void __tsan_write_range(void *address, unsigned long size)
{
    access(address, size, true);
}

void __tsan_init(void)
{
}

void memory_free(const void *address, size_t size)
{
    access(address, size, true);
    for (uintptr_t at = (uintptr_t)address; at < (uintptr_t)address + size; at += 4)
        find(at)->is_free = true;
}

void memory_reuse(const void *address, size_t size)
{
    for (uintptr_t at = (uintptr_t)address; at < (uintptr_t)address + size; at += 4) {
        word *it = find(at);
        it->is_free = false;
        it->count = 0;
    }
}

/* ---- Atomic accesses ---------------------------------------------------------------------- */

static bool acquires(int order)
{
    return order != __ATOMIC_RELAXED && order != __ATOMIC_RELEASE;
}

static bool releases(int order)
{
    return order != __ATOMIC_RELAXED && order != __ATOMIC_ACQUIRE && order != __ATOMIC_CONSUME;
}

static store *newest(word *it)
{
    return &it->stores[(it->count - 1) % HISTORY];
}

/* The word, with what memory holds as its newest store: it may have been written otherwise. */
static word *begin_atomic(const void *address, uint64_t value)
{
    word *it = look_up(address);
    check_order(it, it->plain_writes, "a write before");
    if (it->count == 0 || newest(it)->value != value) {
        it->count++;
        memset(newest(it), 0, sizeof(store));
        newest(it)->value = value;
        newest(it)->by = NOBODY;
    }
    return it;
}

/* Others go on first, after it looked at the same store for too often. */
static void note_look(word *it)
{
    thread *self = &threads[current];
    if (self->looked_at == (void *)it->address && self->looked_when == it->count)
        self->same++;
    else
        self->same = 0;
    self->looked_at = (void *)it->address;
    self->looked_when = it->count;
    if (self->same >= 2)
        explorer_yield();
}

static uint64_t load(word *it, int order)
{
    uint64_t oldest = it->count > HISTORY ? it->count - HISTORY + 1 : 1, seen = it->count, at;
    for (at = it->count; at > oldest; at--) {
        store *candidate = &it->stores[(at - 1) % HISTORY];
        if (at <= it->seen[current] || knows(current, candidate->by, candidate->when))
            break;
    }
    seen -= (uint64_t)explorer_deviation((int)(it->count - at) + 1, "sees an older value");
    it->seen[current] = seen;
    it->atomic_reads[current] = now();
    store *found = &it->stores[(seen - 1) % HISTORY];
    if (acquires(order))
        memory_acquire(&found->carried);
    return found->value;
}

static void put(word *it, uint64_t value, int order, const clock_vector *carried)
{
    it->count++;
    store *new = newest(it);
    memset(new, 0, sizeof *new);
    if (carried != NULL)
        new->carried = *carried;
    tick();
    new->value = value;
    new->by = current;
    new->when = threads[current].seen.at[current];
    if (releases(order))
        join(&new->carried, &threads[current].seen);
    it->seen[current] = it->count;
    it->atomic_writes[current] = new->when;
    check_order(it, it->plain_reads, "a read before");
    writes++;
    threads[current].looked_at = NULL;
}

/* Reads the newest value, and stores another one. */
static void exchange(word *it, uint64_t value, int order)
{
    clock_vector carried = newest(it)->carried;
    if (acquires(order))
        memory_acquire(&carried);
    it->atomic_reads[current] = now();
    put(it, value, order, &carried);
}

static bool compare(word *it, uint64_t *expected, uint64_t value, int order, int failure,
                    bool is_weak)
{
    uint64_t found = newest(it)->value;
    if (found == *expected && !(is_weak && explorer_deviation(2, "fails for no reason") != 0)) {
        exchange(it, value, order);
        return true;
    }
    it->seen[current] = it->count;
    it->atomic_reads[current] = now();
    if (acquires(failure))
        memory_acquire(&newest(it)->carried);
    if (found != *expected)
        note_look(it);
    else
        threads[current].looked_at = NULL;
    *expected = found;
    return false;
}

/* Outside of the threads, memory is just memory. */
#define ATOMIC(bits, type)                                                                       \
    type __tsan_atomic##bits##_load(const volatile type *at, int order);                         \
    void __tsan_atomic##bits##_store(volatile type *at, type value, int order);                  \
    type __tsan_atomic##bits##_exchange(volatile type *at, type value, int order);               \
    type __tsan_atomic##bits##_fetch_add(volatile type *at, type value, int order);              \
    int __tsan_atomic##bits##_compare_exchange_strong(volatile type *at, type *expected,         \
                                                      type value, int order, int failure);       \
    int __tsan_atomic##bits##_compare_exchange_weak(volatile type *at, type *expected,           \
                                                    type value, int order, int failure);         \
    type __tsan_atomic##bits##_load(const volatile type *at, int order)                          \
    {                                                                                            \
        if (!is_watched() || (const void *)at == constant)                                       \
            return *at;                                                                          \
        explorer_step("loads", (const void *)at);                                                \
        word *it = begin_atomic((const void *)at, *at);                                          \
        note_look(it);                                                                           \
        return (type)load(begin_atomic((const void *)at, *at), order);                           \
    }                                                                                            \
    void __tsan_atomic##bits##_store(volatile type *at, type value, int order)                   \
    {                                                                                            \
        if (is_watched()) {                                                                      \
            explorer_step("stores", (const void *)at);                                           \
            put(begin_atomic((const void *)at, *at), value, order, NULL);                        \
        }                                                                                        \
        *at = value;                                                                             \
    }                                                                                            \
    type __tsan_atomic##bits##_exchange(volatile type *at, type value, int order)                \
    {                                                                                            \
        if (is_watched()) {                                                                      \
            explorer_step("exchanges", (const void *)at);                                        \
            exchange(begin_atomic((const void *)at, *at), value, order);                         \
        }                                                                                        \
        type before = *at;                                                                       \
        *at = value;                                                                             \
        return before;                                                                           \
    }                                                                                            \
    type __tsan_atomic##bits##_fetch_add(volatile type *at, type value, int order)               \
    {                                                                                            \
        if (is_watched()) {                                                                      \
            explorer_step("adds", (const void *)at);                                             \
            exchange(begin_atomic((const void *)at, *at), (type)(*at + value), order);           \
        }                                                                                        \
        type before = *at;                                                                       \
        *at = (type)(before + value);                                                            \
        return before;                                                                           \
    }                                                                                            \
    static int compare_##type(volatile type *at, type *expected, type value, int order,          \
                              int failure, bool is_weak)                                         \
    {                                                                                            \
        uint64_t found = *expected;                                                              \
        bool done = *at == *expected;                                                            \
        if (is_watched()) {                                                                      \
            explorer_step("compares", (const void *)at);                                         \
            done = compare(begin_atomic((const void *)at, *at), &found, value, order, failure,   \
                           is_weak);                                                             \
        } else {                                                                                 \
            found = *at;                                                                         \
        }                                                                                        \
        *expected = (type)found;                                                                 \
        if (done)                                                                                \
            *at = value;                                                                         \
        return done;                                                                             \
    }                                                                                            \
    int __tsan_atomic##bits##_compare_exchange_strong(volatile type *at, type *expected,         \
                                                      type value, int order, int failure)        \
    {                                                                                            \
        return compare_##type(at, expected, value, order, failure, false);                       \
    }                                                                                            \
    int __tsan_atomic##bits##_compare_exchange_weak(volatile type *at, type *expected,           \
                                                    type value, int order, int failure)          \
    {                                                                                            \
        return compare_##type(at, expected, value, order, failure, true);                        \
    }

ATOMIC(32, uint32_t)
ATOMIC(64, uint64_t)
