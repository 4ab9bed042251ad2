"""What a C program compiles to have the shim in it, on Linux."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "csrc"

SOURCES = [*CSRC.glob("*.c")]
SOURCES += [CSRC / "platform" / f"{n}.c" for n in ("park_futex", "thread_posix", "posix_poll")]

FLAGS = ["-O2", "-pthread", "-I", str(CSRC), "-I", str(ROOT / "lowthreads")]
