"""Builds the C stress program; for tests, and by hand: `python tests/c/build.py --help`."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

SANITIZERS = {
    "none": ["-O2"],
    "delays": ["-O1", "-finstrument-functions"],  # none, but see stress_delays.c
    "thread": ["-O1", "-finstrument-functions", "-fsanitize=thread"],
    "address": ["-O1", "-fsanitize=address", "-fno-omit-frame-pointer"],  # and leaks
    "undefined": ["-O1", "-fsanitize=undefined", "-fno-sanitize-recover=all"],
}


def sources(parker: str, csrc: Path = ROOT / "csrc") -> list[Path]:
    """Return the C files of the shim for one parker, and the stress program's.

    They are found by their names, for `build_ffi.py`, which lists them, needs cffi; that
    both agree is tested.
    """
    system = "win32" if parker == "win32" else "posix"
    platform = [f"park_{parker}.c", f"thread_{system}.c", f"{system}_*.c"]
    shim = [
        *csrc.glob("*.c"),
        *(path for name in platform for path in csrc.glob(f"platform/{name}")),
    ]
    parts = ["", "_edges", "_signals", "_locks", "_threads", "_api", "_delays", f"_{system}"]
    return [*sorted(shim), HERE / "layout.c", *(HERE / f"stress{part}.c" for part in parts)]


FUZZER = ["-O1", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all"]


def fuzzer_command(parker: str, output: Path) -> list[str]:
    """Return the command that compiles fuzz_locks.c, which needs clang."""
    shim = [path for path in sources(parker) if path.parent != HERE]
    flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-g", "-DLT_SPIN=0", "-pthread", *FUZZER]
    files = map(str, [*shim, HERE / "fuzz_locks.c"])
    return ["clang", *flags, "-I", str(ROOT / "csrc"), *files, "-o", str(output)]


def command(
    compiler: list[str], parker: str, flags: list[str], output: Path, csrc: Path = ROOT / "csrc"
) -> list[str]:
    """Return the command that compiles the program."""
    warnings = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-g", "-DLT_SPIN=64"]
    libraries = ["-lws2_32"] if parker == "win32" else ["-pthread"]
    include = ["-I", str(csrc), "-I", str(ROOT / "lowthreads"), "-I", str(HERE)]
    files = [str(path) for path in sources(parker, csrc)]
    return [*compiler, *warnings, *flags, *include, *files, *libraries, "-o", str(output)]


def build(
    folder: Path,
    compiler: str = "gcc",
    sanitizer: str = "none",
    parker: str = "futex",
    csrc: Path = ROOT / "csrc",
) -> Path:
    """Compile the program into `folder`; return its path.

    Raises:
        RuntimeError: with the compiler's messages.
    """
    output = folder / f"stress-{compiler}-{sanitizer}-{parker}"
    line = command([compiler], parker, SANITIZERS[sanitizer], output, csrc)
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{shlex.join(line)}\n{done.stderr}")
    return output


def works(compiler: str, sanitizer: str = "none") -> bool:
    """Whether the compiler is there, and what it makes with the sanitizer runs."""
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder, "probe.c"), Path(folder, "probe")
        source.write_text("int main(void) { return 0; }\n")
        line = [compiler, *SANITIZERS[sanitizer], "-pthread", str(source), "-o", str(program)]
        try:
            return all(
                subprocess.run(step, capture_output=True, check=False).returncode == 0
                for step in (line, [str(program)])
            )
        except OSError:
            return False


def main() -> None:
    """Build one program, and say where it is."""
    parser = argparse.ArgumentParser(description="Build the C stress program.")
    parser.add_argument("folder", type=Path, help="where to put it")
    parser.add_argument("--compiler", default="gcc")
    parser.add_argument("--sanitizer", choices=SANITIZERS, default="none")
    parser.add_argument("--parker", choices=["futex", "pthread"], default="futex")
    parser.add_argument("--fuzz", action="store_true", help="the fuzzer, by clang, instead")
    parser.add_argument("--csrc", type=Path, default=ROOT / "csrc", help="another copy of csrc")
    chosen = vars(parser.parse_args())
    try:
        if chosen.pop("fuzz"):
            output = chosen["folder"] / f"fuzz-{chosen['parker']}"
            subprocess.run(fuzzer_command(chosen["parker"], output), check=True)
            print(output)
            return
        print(build(**chosen))
    except RuntimeError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
