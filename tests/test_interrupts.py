"""Signals end waits, or don't, and none is missed.  Everything runs in child processes."""

from __future__ import annotations

import os
import signal
import sys
import textwrap

import pytest
from marks import torn

from support import PYPY, end_child, run_child, start_child

WINDOWS = os.name == "nt"

other_processes = pytest.mark.skipif(
    WINDOWS, reason="Windows: no signal from one process to another; test_console.py has Ctrl-C"
)
masks = pytest.mark.skipif(WINDOWS, reason="Windows: no signal.pthread_sigmask")

PRELUDE = """
import gc, os, signal, socket, sys, time
from lowthreads import allocate_lock, get_ident, interrupt_main, start_new_thread
from support import await_waiter, wait_until

gc.collect()  # imports leave callbacks to PyPy's collector, in which an exception would be lost

HANG = 5  # seconds; what ends at once takes milliseconds, and the waits are for 60 s

class Hit(Exception):
    pass

def raising(signum, frame):
    raise Hit

def held():
    lock = allocate_lock()
    lock.acquire()
    return lock

def enter(lock):
    with lock:
        raise AssertionError("entered a lock that is held")

WAITS = {
    "acquire": lambda lock: lock.acquire(),
    "timeout": lambda lock: lock.acquire(timeout=60),
    "with": enter,
}

def until_hit(wait, hit=Hit):
    # Returns how long a wait took that must end by the exception.
    began = time.perf_counter()
    try:
        result = wait()
    except hit:
        took = time.perf_counter() - began
        assert took < HANG, took
        return took
    raise AssertionError(f"it returned {result!r}")

MAIN = os.getpid()

if os.name == "nt":
    # Signals are the C runtime's: its `raise` calls the handler, on the thread that calls it.
    import _thread

    USR1, USR2, ALRM = signal.SIGBREAK, signal.SIGABRT, signal.SIGTERM
    timer, timer_gate = [0], _thread.allocate_lock()
    sys.setswitchinterval(0.0005)  # the timer needs the GIL

    def send(signum=USR1, ident=None):
        signal.raise_signal(signum)

    def set_timer(first, interval=0):
        # As signal.setitimer, by a thread, of the interpreter's own.
        def run():
            pause = first
            while pause:
                time.sleep(pause)
                with timer_gate:
                    if timer[0] != mine:
                        break
                    signal.raise_signal(ALRM)
                pause = interval

        with timer_gate:
            mine = timer[0] = timer[0] + 1
        if first:
            _thread.start_new_thread(run, ())

    def mask():
        return set()
else:
    USR1, USR2, ALRM = signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM

    def send(signum=USR1, ident=None):
        os.kill(MAIN, signum) if ident is None else signal.pthread_kill(ident, signum)

    def set_timer(first, interval=0):
        signal.setitimer(signal.ITIMER_REAL, first, interval)

    def mask():
        return signal.pthread_sigmask(signal.SIG_BLOCK, [])

def spin(number):
    # 0 to 100 microseconds, in steps that fall between each other.
    until = time.perf_counter() + number * 0.618034 % 1 * 1e-4
    while time.perf_counter() < until:
        pass
"""


def run(body: str, *args: object) -> str:
    """Run the body in a child; what it prints is shown if the test fails, or with -rP."""
    # Some bodies fork while the child's watchdog, a thread, is there.
    options = ("-W", "ignore:This process:DeprecationWarning")
    output = run_child(PRELUDE + textwrap.dedent(body), *args, options=options).stdout
    print(output)
    return output


# ---- Handlers that raise -------------------------------------------------------------


