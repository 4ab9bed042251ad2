/* The atomic operations that the portable code uses, on two types, and LT_THREAD_LOCAL.
 *
 * `lt_load` and `lt_store` are relaxed unless they say otherwise.  The compare-and-swaps
 * may fail for no reason, and store what they found in *expected.
 *
 * This is the one place that asks which compiler it is: so LT_COLD is here, too, for a function
 * that is called rarely, and best not inlined. */
#ifndef LT_ATOMIC_H
#define LT_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>

/* Between two looks at a word that another thread is about to change: spares the processor. */
static inline void lt_pause(void);

#if defined(_MSC_VER) && !defined(__clang__)
#include "platform/atomic_msvc.h"
#else

#define LT_COLD __attribute__((cold, noinline))

#define LT_ATOMIC(value) (value) /* the first value of a static one */

#ifdef __cplusplus
#include <atomic>
#define LT_THREAD_LOCAL thread_local
typedef std::atomic<uint32_t> lt_atomic_u32;
typedef std::atomic<uintptr_t> lt_atomic_uptr;
#define LT__ORDER(order) std::memory_order_##order
using std::atomic_compare_exchange_strong_explicit;
using std::atomic_compare_exchange_weak_explicit;
using std::atomic_exchange_explicit;
using std::atomic_fetch_add_explicit;
using std::atomic_load_explicit;
using std::atomic_store_explicit;
#else
#include <stdatomic.h>
#ifdef __GLIBC__
/* In a library that is loaded later, glibc would allocate it at its first use by a thread, and abort
 * the process if it can't. */
#define LT_THREAD_LOCAL __attribute__((tls_model("initial-exec"))) _Thread_local
#else
#define LT_THREAD_LOCAL _Thread_local
#endif
typedef _Atomic(uint32_t) lt_atomic_u32;
typedef _Atomic(uintptr_t) lt_atomic_uptr;
#define LT__ORDER(order) memory_order_##order
#endif

static inline void lt_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __asm__ volatile("pause");
#elif defined(__aarch64__) || defined(__arm__)
    __asm__ volatile("yield");
#endif
}

static inline uint32_t lt_load(lt_atomic_u32 *word)
{
    return atomic_load_explicit(word, LT__ORDER(relaxed));
}

static inline uint32_t lt_load_acquire(lt_atomic_u32 *word)
{
    return atomic_load_explicit(word, LT__ORDER(acquire));
}

static inline void lt_store(lt_atomic_u32 *word, uint32_t value)
{
    atomic_store_explicit(word, value, LT__ORDER(relaxed));
}

/* Acquires and releases. */
static inline uint32_t lt_exchange(lt_atomic_u32 *word, uint32_t value)
{
    return atomic_exchange_explicit(word, value, LT__ORDER(acq_rel));
}

static inline bool lt_cas_acquire(lt_atomic_u32 *word, uint32_t *expected, uint32_t value)
{
    return atomic_compare_exchange_weak_explicit(word, expected, value, LT__ORDER(acquire),
                                                 LT__ORDER(relaxed));
}

/* This one does not fail for no reason. */
static inline bool lt_cas_release(lt_atomic_u32 *word, uint32_t *expected, uint32_t value)
{
    return atomic_compare_exchange_strong_explicit(word, expected, value, LT__ORDER(release),
                                                   LT__ORDER(relaxed));
}

static inline uint32_t lt_fetch_add(lt_atomic_u32 *word, uint32_t value)
{
    return atomic_fetch_add_explicit(word, value, LT__ORDER(acq_rel));
}

static inline uintptr_t lt_load_uptr(lt_atomic_uptr *word)
{
    return atomic_load_explicit(word, LT__ORDER(relaxed));
}

static inline uintptr_t lt_load_uptr_acquire(lt_atomic_uptr *word)
{
    return atomic_load_explicit(word, LT__ORDER(acquire));
}

static inline void lt_store_uptr_release(lt_atomic_uptr *word, uintptr_t value)
{
    atomic_store_explicit(word, value, LT__ORDER(release));
}

static inline void lt_store_uptr(lt_atomic_uptr *word, uintptr_t value)
{
    atomic_store_explicit(word, value, LT__ORDER(relaxed));
}

static inline bool lt_cas_uptr(lt_atomic_uptr *word, uintptr_t *expected, uintptr_t value)
{
    return atomic_compare_exchange_strong_explicit(word, expected, value, LT__ORDER(relaxed),
                                                   LT__ORDER(relaxed));
}

#endif
#endif
