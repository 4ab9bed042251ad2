"""Every call is answered as documented: with a result, or with an exception and no change.

The expectations are written down here once more, apart from the code: for `acquire` as
exact arithmetic in the order of the documented checks.
"""

from __future__ import annotations

import contextlib
import gc
import math
import signal
import sys
import time
import weakref
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from functools import partial
from itertools import chain
from typing import Any, Callable

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from marks import counts_threads

import lowthreads
from lowthreads import TIMEOUT_MAX, allocate_lock
from lowthreads._host import host
from support import Threads, released_if_awaited, run_threads, wait_until

SECOND = 10**9
INT64 = 2**63


class Index:
    """An int, for whoever asks for its index."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value

    def __repr__(self) -> str:
        return f"Index({self.value})"


class Broken:
    """Raises whatever is asked of it."""

    def __bool__(self) -> bool:
        raise LookupError("bool")

    def __index__(self) -> int:
        raise LookupError("index")

    def __repr__(self) -> str:
        return "Broken()"


class Float(float):
    pass


class OnlyFloat:
    def __float__(self) -> float:
        return 0.0


class Tuple(tuple):
    pass


class Dict(dict):
    pass


BOUNDARIES = [
    -1,
    0,
    1,
    -2,
    32767,
    32768,
    2**31 - 1,
    2**31,
    -(2**31) - 1,
    9223372036,
    9223372037,
    2**63 - 1,
    2**63,
    -(2**63) - 1,
    10**30,
]
integers = st.one_of(st.sampled_from(BOUNDARIES), st.integers(), st.integers(-3, 70))
floats = st.one_of(
    st.floats(),
    st.floats(-2, 2),
    st.sampled_from([float(value) for value in BOUNDARIES]),
    st.sampled_from([-1e-10, -1.0000000001, 9223372036.000002, 9223372036.5, math.nan, -math.inf]),
)
others = st.one_of(
    st.none(),
    st.booleans(),
    st.text(max_size=3),
    st.binary(max_size=3),
    st.complex_numbers(),
    st.fractions(),
    st.decimals(),
    st.lists(st.none(), max_size=2),
    st.builds(tuple),
    st.builds(dict),
    st.builds(object),
    st.builds(Broken),
    st.builds(OnlyFloat),
)
anything = st.one_of(integers, floats, others, st.builds(Index, integers), st.builds(Float, floats))
keywords = st.dictionaries(st.sampled_from(["blocking", "timeout", "self", "x", ""]), anything)
calls = st.tuples(st.lists(anything, max_size=4).map(tuple), keywords)
not_index = anything.filter(lambda value: not hasattr(value, "__index__"))


@pytest.fixture
def _stack_size() -> Iterator[None]:
    before = lowthreads.stack_size()
    yield
    lowthreads.stack_size(before)


def outcome(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The type of what the call raises, or its result."""
    try:
        return call(*args, **kwargs)
    except Exception as error:
        return type(error)


# ---- lock.acquire

FOREVER = math.inf


