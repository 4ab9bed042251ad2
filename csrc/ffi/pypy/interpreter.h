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

#define LT_API "cffi"

#endif
