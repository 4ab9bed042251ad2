"""The real CPython for Windows on a Linux machine, under Wine, with lowthreads.

    python tools/windows 3.13 -m pytest tests/test_lock.py
    python tools/windows --stress 10 3.13
    python tools/windows --end 3.13

Provides what is missing: Wine and a cross-compiler (Debian packages, 160 MB; installed if this
is root), python.org's CPython for Windows with pytest, in the folder `--folder`.  Then builds
lowthreads, and runs Windows' python with the arguments, with its exit status.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import extension
import interpreter
import wine


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="tools/windows",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("version", choices=interpreter.EMBEDDED)
    parser.add_argument("--folder", type=Path, default=extension.ROOT / "build" / "windows")
    parser.add_argument(
        "--stress", metavar="SECONDS", help="run the shim's stress program, for so long"
    )
    parser.add_argument("--end", action="store_true", help="end what still runs under Wine")
    parser.add_argument("python", nargs=argparse.REMAINDER, help="arguments of Windows' python")
    chosen = parser.parse_args()
    folder = chosen.folder.resolve() / chosen.version
    prefix = folder / "prefix"
    wine.require()
    if chosen.end:
        wine.end(prefix)
        return 0
    wine.make_prefix(prefix)
    if chosen.stress:
        program = extension.build_stress(folder / "build")
        return wine.run(prefix, [str(program), chosen.stress])
    python = interpreter.provide(chosen.version, folder / "python")
    site = python.parent / "Lib" / "site-packages"
    extension.install(python.with_name("python3.dll"), folder / "build", site)
    return wine.run(prefix, [str(python), *chosen.python], {"PYTHONIOENCODING": "utf-8"})


if __name__ == "__main__":
    sys.exit(main())
