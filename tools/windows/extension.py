"""The extension, cross-compiled for the limited API of CPython on x86-64 Windows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import wine

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tools"))

from ucrt import universal_crt  # noqa: E402

WARNINGS = ["-Wall", "-Wextra", "-Werror"]


def _headers(folder: Path) -> Path:
    """Copy this Python's headers, for Python.h takes the pyconfig.h beside itself."""
    headers = folder / "include"
    if not headers.exists():
        shutil.copytree(sysconfig.get_path("include"), headers)
    shutil.copy(Path(__file__).with_name("pyconfig.h"), headers / "pyconfig.h")
    return headers


def _import_library(dll: Path, folder: Path) -> None:
    """Make the import library of python3.dll, which has the limited API and nothing else."""
    listing = subprocess.run(
        [wine.OBJDUMP, "-p", dll], capture_output=True, text=True, check=True
    ).stdout
    table = listing.partition("[Ordinal/Name Pointer] Table")[2].partition("\n\n")[0]
    names = [line.split()[-1] for line in table.splitlines() if line.startswith("\t[")]
    definition = folder / "python3.def"
    definition.write_text("\n".join(["LIBRARY python3.dll", "EXPORTS", *names, ""]))
    library = folder / "libpython3.dll.a"
    subprocess.run([wine.DLLTOOL, "-d", definition, "-l", library], check=True)


def _compile(dll: Path, folder: Path, output: Path) -> None:
    os.environ["LOWTHREADS_PARKER"] = "win32"
    sys.path.insert(0, str(ROOT))
    from build_ffi import make_ffi

    ffi = make_ffi()
    generated = folder / "_native.c"
    ffi.emit_c_code(str(generated))
    _, _, _, options = ffi._assigned_source
    _import_library(dll, folder)
    command = [
        *(wine.GCC, "-shared", "-std=c11", "-O2", "-g", "-static-libgcc"),
        *(*universal_crt(wine.GCC, folder), *WARNINGS),
        *(f"-D{name}={value}" for name, value in options["define_macros"]),
        *(f"-I{ROOT / name}" for name in options["include_dirs"]),
        *("-isystem", str(_headers(folder))),
        *(str(generated), *(str(ROOT / name) for name in options["sources"])),
        *(f"-L{folder}", "-lpython3", *(f"-l{name}" for name in options["libraries"])),
        *("-o", str(output)),
    ]
    subprocess.run(command, check=True)


def _version() -> str:
    found = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def install(dll: Path, folder: Path, site: Path) -> None:
    """Build the extension in `folder`, and put the package into `site`, as pip does."""
    folder.mkdir(parents=True, exist_ok=True)
    _compile(dll, folder, folder / "_native.pyd")
    package = site / "lowthreads"
    shutil.rmtree(package, ignore_errors=True)
    ignored = shutil.ignore_patterns("__pycache__", "_native*")
    shutil.copytree(ROOT / "lowthreads", package, ignore=ignored)
    shutil.copy(folder / "_native.pyd", package)
    shutil.copytree(ROOT / "csrc", package / "_source" / "csrc")
    shutil.copy(ROOT / "build_ffi.py", package / "_source")
    shutil.copy(ROOT / "LICENSE", package)
    information = site / f"lowthreads-{_version()}.dist-info"
    information.mkdir(exist_ok=True)
    metadata = f"Metadata-Version: 2.1\nName: lowthreads\nVersion: {_version()}\n"
    (information / "METADATA").write_text(metadata)


def build_stress(folder: Path) -> Path:
    """Build the shim's stress program; return its path."""
    sys.path.insert(0, str(ROOT / "tests" / "c"))
    from build import command

    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "stress.exe"
    flags = ["-O2", "-static-libgcc", *universal_crt(wine.GCC, folder)]
    subprocess.run(command([wine.GCC], "win32", flags, program), check=True)
    return program
