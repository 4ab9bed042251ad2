"""What the reference promises of threads: how they start, who they are, how they end."""

from __future__ import annotations

import sys
import threading
from importlib import import_module
from typing import Any

from .._host import host
from .expect import PATIENCE, Broken, holds, in_time, raises, same, until
from .pieces import in_thread, silently_ends
from .registry import promise
from .settings import default_reports, thread_reports

lowthreads: Any = import_module("..", __package__)

_STACK = 1 << 20  # a stack size that every platform takes and every interpreter can live with


# ---- error ------------------------------------------------------------------------


@promise("error", "is a synonym of RuntimeError")
def _error_is_runtime_error() -> None:
    holds("RuntimeError", lowthreads.error is RuntimeError, lowthreads.error)


@promise("error", "is raised on thread-specific errors")
def _error_is_raised() -> None:
    raises(lowthreads.error, lowthreads.allocate_lock().release)


# ---- start_new_thread -------------------------------------------------------------


@promise("start_new_thread", "starts a thread: the function runs in another one")
def _starts_a_thread() -> None:
    there = in_thread(threading.get_ident)
    holds("another thread's identifier", there != threading.get_ident(), there)


@promise("start_new_thread", "gives the function its args, a tuple, and kwargs, a dict")
def _passes_arguments() -> None:
    given: list[object] = []
    over = threading.Event()

    def function(*args: object, **kwargs: object) -> None:
        given.append((args, kwargs))
        over.set()

    for args in [((1, "two"),), ((1,), {"three": 3}), ((), {})]:
        over.clear()
        lowthreads.start_new_thread(function, *args)
        in_time("the function to run", over)
    same("the arguments", given, [((1, "two"), {}), ((1,), {"three": 3}), ((), {})])


@promise("start_new_thread", "returns the thread's identifier")
def _returns_the_identifier() -> None:
    inside: list[int] = []
    over = threading.Event()

    def function() -> None:
        inside.append(lowthreads.get_ident())
        over.set()

    returned = lowthreads.start_new_thread(function, ())
    in_time("the function to run", over)
    same("what start_new_thread returned", returned, inside[0])


@promise("start_new_thread", "refuses args that aren't a tuple, kwargs that aren't a dict")
def _refuses_other_arguments() -> None:
    def function() -> None:
        raise Broken("no thread", "it was started")

    start = lowthreads.start_new_thread
    raises(TypeError, start)
    raises(TypeError, start, function)
    raises(TypeError, start, function, [])
    raises(TypeError, start, function, (), [])
    raises(TypeError, start, function, (), None)
    raises(TypeError, start, function, (), {}, {})
    raises(TypeError, start, "function", ())


@promise("start_new_thread", "the thread ends silently when the function returns")
def _ends_silently() -> None:
    silently_ends(lambda: "a result, which is ignored")


def _unhandled_in_a_thread() -> None:
    raise ArithmeticError("let out on purpose")


@promise("start_new_thread", "an unhandled exception prints a stack trace")
def _prints_a_stack_trace() -> None:
    with default_reports() as text:
        lowthreads.start_new_thread(_unhandled_in_a_thread, ())
        last = "ArithmeticError: let out on purpose"
        until(f"{last!r} on stderr", lambda: last in text.getvalue())
    printed = text.getvalue()
    for line in [
        "Exception ignored in thread started by",
        "Traceback (most recent call last):",
        f"in {_unhandled_in_a_thread.__name__}",
    ]:
        holds(f"{line!r} on stderr", line in printed, printed)


@promise("start_new_thread", "an unhandled exception goes to sys.unraisablehook")
def _calls_the_hook() -> None:
    with thread_reports() as reports:
        lowthreads.start_new_thread(_unhandled_in_a_thread, ())
        until("a call of sys.unraisablehook", lambda: len(reports) > 0)
    report = reports[0]
    holds("exc_type ArithmeticError", report.exc_type is ArithmeticError, report.exc_type)
    same("str(exc_value)", str(report.exc_value), "let out on purpose")
    holds("a traceback", report.exc_traceback is not None, report.exc_traceback)
    holds("the function in err_msg", repr(_unhandled_in_a_thread) in report.err_msg, report.err_msg)