@pytest.mark.parametrize("wait", ["acquire", "timeout", "with"])
@pytest.mark.parametrize(
    "sender",
    [
        "thread",
        "thread later",
        "timer",
        pytest.param("other process", marks=other_processes),
    ],
)
def test_a_handler_that_raises_ends_the_wait_with_the_lock_not_taken(
    sender: str, wait: str
) -> None:
    child = start_child(
        PRELUDE
        + textwrap.dedent("""
        sender, wait = sys.argv[1:]
        lock = allocate_lock()
        taken, let_go, gone = held(), held(), held()

        def owner():
            lock.acquire()
            taken.release()
            let_go.acquire()
            lock.release()
            gone.release()

        def send_to_waiting(pause):
            await_waiter(lock)
            time.sleep(pause)
            send()

        def ask_parent():
            await_waiter(lock)
            print("waiting", flush=True)

        def wait_for_signal():
            if sender == "timer":
                set_timer(0.05)
            elif sender == "other process":
                start_new_thread(ask_parent, ())
            else:
                # Later: when the wait is no longer a brief one.
                start_new_thread(send_to_waiting, (0.05 if "later" in sender else 0,))
            WAITS[wait](lock)

        start_new_thread(owner, ())
        taken.acquire()
        signal.signal(USR1, raising)
        signal.signal(ALRM, raising)
        print("ended after", until_hit(wait_for_signal))
        assert lock.locked()
        let_go.release()
        gone.acquire()
        assert not lock.locked()  # the owner could release it, and nobody took it since
        assert lock.acquire(timeout=60)
        lock.release()
        assert not lock.locked() and not mask()
        """),
        sender,
        wait,
    )
    assert child.stdout is not None
    if sender == "other process" and child.stdout.readline() == "waiting\n":
        os.kill(child.pid, signal.SIGUSR1)
    stdout, stderr = end_child(child)
    print(stdout)
    assert (child.returncode, stderr) == (0, "")


def test_a_handler_that_raises_ends_waits_again_and_again() -> None:
    run("""
        lock = held()
        signal.signal(ALRM, raising)
        for number in range(200):
            def wait():
                set_timer(0.001 * (number % 12 + 1))
                lock.acquire(timeout=60)
            until_hit(wait)
            assert lock.locked() and not lock.acquire(False)
        lock.release()
        assert lock.acquire(False)
        """)


# ---- Handlers that return ------------------------------------------------------------


@pytest.mark.parametrize("wait", ["acquire", "timeout", "with"])
def test_a_handler_that_returns_does_not_end_the_wait(wait: str) -> None:
    run(
        """
        lock = held()
        handled = []
        enough = held()

        def handler(signum, frame):
            handled.append(lock.locked())
            if len(handled) == 50:
                enough.release()

        def end_wait():
            enough.acquire()
            lock.release()

        start_new_thread(end_wait, ())
        signal.signal(ALRM, handler)
        set_timer(0.002, 0.002)
        if sys.argv[1] == "with":
            with lock:
                waited_for = len(handled)
        else:
            assert WAITS[sys.argv[1]](lock) is True
            waited_for = len(handled)
        set_timer(0)
        assert waited_for >= 50 and all(handled[:50])
        """,
        wait,
    )


def test_handlers_that_return_leave_a_wait_the_time_that_is_left() -> None:
    run("""
        lock = held()
        handled = []
        signal.signal(ALRM, lambda *args: handled.append(time.perf_counter()))
        # Until the end of the wait: one that began anew at each signal would never end.
        set_timer(0.005, 0.005)
        began = time.perf_counter()
        assert lock.acquire(timeout=0.5) is False
        ended = time.perf_counter()
        set_timer(0)
        print("waited", ended - began, "handlers", len(handled))
        assert ended - began >= 0.5
        assert len([when for when in handled if when < ended]) > 10
        assert lock.locked()
        """)


# ---- Handlers that use locks ---------------------------------------------------------


