"""The shim alone, without Python, under load, and in all orders of its steps.

See tests/c/stress.c, and docs/proofs.md.  `LOWTHREADS_STRESS_SECONDS` is how long each program that
makes load runs (1).
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import pytest

SECONDS = os.environ.get("LOWTHREADS_STRESS_SECONDS", "1")
PARKERS = ["futex", "pthread"] if sys.platform.startswith("linux") else ["pthread"]


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{path.stem}_of_c_stress", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


build = load(Path(__file__).resolve().parent / "c" / "build.py")
explorer = load(build.ROOT / "proofs" / "explorer" / "build.py")
works = lru_cache(maxsize=None)(build.works)


def compiler_for(sanitizer: str) -> str:
    for compiler in ("gcc", "clang", "cc"):
        if works(compiler, sanitizer):
            return compiler
    pytest.skip(f"no compiler here whose programs run with {build.SANITIZERS[sanitizer]}")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows: tools/windows --stress runs it")
@pytest.mark.parametrize("parker", PARKERS)
@pytest.mark.parametrize("sanitizer", list(build.SANITIZERS))
def test_stress(tmp_path: Path, parker: str, sanitizer: str) -> None:
    program = build.build(tmp_path, compiler_for(sanitizer), sanitizer, parker)
    limit = float(SECONDS) * 3 + 60
    done = subprocess.run(
        [str(program), SECONDS], capture_output=True, text=True, check=False, timeout=limit
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kinds held" in done.stdout
    assert done.stderr == ""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or sys.maxsize < 2**32 or shutil.which("gcc") is None,
    reason="the explorer is for gcc, glibc and 64 bits",
)
@pytest.mark.timeout(900)
@pytest.mark.parametrize("parker", PARKERS)
def test_orders(tmp_path: Path, parker: str) -> None:
    program = explorer.build(tmp_path, parker)
    command = [str(program), "all", "0", "120"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "NOT ALL" not in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="Windows: tools/windows --stress runs it")
@pytest.mark.parametrize("standard", ["c99", "c11", "c++11", "c++17"])
def test_public_header(standard: str) -> None:
    line = [compiler_for("none"), "-x", standard.rstrip("0123456789"), f"-std={standard}"]
    line += ["-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
    line += ["-I", str(build.ROOT / "lowthreads"), str(build.HERE / "layout.c")]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("parker", ["futex", "pthread", "win32"])
def test_sources(parker: str) -> None:
    pytest.importorskip("cffi")
    listed = {build.ROOT / path for path in load(build.ROOT / "build_ffi.py").sources(parker)}
    assert {path for path in build.sources(parker) if "csrc" in path.parts} == listed
