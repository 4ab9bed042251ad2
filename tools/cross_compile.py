"""Compiles the shim and its stress program for platforms that this machine is not.

Warnings are errors.  A target whose compiler is not installed is skipped, with a message.
With --run, the programs that this machine can run, or emulate with qemu, are run, too.
Exit status: 0 if something was compiled and nothing failed, else 1.
"""

from __future__ import annotations

import argparse
import importlib.util
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "c"))

from build import command  # noqa: E402
from ucrt import universal_crt  # noqa: E402

MINGW = ["x86_64-w64-mingw32-gcc"]
ZIG = [sys.executable, "-m", "ziglang", "cc", "-target"]

# What Microsoft's compiler is given for atomics, in a compiler that would choose others.
MSVC_ATOMICS = [
    "-DLT_ATOMIC_H",
    "-DLT_THREAD_LOCAL=_Thread_local",
    *("-include", "platform/atomic_msvc.h"),
]


# clang as Microsoft's compiler, with mingw-w64's headers for want of Microsoft's: the language
# and the types are checked, the warnings are clang's, and nothing is linked.
MINGW_HEADERS = Path("/usr/x86_64-w64-mingw32/include")
MSVC = [
    *("clang", "--target=x86_64-pc-windows-msvc", "-fms-compatibility-version=19.38"),
    *("-fgnuc-version=12.2.0", "-D_UCRT", "-D_WIN32_WINNT=0x0A00"),  # for those headers
    *("-isystem", str(MINGW_HEADERS)),
]
SYNTAX = [
    "-fsyntax-only",
    "-Wconversion",
    "-Wno-sign-conversion",
    "-Wno-unused-command-line-argument",
]


class Job(NamedTuple):
    """One compiler, and what it is to build."""

    name: str
    compiler: list[str]
    parker: str
    flags: list[str]
    runner: list[str] | None = None  # what runs the program; None: nothing here does


def _zig(triple: str, parker: str, *flags: str) -> Job:
    return Job(f"{triple}-{parker}", [*ZIG, triple], parker, list(flags))


def _debian(triple: str, parker: str) -> Job:
    machine = triple.split("-")[0]
    runner = [f"qemu-{machine}-static"]
    return Job(f"{triple}-{parker}", [f"{triple}-gcc"], parker, ["-static"], runner)


TARGETS = {
    "win32": [
        Job("win32", MINGW, "win32", []),
        Job("win32-msvc-atomics", MINGW, "win32", MSVC_ATOMICS),
        Job("win32-msvc-syntax", MSVC, "win32", [*SYNTAX, *MSVC_ATOMICS]),
    ],
    "macos": [_zig(f"{machine}-macos", "pthread") for machine in ("aarch64", "x86_64")],
    "musl": [
        _zig(f"{machine}-linux-musl", parker, "-static")
        for machine in ("x86_64", "aarch64")
        for parker in ("futex", "pthread")
    ],
    # 64-bit Arm, 32 bits, and big-endian.
    "machines": [
        _debian(triple, parker)
        for triple in ("aarch64-linux-gnu", "arm-linux-gnueabihf", "s390x-linux-gnu")
        for parker in ("futex", "pthread")
    ],
    "linux-arm64": [_zig("aarch64-linux-gnu", parker) for parker in ("futex", "pthread")],
}


def lacks(job: Job) -> str:
    """Return what must be installed for the job; nothing: ""."""
    if job.compiler[: len(ZIG)] == ZIG:
        return "" if importlib.util.find_spec("ziglang") else "the package ziglang, from PyPI"
    if job.compiler == MSVC and not MINGW_HEADERS.exists():
        return str(MINGW_HEADERS)
    return "" if shutil.which(job.compiler[0]) else job.compiler[0]


def build(job: Job, folder: Path) -> tuple[Path, str]:
    """Compile and link; return the program, and "" or the compiler's messages."""
    windows = job.parker == "win32"
    output = folder / f"stress-{job.name}{'.exe' if windows else ''}"
    runtime = universal_crt(job.compiler[0], folder) if job.compiler == MINGW else []
    line = command(job.compiler, job.parker, ["-O2", *runtime, *job.flags], output)
    return output, messages_of(line)


def messages_of(line: list[str]) -> str:
    """Run a command; return "" if it succeeds, or else what it said."""
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"{shlex.join(line)}\n{done.stdout}{done.stderr}"


def runner_of(job: Job) -> list[str] | None:
    """What runs the job's program here: None if nothing does."""
    if job.runner is None:
        native = sys.platform == "linux" and job.name.startswith(f"{platform.machine()}-linux-musl")
        return [] if native else None
    return job.runner if shutil.which(job.runner[0]) else None


def do(job: Job, folder: Path, seconds: float) -> str:
    """Build the job's program and, for so many seconds, run it; return "" or what went wrong."""
    program, messages = build(job, folder)
    runner = runner_of(job)
    if messages or seconds == 0 or runner is None:
        print(f"{job.name:32} {'FAILED' if messages else 'compiled'}", flush=True)
        return messages
    messages = messages_of([*runner, str(program), str(seconds)])
    by = f"by {runner[0]}" if runner else ""
    print(f"{job.name:32} {'FAILED' if messages else 'ran'} {by}".rstrip(), flush=True)
    return messages


def do_all(jobs: list[Job], folder: Path, seconds: float) -> bool:
    """Do the jobs, and say how each went; return whether all went well, and one at all."""
    done = failed = 0
    for job in jobs:
        lacking = lacks(job)
        if lacking:
            print(f"{job.name:32} skipped: needs {lacking}", flush=True)
            continue
        messages = do(job, folder, seconds)
        if messages:
            print(messages, flush=True)
            failed += 1
        else:
            done += 1
    return done > 0 and failed == 0


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        description="Compile the shim and its stress program for other platforms."
    )
    parser.add_argument(
        "--target",
        action="append",
        choices=TARGETS,
        help="compile for this one; may be repeated (default: all)",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FOLDER", help="keep the programs here (default: don't)"
    )
    parser.add_argument(
        "--run", type=float, default=0, metavar="SECONDS", help="run the programs, so long each"
    )
    parser.add_argument("--list", action="store_true", help="say what there is, and end")
    chosen = parser.parse_args()
    targets = list(dict.fromkeys(chosen.target or TARGETS))
    if chosen.list:
        for target in targets:
            print(f"{target}: {', '.join(job.name for job in TARGETS[target])}")
        return 0
    jobs = [job for target in targets for job in TARGETS[target]]
    if chosen.output:
        chosen.output.mkdir(parents=True, exist_ok=True)
        return int(not do_all(jobs, chosen.output, chosen.run))
    with tempfile.TemporaryDirectory() as folder:
        return int(not do_all(jobs, Path(folder), chosen.run))


if __name__ == "__main__":
    sys.exit(main())