def bind_acquire(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
    names = ["blocking", "timeout"]
    given = dict(zip(names, args))
    if len(args) > 2 or not kwargs.keys() <= set(names) or kwargs.keys() & given.keys():
        raise TypeError
    given.update(kwargs)
    return given.get("blocking", True), given.get("timeout", -1)


def whole_nanoseconds(timeout: Any) -> int:
    if isinstance(timeout, float):
        if math.isnan(timeout):
            raise ValueError
        if math.isinf(timeout):
            raise OverflowError
        exact = Fraction(timeout) * SECOND
        return math.ceil(exact) if exact > 0 else math.floor(exact)  # away from zero
    if hasattr(timeout, "__index__"):
        return timeout.__index__() * SECOND
    raise TypeError


def expected_wait(args: tuple[Any, ...], kwargs: dict[str, Any]) -> float:
    """How long `acquire` may wait, in nanoseconds; raises what it raises."""
    blocking, timeout = bind_acquire(args, kwargs)
    waits = bool(blocking)
    nanoseconds = whole_nanoseconds(timeout)
    if not -INT64 <= nanoseconds < INT64:
        raise OverflowError
    if nanoseconds == -SECOND:
        return FOREVER if waits else 0
    if not waits or nanoseconds < 0:
        raise ValueError
    if nanoseconds > TIMEOUT_MAX * SECOND:
        raise OverflowError
    return nanoseconds


@given(calls)
@example(((Broken(), Broken()), {}))
@example(((False, Broken()), {}))
@example(((False, math.inf), {}))
@example(((False, math.nan), {}))
@example(((True, -5e-324), {}))
@example(((True, 5e-324), {}))
@example(((True, TIMEOUT_MAX), {}))
@example(((), {"timeout": 1, "blocking": False}))
def test_acquire_of_a_free_lock(call: tuple[Any, Any]) -> None:
    args, kwargs = call
    lock = allocate_lock()
    expected = outcome(expected_wait, *call)
    refused = isinstance(expected, type)
    for acquire in (lock.acquire, lock.acquire_lock):
        assert outcome(acquire, *args, **kwargs) is (expected if refused else True)
        assert lock.locked() is not refused
        if not refused:
            lock.release()
    assert lock.acquire(False) is True


@given(calls)
@example(((False,), {}))
@example(((True, 0), {}))
@example(((True, 1e-9), {}))
@example(((True, -5e-324), {}))
def test_acquire_of_a_held_lock(call: tuple[Any, Any]) -> None:
    args, kwargs = call
    lock = allocate_lock()
    lock.acquire()
    expected = outcome(expected_wait, *call)
    refused = isinstance(expected, type)
    assume(refused or expected < 2_000_000)
    with released_if_awaited(lock) if refused else contextlib.nullcontext():
        assert outcome(lock.acquire, *args, **kwargs) is (expected if refused else False)
    assert lock.locked() is True
    lock.release()
    assert lock.locked() is False


@given(st.floats(0, 0.001) | st.floats(-1e-9, 1e-9) | st.floats(-3, 0))
@example(-1.0)
def test_acquire_with_small_timeouts(timeout: float) -> None:
    # Within a nanosecond of -1 on its side towards 0, and nowhere else, CPython's
    # rounding makes "no limit" of another number; nothing promises that.
    assume(timeout == -1 or not -1 < timeout < -1 + 1e-9)
    lock = allocate_lock()
    accepted = timeout >= 0 or timeout == -1
    assert outcome(lock.acquire, True, timeout) is (accepted or ValueError)
    assert lock.locked() is accepted
    if timeout != -1:
        lock.acquire(False)
        with contextlib.nullcontext() if accepted else released_if_awaited(lock):
            assert outcome(lock.acquire, True, timeout) is (not accepted and ValueError)


TOO_LATE = "timeout value is too large"
NEGATIVE = "timeout value must be a non-negative number"
NO_TIMEOUT = "can't specify a timeout for a non-blocking call"
NOT_A_NUMBER = "Invalid value NaN (not a number)"
ACQUIRE = [
    ((True, 1e100), OverflowError, None),
    ((True, -1e100), OverflowError, None),
    ((True, math.inf), OverflowError, None),
    ((True, -math.inf), OverflowError, None),
    ((False, 1e100), OverflowError, None),
    ((False, math.inf), OverflowError, None),
    ((True, 10**30), OverflowError, None),
    ((False, 10**30), OverflowError, None),
    ((True, math.nan), ValueError, NOT_A_NUMBER),
    ((False, math.nan), ValueError, NOT_A_NUMBER),
    ((True, None), TypeError, "'NoneType' object cannot be interpreted as an integer"),
    ((False, None), TypeError, "'NoneType' object cannot be interpreted as an integer"),
    ((True, "a"), TypeError, "'str' object cannot be interpreted as an integer"),
    ((True, "1"), TypeError, "'str' object cannot be interpreted as an integer"),
    ((True, 1j), TypeError, "'complex' object cannot be interpreted as an integer"),
    ((True, Fraction(1)), TypeError, "'Fraction' object cannot be interpreted as an integer"),
    ((True, Decimal(1)), TypeError, None),  # interpreters name the type in different ways
    ((False, 1), ValueError, NO_TIMEOUT),
    ((False, 0), ValueError, NO_TIMEOUT),
    ((False, 0.0), ValueError, NO_TIMEOUT),
    ((0, 0.001), ValueError, NO_TIMEOUT),
    ((False, -2), ValueError, NO_TIMEOUT),
    ((False, TIMEOUT_MAX + 0.5), ValueError, NO_TIMEOUT),
    ((True, -2), ValueError, NEGATIVE),
    ((True, -0.5), ValueError, NEGATIVE),
    ((True, -1e-10), ValueError, NEGATIVE),
    ((True, -1.0000000001), ValueError, NEGATIVE),
    ((True, -TIMEOUT_MAX), ValueError, NEGATIVE),
    ((True, TIMEOUT_MAX + 0.5), OverflowError, TOO_LATE),
    ((True, 9223372036.000002), OverflowError, TOO_LATE),
    ((True, TIMEOUT_MAX + 1), OverflowError, None),
    ((True, int(TIMEOUT_MAX) + 1), OverflowError, None),
    ((True, -1, None), TypeError, None),
    ((True, 0, 0, 0), TypeError, None),
]


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize(("args", "error", "message"), ACQUIRE)
def test_acquire_refuses(
    args: tuple[Any, ...], error: type[Exception], message: str | None, held: bool
) -> None:
    lock = allocate_lock()
    if held:
        lock.acquire()
    calls = [lambda: lock.acquire(*args), lambda: lock.acquire_lock(*args)]
    if len(args) == 2:
        calls.append(lambda: lock.acquire(blocking=args[0], timeout=args[1]))
        calls.append(lambda: lock.acquire(args[0], timeout=args[1]))
    if args[0] is True and len(args) == 2:
        calls.append(lambda: lock.acquire(timeout=args[1]))
    for call in calls:
        with pytest.raises(error) as info, released_if_awaited(lock):
            call()
        assert info.type is error
        assert message is None or str(info.value) == message
        assert lock.locked() is held


class Odd(float):
    """A number whose operators are its own."""

    def __mul__(self, other: object) -> float:
        return 0.0

    __rmul__ = __mul__

    def __ne__(self, other: object) -> bool:
        raise LookupError("ne")

    __lt__ = __gt__ = __eq__ = __abs__ = __neg__ = __ne__  # type: ignore[assignment]
    __hash__ = float.__hash__


class OddInt(int):
    """An integer like that."""

    def __mul__(self, other: object) -> int:
        return 0

    __rmul__ = __mul__


@pytest.mark.parametrize("timeout", [Odd(0.05), OddInt(1)])
def test_of_a_number_its_value_alone_counts(timeout: float) -> None:
    lock = allocate_lock()
    lock.acquire()
    began = time.monotonic()
    assert lock.acquire(timeout=timeout) is False
    assert time.monotonic() - began >= float(timeout)
    for way in (lambda: lock.acquire(False, timeout), lambda: lock.acquire(True, Odd(-2))):
        with pytest.raises(ValueError, match="timeout"):
            way()


@pytest.mark.parametrize("held", [False, True])
def test_acquire_refuses_unknown_and_doubled_keywords(held: bool) -> None:
    lock = allocate_lock()
    if held:
        lock.acquire()
    for args, kwargs in [
        ((), {"waitflag": True}),
        ((), {"blockin": True}),
        ((), {"": 1}),
        ((True,), {"blocking": True}),
        ((True, -1), {"timeout": -1}),
        ((True, -1), {"x": 1}),
    ]:
        with pytest.raises(TypeError):
            lock.acquire(*args, **kwargs)
        assert lock.locked() is held


def test_acquire_takes_what_has_an_index_for_a_timeout() -> None:
    lock = allocate_lock()
    lock.acquire()
    assert lock.acquire(True, Index(0)) is False
    assert lock.acquire(False, Index(-1)) is False
    assert lock.acquire(True, Float(0.001)) is False


@pytest.mark.parametrize("timeout", [TIMEOUT_MAX, int(TIMEOUT_MAX)])
def test_acquire_waits_for_as_long_as_timeout_max(timeout: float) -> None:
    lock = allocate_lock()
    lock.acquire()
    waiter = Threads(lambda: lock.acquire(True, timeout))
    lock.release()
    assert waiter.results() == [True]


def test_a_refused_call_keeps_nothing() -> None:
    class Argument:
        pass

    lock = allocate_lock()
    references = []
    for args, kwargs in [
        ((Argument(), Argument()), {}),
        ((True, Argument()), {}),
        ((True, -1, Argument()), {}),
        ((), {"timeout": Argument(), "blocking": Argument()}),
        ((Argument(),), {"unknown": Argument()}),
    ]:
        references += [weakref.ref(arg) for arg in args if isinstance(arg, Argument)]
        references += [weakref.ref(arg) for arg in kwargs.values()]
        for call in (lock.acquire, lock.release, lock.locked, lowthreads.start_new_thread):
            assert outcome(call, *args, **kwargs) is TypeError
        del args, kwargs
    gc.collect()
    assert [reference() for reference in references] == [None] * 8
    assert not lock.locked()


# ---- What takes no arguments

some_arguments = calls.filter(lambda call: call[0] or call[1])


@pytest.mark.parametrize(
    "name",
    ["release", "locked", "__enter__", "release_lock", "locked_lock", "_at_fork_reinit"],
)
@pytest.mark.parametrize("held", [False, True])
def test_methods_without_arguments(name: str, held: bool) -> None:
    lock = allocate_lock()
    if held:
        lock.acquire()

    @settings(max_examples=20)
    @given(some_arguments)
    def refuses(call: tuple[Any, Any]) -> None:
        assert outcome(getattr(lock, name), *call[0], **call[1]) is TypeError
        assert lock.locked() is held

    refuses()


@given(st.lists(anything, max_size=5))
def test_exit_of_a_lock_takes_any_arguments(args: list[Any]) -> None:
    lock = allocate_lock()
    assert outcome(lock.__exit__, *args) is RuntimeError
    assert not lock.locked()
    lock.acquire()
    assert outcome(lock.__exit__, *args, x=1) is TypeError
    assert lock.locked()
    assert outcome(lock.__exit__, *args) is None
    assert not lock.locked()


@pytest.mark.parametrize(
    "name",
    ["allocate_lock", "LockType", "get_ident", "get_native_id", "exit", "exit_thread", "_count"],
)
def test_functions_without_arguments(name: str) -> None:
    @settings(max_examples=20)
    @given(some_arguments)
    def refuses(call: tuple[Any, Any]) -> None:
        assert outcome(getattr(lowthreads, name), *call[0], **call[1]) is TypeError

    refuses()


# ---- start_new_thread


def expected_of_start(args: tuple[Any, ...]) -> str:
    """Why `start_new_thread` refuses these arguments; empty if it doesn't."""
    if len(args) < 2:
        return f"start_new_thread expected at least 2 arguments, got {len(args)}"
    if len(args) > 3:
        return f"start_new_thread expected at most 3 arguments, got {len(args)}"
    if not callable(args[0]):
        return "first arg must be callable"
    if not isinstance(args[1], tuple):
        return "2nd arg must be a tuple"
    if len(args) == 3 and not isinstance(args[2], dict):
        return "optional 3rd arg must be a dictionary"
    return ""


functions = st.sampled_from([print, len, object, Broken.__bool__])
tuples = st.lists(anything, max_size=3).map(tuple)
dicts = st.dictionaries(st.text(max_size=2), anything, max_size=2)
filled_dicts = st.dictionaries(st.text(max_size=2), anything, min_size=1, max_size=2)
START = [
    (),
    (print,),
    (print, (), {}, None),
    (print, (), {}, {}, {}),
    (None, ()),
    (1, [], None),
    (print, []),
    (print, None),
    (print, {}, None),
    (print, (), None),
    (print, (), ()),
    (print, (), []),
]


@pytest.mark.parametrize("args", START)
@counts_threads
def test_start_refuses(args: tuple[Any, ...]) -> None:
    before = lowthreads._count()
    with pytest.raises(TypeError) as info:
        lowthreads.start_new_thread(*args)
    assert str(info.value) == expected_of_start(args) != ""
    assert lowthreads._count() == before


@given(st.lists(anything | functions | tuples | dicts, max_size=5))
@counts_threads
def test_start_refuses_whatever_it_cannot_call(args: list[Any]) -> None:
    message = expected_of_start(tuple(args))
    assume(message)
    before = lowthreads._count()
    with pytest.raises(TypeError) as info:
        lowthreads.start_new_thread(*args)
    assert str(info.value) == message
    assert lowthreads._count() == before


@given(st.lists(anything | functions | tuples, max_size=3), filled_dicts)
@example([print, ()], {"kwargs": {}})
@counts_threads
def test_start_takes_no_keywords(args: list[Any], kwargs: dict[str, Any]) -> None:
    before = lowthreads._count()
    assert outcome(lowthreads.start_new_thread, *args, **kwargs) is TypeError
    assert lowthreads._count() == before


@given(tuples | tuples.map(Tuple), st.none() | dicts | dicts.map(Dict))
def test_start_passes_the_arguments_on(args: tuple[Any, ...], kwargs: Any) -> None:
    calls: list[Any] = []

    def function(*args: Any, **kwargs: Any) -> None:
        calls.append((lowthreads.get_ident(), args, kwargs))

    optional = () if kwargs is None else (kwargs,)
    ident = lowthreads.start_new_thread(function, args, *optional)
    wait_until(lambda: calls)
    [(seen_ident, seen_args, seen_kwargs)] = calls
    assert seen_ident == ident
    assert list(map(id, seen_args)) == list(map(id, args))
    assert list(seen_kwargs) == list(kwargs or {})
    assert list(map(id, seen_kwargs.values())) == list(map(id, (kwargs or {}).values()))


# ---- interrupt_main


OUT_OF_RANGE = "signal number out of range"
INTERRUPT = [
    (0, ValueError, OUT_OF_RANGE),
    (-1, ValueError, OUT_OF_RANGE),
    (-(2**31), ValueError, OUT_OF_RANGE),
    (signal.NSIG, ValueError, OUT_OF_RANGE),
    (2**31 - 1, ValueError, OUT_OF_RANGE),
    (Index(0), ValueError, OUT_OF_RANGE),
    (False, ValueError, OUT_OF_RANGE),
    (2**31, OverflowError, None),
    (-(2**31) - 1, OverflowError, None),
    (10**30, OverflowError, None),
    (2.0, TypeError, None),
    ("2", TypeError, None),
    (None, TypeError, None),
]


@pytest.mark.parametrize(("signum", "error", "message"), INTERRUPT)
@pytest.mark.parametrize("where", ["main thread", "other thread"])
def test_interrupt_main_refuses(
    signum: Any, error: type[Exception], message: str | None, where: str
) -> None:
    def interrupt() -> None:
        with pytest.raises(error) as info:
            lowthreads.interrupt_main(signum)
        assert info.type is error
        assert message is None or str(info.value) == message

    interrupt() if where == "main thread" else run_threads(interrupt)


@given(integers | integers.map(Index))
def test_interrupt_main_refuses_numbers_of_no_signal(signum: Any) -> None:
    number = signum.__index__()
    assume(not 1 <= number < signal.NSIG)
    fits = -(2**31) <= number < 2**31
    assert outcome(lowthreads.interrupt_main, signum) is (ValueError if fits else OverflowError)


@given(not_index, some_arguments)
def test_interrupt_main_refuses_all_else(signum: Any, call: tuple[Any, Any]) -> None:
    assert outcome(lowthreads.interrupt_main, signum) is TypeError
    assert outcome(lowthreads.interrupt_main, signal.SIGINT, *call[0], **call[1]) is TypeError
    assert outcome(lowthreads.interrupt_main, Broken()) is LookupError
    assert outcome(lowthreads.interrupt_main, signum=signal.SIGINT) is TypeError


# ---- stack_size

DOCUMENTED_MINIMUM = 32768
ENOUGH = range(2**20, 2**28, 2**16)  # on every platform
STACK_SIZE = [
    (-1, ValueError, "size must be 0 or a positive value"),
    (-(2**31), ValueError, "size must be 0 or a positive value"),
    (-sys.maxsize - 1, ValueError, "size must be 0 or a positive value"),
    (1, ValueError, "size not valid: 1 bytes"),
    (4096, ValueError, "size not valid: 4096 bytes"),
    (32767, ValueError, "size not valid: 32767 bytes"),
    (True, ValueError, "size not valid: 1 bytes"),
    (Index(4096), ValueError, "size not valid: 4096 bytes"),
    (sys.maxsize + 1, OverflowError, None),
    (-sys.maxsize - 2, OverflowError, None),
    (10**30, OverflowError, None),
    (65536.0, TypeError, None),
    ("65536", TypeError, None),
    (None, TypeError, None),
]


def current_stack_size() -> int:
    size = lowthreads.stack_size()
    lowthreads.stack_size(size)
    return size


@pytest.mark.usefixtures("_stack_size")
@pytest.mark.parametrize("before", [0, 2**20, 2**21])
@pytest.mark.parametrize(("size", "error", "message"), STACK_SIZE)
def test_stack_size_refuses(
    size: Any, error: type[Exception], message: str | None, before: int
) -> None:
    lowthreads.stack_size(before)
    with pytest.raises(error) as info:
        lowthreads.stack_size(size)
    assert info.type is error
    assert message is None or str(info.value) == message
    assert current_stack_size() == before


@pytest.mark.usefixtures("_stack_size")
def test_what_the_interpreter_refuses_for_its_own_threads_is_refused() -> None:
    for size in range(32768, 131072, 4096):
        before = host.stack_size()
        try:
            host.stack_size(size)
        except ValueError:
            with pytest.raises(ValueError, match=f"size not valid: {size} bytes"):
                lowthreads.stack_size(size)
        finally:
            host.stack_size(before)


@pytest.mark.usefixtures("_stack_size")
def test_stack_size_returns_what_was_set_before() -> None:
    lowthreads.stack_size(2**20)
    assert lowthreads.stack_size(2**21) == 2**20
    assert lowthreads.stack_size(Index(2**22)) == 2**21
    assert lowthreads.stack_size(0) == 2**22
    assert lowthreads.stack_size(0) == 0


@pytest.mark.usefixtures("_stack_size")
def test_stack_size_without_an_argument_sets_the_default() -> None:
    lowthreads.stack_size(2**20)
    assert lowthreads.stack_size() == 2**20
    assert lowthreads.stack_size() == 0


@pytest.mark.usefixtures("_stack_size")
def test_stack_sizes_that_threads_set_at_once_are_each_returned_once() -> None:
    lowthreads.stack_size(2**20)
    sizes = [[2**20 + 4096 * (100 * thread + n) for n in range(1, 101)] for thread in range(4)]

    def change(mine: list[int]) -> list[int]:
        return [lowthreads.stack_size(size) for size in mine]

    returned = run_threads(*(partial(change, mine) for mine in sizes))
    last = lowthreads.stack_size(0)
    assert sorted([*chain(*returned), last]) == sorted([2**20, *chain(*sizes)])


@pytest.mark.usefixtures("_stack_size")
@pytest.mark.parametrize("size", [0, 2**20, 2**24])
def test_threads_start_with_the_stack_size_set(size: int) -> None:
    lowthreads.stack_size(size)
    assert run_threads(lambda: sum(range(10))) == [45]
    assert current_stack_size() == size


@pytest.mark.usefixtures("_stack_size")
def test_stack_size_of_any_number() -> None:
    @given(integers | st.integers(0, 2**28) | st.sampled_from(ENOUGH))
    def check(size: int) -> None:
        before = current_stack_size()
        result = outcome(lowthreads.stack_size, size)
        if not -sys.maxsize - 1 <= size <= sys.maxsize:
            assert result is OverflowError
        elif size < 0 or 0 < size < DOCUMENTED_MINIMUM:
            assert result is ValueError
        elif size == 0 or size in ENOUGH:
            assert result == before
        else:  # depends on the platform's minimum, page and maximum
            assert result in (before, ValueError)
        assert current_stack_size() == (before if isinstance(result, type) else size)

    check()


@pytest.mark.usefixtures("_stack_size")
@given(not_index, some_arguments)
def test_stack_size_refuses_all_else(size: Any, call: tuple[Any, Any]) -> None:
    lowthreads.stack_size(2**20)
    assert outcome(lowthreads.stack_size, size) is TypeError
    assert outcome(lowthreads.stack_size, 2**21, *call[0], **call[1]) is TypeError
    assert outcome(lowthreads.stack_size, Broken()) is LookupError
    assert outcome(lowthreads.stack_size, size=2**21) is TypeError
    assert current_stack_size() == 2**20
