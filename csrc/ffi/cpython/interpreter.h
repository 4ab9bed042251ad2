/* The shim's view of CPython; its twin is pypy/interpreter.h. */
#ifndef LT_INTERPRETER_H
#define LT_INTERPRETER_H

#include "natives.h"

static void lt_interpreter_before_fork(void)
{
    lt_hold_entries();
}

static void lt_interpreter_after_fork_in_parent(void)
{
    lt_let_entries();
}

static void lt_interpreter_after_fork(void)
{
    lt_lock_reinit(&lt_entering);
}

/* To ask Python makes an object on 3.9 to 3.11 that ends the interpreter when it is freed. */
static bool lt_is_main_interpreter(void)
{
    return PyInterpreterState_GetID(PyInterpreterState_Get()) == 0;
}

/* Which of CPython's C APIs the build uses. */
#if defined(Py_TARGET_ABI3T)
#define LT_API "abi3t"
#elif defined(Py_LIMITED_API)
#define LT_API "limited"
#else
#define LT_API "full"
#endif

#endif
