"""Where failures of the shim become exceptions, in CPython's words."""

from __future__ import annotations

import builtins
import os
import sys
from contextlib import suppress
from typing import NoReturn

FinalizationError: type[RuntimeError] = getattr(builtins, "PythonFinalizationError", RuntimeError)
"""What is raised for what can't be done any more while the interpreter ends."""


def raise_release_unlocked() -> NoReturn:
    """For `lt_ffi_lock_release`, when it returns false."""
    raise RuntimeError("release unlocked lock")


def raise_release_unacquired() -> NoReturn:
    """For `lt_ffi_rlock_release`, when it returns false."""
    raise RuntimeError("cannot release un-acquired lock")


def raise_orphaned() -> NoReturn:
    """For `LT_ORPHANED`."""
    raise RuntimeError("cannot acquire lock: a fork left behind the thread that holds it")


def raise_count_overflow() -> NoReturn:
    """For `LT_OVERFLOW`."""
    raise OverflowError("Internal lock count overflowed")


def _limits(stack_size: int) -> list[str]:
    """What may have kept a thread from starting, as far as the platform tells."""
    found = [f"stack size {stack_size or 'default'}"]
    try:
        import resource

        soft, _hard = resource.getrlimit(resource.RLIMIT_NPROC)
        found.append(f"RLIMIT_NPROC {'unlimited' if soft == resource.RLIM_INFINITY else soft}")
    except (ImportError, AttributeError, OSError, ValueError):
        pass
    for folder in _cgroups():
        most, now = _read(f"{folder}/pids.max"), _read(f"{folder}/pids.current")
        if most and now:
            found.append(f"cgroup pids.max {most}, pids.current {now}")
    return found


def _cgroups() -> list[str]:
    """The folders of the process's cgroup that limit the number of threads."""
    if not sys.platform.startswith("linux"):  # Wine shows Linux's files
        return []
    folders = []
    for line in _read("/proc/self/cgroup").splitlines():
        _number, controllers, path = line.split(":", 2)
        if not controllers or "pids" in controllers.split(","):
            folders.append(f"/sys/fs/cgroup{'/pids' if controllers else ''}{path.rstrip('/')}")
    return folders


def _read(path: str) -> str:
    """Return what is in a file, but for whitespace around it; nothing if it can't be read."""
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return ""


def raise_cannot_start(errno: int, stack_size: int) -> NoReturn:
    """For `start_thread`, when it returns a negative errno."""
    reason = f"[Errno {errno}] {os.strerror(errno)}"
    with suppress(Exception):  # without memory, for one
        reason += f" ({'; '.join(_limits(stack_size))})"
    raise RuntimeError(f"can't start new thread: {reason}")


def raise_at_shutdown() -> NoReturn:
    """For a thread that would start too late to be waited for."""
    raise FinalizationError("can't create new thread at interpreter shutdown")


def raise_join_at_shutdown() -> NoReturn:
    """For a thread that can't end, for the interpreter no longer lets it run."""
    raise FinalizationError("cannot join thread at interpreter shutdown")


def raise_acquire_at_shutdown() -> NoReturn:
    """For a lock whose holder the interpreter no longer lets run."""
    raise FinalizationError("cannot acquire lock at interpreter finalization")