def test_a_handler_uses_other_locks_while_a_wait_is_interrupted() -> None:
    run("""
        lock, done = held(), []
        free, never, ping, pong = allocate_lock(), held(), held(), held()

        def handler(signum, frame):
            with free:
                assert free.locked()
            assert never.acquire(timeout=0.02) is False  # longer than a brief wait
            ping.release()
            assert pong.acquire(timeout=60) is True
            ping.acquire()
            done.append(get_ident())

        def partner():
            ping.acquire()
            time.sleep(0.02)
            ping.release()
            pong.release()

        def other():
            for number in range(5):
                start_new_thread(partner, ())
                await_waiter(ping)
                send()
                wait_until(lambda: len(done) == number + 1)
            lock.release()

        signal.signal(USR1, handler)
        start_new_thread(other, ())
        assert lock.acquire(timeout=60) is True
        assert done == [get_ident()] * 5
        assert not free.locked() and never.locked() and not mask()
        """)


def test_a_handler_may_release_what_is_waited_for() -> None:
    run("""
        lock = held()
        signal.signal(ALRM, lambda *args: lock.release())
        for number in range(20):
            set_timer(0.001 * (number + 1))
            assert lock.acquire(timeout=60) is True
        """)


@pytest.mark.skipif(
    getattr(sys, "pypy_version_info", (7,)) >= (8,),
    reason="PyPy 8 runs no handler within another one (time.sleep shows it)",
)
@pytest.mark.parametrize("pause", [0, 0.05])
def test_a_signal_in_the_wait_of_a_handler_ends_both_waits(pause: float) -> None:
    run(
        """
        outer, inner = held(), held()

        def waiting(signum, frame):
            signal.signal(USR1, raising)
            inner.acquire()

        def other():
            for lock in (outer, inner):
                await_waiter(lock)
                time.sleep(float(sys.argv[1]))
                send()

        signal.signal(USR1, waiting)
        start_new_thread(other, ())
        until_hit(outer.acquire)
        assert outer.locked() and inner.locked() and not mask()
        outer.release()
        assert outer.acquire(timeout=60)
        """,
        pause,
    )


@torn
def test_what_a_handler_took_stays_taken_when_it_raises() -> None:
    run("""
        lock = held()

        def taking(signum, frame):
            lock.release()
            assert lock.acquire(False)
            raise Hit

        def other():
            await_waiter(lock)
            time.sleep(0.05)
            send()

        signal.signal(USR1, taking)
        start_new_thread(other, ())
        until_hit(lock.acquire)
        assert lock.locked()
        """)


@masks
def test_handlers_run_with_the_signal_mask_of_the_program() -> None:
    # What a handler starts, threads and processes, inherits the mask.
    run("""
        masks = []

        def handler(signum, frame):
            masks.append(len(mask()))

        signal.signal(USR1, handler)
        sending = os.fork()
        if sending == 0:
            for number in range(20000):
                spin(number)
                os.kill(MAIN, USR1)
            os._exit(0)
        assert held().acquire(timeout=2) is False
        os.waitpid(sending, 0)
        blocked = [count for count in masks if count]
        print(f"{len(blocked)} of {len(masks)} handlers ran with signals blocked")
        assert len(masks) > 100 and not blocked
        """)


@masks
def test_signals_that_the_program_blocks_do_not_reach_a_wait() -> None:
    run("""
        signal.signal(USR1, raising)
        got = []
        signal.signal(USR2, lambda *args: got.append(1))
        signal.pthread_sigmask(signal.SIG_BLOCK, {USR2})
        lock = held()

        def wait():
            # Both for this thread alone: another one doesn't block them.
            signal.pthread_kill(get_ident(), USR2)
            set_timer(0.05)
            lock.acquire()

        signal.signal(ALRM, raising)
        until_hit(wait)
        assert not got and mask() == {USR2}
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {USR2})
        wait_until(lambda: got)
        """)


def test_a_wake_up_descriptor_of_the_program_gets_its_signals_and_stays() -> None:
    run("""
        import select

        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        signal.set_wakeup_fd(theirs.fileno())
        signal.signal(USR1, lambda *args: None)
        signal.signal(USR2, raising)
        lock, got = held(), []

        def receive(signum):
            send(signum)
            while not (got and got[-1] == signum):  # while the main thread waits
                assert select.select([ours], [], [], 30)[0]
                got.extend(ours.recv(100))

        def other():
            for pause in (0, 0.02, 0.02):
                await_waiter(lock)
                time.sleep(pause)
                receive(USR1)
                got.append(None)
            send(USR2)

        start_new_thread(other, ())
        until_hit(lock.acquire)
        assert got == [USR1, None] * 3, got
        last = ours.recv(100)
        assert last == bytes([USR2]), last
        fd = signal.set_wakeup_fd(-1)
        assert fd == theirs.fileno() and not mask(), (fd, theirs.fileno(), mask())
        ours.close(), theirs.close()
        """)


