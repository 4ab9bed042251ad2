"""What the tests share: child processes with a limit, threads with a limit, waiting.

No test sleeps "long enough", and no test can hang: whatever waits has a limit, far above
what it needs, that is only met when something is broken.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import os
import platform
import queue
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Callable

import lowthreads
from lowthreads._lib import ffi

PYPY = platform.python_implementation() == "PyPy"

WITH_GIL = getattr(sys, "_is_gil_enabled", lambda: True)()

LIMIT = 60.0
"""Seconds that a child process, or anything else that is waited for, may take at most."""

DUMP_BEFORE = 5.0
"""Seconds before a child's limit at which it dumps its stacks and ends itself."""

TESTS = Path(__file__).resolve().parent

_PACKAGE_FOLDER = str(Path(lowthreads.__file__).resolve().parents[1])

# One line, that takes the place of the source's first, empty one.
_PREAMBLE = (
    "import faulthandler, signal; "
    "faulthandler.dump_traceback_later({seconds}, exit=True); "
    "signal.signal(signal.SIGINT, signal.default_int_handler); "
    "del faulthandler, signal"
)


def start_child(
    source: str, *args: object, timeout: float = LIMIT, options: Sequence[str] = ()
) -> subprocess.Popen[str]:
    """Start a Python process that runs `source`; return it, with pipes for its output.

    `source` is dedented; `args` are the process's `sys.argv[1:]`, `options` are for the
    interpreter.  Shortly before `timeout` seconds are over, the process dumps all stacks
    to its stderr and ends.  It imports the same `lowthreads` as this process, and can
    import `support`.  Ctrl-C raises `KeyboardInterrupt` in it, even where this process
    ignores the signal; it is in a session, and so a process group, of its own, and on
    Windows has a console of its own.
    """
    source = textwrap.dedent(source)
    if not source.startswith("\n"):
        source = "\n" + source
    preamble = _PREAMBLE.format(seconds=max(timeout - DUMP_BEFORE, 1.0))
    path = [_PACKAGE_FOLDER, str(TESTS), os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(
        [
            sys.executable,
            *("-X", "faulthandler"),
            *options,
            *("-c", preamble + source),
            *map(str, args),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=TESTS,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))},
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )


def end_child(child: subprocess.Popen[str], timeout: float = LIMIT) -> tuple[str, str]:
    """Wait for a child's end, and return its stdout and stderr.

    If it doesn't end within `timeout` seconds, kill it (and its own children), and fail
    with its output.
    """
    try:
        return child.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
        child.kill()
        output = _report(*child.communicate())
    raise AssertionError(f"the child didn't end within {timeout} s\n{output}")


def run_child(
    source: str,
    *args: object,
    timeout: float = LIMIT,
    check: bool = True,
    options: Sequence[str] = (),
) -> subprocess.CompletedProcess[str]:
    """Run `source` in a Python process of its own, to the end; see `start_child`.

    Fails if the process hangs.  With `check`, fails unless the process exits with status 0
    and nothing on stderr, where an exception in a thread would be.
    """
    child = start_child(source, *args, timeout=timeout, options=options)
    stdout, stderr = end_child(child, timeout)
    if check and (child.returncode != 0 or stderr):
        report = _report(stdout, stderr)
        raise AssertionError(f"the child's exit status is {child.returncode}\n{report}")
    return subprocess.CompletedProcess(child.args, child.returncode, stdout, stderr)


def collect_at_the_end() -> None:
    """Leave cycles of objects to the end of the interpreter: none is found by chance before."""
    gc.set_threshold(1 << 30)


def environment() -> dict[str, str]:
    """Return this process's, in which any Python imports the same `lowthreads` as this one."""
    path = [_PACKAGE_FOLDER, os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}


def run_on_lowthreads(
    folder: Path,
    options: Sequence[str],
    program: str,
    *arguments: str,
    status: int = 0,
    limit: float = LIMIT,
) -> subprocess.CompletedProcess[str]:
    """Run a program, its text or its file, by `python -m lowthreads run`, in that folder.

    Fails if it hangs, or ends with another status.
    """
    path = program
    if "\n" in program:
        path = "program.py"
        (folder / path).write_text(textwrap.dedent(program))
    done = subprocess.run(
        [sys.executable, "-m", "lowthreads", "run", *options, path, *arguments],
        env=environment(),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=limit,
        check=False,
    )
    assert done.returncode == status, _report(done.stdout, done.stderr)
    return done


