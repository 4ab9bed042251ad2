/* The lock's protocol, csrc/lock.c, as a model for spin: all orders of its atomic steps.
 *
 * N threads each take and release one lock OPERATIONS times, in every way: by a try, and by waits
 * that go on, that give up when their time is over, or that a signal interrupts.  The names are
 * those of lock.c; each `atomic` or `d_step` is one compare-and-swap of the state there, or
 * what one thread does to the queue while it holds LT_EDITING.  Memory is sequentially
 * consistent (the explorer has C11's).
 *
 * Checked: mutual exclusion; that the state's bits tell the truth about the queue; no lost
 * wake-up (an invalid end state, or `awake` below); nobody is left in the queue, nor owed a token,
 * nor owes one; that nobody barges past a waiter that has waited long, is asleep, and sees the
 * lock released; that such a waiter comes too late at most once.
 *
 * -DBREAK_... leaves a rule of the code out; the session `proofs` checks that each is missed. */

#ifndef N
#define N 3
#endif
#ifndef OPERATIONS
#define OPERATIONS 1
#endif

#define NONE 255

/* -DEXPEL: a fourth thread ends one wait, whichever it is (lt_interrupt). */

/* progress */
#define WAITING 0
#define WOKEN 1
#define HANDED 2
#define EXPELLED 3
#define LEFT 4

/* The word `state`. */
bool locked, queued, waking, editing;

/* The ring of waiters, in the order of their arrival. */
byte queue[N];
byte length;

/* Of each waiter. */
byte progress[N];
bool token[N];      /* of its parker */
bool in_park[N];    /* sleeps, or is about to */
bool waited_long[N];
byte late[N];       /* how often it came too late since it has waited long */
bool on_stack[N];   /* the waiter is there */

byte owner = NONE;  /* a ghost: who holds the lock */
byte ended;
byte owed[N];       /* a ghost: tokens that another thread is about to give */

/* Of waits.c: the list of waits, held by who changes it or looks at it. */
bool listing;
bool listed[N];
byte fate[N];       /* PENDING; ENDED: given the lock; CUT: by lt_interrupt */
#define PENDING 0
#define ENDED 1
#define CUT 2

#define in_queue(w) \
    ((length > 0 && queue[0] == w) || (length > 1 && queue[1] == w) || (length > 2 && queue[2] == w))

inline own(w)
{
    assert(owner == NONE);
    owner = w;
    fate[w] = (fate[w] == PENDING -> ENDED : fate[w])
}

inline append_waiter(w)
{
    queue[length] = w;
    length++;
}

inline remove_waiter(w)
{
    assert(in_queue(w));
    i = 0;
    do
    :: i < length && queue[i] != w -> i++
    :: else -> break
    od;
    do
    :: i + 1 < length -> queue[i] = queue[i + 1]; i++
    :: else -> break
    od;
    length--;
    queue[length] = 0;
    i = 0
}

/* end_edit(lock, 0, 0): one step, the compare-and-swap in it. */
inline end_edit()
{
    assert(editing);
    editing = false;
#ifdef BREAK_QUEUED_TRUTH
    skip
#else
    queued = length > 0
#endif
}

/* begin_edit: waits for LT_EDITING to be clear, and sets it. */
inline begin_edit()
{
#ifdef BREAK_QUEUE_LOCK
    editing = true
#else
    atomic { !editing -> editing = true }
#endif
}

/* lt__lock_unlock: the compare-and-swap from LT_LOCKED alone to 0, then
 * lt__lock_unlock_slowly, and release_to_first. */