# ---- Other threads ------------------------------------------------------------------


def test_the_waits_of_other_threads_are_not_ended_by_signals() -> None:
    run("""
        handled, results = [], []
        lock, bounded, ended, all_sent = held(), held(), held(), held()

        def forever():
            results.append(lock.acquire())
            ended.release()

        def for_a_time():
            began = time.perf_counter()
            results.append(bounded.acquire(timeout=0.3))
            results.append(time.perf_counter() - began >= 0.3)
            all_sent.acquire()  # alive until then
            ended.release()

        def send_often(ident, lock):
            await_waiter(lock)
            for number in range(50):
                before = len(handled)
                send(USR1, ident)
                wait_until(lambda: len(handled) > before)

        signal.signal(USR1, lambda *args: handled.append(get_ident()))
        send_often(start_new_thread(forever, ()), lock)
        assert not results
        lock.release()
        ended.acquire()
        assert results == [True]
        send_often(start_new_thread(for_a_time, ()), bounded)
        all_sent.release()
        ended.acquire()
        assert results == [True, False, True]
        assert handled == [get_ident()] * 100
        """)


# ---- interrupt_main ------------------------------------------------------------------


@pytest.mark.parametrize(
    "blocked_in",
    [
        "acquire",
        "timeout",
        "with",
        "time.sleep",
        pytest.param(
            "recv",
            marks=pytest.mark.skipif(WINDOWS, reason="Windows: no signal ends a call of sockets"),
        ),
    ],
)
def test_interrupt_main_wakes_the_main_thread(blocked_in: str) -> None:
    run(
        """
        lock = held()
        if sys.argv[1] in WAITS:
            wait = WAITS[sys.argv[1]]
        elif sys.argv[1] == "recv":
            ours, theirs = socket.socketpair()
            wait = lambda lock: ours.recv(1)
        else:
            wait = lambda lock: time.sleep(60)
        began, sent = held(), []

        def interrupt():
            if sys.argv[1] in WAITS:
                await_waiter(lock)
            time.sleep(0.02)  # nothing tells when the others block
            sent.append(time.perf_counter())
            interrupt_main()

        took = []
        for _ in range(15):
            def blocked():
                start_new_thread(interrupt, ())
                wait(lock)
            until_hit(blocked, KeyboardInterrupt)
            took.append(time.perf_counter() - sent[-1])
        if sys.argv[1] == "recv":
            ours.close(), theirs.close()
        took.sort()
        print(f"{sys.argv[1]}: median {took[7] * 1e3:.2f} ms, worst {took[-1] * 1e3:.2f} ms")
        assert lock.locked()
        """,
        blocked_in,
    )


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in ("SIGTERM", "SIGINT", "SIGUSR1", "SIGBREAK", "SIGABRT", "SIGFPE", "SIGSEGV")
        if hasattr(signal, name)
    ],
)
@pytest.mark.parametrize("waits", [True, False])
def test_interrupt_main_sends_any_signal_that_python_handles(name: str, waits: bool) -> None:
    run(
        """
        signum = getattr(signal, sys.argv[1])
        got = []

        def handler(number, frame):
            got.append((number, get_ident()))
            raise Hit

        signal.signal(signum, handler)
        lock = held()

        def other():
            if sys.argv[2] == "True":
                await_waiter(lock)
            interrupt_main(signum)

        def wait():
            start_new_thread(other, ())
            lock.acquire() if sys.argv[2] == "True" else wait_until(lambda: False)

        until_hit(wait)
        assert got == [(signum, get_ident())]
        """,
        name,
        waits,
    )


