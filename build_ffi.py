"""Describes the extension to cffi; `setup.py` hands `ffibuilder` to setuptools.

`python build_ffi.py FILE` compiles it to that file, for other builds.  csrc is beside it; it is
beside the package or, in a wheel and in a vendored copy, in the package's folder `_source`.

Build options, from the environment:

- `LOWTHREADS_PARKER`: `futex` (Linux's default), `pthread` (everywhere else on POSIX) or
  `win32`: what a waiting thread sleeps on.
- `LOWTHREADS_LIMITED_API`: `0` for a build that fits one version of CPython alone, or `abi3t`
  for one that fits all from 3.15 on, with and without a GIL.  By default abi3, which fits all
  from 3.9 on that have a GIL; on free-threaded ones abi3t and, before 3.15, `0`.
- `LOWTHREADS_WERROR=1`: warnings are errors; for those who work on the C code.
"""

import os
import platform
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
CSRC = HERE / "csrc"
# The package's folder, from here: in a wheel and in a vendored copy, this file is within it.
PACKAGE = ".." if HERE.name == "_source" else "lowthreads"


def module_name() -> str:
    """The extension's full name, after the package that it is for, where that is."""
    names = ["_native"]
    folder = (HERE / PACKAGE).resolve()
    while (folder / "__init__.py").exists():
        names.insert(0, folder.name)
        folder = folder.parent
    return ".".join(names)


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
    names = ["lock", "rlock", "event", "waits", "watch", "thread", "handle", "api"] + [
        f"platform/{name}" for name in [f"park_{parker}", *system]
    ]
    return [f"csrc/{name}.c" for name in names]


def free_threaded() -> bool:
    """Whether this is a CPython without a GIL."""
    return bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def stable_abi() -> str:
    """Which of CPython's stable ABIs the build is for; none: ""."""
    chosen = os.environ.get("LOWTHREADS_LIMITED_API", "")
    if chosen not in {"", "0", "abi3t"}:
        raise SystemExit(f"LOWTHREADS_LIMITED_API={chosen}: not one of 0, abi3t")
    is_debugged = hasattr(sys, "gettotalrefcount")  # has an ABI of its own
    if platform.python_implementation() != "CPython" or is_debugged or chosen == "0":
        return ""
    if chosen == "abi3t" or free_threaded():
        return "abi3t" if sys.version_info >= (3, 15) else ""
    return "abi3"


# For each stable ABI, what a wheel's tag calls the oldest Python that it fits.
OLDEST = {"abi3": "cp39", "abi3t": "cp315"}

_API_MACROS = {
    "abi3": [("Py_LIMITED_API", "0x03090000")],
    "abi3t": [("Py_LIMITED_API", "0x030f0000"), ("Py_TARGET_ABI3T", "0x030f0000")],
}


def make_ffi(module: "str | None" = None, folder: str = ".") -> FFI:
    """The builder of the extension.

    Args:
        module: the full name that it is imported by; `module_name()` by default.
        folder: what is put before the names of the source files: this file's folder, as
            whoever compiles them finds it.
    """
    module = module or module_name()
    parker = os.environ.get("LOWTHREADS_PARKER") or default_parker()
    if parker not in {"futex", "pthread", "win32"}:
        raise SystemExit(f"LOWTHREADS_PARKER={parker}: not one of futex, pthread, win32")
    interpreter = platform.python_implementation().lower()
    abi = stable_abi()
    macros = [("LT_MODULE", f'"{module}"'), ("LT_PARKER", f'"{parker}"')]
    macros.append(("LT_SPIN", "64" if free_threaded() or abi == "abi3t" else "0"))
    posix = parker != "win32"
    includes = ["csrc", f"csrc/ffi/{interpreter}", PACKAGE]
    api = {}
    if interpreter == "cpython":
        includes.append("csrc/ffi/cpython/" + ("opaque" if abi == "abi3t" else "embedded"))
        includes.append("csrc/ffi/" + ("posix" if posix else "win32"))
        if not abi:  # left alone, cffi takes the limited API wherever there is one
            api["py_limited_api"] = False
        elif not free_threaded():  # there, cffi defines what is needed
            macros += _API_MACROS[abi]
    compile_args = ["-std=c11", "-pthread", "-fvisibility=hidden"] if posix else []
    if os.environ.get("LOWTHREADS_WERROR") == "1":
        # Not /W4, which warns of the casts in what cffi generates.
        compile_args += ["-Wall", "-Wextra", "-Werror"] if posix else ["/W3", "/WX"]
    if free_threaded() and not abi:  # cffi defines it on the command line and in the file
        compile_args.append(("-U" if posix else "/U") + "_CFFI_NO_LIMITED_API")
    ffi = FFI()
    for kind in (".", interpreter, *([] if posix else ["win32"])):
        ffi.cdef((CSRC / "ffi" / kind / "cdef.h").read_text())
    glue = ["glue.h", *([] if posix else ["win32/sleep.h"])]
    headers = [str(header.relative_to(HERE)) for header in CSRC.rglob("*.h")]
    headers.append(f"{PACKAGE}/include/lowthreads.h")

    def found(names: "list[str]") -> "list[str]":
        return [Path(folder, name).as_posix() for name in names]

    ffi.set_source(
        module,
        "".join(f'#include "ffi/{header}"\n' for header in glue),
        sources=found(sources(parker)),
        depends=found(headers),
        include_dirs=found(includes),
        define_macros=macros,
        extra_compile_args=compile_args,
        extra_link_args=["-pthread"] if posix else [],
        libraries=["dl"] if posix else ["ws2_32"],
        **api,
    )
    return ffi


def ffibuilder() -> FFI:
    """What setup.py names to cffi's hook; setuptools wants paths relative to setup.py's."""
    return make_ffi(folder=os.path.relpath(HERE))


def compile_to(output: str) -> None:
    """Compile the extension to that file, which a build other than setuptools' puts in place."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copyfile(make_ffi(folder=str(HERE)).compile(tmpdir=folder), output)


if __name__ == "__main__":
    compile_to(sys.argv[1])
