"""How many faults in the C code do the project's own checks find?

    python tools/mutate [--sample 200] [--seed 1] [--concurrency] [--only TEXT] [FILE ...]

universalmutator makes the faults, one in each copy of a file of csrc, by its rules for C and by
`concurrency.rules`; a copy that compiles to the same code is none.  Each is run under the explorer
(`proofs/explorer`) and the stress program, on both parkers, and under the Python tests of what is
in C, on this interpreter, until one of them fails.  What no check finds is printed, and written to
a file.

It needs universalmutator, gcc, and what the tests need.
"""

from __future__ import annotations

import argparse
import difflib
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CSRC = ROOT / "csrc"
sys.path[:0] = [str(ROOT / "proofs"), str(ROOT / "tests" / "c")]

import explorer.build as explorer  # noqa: E402

import build as stress  # noqa: E402

NOT_HERE = ("win32", "msvc", "pypy", "opaque", "cdef", "lt_api.h")  # not run, or no code
FILES = [
    file
    for file in sorted(str(path.relative_to(CSRC)) for path in CSRC.rglob("*.[ch]"))
    if not any(part in file for part in NOT_HERE)
]
PARKERS = ["futex", "pthread"]
SECONDS = 1  # for each run of the stress program
PYTHON_TESTS = [  # those of what is in C; the quickest first
    *("lock", "handles", "threads", "expel", "capi", "gil", "names", "thread_names", "stateful"),
    *("faults", "fork_policy", "rlock", "waits", "fork", "leaks", "stop_the_world", "interrupts"),
    *("descriptors", "main_thread", "watchdog", "hangs", "stragglers", "profile", "exit"),
]
NOT_COPIED = shutil.ignore_patterns(
    *(".git", ".nox", ".*_cache", "__pycache__", "build", "dist", "*.so", "*.egg-info")
)
# Nothing in the file may depend on when and where it was made.
BUILD = {"CFLAGS": "-g0 -w", "LDFLAGS": "-Wl,--build-id=none"}


class Mutant:
    def __init__(self, file: str, text: str) -> None:
        self.file, self.text = file, text

    def diff(self) -> str:
        before = without_comments(CSRC / self.file).splitlines()
        lines = difflib.unified_diff(before, self.text.splitlines(), n=0, lineterm="")
        changes = [line for line in lines if not line.startswith(("---", "+++"))]
        return f"{self.file} " + "\n    ".join(changes)


def without_comments(path: Path) -> str:
    """Return a C file without its comments, but as many lines."""
    comment = re.compile(r"/\*.*?\*/", re.DOTALL)
    return comment.sub(lambda found: "\n" * found[0].count("\n"), path.read_text())


def mutants_of(file: str, folder: Path, concurrency: bool) -> Iterator[Mutant]:
    """Let universalmutator make all mutants of a file, or those by `concurrency.rules` alone."""
    source, target = folder / Path(file).name, folder / "mutants"
    source.write_text(without_comments(CSRC / file))
    target.mkdir()
    own = str(HERE / "concurrency.rules")
    rules = ["--only", own] if concurrency else ["c", own]
    command = ["mutate", str(source), *rules, "--noCheck", "--mutantDir", str(target)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder)
    for path in sorted(target.iterdir()):
        yield Mutant(file, path.read_text())
    shutil.rmtree(target)