def test_interrupt_main_in_the_main_thread_raises_there() -> None:
    run("""
        def interrupt():
            interrupt_main()
            wait_until(lambda: False)
        until_hit(interrupt, KeyboardInterrupt)
        """)


@pytest.mark.parametrize("how", ["SIG_IGN", "SIG_DFL", "untouched"])
def test_interrupt_main_does_nothing_for_a_signal_that_python_does_not_handle(how: str) -> None:
    run(
        """
        got = []
        signal.signal(USR2, lambda *args: got.append(1))
        deadly = signal.SIGSEGV if os.name == "nt" else signal.SIGKILL
        signums = [USR1, signal.SIGTERM, ALRM, deadly]
        if sys.argv[1] != "untouched":
            signums[3] = signal.SIGINT
            for signum in signums:
                signal.signal(signum, getattr(signal, sys.argv[1]))

        def interrupt():
            for signum in signums:
                interrupt_main(signum)

        def other():
            interrupt()
            interrupt_main(USR2)  # what was sent before would have come before

        interrupt()
        start_new_thread(other, ())
        wait_until(lambda: got)
        assert got == [1]
        """,
        how,
    )


# ---- No signal is missed -------------------------------------------------------------

# Main tells a sender that it is about to wait; the sender lets a time go by that is
# another one each time, and sends one signal, whose handler raises.
NONE_IS_MISSED = """
    handled = []

    def noting(signum, frame):
        handled.append(time.perf_counter())
        raise Hit

    def check(number, began):
        # A handler's exception may get lost, in a callback of the collector's.
        assert len(handled) == number + 1, f"missed in round {number}"
        assert handled[-1] - began < HANG, f"late by {handled[-1] - began} s in round {number}"
        assert not mask(), f"blocked after round {number}: {mask()}"

    signal.signal(USR1, noting)
    signal.signal(ALRM, noting)
    signal.signal(USR2, lambda *args: None)
    how, rounds = sys.argv[1], int(sys.argv[2])
    go_out, go_in = os.pipe()

    def sender():
        number = 0
        while os.read(go_out, 1):  # or the other end is closed
            number += 1
            spin(number)
            if how in ("two", "descriptor"):
                send(USR2)
                spin(number * 7)
            if how == "interrupt_main":
                interrupt_main(USR1)
            else:
                send(USR1)

    if how not in ("thread", "interrupt_main") and os.name != "nt":
        sending = os.fork()
        if sending == 0:
            os.close(go_in)
            sender()
            os._exit(0)
    else:
        start_new_thread(sender, ())
    lock = held()
    # A signal that is sent to the process, not to a thread, may go to this one.
    start_new_thread(lock.acquire, ())
    await_waiter(lock)
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    descriptor = theirs.fileno() if how == "descriptor" else -1
    signal.set_wakeup_fd(descriptor, warn_on_full_buffer=False)
    for number in range(rounds):
        began = time.perf_counter()
        try:
            if how == "timer":
                set_timer(0.0045 + number * 0.618034 % 1 * 0.001)
            else:
                os.write(go_in, b"1")
            lock.acquire(timeout=2 * HANG)
        except Hit:
            pass
        check(number, began)
        if how == "descriptor":
            current = signal.set_wakeup_fd(descriptor, warn_on_full_buffer=False)
            assert current == descriptor, f"{current} after round {number}"
    signal.set_wakeup_fd(-1)
    ours.close(), theirs.close()
"""


ROUNDS = 800 if WINDOWS else 3000  # system calls take longer there


@pytest.mark.parametrize(
    "how", ["interrupt_main", "thread", pytest.param("process", marks=other_processes)]
)
def test_no_signal_is_missed_at_the_start_of_a_wait(how: str) -> None:
    run(NONE_IS_MISSED, how, ROUNDS)


