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
