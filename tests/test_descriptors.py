"""The descriptors of the main thread's waits, in a program that closes what isn't its own.

`_thread` has none: whatever a program does with descriptors, its waits go on, can be interrupted,
and leave its files alone.  In child processes, for they close pytest's descriptors, too.
"""

from __future__ import annotations

import os

import pytest

from support import run_child

pytestmark = pytest.mark.skipif(os.name == "nt", reason="waits of POSIX alone need descriptors")

PRELUDE = """
import os, signal, socket, sys, tempfile
from lowthreads import allocate_lock, start_new_thread

def held():
    lock = allocate_lock()
    lock.acquire()
    return lock

lock = held()
assert not lock.acquire(timeout=0.02)  # for longer than a brief wait: now there is a pipe

class Hit(Exception):
    pass

def hit(*_):
    raise Hit

def waits_well():
    assert not lock.acquire(timeout=0.05)
    handed = held()
    start_new_thread(lambda: (lock.acquire(timeout=0.02), handed.release()), ())
    assert handed.acquire(timeout=50)
    signal.signal(signal.SIGALRM, hit)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        lock.acquire(timeout=50)
    except Hit:
        pass
    else:
        raise AssertionError("it was not interrupted")
"""

REUSES = {
    "nothing": "things = []",
    "files": "things = [tempfile.TemporaryFile() for _ in range(6)]",
    "sockets": """
things = [each for _ in range(3) for each in socket.socketpair()]
for each in things:
    each.setblocking(False)
    each.send(b"sent")
""",
}
LEAVES_ALONE = """
for each in things:
    if hasattr(each, "recv"):
        assert each.recv(100) == b"sent"
    else:
        assert each.tell() == 0 and os.fstat(each.fileno()).st_size == 0
print("well", flush=True)
os._exit(0)  # in a child, faulthandler's thread is gone, and the interpreter would wait for it
"""


@pytest.mark.parametrize("reuse", REUSES)
def test_all_are_closed(reuse: str) -> None:
    source = PRELUDE + "os.closerange(3, 256)\n" + REUSES[reuse] + "\nwaits_well()\n"
    assert run_child(source + LEAVES_ALONE).stdout == "well\n"


@pytest.mark.parametrize("reuse", REUSES)
def test_a_daemon_closes_its_parents(reuse: str) -> None:
    source = f"{PRELUDE}if os.fork():\n    os._exit(os.wait()[1] >> 8)\nos.closerange(3, 256)\n"
    source += REUSES[reuse] + "\nwaits_well()\n" + LEAVES_ALONE
    options = ("-W", "ignore:This process:DeprecationWarning")  # 3.12+: of forks with threads
    assert run_child(source, options=options).stdout == "well\n"


def test_no_more_of_them_may_be_used() -> None:
    child = run_child(
        PRELUDE
        + """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (0, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
waits_well()
print("well")
"""
    )
    assert child.stdout == "well\n"


def test_they_are_none_that_c_code_writes_its_messages_to() -> None:
    run_child("""
        import os
        from lowthreads import allocate_lock
        from lowthreads._lib import lib

        saved = [os.dup(fd) for fd in range(3)]
        os.closerange(0, 3)
        lock = allocate_lock()
        lock.acquire()
        lock.acquire(timeout=0.02)
        fds = [fd for fd in range(3) if os.path.exists(f"/dev/fd/{fd}")]
        for fd in range(3):
            os.dup2(saved[fd], fd)
        assert lib.lt_signals_fd() > 2 and fds == [], (lib.lt_signals_fd(), fds)
        """)


def test_the_pipe_is_no_other_process() -> None:
    run_child(
        PRELUDE
        + """
from lowthreads._lib import lib

def pipe():
    fd = lib.lt_signals_fd()
    assert not os.get_inheritable(fd) and not os.get_blocking(fd)
    return os.fstat(fd).st_ino

mine = pipe()
pid = os.fork()
if pid == 0:
    assert not lock.acquire(timeout=0.02)
    os._exit(int(pipe() == mine))
assert os.waitpid(pid, 0)[1] == 0
assert pipe() == mine
""",
        options=["-W", "ignore:This process:DeprecationWarning"],
    )


