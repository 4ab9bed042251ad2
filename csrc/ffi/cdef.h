/* What Python sees of the shim, on every interpreter; cpython/cdef.h and pypy/cdef.h add
 * to it.  Read by cffi, not by a compiler.
 *
 * Each declaration says whether it may block.  What does not block runs attached to the
 * interpreter (with the GIL); what may block detaches itself, see attach.h. */

#define LT_TIMED_OUT ...
#define LT_ACQUIRED ...
#define LT_INTERRUPTED ...

#define LT_BRIEF ...
#define LT_PATIENT ...

typedef struct { ...; } lt_lock;

bool lt_lock_try(lt_lock *);                     /* never blocks */
bool lt_lock_release(lt_lock *);                 /* never blocks */
void lt_lock_settle(lt_lock *);                  /* never blocks */
bool lt_lock_undo(lt_lock *);                    /* never blocks */
bool lt_lock_locked(lt_lock *);                  /* never blocks */
uintptr_t lt_lock_owner(lt_lock *);              /* never blocks */
void lt_lock_reinit(lt_lock *);                  /* never blocks */
int lt_ffi_lock_wait(lt_lock *, int64_t deadline, int64_t since, int patience);
                                                 /* blocks: detaches */

int64_t lt_now(void);                            /* never blocks */
uintptr_t lt_thread_ident(void);                 /* never blocks */
uint64_t lt_thread_native_id(void);              /* never blocks */
bool lt_stack_size_valid(size_t);                /* never blocks */
int lt_thread_signal(uintptr_t ident, int signum);
                                                 /* never blocks */
void lt_ffi_set_main_thread(uintptr_t ident);     /* never blocks */
uintptr_t lt_ffi_main_thread(void);              /* never blocks */
void lt_signals_hold(void);                      /* never blocks */
void lt_signals_release(void);                   /* never blocks */

uint32_t lt_census_count(void);                  /* never blocks */
void lt_ffi_await_arrivals(void);                /* blocks: detaches */
void lt_ffi_after_fork(void);                    /* never blocks */

const char *lt_ffi_parker(void);                 /* never blocks */
const char *lt_ffi_api(void);                    /* never blocks */
