/* The protocol of handles, csrc/handle.c, as a model for spin: all orders of its atomic steps.
 *
 * STARTERS threads claim one handle and start its thread, which may fail (lt_thread_start); JOINERS
 * wait for its end.  `running` is a lock as lock.pml has it, here just a bit that one waits for.
 *
 * Checked: one start at a time, and one that succeeds; the handle is done once its thread has
 * ended, and not before; who joins goes on then, and never waits for nobody; the memory is freed
 * once, by the last reference, and not used after that.
 *
 * -DBREAK_... leaves a rule of the code out; the session `proofs` checks that each is missed. */

#ifndef STARTERS
#define STARTERS 2
#endif
#ifndef JOINERS
#define JOINERS 1
#endif

#define NOT_STARTED 0
#define STARTING 1
#define RUNNING 2
#define DONE 3

bool running;         /* lt_handle.running is held */
byte progress = NOT_STARTED;
byte references = STARTERS + JOINERS;
bool freed;

/* Ghosts. */
byte starts;          /* threads that run, or ran */
bool body_ended;      /* of the thread */

inline use()
{
    assert(!freed)
}

inline lt_handle_drop()
{
    atomic {
        use();
        references--;
        freed = (references == 0)
    }
}

proctype thread()
{
    /* lt_handle_adopt */
    atomic { use(); progress = (progress == STARTING -> RUNNING : progress) }
    body_ended = true;
    /* lt_handle_finish: the exchange, and the release */
#ifdef BREAK_FINISH_ORDER
    atomic { use(); running = false }
    atomic { use(); progress = DONE }
#else
    atomic { use(); progress = DONE }
    atomic { use(); assert(running); running = false }
#endif
    lt_handle_drop()
}

proctype starter()
{
    bool claimed;
    /* lt_handle_claim */
claim:
    if
    :: atomic { progress != NOT_STARTED -> use() }; goto out
    :: atomic { progress == NOT_STARTED -> use() }
#ifndef BREAK_CLAIM_LOCK
        if
        :: atomic { !running -> use(); running = true }
        :: atomic { running -> use() }; goto claim
        fi
#endif
    fi;
#ifdef BREAK_CLAIM_COMPARE
    atomic { use(); progress = STARTING; claimed = true }
#else
    atomic {
        use();
        if
        :: progress == NOT_STARTED -> progress = STARTING; claimed = true
        :: else
        fi
    }
#endif
    if
    :: !claimed -> atomic { use(); assert(running); running = false }; goto out
    :: else
    fi;
#ifdef BREAK_CLAIM_LOCK
    running = true;
#endif
    /* lt_thread_start: lt_handle_keep, for the thread */
#ifndef BREAK_KEEP
    atomic { use(); references++ }
#endif
    if
    :: atomic { assert(starts == 0); starts++; run thread() }
    :: /* it fails: cancel, lt__handle_unclaim */
        atomic { use(); assert(running); running = false }
        atomic { use(); progress = NOT_STARTED }
#ifndef BREAK_KEEP
        lt_handle_drop()
#else
        skip
#endif
    fi;
out:
    lt_handle_drop()
}

/* As lowthreads joins: only what was started; by taking `running`, and releasing it at once. */
proctype joiner()
{
    do
    :: atomic { progress == DONE -> use() }; break
    :: atomic { progress == STARTING || progress == RUNNING -> use() }
        atomic { !running -> use(); running = true }
        /* The thread is done, or its start failed. */
        assert(progress == DONE || starts == 0);
        atomic { use(); running = false }
    :: atomic { progress == NOT_STARTED -> use() }; goto out
    od;
    assert(body_ended && starts == 1);
out:
    lt_handle_drop()
}

init {
    byte i;
    atomic {
        i = 0;
        do
        :: i < STARTERS -> run starter(); i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < JOINERS -> run joiner(); i++
        :: else -> break
        od
    }
    /* All ended: the last reference is gone. */
    (_nr_pr == 1);
    assert(freed && !running && (progress == DONE || starts == 0))
}
