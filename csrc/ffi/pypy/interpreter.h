/* The shim's view of PyPy; its twin is cpython/interpreter.h.
 *
 * Lock objects are all Python here: PyPy's compiler needs no help. */
#ifndef LT_INTERPRETER_H
#define LT_INTERPRETER_H

#include "bias.h"
#include "thread_start.h"

/* Nothing is to be held. */
static void (*const lt_interpreter_before_fork)(void) = NULL;
static void (*const lt_interpreter_after_fork_in_parent)(void) = NULL;

/* After a wait that took nothing: what a signal handler took meanwhile, and kept, is not for the one
 * whom it interrupted to undo. */
static void lt_ffi_settle_others(lt__wait *wait)
{
    if (!lt__wait_fulfilled(wait))
        lt_lock_settle(wait->record.lock);
}

/* There are no others. */
static bool lt_is_main_interpreter(void)
{
    return true;
}

#define LT_API "cffi"

#endif
