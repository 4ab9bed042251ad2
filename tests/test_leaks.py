"""No operation leaves anything behind: objects, references, or the shim's memory.

LOWTHREADS_TURNS=100000 does each so often.
"""

from __future__ import annotations

import os
import textwrap

import pytest

from support import PYPY, run_child

TURNS = int(os.environ.get("LOWTHREADS_TURNS", "500"))

PRELUDE = """
import gc, sys
import lowthreads
from lowthreads import *
from lowthreads import RLock, _ThreadHandle, _local
from support import resident, run_threads, wait_until

turns = int(sys.argv[1])
lock, taken, rlock, other = allocate_lock(), allocate_lock(), RLock(), RLock()
taken.acquire()
run_threads(other.acquire)
ended = allocate_lock()
ended.acquire()

def refused(error, function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except error:
        return
    raise AssertionError("it was not refused")

class Sub(RLock):
    pass

class Raises:
    def __index__(self):
        raise LookupError

"""

# What may be done again and again; each in a process of its own.
OPERATIONS = {
    "make locks": "allocate_lock(); RLock(); Sub(); _ThreadHandle(); _local()",
    "acquire and release": "lock.acquire(); lock.release(); rlock.acquire(); rlock.release()",
    "with": """
        with lock, rlock, rlock:
            pass""",
    "leave a with by an exception": """
        try:
            with lock, rlock:
                raise LookupError
        except LookupError:
            pass""",
    "try": "taken.acquire(False); taken.acquire(blocking=False); other.acquire(False)",
    "time out": "taken.acquire(timeout=1e-9); other.acquire(True, 1e-9); taken.acquire(timeout=0)",
    "timed acquire": """
        lock.acquire(timeout=5); lock.release()
        rlock.acquire(True, 5.0); rlock.release()""",
    "wrong arguments": """
        refused(TypeError, lock.acquire, 1, 2, 3)
        refused(TypeError, lock.acquire, wrong=1)
        refused(ValueError, lock.acquire, False, 1)
        refused(ValueError, rlock.acquire, timeout=-2)
        refused(OverflowError, lock.acquire, timeout=1e300)
        refused(TypeError, lock.acquire, timeout="1")
        refused(LookupError, lock.acquire, timeout=Raises())
        refused(RuntimeError, lock.release)
        refused(RuntimeError, rlock.release)
        refused(RuntimeError, other.release)
        refused(TypeError, start_new_thread, 1, ())
        refused(ValueError, stack_size, 1)
        refused(TypeError, rlock._acquire_restore, 1)""",
    "look": """
        lock.locked(), rlock.locked(), repr(lock), repr(rlock), rlock._is_owned()
        waits(), deadlocks(), get_ident(), get_native_id()""",
    "save and restore": """
        rlock.acquire()
        rlock._acquire_restore(rlock._release_save())
        rlock.release()""",
    "start threads": "start_new_thread(ended.release, ()); ended.acquire()",
    "join": "start_joinable_thread(int, name='a name').join()",
    "hand over": """
        start_new_thread(lambda: (lock.acquire(), lock.release(), ended.release()), ())
        with lock:
            pass
        ended.acquire()""",
    "make locals": """
        here = _local()
        here.value = [here]
        run_threads(lambda: setattr(here, "value", [here]))
        del here""",
    "dump": """
        if turn % 50 == 0:
            import io
            for format in ("text", "json", "mermaid", "dot"):
                dump(io.StringIO(), format=format)""",
}

FRAME = """
def run(turns):
    for turn in range(turns):
        BODY

def blocks():
    return sys.getallocatedblocks() if hasattr(sys, "getallocatedblocks") else 0

def settle():
    for _ in range(3):
        gc.collect()
    wait_until(lambda: lowthreads._count() == 0)

run(turns // 2)  # until what is kept for later use is there
grown, more = [], []
for _ in range(3):
    settle()
    known, before = blocks(), resident()
    run(turns)
    settle()
    grown.append(resident() - before)
    more.append(blocks() - known)
print(min(grown) / turns, min(more) / turns)
"""


@pytest.mark.parametrize("operation", OPERATIONS)
def test_nothing_is_left_behind(operation: str) -> None:
    slow = operation in {"start threads", "join", "hand over", "make locals"}
    turns = TURNS // 5 if slow else TURNS
    body = textwrap.indent(textwrap.dedent(OPERATIONS[operation]), " " * 8)
    source = PRELUDE + FRAME.replace("        BODY", body)
    size, blocks = map(float, run_child(source, turns, timeout=60 + TURNS / 50).stdout.split())
    # What leaks, leaks in every turn; a collector may keep some memory for later.
    assert blocks < 0.05 + 40 / turns
    assert size < (400 if PYPY else 16) + 3e5 / turns