def test_no_signal_is_missed_that_follows_another_one() -> None:
    # The first one, whose handler returns, makes the wait go from one way to sleep to
    # another.
    run(NONE_IS_MISSED, "two", ROUNDS)


@torn
def test_the_wake_up_descriptor_is_given_back_whenever_a_handler_raises() -> None:
    run(NONE_IS_MISSED, "descriptor", ROUNDS)


def test_no_signal_is_missed_when_a_wait_is_no_longer_brief() -> None:
    run(NONE_IS_MISSED, "timer", 600)


# ---- Storms of signals ---------------------------------------------------------------

# Handlers raise in the midst of the module's own code, and nowhere else: then whether
# the lock should be taken is known.


@torn
@pytest.mark.parametrize("how", ["acquire()", "acquire(timeout)", "with"])
def test_an_interrupted_acquire_leaves_a_free_lock_free(how: str) -> None:
    run(
        """
        def handler(signum, frame):
            inside = frame.f_globals.get("__name__", "").startswith("lowthreads")
            if inside and frame.f_code.co_name not in ("__exit__", "release", "locked"):
                raise Hit

        signal.signal(ALRM, handler)
        lock, hits, how = allocate_lock(), 0, sys.argv[1]
        set_timer(0.0001, 0.0001)
        end = time.perf_counter() + 2
        while time.perf_counter() < end:
            try:
                if how == "with":
                    with lock:
                        pass
                else:
                    lock.acquire() if how == "acquire()" else lock.acquire(timeout=60)
                    lock.release()
            except Hit as hit:
                hits += 1
                if lock.locked():
                    set_timer(0)
                    raise AssertionError(f"taken, after {hits} hits") from hit
        set_timer(0)
        print(f"{how}: {hits} hits")
        """,
        how,
    )


@torn
def test_a_with_statement_releases_the_lock_also_if_a_handler_raises_at_its_end() -> None:
    run("""
        def handler(signum, frame):
            if frame.f_globals.get("__name__", "").startswith("lowthreads"):
                if frame.f_code.co_name in ("__exit__", "release"):
                    raise Hit

        signal.signal(ALRM, handler)
        lock = allocate_lock()
        set_timer(0.0001, 0.0001)
        end = time.perf_counter() + 2
        while time.perf_counter() < end:
            try:
                with lock:
                    pass
            except Hit as hit:
                if lock.locked():
                    set_timer(0)
                    raise AssertionError("still locked") from hit
        set_timer(0)
        """)


@torn
def test_every_lock_is_right_after_a_storm_of_signals() -> None:
    run("""
        SECONDS, LOST = 3, 10
        handled = hits = 0
        stop = False

        def handler(signum, frame):
            global handled, hits
            handled += 1
            inside = frame.f_globals.get("__name__", "").startswith("lowthreads")
            if handled % 3 == 0 and inside:
                if frame.f_code.co_name not in ("__exit__", "release", "locked"):
                    hits += 1
                    raise Hit

        def insist(lock, timeout):
            end = time.perf_counter() + timeout
            while True:
                try:
                    return lock.acquire(timeout=max(end - time.perf_counter(), 0))
                except Hit:
                    pass

        def enter_shared():
            try:
                with shared:
                    add(1)
            except Hit:
                pass

        shared, values = allocate_lock(), [0, 0]
        never, ping, pong, ended = held(), held(), held(), held()
        rallies = [0, 0]

        def add(mine):
            values[mine] += 1
            before = sum(values)
            time.sleep(0)
            assert sum(values) == before  # nobody else is in here

        def partner():
            while True:
                ping.acquire()
                if stop:
                    break
                rallies[0] += 1
                pong.release()
                with shared:
                    add(0)
            ended.release()

        def sender():
            while not stop:
                time.sleep(0.0002)
                send()

        signal.signal(USR1, handler)
        signal.signal(ALRM, handler)
        start_new_thread(partner, ())
        start_new_thread(sender, ())
        set_timer(0.0002, 0.0002)
        end, turns = time.perf_counter() + SECONDS, 0
        while time.perf_counter() < end or handled <= 1000 or hits <= 50:
            turns += 1
            ping.release()
            assert insist(pong, LOST) is True, f"pong was lost in turn {turns}"
            rallies[1] += 1
            assert insist(shared, LOST) is True, f"shared was lost in turn {turns}"
            add(1)
            shared.release()
            enter_shared()
            assert insist(never, 0.0003) is False
            assert insist(never, 0) is False
        stop = True
        ping.release()
        assert insist(ended, LOST)
        set_timer(0)
        signal.signal(USR1, signal.SIG_IGN)
        print(f"{turns} turns, {handled} signals, {hits} of them ended an acquire")
        assert rallies[0] == rallies[1] == turns
        assert not shared.locked() and shared.acquire(False)
        assert never.locked() and ping.locked() and pong.locked() and ended.locked()
        assert not mask(), mask()
        """)