@promise("start_new_thread", "an unhandled exception ends that thread alone")
def _ends_that_thread_alone() -> None:
    goes_on, still_there = threading.Event(), threading.Event()

    def other() -> None:
        if goes_on.wait(PATIENCE):
            still_there.set()

    before = lowthreads._count()
    with thread_reports() as reports:
        lowthreads.start_new_thread(other, ())
        lowthreads.start_new_thread(_unhandled_in_a_thread, ())
        until("a call of sys.unraisablehook", lambda: len(reports) > 0)
        until("that thread to end", lambda: lowthreads._count() <= before + 1)
    holds("the other thread to go on", lowthreads._count() > before, "it ended, too")
    goes_on.set()
    in_time("the other thread to go on", still_there)


# ---- exit -------------------------------------------------------------------------


@promise("exit", "raises SystemExit")
def _exit_raises() -> None:
    raised = raises(SystemExit, lowthreads.exit)
    same("SystemExit's arguments", raised.args, ())


@promise("exit", "uncaught, it ends the thread silently")
def _exit_ends_silently() -> None:
    reached: list[str] = []

    def body() -> None:
        lowthreads.exit()
        reached.append("the statement after exit()")

    silently_ends(body)
    same("what ran after it", reached, [])


@promise("caveats", "sys.exit() in a thread equals exit()")
def _sys_exit() -> None:
    silently_ends(sys.exit)
    silently_ends(lambda: sys.exit("not printed"))


# ---- get_ident --------------------------------------------------------------------


@promise("get_ident", "is a nonzero integer, always the same in one thread")
def _identifier() -> None:
    ident = lowthreads.get_ident()
    holds("a nonzero int", type(ident) is int and ident != 0, ident)
    same("a second get_ident()", lowthreads.get_ident(), ident)
    same("get_ident()", ident, threading.get_ident())


@promise("get_ident", "is usable as a dictionary key: threads that run have different ones")
def _identifiers_differ() -> None:
    threads = 8
    seen: dict[int, int] = {}
    all_there, may_end = threading.Semaphore(0), threading.Event()

    def function(number: int) -> None:
        seen[lowthreads.get_ident()] = number
        all_there.release()
        may_end.wait(PATIENCE)

    try:
        for number in range(threads):
            lowthreads.start_new_thread(function, (number,))
        for _ in range(threads):
            holds("every thread to run", all_there.acquire(timeout=PATIENCE), "not all did")
    finally:
        may_end.set()
    same("the threads, by identifier", sorted(seen.values()), list(range(threads)))
    holds("the main thread's not among them", lowthreads.get_ident() not in seen, seen)


# ---- stack_size -------------------------------------------------------------------


@promise("stack_size", "returns the size used for new threads; 0 is the platform's default")
def _stack_size_returned() -> None:
    lowthreads.stack_size(0)
    same("stack_size() after stack_size(0)", lowthreads.stack_size(), 0)
    same(f"stack_size({_STACK}), the size before it", lowthreads.stack_size(_STACK), 0)
    same("stack_size(0), the size before it", lowthreads.stack_size(0), _STACK)
    same("stack_size() after stack_size(0)", lowthreads.stack_size(), 0)


@promise("stack_size", "threads start and run with the size that was set")
def _stack_size_used() -> None:
    lowthreads.stack_size(_STACK)
    same("what a thread returns", in_thread(lambda: sum(range(1000))), 499500)


@promise("stack_size", "is at least 32,768, or what the interpreter's own threads need")
def _stack_size_minimum() -> None:
    raises(ValueError, lowthreads.stack_size, 32767)
    raises(ValueError, lowthreads.stack_size, 1)
    before = host.stack_size()
    try:
        host.stack_size(32768)
    except ValueError:
        return
    finally:
        host.stack_size(before)
    lowthreads.stack_size(32768)
    same("the size after stack_size(32768)", lowthreads.stack_size(0), 32768)


@promise("stack_size", "a bad size raises ValueError and changes nothing")
def _stack_size_refused() -> None:
    lowthreads.stack_size(_STACK)
    for size in (-1, 1, 4096, 32767, -sys.maxsize):
        raises(ValueError, lowthreads.stack_size, size)
        same(f"the size after stack_size({size})", lowthreads.stack_size(_STACK), _STACK)