# ---- The interpreter's wake-up descriptor, which is the program's -------------------------------

WAKEUP = """
import time

def pair():
    ends = socket.socketpair()
    for each in ends:
        each.setblocking(False)
    return ends

def received(reader):
    try:
        return sorted(reader.recv(100))
    except BlockingIOError:
        return []

def wait_through(*signums):
    # Each comes in a wait, when what came before was handled.
    def kill():
        for count, signum in enumerate(signums):
            while len(handled) < count:
                time.sleep(0.001)
            time.sleep(0.05)
            os.kill(os.getpid(), signum)
    del handled[:]
    start_new_thread(kill, ())
    while len(handled) < len(signums):
        assert not lock.acquire(timeout=0.3)

def handle(signum, step=lambda: None):
    signal.signal(signum, lambda *_: (step(), handled.append(signum)))

handled = []
USR1, USR2, ALRM = signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM
reader, writer = pair()
signal.set_wakeup_fd(writer.fileno())
"""


def run_wakeup(body: str) -> None:
    run_child(PRELUDE + WAKEUP + body)


def test_the_program_gets_what_it_would_without_waits() -> None:
    run_wakeup("""
handle(USR1)
wait_through(USR1, USR1)
assert received(reader) == [USR1, USR1]
assert signal.set_wakeup_fd(-1) == writer.fileno()
""")


def test_what_a_handler_sets_stays_set() -> None:
    # As event loops do that run in a handler.
    run_wakeup("""
other_reader, other_writer = pair()
handle(USR1, lambda: signal.set_wakeup_fd(other_writer.fileno()))
handle(USR2)
wait_through(USR1, USR2)
assert received(reader) == [USR1] and received(other_reader) == [USR2]
assert signal.set_wakeup_fd(-1) == other_writer.fileno()
""")


def test_what_a_handler_closes_is_written_to_no_more() -> None:
    run_wakeup("""
others = []

def close():
    signal.set_wakeup_fd(-1)
    number = writer.fileno()
    writer.close()
    others.extend(pair())
    assert number in [each.fileno() for each in others]

handle(USR1, close)
handle(USR2)
wait_through(USR1, USR2)
assert not any(map(received, others))
assert signal.set_wakeup_fd(-1) == -1
""")


def test_a_handler_that_waits_has_its_own() -> None:
    run_wakeup("""
other_reader, other_writer = pair()
before = []

def wait_too():
    before.append(signal.set_wakeup_fd(other_writer.fileno()))
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    while ALRM not in handled:
        lock.acquire(timeout=0.1)
    if sets_back:
        signal.set_wakeup_fd(before[0])

handle(USR1, wait_too), handle(USR2), handle(ALRM)
for sets_back in (False, True):
    del before[:]
    signal.set_wakeup_fd(writer.fileno())
    wait_through(USR1, USR2)
    while len(handled) < 3:
        assert not lock.acquire(timeout=0.1)
    if sets_back:
        assert signal.set_wakeup_fd(-1) == writer.fileno()
        assert USR1 in received(reader) and ALRM in received(other_reader)
    else:
        assert signal.set_wakeup_fd(-1) == other_writer.fileno()
        assert received(reader) == [USR1] and received(other_reader) == sorted([USR2, ALRM])
""")


def test_a_handler_may_set_it_and_raise() -> None:
    run_wakeup("""
other_reader, other_writer = pair()

def set_and_raise(*_):
    signal.set_wakeup_fd(other_writer.fileno())
    raise Hit

signal.signal(USR1, set_and_raise)
try:
    wait_through(USR1)
except Hit:
    pass
else:
    raise AssertionError("it was not interrupted")
assert signal.set_wakeup_fd(-1) == other_writer.fileno()
""")


def test_waits_take_no_processor_time() -> None:
    run_child(
        PRELUDE
        + """
import time

for timeout in (0.004, 0.9, 1.5):
    began = time.process_time()
    assert not lock.acquire(timeout=timeout)
    assert time.process_time() - began < 0.001 + timeout / 2
"""
    )
