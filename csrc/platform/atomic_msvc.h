/* The operations of lt_atomic.h for Microsoft's C compiler, whose <stdatomic.h> is
 * experimental: its intrinsics, which are full barriers, and so at least what is asked for.
 *
 * The fields are volatile, and of these sizes: reading and writing one is a single access,
 * which is all that a relaxed load or store needs. */
#ifndef LT_ATOMIC_MSVC_H
#define LT_ATOMIC_MSVC_H

#include <intrin.h>
#include <stdbool.h>
#include <stdint.h>

#ifndef LT_THREAD_LOCAL
#define LT_THREAD_LOCAL __declspec(thread)
#endif

#define LT_COLD __declspec(noinline)

#define LT_ATOMIC(value) {(value)}

typedef struct lt_atomic_u32 {
    volatile long value;
} lt_atomic_u32;

typedef struct lt_atomic_uptr {
    void *volatile value;
} lt_atomic_uptr;

static inline void lt_pause(void)
{
#if defined(_M_ARM64)
    __yield();
#else
    _mm_pause();
#endif
}

static inline uint32_t lt_load(lt_atomic_u32 *word)
{
    return (uint32_t)word->value;
}

static inline uint32_t lt_load_acquire(lt_atomic_u32 *word)
{
    return (uint32_t)_InterlockedOr(&word->value, 0);
}

static inline void lt_store(lt_atomic_u32 *word, uint32_t value)
{
    word->value = (long)value;
}

static inline uint32_t lt_exchange(lt_atomic_u32 *word, uint32_t value)
{
    return (uint32_t)_InterlockedExchange(&word->value, (long)value);
}

static inline bool lt_cas_acquire(lt_atomic_u32 *word, uint32_t *expected, uint32_t value)
{
    uint32_t before = *expected;
    *expected =
        (uint32_t)_InterlockedCompareExchange(&word->value, (long)value, (long)before);
    return *expected == before;
}

static inline bool lt_cas_release(lt_atomic_u32 *word, uint32_t *expected, uint32_t value)
{
    return lt_cas_acquire(word, expected, value);
}

static inline uint32_t lt_fetch_add(lt_atomic_u32 *word, uint32_t value)
{
    return (uint32_t)_InterlockedExchangeAdd(&word->value, (long)value);
}

static inline uintptr_t lt_load_uptr(lt_atomic_uptr *word)
{
    return (uintptr_t)word->value;
}

static inline void lt_store_uptr(lt_atomic_uptr *word, uintptr_t value)
{
    word->value = (void *)value;
}

static inline uintptr_t lt_load_uptr_acquire(lt_atomic_uptr *word)
{
    return (uintptr_t)_InterlockedCompareExchangePointer(&word->value, NULL, NULL);
}

static inline void lt_store_uptr_release(lt_atomic_uptr *word, uintptr_t value)
{
    (void)_InterlockedExchangePointer(&word->value, (void *)value);
}

static inline bool lt_cas_uptr(lt_atomic_uptr *word, uintptr_t *expected, uintptr_t value)
{
    uintptr_t before = *expected;
    *expected = (uintptr_t)_InterlockedCompareExchangePointer(&word->value, (void *)value,
                                                              (void *)before);
    return *expected == before;
}

#endif
