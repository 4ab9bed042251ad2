"""Describes the extension to cffi; `setup.py` hands `ffibuilder` to setuptools.

Build options, from the environment:

- `LOWTHREADS_PARKER`: `futex` (Linux's default), `pthread` (everywhere else on POSIX) or
  `win32`: what a waiting thread sleeps on.
- `LOWTHREADS_LIMITED_API=0`: one build for one version of CPython, not an abi3 one.
- `LOWTHREADS_WERROR=1`: warnings are errors; for those who work on the C code.
"""

import os
import platform
import sys
import sysconfig
from pathlib import Path

from cffi import FFI

MODULE = "lowthreads._native"
CSRC = Path(__file__).resolve().parent / "csrc"


def default_parker(system: str = sys.platform) -> str:
    """The parker of a platform, named as `sys.platform` names it."""
    if system == "win32":
        return "win32"
    return "futex" if system.startswith("linux") else "pthread"


def sources(parker: str) -> "list[str]":
    """The C files for one parker, relative to the project's folder."""
    system = (
        ["thread_win32", "win32_signals"] if parker == "win32" else ["thread_posix", "posix_poll"]
    )
    names = ["lock", "rlock", "waits", "thread", "handle"] + [
        f"platform/{name}" for name in [f"park_{parker}", *system]
    ]
    return [f"csrc/{name}.c" for name in names]


def make_ffi(module: str = MODULE) -> FFI:
    """The builder of the extension that is imported as `module` (a vendored copy has its own)."""
    parker = os.environ.get("LOWTHREADS_PARKER") or default_parker()
    if parker not in {"futex", "pthread", "win32"}:
        raise SystemExit(f"LOWTHREADS_PARKER={parker}: not one of futex, pthread, win32")
    interpreter = platform.python_implementation().lower()
    macros = [("LT_MODULE", f'"{module}"'), ("LT_PARKER", f'"{parker}"')]
    # Left alone, cffi takes the limited API wherever there is one.
    api = {}
    if interpreter == "cpython":
        if os.environ.get("LOWTHREADS_LIMITED_API") == "0":
            api["py_limited_api"] = False
        elif not sysconfig.get_config_var("Py_GIL_DISABLED"):
            macros.append(("Py_LIMITED_API", "0x03090000"))
    posix = parker != "win32"
    compile_args = ["-std=c11", "-pthread", "-fvisibility=hidden"] if posix else []
    if os.environ.get("LOWTHREADS_WERROR") == "1":
        # Not /W4, which warns of the casts in what cffi generates.
        compile_args += ["-Wall", "-Wextra", "-Werror"] if posix else ["/W3", "/WX"]
    ffi = FFI()
    for folder in (".", interpreter, *([] if posix else ["win32"])):
        ffi.cdef((CSRC / "ffi" / folder / "cdef.h").read_text())
    glue = ["glue.h", *([] if posix else ["win32/sleep.h"])]
    ffi.set_source(
        module,
        "".join(f'#include "ffi/{header}"\n' for header in glue),
        sources=sources(parker),
        depends=[str(header.relative_to(CSRC.parent)) for header in CSRC.rglob("*.h")],
        include_dirs=["csrc", f"csrc/ffi/{interpreter}"],
        define_macros=macros,
        extra_compile_args=compile_args,
        extra_link_args=["-pthread"] if posix else [],
        libraries=[] if posix else ["ws2_32"],
        **api,
    )
    return ffi


def ffibuilder() -> FFI:
    """What setup.py names to cffi's hook."""
    return make_ffi()
