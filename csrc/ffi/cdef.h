/* What Python sees of the shim, on every interpreter; cpython/cdef.h and pypy/cdef.h add
 * to it.  Read by cffi, not by a compiler.
 *
 * Each declaration says whether it may block.  What does not block runs attached to the
 * interpreter (with the GIL); what may block detaches itself, see attach.h. */

#define LT_TIMED_OUT ...
#define LT_ACQUIRED ...
#define LT_INTERRUPTED ...
#define LT_OVERFLOW ...
#define LT_ORPHANED ...
#define LT_EXPELLED ...
#define LT_RLOCK_MAX ...

#define LT_PLAIN ...
#define LT_BRIEF ...
#define LT_PATIENT ...
#define LT_FIRM ...

typedef struct { ...; } lt_lock;

bool lt_lock_try_marked(lt_lock *, uintptr_t marks);
                                                 /* never blocks */
bool lt_ffi_lock_release(lt_lock *);             /* never blocks */
void lt_lock_settle(lt_lock *);                  /* never blocks */
bool lt_lock_undo(lt_lock *);                    /* never blocks */
bool lt_lock_locked(lt_lock *);                  /* never blocks */
uintptr_t lt_lock_owner(lt_lock *);              /* never blocks */
void lt_lock_reinit(lt_lock *);                  /* never blocks */
int lt_ffi_wait(void *lock, int awaited, unsigned marks, int64_t deadline, int64_t since,
                int patience, bool passes);      /* blocks: detaches */

typedef struct { ...; } lt_rlock;

int lt_rlock_try_marked(lt_rlock *, uintptr_t marks);
                                                 /* never blocks */
bool lt_ffi_rlock_release(lt_rlock *);           /* never blocks */
bool lt_rlock_locked(lt_rlock *);                /* never blocks */
uintptr_t lt_rlock_owner(lt_rlock *);            /* never blocks */
bool lt_rlock_owned(lt_rlock *);                 /* never blocks */
uint32_t lt_rlock_levels(lt_rlock *);            /* never blocks */
uint32_t lt_rlock_release_all(lt_rlock *);       /* never blocks */
void lt_rlock_restore(lt_rlock *, uint32_t levels);
                                                 /* never blocks */
void lt_rlock_settle(lt_rlock *);                /* never blocks */
bool lt_rlock_undo(lt_rlock *);                  /* never blocks */
void lt_rlock_reinit(lt_rlock *);                /* never blocks */

#define LT_FRESH ...
#define LT_SCOPED ...
#define LT_FOR_LOCK ...
#define LT_FOR_RLOCK ...
#define LT_FOR_THREAD ...
#define LT_FOR_EVENT ...

typedef struct {
    uintptr_t ident;
    uint64_t native_id;
    lt_lock *lock;
    int awaited;
    int64_t since, deadline;
    uintptr_t owner;
    bool scoped, signal, orphan, suspended;
    ...;
} lt_wait_record;

typedef struct { ...; } lt__wait;

void lt_ffi_prepare(lt__wait *, void *lock, int awaited, int64_t deadline, int64_t since);
                                                 /* never blocks */
int lt_ffi_wait_on(lt__wait *, unsigned marks, int patience, bool passes);
                                                 /* blocks: detaches */
void lt_ffi_take_back(lt__wait *, unsigned marks); /* blocks: detaches */
int lt__wait_end(lt__wait *);                    /* never blocks for long */
#define LT_IN_C ...
int lt_ffi_interrupt(uintptr_t ident, int64_t since, int code);
                                                 /* never blocks for long */
int lt_ffi_new_code(void);                       /* never blocks */

int lt_watch_start(int fd, int64_t after);       /* never blocks */
void lt_watch_beat(void);                        /* never blocks */
void lt_watch_stop(void);                        /* never blocks */
uint32_t lt_watch_threads(void);                 /* never blocks */
int lt_watch_signal(int signum);                 /* never blocks */
bool lt_watch_asked(void);                       /* never blocks */
void lt_watch_answered(void);                    /* never blocks */
size_t lt_waits(lt_wait_record *, size_t room);  /* never blocks for long */

#define LT_NOT_STARTED ...
#define LT_DONE ...

typedef struct { ...; } lt_handle;

lt_handle *lt_handle_new(void);                  /* never blocks */
void lt_handle_drop(lt_handle *);                /* never blocks */
bool lt_handle_claim(lt_handle *);               /* never blocks */
void lt_handle_adopt(lt_handle *, uintptr_t ident);
                                                 /* never blocks */
void lt_handle_finish(lt_handle *);              /* never blocks */
uintptr_t lt_handle_ident(lt_handle *);          /* never blocks */
lt_lock *lt_handle_running(lt_handle *);         /* never blocks */
int lt_handle_progress_of(lt_handle *);          /* never blocks */
bool lt_thread_is_ours(void);                    /* never blocks */
lt_handle *lt_handle_of_self(void);              /* never blocks */

size_t lt_thread_name_max(void);                 /* never blocks */
int lt_thread_set_name(const char *);            /* never blocks */
int lt_thread_get_name(char *, size_t);          /* never blocks */

int64_t lt_now(void);                            /* never blocks */
uintptr_t lt_thread_ident(void);                 /* never blocks */
uint64_t lt_thread_native_id(void);              /* never blocks */
bool lt_stack_size_valid(size_t);                /* never blocks */
int lt_thread_signal(uintptr_t ident, int signum);
                                                 /* never blocks */
int lt_ffi_watch_forks(void);                    /* never blocks */
void lt_ffi_set_main_thread(uintptr_t ident);    /* never blocks */
uintptr_t lt_ffi_main_thread(void);              /* never blocks */
int lt_signals_fd(void);                         /* never blocks */
void lt_signals_forward(int fd);                 /* never blocks */
void lt_signals_flush(void);                     /* never blocks */

#define LT_FORK_BLOCK ...
#define LT_FORK_RESET ...
#define LT_FORK_RAISE ...

int lt_set_fork_policy(int);                     /* never blocks */

uint32_t lt_census_generation(void);             /* never blocks */
uint32_t lt_census_count(void);                  /* never blocks */
void lt_census_close(uintptr_t ident);           /* never blocks */
bool lt_is_main_interpreter(void);               /* never blocks */
void lt_ffi_await_arrivals(void);                /* blocks: detaches */

uintptr_t lt_ffi_table(void);                    /* never blocks */

const char *lt_ffi_parker(void);                 /* never blocks */
const char *lt_ffi_api(void);                    /* never blocks */