BURSTS = """
    # Not more: faulthandler's stack, on which they nest, is a small one.
    signals = (USR1, USR2, ALRM)
    armed = False

    def raising_when_armed(signum, frame):
        if armed:
            raise Hit

    for signum in signals:
        signal.signal(signum, raising_when_armed)
    ours, theirs = socket.socketpair()
    for each in (ours, theirs):
        each.setblocking(False)
    descriptor = theirs.fileno()
    signal.set_wakeup_fd(descriptor, warn_on_full_buffer=False)

    def burst(lock, done, number):
        time.sleep(0.0065 + number % 50 * 3e-6)  # when the wait is a patient one
        for index, signum in enumerate(signals):
            if index == number % 3:
                lock.release()
            os.kill(MAIN, signum)
        done.release()

    def catch(step, times):
        global armed
        try:
            catch(step, times - 1) if times else step()
            armed = False
        except Hit:
            armed = False

    for number in range(300):
        lock, done, got = held(), held(), []
        start_new_thread(burst, (lock, done, number))
        armed = True
        # What acquire returns is kept, or it raises.
        catch(lambda: got.extend(map(lock.acquire, (True,))), len(signals))
        done.acquire()
        assert lock.locked() == bool(got), f"round {number}: {got}, {lock}"
        current = signal.set_wakeup_fd(descriptor, warn_on_full_buffer=False)
        assert current == descriptor, f"{current} after round {number}"
        try:
            ours.recv(10000)
        except BlockingIOError:
            pass
    signal.set_wakeup_fd(-1)
    ours.close(), theirs.close()
"""


@pytest.mark.skipif(os.name == "nt", reason="there are no such signals")
@pytest.mark.skipif(PYPY, reason="methods are torn there: README, known limits")
def test_a_burst_of_handlers_that_raise_leaves_all_as_it_was() -> None:
    run(BURSTS)


# ---- Locks that a handler takes ----------------------------------------------------------


@pytest.mark.parametrize("takes", ["acquire()", "acquire(True)", "acquire(timeout=60)", "enter"])
@pytest.mark.parametrize("wait", ["acquire", "timeout", "with"])
def test_a_lock_that_a_handler_took_stays_taken_when_it_raises(wait: str, takes: str) -> None:
    run(
        """
        wait, takes = sys.argv[1:]
        ways = {
            "acquire()": lambda: lock.acquire(),
            "acquire(True)": lambda: lock.acquire(blocking=True),
            "acquire(timeout=60)": lambda: lock.acquire(timeout=60),
            "enter": lambda: lock.__enter__(),
        }

        def handler(signum, frame):
            if lock.locked():
                lock.release()
            assert ways[takes]()
            raise Hit

        def other(pause):
            await_waiter(lock)
            time.sleep(pause)
            send()

        signal.signal(USR1, handler)
        for pause in (0, 0.002, 0.02):
            lock = held()
            start_new_thread(other, (pause,))
            until_hit(lambda: WAITS[wait](lock))
            assert lock.locked(), pause
        """,
        wait,
        takes,
    )


