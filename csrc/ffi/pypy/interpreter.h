/* The shim's view of PyPy; its twin is cpython/interpreter.h.
 *
 * Lock objects are all Python here: PyPy's compiler needs no help. */
#ifndef LT_INTERPRETER_H
#define LT_INTERPRETER_H

#include "bias.h"
#include "thread_start.h"

#define LT_API "cffi"

#endif