def _report(stdout: str, stderr: str) -> str:
    return f"---- stdout\n{stdout}\n---- stderr\n{stderr}"


def wait_until(
    condition: Callable[[], object], what: str = "the condition holds", limit: float = LIMIT
) -> None:
    """Return once `condition()` is true; fail if it isn't within `limit` seconds.

    For what no event tells, such as that another thread has begun to wait.
    """
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            faulthandler.dump_traceback(all_threads=True)
            raise AssertionError(f"not within {limit} s: {what}")
        time.sleep(0.001)


class Threads:
    """Threads that were started with `lowthreads.start_new_thread`, and their results."""

    def __init__(self, *functions: Callable[[], Any]) -> None:
        self.idents: list[int] = []
        self._ended: queue.SimpleQueue[tuple[int, Any, BaseException | None]]
        self._ended = queue.SimpleQueue()
        for function in functions:
            self.start(function)

    def start(self, function: Callable[[], Any]) -> int:
        """Start a thread that calls `function()`; return its ident."""
        ident = lowthreads.start_new_thread(self._run, (len(self.idents), function))
        self.idents.append(ident)
        return ident

    def _run(self, number: int, function: Callable[[], Any]) -> None:
        try:
            result = function()
        except BaseException as error:
            self._ended.put((number, None, error))
        else:
            self._ended.put((number, result, None))

    def results(self, limit: float = LIMIT) -> list[Any]:
        """Wait for all threads; return what they returned, in the order of their start.

        The first exception to come out of a thread is raised here; if a thread doesn't end
        within `limit` seconds, this fails, and dumps all stacks.
        """
        results: list[Any] = [None] * len(self.idents)
        end = time.monotonic() + limit
        for _ in self.idents:
            try:
                ended = self._ended.get(timeout=max(end - time.monotonic(), 0.001))
            except queue.Empty:
                faulthandler.dump_traceback(all_threads=True)
                raise AssertionError(f"a thread didn't end within {limit} s") from None
            number, results[number], error = ended[0], ended[1], ended[2]
            if error is not None:
                raise error
        return results


def run_threads(*functions: Callable[[], Any], limit: float = LIMIT) -> list[Any]:
    """Call each function in a thread of its own; see `Threads.results`."""
    return Threads(*functions).results(limit)


def resident() -> int:
    """Return how many bytes of this process are in memory.

    Where there is no way to tell, it is the most that there ever were: a leak raises it too.
    """
    if sys.platform == "win32":
        import ctypes

        kernel = ctypes.WinDLL("kernel32")
        kernel.GetCurrentProcess.restype = ctypes.c_void_p
        counters = (ctypes.c_size_t * 10)(80)  # PROCESS_MEMORY_COUNTERS, 64 bits
        process = ctypes.c_void_p(kernel.GetCurrentProcess())
        assert kernel.K32GetProcessMemoryInfo(process, counters, 80)
        return counters[2]
    import resource

    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()
    except OSError:
        maximum = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return maximum * (1 if sys.platform == "darwin" else 1024)


def newest_waiter(lock: lowthreads.LockType) -> int:
    """Return which thread joined the lock's queue last, as some number; 0 if none waits.

    Reads the shim's memory (`lt_lock.newest` in csrc/lowthreads.h): nothing else tells a
    test that a thread waits.
    """
    offset = 8
    field = ffi.cast("char *", lock._handle) + offset
    return int(ffi.cast("uintptr_t *", field)[0])


@contextlib.contextmanager
def released_if_awaited(lock: lowthreads.LockType) -> Iterator[None]:
    """Release the held lock as soon as a thread waits for it.

    Around calls that must not wait: one that does is seen by its result, and can't hang.
    """
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.001):
            if newest_waiter(lock) != 0:
                lock.release()
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def await_waiter(lock: lowthreads.LockType, after: int = 0) -> int:
    """Wait until a thread joins the lock's queue after the one `after`; return its number."""
    wait_until(lambda: newest_waiter(lock) not in (0, after), "a thread waits for the lock")
    return newest_waiter(lock)


NO_LOCK = (TypeError, AttributeError) if PYPY else TypeError
"""What a method raises that is called on another object."""