@pytest.mark.skipif(PYPY, reason="methods are torn there: README, known limits")
@pytest.mark.parametrize("kind", ["allocate_lock", "RLock"])
def test_a_function_that_traces_and_raises_leaves_a_lock_free(kind: str) -> None:
    run(
        """
        import threading
        from lowthreads import RLock

        kind = {"RLock": RLock}.get(sys.argv[1], allocate_lock)

        def trace(frame, event, argument):
            global steps
            steps += 1
            if steps == at:
                raise Hit
            return trace

        def is_free():
            answers = []
            thread = threading.Thread(target=lambda: answers.append(lock.acquire(False)))
            thread.start()
            thread.join()
            return answers[0]

        for arguments in ((True, 1), (True, -1)):
            at, hit = 0, True
            while hit:
                lock, steps, hit, returned = kind(), 0, False, False
                acquire = lock.acquire  # so that it is called from here, and returns to here
                at += 1
                try:
                    sys.settrace(trace)
                    acquire(*arguments)
                    returned = True
                    sys.settrace(None)
                except Hit:
                    hit = True
                    sys.settrace(None)
                assert returned or is_free(), (arguments, at)
            assert at > 1
        """,
        kind,
    )


# ---- Handlers that run at the worst moment: when the descriptor is lent ----------------------

WORST = """
from lowthreads import _wait

def when(entered, step):
    # At the entry of that function, once.
    def profile(frame, event, argument):
        if frame.f_code is entered.__code__ and event == "call":
            sys.setprofile(None)
            step()
    sys.setprofile(profile)

lock = held()
"""


@pytest.mark.skipif(WINDOWS, reason="Windows: other signals")
@pytest.mark.parametrize("error", ["ValueError", "OSError", "Hit"])
@pytest.mark.parametrize("entered", ["_lend", "_programs", "_wait_patiently"])
def test_what_a_handler_raises_when_it_is_lent(entered: str, error: str) -> None:
    run(
        WORST
        + """
error = {"ValueError": ValueError, "OSError": OSError}.get(sys.argv[2], Hit)

def handler(signum, frame):
    raise error

signal.signal(USR1, handler)
when(getattr(_wait, sys.argv[1]), send)
until_hit(lambda: lock.acquire(timeout=60), error)
signal.signal(USR1, raising)
start_new_thread(lambda: (await_waiter(lock), time.sleep(0.02), send()), ())
until_hit(lock.acquire)
""",
        entered,
        error,
    )


@pytest.mark.skipif(WINDOWS, reason="Windows: no such descriptors")
@pytest.mark.parametrize("then", ["nothing", "files"])
def test_a_handler_closes_the_descriptor_when_it_is_lent(then: str) -> None:
    run(
        WORST
        + """
def close(signum, frame):
    os.closerange(3, 64)
    if sys.argv[1] == "files":
        for _ in range(6):
            os.open(os.devnull, os.O_RDONLY)

signal.signal(USR1, close)
signal.signal(USR2, raising)
when(_wait._lend, send)
start_new_thread(lambda: (await_waiter(lock), time.sleep(0.05), send(USR2)), ())
until_hit(lambda: lock.acquire(timeout=60))
""",
        then,
    )


@pytest.mark.skipif(PYPY or not sys.platform.startswith("linux"), reason="no stacks to be moved")
def test_a_wait_that_python_goes_on_with_is_not_on_the_stack() -> None:
    # Which greenlets move away, and give to others, when a handler switches to one.
    run("""
        def handler(signum, frame):
            while frame.f_code.co_name != "go_on":
                frame = frame.f_back
            addresses.append(frame.f_locals["address"])
            raise Hit

        addresses, lock = [], held()
        signal.signal(USR1, handler)
        start_new_thread(lambda: (await_waiter(lock), send()), ())
        until_hit(lock.acquire)
        with open("/proc/self/maps") as maps:
            (stack,) = (line.split()[0] for line in maps if "[stack]" in line)
        low, high = (int(end, 16) for end in stack.split("-"))
        assert not low <= addresses[0] < high
        """)
