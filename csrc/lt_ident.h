/* The calling thread's ident: never 0, and a multiple of 4, so that there is room for LT_MARKS.
 * The value that Python's threading.get_ident() gives for the same thread.
 *
 * Inline where that can be: every acquire and release asks for it.  As a function of the shim's it
 * made a pair of them, in C, 1.22 times as slow as nsync's; as one of the C library's 1.14; as the
 * register that glibc has it in 1.04. */
#ifndef LT_IDENT_H
#define LT_IDENT_H

#include <stdint.h>

#ifdef _WIN32

#ifdef __cplusplus
extern "C"
#endif
uintptr_t lt_thread_ident(void);

#else

#include <pthread.h>

static inline uintptr_t lt_thread_ident(void)
{
/* Where glibc's pthread_self() has it from, unless a test has another one. */
#if defined(__GLIBC__) && defined(__x86_64__) && !defined(pthread_self)
    uintptr_t self;
    __asm__("mov %%fs:0, %0" : "=r"(self));
    return self;
#else
    return (uintptr_t)pthread_self();
#endif
}

#endif
#endif