inline release(me)
{
    assert(owner == me);
    owner = NONE;
    assert(locked);
    if
    :: atomic { !queued && !waking && !editing -> locked = false }
    :: else ->
        if
        /* Nobody waits, or one who was woken is on its way. */
#ifdef BREAK_WAKING
        :: atomic { !queued -> locked = false }
        :: atomic { queued && !editing ->
#else
        :: atomic { !queued || waking -> locked = false }
        :: atomic { queued && !waking && !editing ->
#endif
                editing = true }
            /* release_to_first; LT_EDITING and LT_LOCKED are held. */
            d_step {
                chosen = queue[0];
                assert(length > 0);
                assert(on_stack[chosen])
            }
            if
            :: waited_long[chosen] ->
                d_step {
                    remove_waiter(chosen);
                    own(chosen);
                    progress[chosen] = HANDED;
                    owed[chosen]++
                }
#ifdef BREAK_HAND_OFF
                atomic { end_edit(); locked = false }
#else
                d_step { end_edit() }
#endif
            :: else ->
                d_step {
#ifndef BREAK_PROGRESS
                    progress[chosen] = WOKEN;
#endif
                    owed[chosen]++
                }
                d_step {
                    end_edit();
#ifndef BREAK_SET_WAKING
                    waking = true;
#endif
                    locked = false
                }
            fi;
            /* lt_unpark: the parker must be there still. */
            d_step {
#ifndef BREAK_WAKE
                assert(on_stack[chosen]);
                token[chosen] = true;
#endif
                owed[chosen]--;
                chosen = NONE
            }
        fi
    fi
}

/* take_as_woken, in one step with seeing LT_LOCKED. */
inline take_as_woken(me)
{
    atomic {
        if
        :: locked ->
#ifndef BREAK_CLEAR_WAKING
            waking = false;
#endif
            progress[me] = WAITING;
            late[me] = late[me] + waited_long[me];
            assert(late[me] <= 1)
        :: else ->
            locked = true;
            waking = false;
            owns = true;
            own(me);
            remove_waiter(me)
        fi
    }
}

proctype thread(byte me)
{
    byte i, operations, found, wake, chosen = NONE;
    bool owns, leaves;
    do
    :: operations < OPERATIONS ->
        operations++;
        if
        :: /* lt_lock_try */
            if
            :: atomic { !locked -> locked = true; own(me) }; goto holds
            :: atomic { locked -> skip }; goto next
            fi
        :: skip
        fi;
        /* lt__lock_wait */
        d_step {
            on_stack[me] = true;
            progress[me] = WAITING;
            token[me] = false;
            fate[me] = PENDING;
            owns = false
        }
        /* take_or_enqueue */
        if
        :: atomic { !locked -> locked = true; own(me) }
            on_stack[me] = false;
            goto holds
#ifdef BREAK_ENQUEUE
        :: atomic { locked && !editing -> editing = true }
            append_waiter(me);
            d_step { end_edit() }
#else
        :: atomic { locked && !editing -> editing = true; queued = true }
            d_step { append_waiter(me) }
            d_step { end_edit() }
#endif
        fi;
        /* lt__wait_show */
        atomic { !listing -> listed[me] = true }
        /* sleep_in_queue */
sleep:
        in_park[me] = true;
        /* lt_park: the token, the deadline, or a signal; 1: without the token. */
        if
        :: atomic { token[me] -> token[me] = false; wake = 0 }
        :: me != 0 -> wake = 1 /* the time is over, or a signal came; with or without a token */
        fi;
        in_park[me] = false;
        begin_edit();
        found = progress[me];
        owns = (found == HANDED);
        if
        :: found == WOKEN -> take_as_woken(me)
        :: else
        fi;
        leaves = !owns && (wake == 1 || fate[me] == CUT);
#ifdef BREAK_GIVE_UP
        leaves = (found != HANDED) && wake == 1;
        if
        :: owns && leaves -> atomic { owner = NONE; locked = false; leaves = false; owns = false;
                                      end_edit(); on_stack[me] = false; goto next }
        :: else
        fi;
#endif
        if
#ifndef BREAK_REMOVE
        :: leaves && found != EXPELLED -> d_step {
                remove_waiter(me);
#ifndef BREAK_LEFT
                progress[me] = LEFT
#endif
            }
#endif
        :: else
        fi;
        d_step { end_edit() }
#ifndef BREAK_TOKEN
        /* Chosen while it gave up: its token is there, or about to be. */
        if
        :: found != WAITING && wake == 1 -> atomic { token[me] -> token[me] = false }
        :: else
        fi;
#endif
        if
        :: !owns && !leaves -> goto sleep
        :: else
        fi;
        /* lt__wait_end; one that was given the lock after it was cut, gives it on (settle). */
        atomic { !listing -> listed[me] = false }
        d_step {
            on_stack[me] = false;
            waited_long[me] = false;
            late[me] = 0;
#ifndef BREAK_TOKEN
            assert(!token[me] && owed[me] == 0);
#endif
            wake = 0
        }
        if
        :: leaves -> goto next
        :: else
        fi;
holds:
        assert(owner == me && locked);
        release(me);
next:
        skip;
        d_step { owns = false; leaves = false; found = 0; wake = 0; i = 0 }
    :: else -> break
    od;
    ended++
}

#ifdef EXPEL
/* lt_interrupt and lt__lock_expel, of any wait, at any time. */
active proctype interrupter()
{
    byte w, i;
    bool asleep;
    if
    :: w = 0
    :: w = 1
#if N > 2
    :: w = 2
#endif
    fi;
    atomic { (!listing && listed[w]) || ended == N -> listing = true }
    if
    :: listed[w] ->
        begin_edit();
        d_step {
            if
            :: fate[w] == PENDING ->
                fate[w] = CUT;
                if
#ifdef BREAK_EXPEL_CHOSEN
                :: progress[w] != HANDED ->
#else
                :: progress[w] == WAITING ->
#endif
#ifndef BREAK_EXPEL_REMOVE
                    remove_waiter(w);
#endif
                    progress[w] = EXPELLED;
                    owed[w]++;
                    asleep = true
                :: else
                fi
            :: else
            fi
        }
        d_step { end_edit() }
        listing = false;
#ifndef BREAK_EXPEL_WAKE
        if
        :: asleep -> d_step { assert(on_stack[w]); token[w] = true; owed[w]-- }
        :: else
        fi
#endif
    :: else -> listing = false
    fi
}
#endif

/* HANDOFF_NS passes for any waiter at any time. */
#define passes(w) \
    atomic { on_stack[w] && in_queue(w) && !waited_long[w] -> waited_long[w] = true }

active proctype time()
{
    do
    :: ended == N -> break
    :: passes(0)
    :: passes(1)
#if N > 2
    :: passes(2)
#endif
    od
}

init {
    atomic {
        run thread(0);
        run thread(1);
#if N > 2
        run thread(2)
#endif
    }
    ended == N;
    /* Nobody is left, and the word is as it was. */
    assert(!locked && !queued && !waking && !editing && length == 0 && owner == NONE)
}

/* While threads wait: the lock is held, or a woken waiter is on its way, or somebody edits. */
active proctype monitor()
{
    atomic {
        assert(length == 0 || locked || waking || editing);
        assert(editing || queued == (length > 0))
    }
}