class Bench:
    """A copy of the project, into whose csrc one mutant after the other is put."""

    def __init__(self, folder: Path) -> None:
        self.tree = folder / "tree"
        self.csrc = self.tree / "csrc"
        shutil.copytree(ROOT, self.tree, ignore=NOT_COPIED)
        self.folders = {parker: folder / parker for parker in PARKERS}
        for path in self.folders.values():
            path.mkdir()

    def try_out(self, mutant: Mutant) -> str:
        """Return what found it: "", "same" and "invalid" if nothing did, or could."""
        path = self.csrc / mutant.file
        before = path.read_text()
        path.write_text(without_comments(path))  # as the mutant: with the same numbers of lines
        code = self._code(mutant)
        path.write_text(mutant.text)
        try:
            mutated = self._code(mutant)
            if mutated is None:
                return "invalid"
            return "same" if mutated == code else self.find_fault(in_shim=is_in_shim(mutant.file))
        finally:
            path.write_text(before)

    def _code(self, mutant: Mutant) -> bytes | None:
        """Return the machine code that it is in; None: not valid."""
        if not is_in_shim(mutant.file):
            return self._build_package()
        sources = [mutant.file] if mutant.file.endswith(".c") else ["lock.c", "rlock.c", "handle.c"]
        code = b""
        for source in sources:
            # For ThreadSanitizer, so that a memory order is in the code on every machine.
            flags = ["-std=gnu11", "-O2", "-DLT_SPIN=2", "-fsanitize=thread", "-S", "-w"]
            flags += ["-I", str(self.tree / "lowthreads"), "-o", "-"]  # the public header
            command = ["gcc", *flags, str(self.csrc / source)]
            done = subprocess.run(command, capture_output=True, check=False)
            if done.returncode != 0:
                return None
            code += re.sub(rb"\s\.file.*", b"", done.stdout)
        return code

    def _build_package(self) -> bytes | None:
        """Build the extension into the copy; return it, or None if it does not compile."""
        for old in (self.tree / "lowthreads").glob("*.so"):
            old.unlink()
        command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace", "--force"]
        env = {**os.environ, **BUILD}
        done = subprocess.run(command, capture_output=True, check=False, cwd=self.tree, env=env)
        if done.returncode != 0:
            return None
        (built,) = (self.tree / "lowthreads").glob("*.so")
        return built.read_bytes()

    def find_fault(self, in_shim: bool = True, quick: bool = False) -> str:
        """Run the checks of what is in csrc now; return the one that fails, "" if none does."""
        checks: list[Callable[[], str]] = [self._test_in_python]
        if in_shim:
            checks = [lambda: self._explore("-1"), self._stress, *checks]
            if not quick:
                checks.append(lambda: self._explore("0"))
        return next(filter(None, (check() for check in checks)), "")

    def _explore(self, more: str) -> str:
        for parker in PARKERS:
            try:
                program = explorer.build(self.folders[parker], parker, self.csrc)
            except RuntimeError:
                return "invalid"
            if not holds([str(program), "all", more, "3"], 300 if more == "0" else 15):
                return f"explorer {parker} {more}"
        return ""

    def _stress(self) -> str:
        for sanitizer in ("none", "thread"):
            for parker in PARKERS:
                folder = self.folders[parker]
                try:
                    program = stress.build(folder, "gcc", sanitizer, parker, self.csrc)
                except RuntimeError:
                    return "compiler"
                if not holds([str(program), str(SECONDS)], 60):
                    return f"stress {parker} {sanitizer}"
        return ""

    def _test_in_python(self) -> str:
        if self._build_package() is None:
            return "invalid"
        for name in PYTHON_TESTS:
            options = ["-x", "-q", "--timeout=60", "-p", "no:cacheprovider"]
            command = [sys.executable, "-m", "pytest", *options, f"tests/test_{name}.py"]
            if not holds(command, 300, self.tree):
                return f"tests/test_{name}.py"
        return ""


def is_in_shim(file: str) -> bool:
    """Whether the checks in C compile it."""
    return not file.startswith("ffi/")


def holds(command: list[str], limit: int, folder: Path = ROOT) -> bool:
    """Whether a check succeeds, in so many seconds of processor time, or ten times as many."""

    def limit_processor() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))

    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    try:
        done = subprocess.run(
            command,
            **quiet,
            timeout=10 * limit,
            check=False,
            preexec_fn=limit_processor,
            cwd=folder,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(description="Count the faults that the checks find.")
    parser.add_argument("files", nargs="*", default=FILES, help="of csrc")
    parser.add_argument("--sample", type=int, default=100, help="how many, at random; 0: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="those whose difference has this")
    parser.add_argument("--concurrency", action="store_true", help="by its rules alone")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--report", type=Path, help="write what survives there")
    chosen = parser.parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)  # outside of the project: it is copied there
        mutants = [m for file in chosen.files for m in mutants_of(file, folder, chosen.concurrency)]
        mutants = [m for m in mutants if not chosen.only or chosen.only in m.diff()]
        random.Random(chosen.seed).shuffle(mutants)
        if not mutants:
            raise SystemExit("no such mutant")
        benches = []
        for job in range(chosen.jobs):
            (folder / str(job)).mkdir()
            benches.append(Bench(folder / str(job)))
        if fails := benches[0].find_fault(quick=True):
            raise SystemExit(f"without any fault, one is found: {fails}")
        counts: dict[str, int] = {}
        survivors = []
        pending = iter(mutants)

        def work(bench: Bench) -> None:
            for mutant in pending:
                if chosen.sample and sum(counts.values()) >= chosen.sample:
                    return
                found = bench.try_out(mutant)
                if found in {"invalid", "same", "compiler"}:
                    continue  # "compiler": a warning of gcc's says it
                counts[found] = counts.get(found, 0) + 1
                line = f"{time.monotonic() - start:.0f} s: {found or 'SURVIVES'}: {mutant.diff()}"
                print(line, file=sys.stderr, flush=True)
                if not found:
                    survivors.append(mutant.diff())

        with ThreadPoolExecutor(chosen.jobs) as pool:
            list(pool.map(work, benches))
    total = sum(counts.values())
    for check, count in sorted(counts.items()):
        print(f"{count:5} {check or 'not found'}")
    found = total - counts.get("", 0)
    print(
        f"{found} of {total} found, {100 * found / max(total, 1):.1f} %, "
        f"in {time.monotonic() - start:.0f} s"
    )
    if survivors:
        print("not found:", *survivors, sep="\n")
    if chosen.report:
        chosen.report.write_text("\n".join(survivors) + "\n")


if __name__ == "__main__":
    os.nice(5)
    main()
