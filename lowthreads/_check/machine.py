"""Where this runs: machine, interpreter, and how lowthreads was built."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import sysconfig
from importlib import import_module
from pathlib import Path
from typing import Any

from .._lib import ffi, lib

lowthreads: Any = import_module("..", __package__)

Facts = dict[str, dict[str, Any]]


def _cpu() -> str:
    if sys.platform.startswith("linux"):
        try:
            lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        except OSError:
            lines = ""
        for line in lines.splitlines():
            key, _, value = line.partition(":")
            if key.strip() in {"model name", "Model", "cpu model"}:
                return value.strip()
    if sys.platform == "darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        try:
            told = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
        except (OSError, subprocess.SubprocessError):
            return platform.machine()
        return told.stdout.strip() or platform.machine()
    return platform.processor() or platform.machine()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cffi() -> str | None:
    try:
        return str(import_module("_cffi_backend").__version__)
    except (ImportError, AttributeError):
        return None


def _version() -> str:
    pypy: Any = getattr(sys, "pypy_version_info", None)
    if pypy is None:
        return platform.python_version()
    return ".".join(str(part) for part in pypy[:3])


def facts() -> Facts:
    """Return what is known, as `report` documents it."""
    is_gil_enabled = getattr(sys, "_is_gil_enabled", None)
    return {
        "lowthreads": {
            "version": lowthreads.__version__,
            "parker": ffi.string(lib.lt_ffi_parker()).decode(),
            "api": ffi.string(lib.lt_ffi_api()).decode(),
            "path": str(Path(lowthreads.__file__).parent),
        },
        "interpreter": {
            "implementation": platform.python_implementation(),
            "version": _version(),
            "python": platform.python_version(),
            "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
            "gil": True if is_gil_enabled is None else bool(is_gil_enabled()),
            "cffi": _cffi(),
            "executable": sys.executable,
        },
        "platform": {
            "system": platform.system(),
            "release": platform.release(),
            "machine": platform.machine(),
            "libc": " ".join(platform.libc_ver()).strip() or None,
            "cpu": _cpu(),
            "cores": _cores(),
        },
    }


def interpreter_name(known: Facts) -> str:
    """Return the interpreter in a few words, such as "PyPy 7.3.11 (Python 3.9.16)"."""
    interpreter = known["interpreter"]
    name = f"{interpreter['implementation']} {interpreter['version']}"
    if interpreter["python"] != interpreter["version"]:
        name += f" (Python {interpreter['python']})"
    if interpreter["free_threaded"]:
        name += ", free-threaded" + (", with the GIL on" if interpreter["gil"] else "")
    return name


def platform_name(known: Facts) -> str:
    """Return the platform in a few words."""
    where = known["platform"]
    parts = [f"{where['system']} {where['release']} {where['machine']}"]
    if where["libc"]:
        parts.append(where["libc"])
    parts.append(f"{where['cores']} x {where['cpu']}")
    return ", ".join(parts)


def build_name(known: Facts) -> str:
    """Return what lowthreads stands on, in a few words."""
    build = known["lowthreads"]
    return f"{build['parker']} backend, {build['api']} API"
