/* The GIL rule, on PyPy: cffi lets the GIL go around every call there, at the price of
 * one store, and its callbacks make a thread known for as long as they run. */
#ifndef LT_ATTACH_PYPY_H
#define LT_ATTACH_PYPY_H

typedef int lt_detached;
typedef int lt_entered;

static inline lt_detached lt_detach(void)
{
    return 0;
}

static inline void lt_attach(lt_detached state)
{
    (void)state;
}

static inline lt_entered lt_enter(void)
{
    return 0;
}

static inline void lt_leave(lt_entered state)
{
    (void)state;
}

#endif
