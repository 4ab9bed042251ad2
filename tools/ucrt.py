"""The options with which mingw-w64 takes the C runtime that Python uses."""

from __future__ import annotations

import subprocess
from pathlib import Path


def universal_crt(compiler: str, folder: Path) -> list[str]:
    """Return the options, with a file that they name written into the folder.

    By default Debian's compiler takes msvcrt.dll, an older runtime: its errno and its
    descriptors are not those of the interpreter.
    """
    default = subprocess.run([compiler, "-dumpspecs"], capture_output=True, text=True, check=True)
    specs = folder / "ucrt.specs"
    specs.write_text(default.stdout.replace("-lmsvcrt", "-lucrt"))
    return [f"-specs={specs}", "-D_UCRT", "-D_WIN32_WINNT=0x0A00"]
