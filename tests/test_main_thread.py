"""Which thread is the main one, whoever imports what first, and in each life of the process."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sysconfig
from pathlib import Path

import pytest
from test_interrupts import PRELUDE

import lowthreads
from support import PYPY, environment, run_child

needs_signals = pytest.mark.skipif(
    os.name == "nt", reason="Windows: no timers, no signals to threads"
)

IN_ANOTHER_THREAD = """
import _thread, os, signal, sys, time

done = _thread.allocate_lock()
done.acquire()

def other():
    import {imports}
    done.release()

_thread.start_new_thread(other, ())
assert done.acquire(timeout=60)
while _thread._count():  # its ident may be given to another one, or be nobody's
    time.sleep(0.001)
from lowthreads import RLock, _get_main_thread_ident, start_joinable_thread
"""


def after_import_elsewhere(imports: str) -> str:
    """Return the beginning of a program in which another thread imports these first."""
    return IN_ANOTHER_THREAD.format(imports=imports) + PRELUDE


@needs_signals
@pytest.mark.parametrize("imports", ["threading", "lowthreads"])
@pytest.mark.parametrize("wait", ["acquire", "timeout", "RLock", "join"])
def test_signals_end_its_waits_whoever_imported_what_first(imports: str, wait: str) -> None:
    run_child(
        after_import_elsewhere(imports)
        + """
def hold(rlock):
    rlock.acquire()
    taken.release()
    let_go.acquire()

lock, taken, let_go, rlock = held(), held(), held(), RLock()
holder = start_joinable_thread(lambda: hold(rlock))
assert taken.acquire(timeout=60)
waits = {
    "acquire": lock.acquire,
    "timeout": lambda: lock.acquire(timeout=60),
    "RLock": rlock.acquire,
    "join": holder.join,
}
signal.signal(signal.SIGALRM, raising)
for pause in (0.001, 0.05):
    try:
        signal.setitimer(signal.ITIMER_REAL, pause)
        waits[sys.argv[1]]()
    except Hit:
        pass
    else:
        raise AssertionError("it was not ended")
assert _get_main_thread_ident() == get_ident()
let_go.release()
""",
        wait,
    )


@needs_signals
@pytest.mark.parametrize("at", ["once", "after a wait"])
@pytest.mark.parametrize("imports", ["threading", "lowthreads"])
def test_it_is_interrupted_whoever_imported_what_first(imports: str, at: str) -> None:
    run_child(
        after_import_elsewhere(imports)
        + """
lock = held()
if sys.argv[1] == "after a wait":
    assert not lock.acquire(timeout=0.02)
try:
    start_new_thread(interrupt_main, ())
    lock.acquire(timeout=60)
except KeyboardInterrupt:
    pass
else:
    raise AssertionError("it was not ended")
""",
        at,
    )


@pytest.mark.parametrize("imports", ["threading", "lowthreads"])
def test_it_starts_threads_at_exit_whoever_imported_what_first(imports: str) -> None:
    child = run_child(
        after_import_elsewhere(imports)
        + """
import atexit

def start():
    start_joinable_thread(lambda: print("started")).join()

atexit.register(start)
"""
    )
    assert child.stdout == "started\n"


def test_it_is_told_whatever_the_program_made_of_signal() -> None:
    run_child("""
        import signal, _thread

        def patched(*arguments):
            raise AssertionError("called")

        signal.signal = patched
        from lowthreads import _get_main_thread_ident

        assert _get_main_thread_ident() == _thread.get_ident()
        """)


@pytest.mark.skipif(not hasattr(signal, "SIGRTMIN"), reason="no real-time signals")
def test_it_is_interrupted_also_when_no_more_signals_may_wait() -> None:
    run_child("""
        import os, resource, signal, sys, time
        from lowthreads import interrupt_main

        if hasattr(resource, "RLIMIT_SIGPENDING"):
            resource.setrlimit(resource.RLIMIT_SIGPENDING, (0, 0))
            if os.getuid() == 0:
                os.setuid(65534)  # the limit is not root's
            handled = []
            signal.signal(signal.SIGRTMIN + 2, lambda *_: handled.append(True))
            try:
                interrupt_main(signal.SIGRTMIN + 2)
            except OSError:
                assert sys.version_info < (3, 10)
            else:
                assert handled
        """)


# ---- Several lives of one process ------------------------------------------------------------

LIVES = r"""
#include <Python.h>

int main(int count, char **texts)
{
    for (int life = 0; life < 3; life++) {
        Py_Initialize();
        if (count != 2 || PyRun_SimpleString(texts[1]) != 0)
            return 1;
        if (Py_FinalizeEx() != 0)
            return 2;
    }
    return 0;
}
"""

LIFE = """
import signal, sys
sys.path[:0] = {path!r}
from lowthreads import _get_main_thread_ident, allocate_lock, get_ident, shutdown
from lowthreads import start_joinable_thread, start_new_thread

def start_another():
    start_new_thread(lock.release, ())

lock = allocate_lock()
lock.acquire()
start_joinable_thread(start_another).join()
assert lock.acquire(timeout=60)
assert _get_main_thread_ident() == get_ident()
signal.signal(signal.SIGALRM, lambda *signal: 1 / 0)
signal.setitimer(signal.ITIMER_REAL, 0.02)
try:
    lock.acquire(timeout=60)
    raise AssertionError("it was not ended")
except ZeroDivisionError:
    pass
assert shutdown(60) == []
print("a life", flush=True)
"""


def build_program(folder: Path, text: str) -> Path:
    """Compile a C program that embeds this Python; skip the test where that can't be done."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    library = sysconfig.get_config_var("LDVERSION")
    if compiler is None or PYPY or not library or os.name == "nt":
        pytest.skip("no C compiler, or another way to embed this Python")
    source, program = folder / "program.c", folder / "program"
    source.write_text(text)
    variables = ("LIBS", "SYSLIBS", "LINKFORSHARED")
    places = [str(sysconfig.get_config_var(name)) for name in ("LIBDIR", "LIBPL")]
    done = subprocess.run(
        [
            *(compiler, str(source), "-o", str(program)),
            f"-I{sysconfig.get_path('include')}",
            *(f"-L{place}" for place in places),
            *(f"-Wl,-rpath,{place}" for place in places),
            f"-lpython{library}",
            *" ".join(str(sysconfig.get_config_var(name) or "") for name in variables).split(),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip(f"this Python can't be embedded here: {done.stderr.strip()[-200:]}")
    return program


@needs_signals
def test_each_life_of_a_process_has_threads_and_signals(tmp_path: Path) -> None:
    program = build_program(tmp_path, LIVES)
    package = str(Path(lowthreads.__file__).resolve().parents[1])
    path = [package, *{sysconfig.get_path(name) for name in ("purelib", "platlib")}]
    done = subprocess.run(
        [str(program), LIFE.format(path=path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**environment(), "PYTHONHOME": sysconfig.get_config_var("prefix")},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, 3 * "a life\n", "")
