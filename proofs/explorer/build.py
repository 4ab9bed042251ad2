"""Builds the explorer, over one parker: see explorer.h."""

from __future__ import annotations

import os
import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

# A table of functions, and a watchdog over the platform's own descriptors.
NOT_EXPLORED = {"api.c", "watch.c"}
# gcc: clang never compiles a compare-and-swap that may fail for no reason as one.
COMPILER = ["gcc", "-std=gnu11", "-O1", "-g", "-Wall", "-Wextra"]
WATCHED = ["-fsanitize=thread", "--param", "tsan-instrument-func-entry-exit=0", "-DLT_SPIN=2"]


def build(folder: Path, parker: str, csrc: Path = ROOT / "csrc") -> Path:
    """Compile the explorer into `folder`, and return its path.

    What was compiled there before is taken again, unless it is older than its source or a header.

    Raises:
        RuntimeError: with the compiler's messages.
    """
    watched = [*WATCHED, "-include", str(HERE / "model.h")]
    jobs = [
        *((path, watched) for path in sorted(csrc.glob("*.c")) if path.name not in NOT_EXPLORED),
        (csrc / f"platform/park_{parker}.c", watched),
        (HERE / "scenarios.c", watched),
        *((HERE / f"{name}.c", []) for name in ("scheduler", "memory", "platform")),
    ]
    include = ["-I", str(csrc), "-I", str(HERE)]
    newest = max(path.stat().st_mtime for place in (csrc, HERE) for path in place.rglob("*.h"))

    def compile_one(job: tuple[Path, list[str]]) -> Path:
        source, flags = job
        output = folder / f"{source.stem}-{source.parent.name}.o"
        if not output.exists() or output.stat().st_mtime < max(newest, source.stat().st_mtime):
            run([*COMPILER, *flags, *include, "-c", str(source), "-o", str(output)])
        return output

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compile_one, jobs))
    program = folder / f"explorer-{parker}"
    run([*COMPILER, *map(str, objects), "-o", str(program)])
    return program


def run(command: list[str], folder: str | Path = ".") -> None:
    """Run a command in a folder; raise RuntimeError with its messages if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    if done.returncode != 0:
        raise RuntimeError(f"{shlex.join(command)}\n{done.stdout}{done.stderr}")
