"""`python -m lowthreads run`: any program, unmodified, with `threading` on lowthreads.

The program runs in an interpreter of its own, as under plain `python`, that installs
lowthreads when it starts: its folder `_bootstrap` is first on the path, and the
`sitecustomize` there does it.  So `sys.argv`, `__main__`, tracebacks and exit status are the
interpreter's own work, and processes that the program starts, `multiprocessing`'s too, run
on lowthreads as well.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from ._observe.options import Options as ObserveOptions
    from ._watchdog import Options


def environment() -> dict[str, str]:
    """Return the environment in which an interpreter runs on lowthreads."""
    package = Path(__file__).resolve().parent
    depth = __package__.count(".") + 1
    env = dict(os.environ)
    if env.get("LOWTHREADS_RUN", "==").split("=")[1] != __package__:
        env.pop("LOWTHREADS_WATCH", None)  # another copy's, perhaps of another version
    env["LOWTHREADS_RUN"] = "=".join(
        (str(sys.implementation.cache_tag), __package__, str(package.parents[depth - 1]))
    )
    path = [str(package / "_bootstrap"), *filter(None, [env.get("PYTHONPATH")])]
    env["PYTHONPATH"] = os.pathsep.join(path)
    return env


def _flags() -> list[str]:
    """Return the interpreter's own options on the command line of this process."""
    given: list[str] = getattr(sys, "orig_argv", [])[1:]  # from 3.10 on
    if "-m" in given:
        return given[: given.index("-m")]
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    return flags


def run(
    arguments: list[str], watch: Options | None = None, observe: ObserveOptions | None = None
) -> NoReturn:
    """Run `python *arguments` on lowthreads, in this process's place.

    Args:
        watch: what the watchdog is to do; None for no watchdog.
        observe: what of the locks is to be observed; None for nothing.
        arguments: what comes after `python` on its command line: a program and its
            arguments, or `-m`, a module and its arguments.
    """
    if sys.flags.ignore_environment or sys.flags.no_site:
        raise SystemExit(f"python -m {__package__} run can't be used with -E, -I or -S")
    env = environment()
    if watch is not None:
        watch.to_environment(env)
    if observe is not None:
        observe.to_environment(env)
    command = [sys.executable, *_flags(), *arguments]
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # closed when the process began
            stream.flush()
    if sys.platform == "win32":  # where exec would return to the shell at once
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the program's alone
        signal.signal(signal.SIGBREAK, signal.SIG_IGN)
        status = subprocess.call(command, env=env)
        raise SystemExit(status if status < 1 << 31 else status - (1 << 32))  # a C int
    os.execve(sys.executable, command, env)
