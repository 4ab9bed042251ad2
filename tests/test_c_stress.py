"""The shim alone, without Python, under load: see tests/c/stress.c.

`LOWTHREADS_STRESS_SECONDS` is how long each program runs (1.5).
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import pytest

C_TESTS = Path(__file__).resolve().parent / "c"

_spec = importlib.util.spec_from_file_location("lowthreads_c_build", C_TESTS / "build.py")
assert _spec is not None
assert _spec.loader is not None
build = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(build)

SECONDS = os.environ.get("LOWTHREADS_STRESS_SECONDS", "1.5")
PARKERS = ["futex", "pthread"] if sys.platform.startswith("linux") else ["pthread"]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX C compiler")

works = lru_cache(maxsize=None)(build.works)


def compiler_for(sanitizer: str) -> str:
    for compiler in ("gcc", "clang", "cc"):
        if works(compiler, sanitizer):
            return compiler
    what = "C compiler" if sanitizer in {"none", "delays"} else f"compiler with -fsanitize={sanitizer}"
    pytest.skip(f"no {what} here")


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


@pytest.mark.parametrize("parker", ["futex", "pthread", "win32"])
def test_sources(parker: str) -> None:
    # build_ffi.py is not in sys.path, and needs cffi.
    pytest.importorskip("cffi")
    spec = importlib.util.spec_from_file_location("lowthreads_build_ffi", build.ROOT / "build_ffi.py")
    assert spec is not None
    assert spec.loader is not None
    build_ffi = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build_ffi)
    listed = {build.ROOT / path for path in build_ffi.sources(parker)}
    assert listed <= set(build.sources(parker))
    assert {path for path in build.sources(parker) if "csrc" in path.parts} == listed
