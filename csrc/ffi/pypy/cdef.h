/* What Python sees of the shim on PyPy alone. */

/* The new thread calls lt_ffi_run_thread with the same key.  The handle may be NULL.
 * Returns the thread's ident, or an errno, negative. */
int64_t lt_ffi_thread_start(uintptr_t key, size_t stack_size, lt_handle *handle);
                                                 /* never blocks */

typedef struct {
    lt_rlock rlock;
    uintptr_t maker;
    uint32_t generation;
    ...;
} lt_biased;

uint32_t lt_biased_end(lt_biased *, uint32_t levels);
                                                 /* never blocks for long */

bool lt_biased_outlived_fork(lt_biased *);       /* never blocks */

void lt_ffi_settle_others(lt__wait *);           /* never blocks */

extern "Python" void lt_ffi_run_thread(uintptr_t key);
