"""The same C functions behind cffi as it comes: every call lets the GIL go and saves errno.

What the lock objects and the rules of `csrc/ffi` bring is the difference to this one.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MODULE = "lowthreads_plain"

CDEF = """
typedef struct { ...; } lt_lock;
bool lt_lock_try(lt_lock *);
bool lt_lock_release(lt_lock *);
int lt_lock_wait(lt_lock *, int64_t deadline, int64_t since, int patience);
int64_t lt_now(void);
"""

_FOREVER = 2**63 - 1


def build(folder: Path) -> Path:
    """Compile the extension into the folder, and return its path."""
    from cffi import FFI

    sys.path.insert(0, str(ROOT))
    from build_ffi import default_parker, free_threaded, sources

    ffi = FFI()
    ffi.cdef(CDEF)
    ffi.set_source(
        MODULE,
        '#include "lowthreads.h"',
        sources=[str(ROOT / source) for source in sources(default_parker())],
        include_dirs=[str(ROOT / "csrc"), str(ROOT / "lowthreads")],
        define_macros=[("LT_SPIN", "64" if free_threaded() else "0")],
        extra_compile_args=[] if sys.platform == "win32" else ["-std=c11", "-pthread"],
        libraries=["ws2_32"] if sys.platform == "win32" else [],
        py_limited_api=False,
    )
    return Path(ffi.compile(tmpdir=str(folder)))


def _load() -> Any:
    tag = f"{sys.implementation.cache_tag}{getattr(sys, 'abiflags', '')}"
    folder = ROOT / "build" / f"benchmarks-{tag}"
    built = [path for ending in ("so", "pyd") for path in folder.glob(f"{MODULE}*.{ending}")]
    newest = max(path.stat().st_mtime for path in (ROOT / "csrc").rglob("*.[ch]"))
    path = built[0] if built and built[0].stat().st_mtime > newest else build(folder)
    spec = importlib.util.spec_from_file_location(MODULE, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def lock_type() -> type:
    """Return a type of locks."""
    native = _load()
    lib, new = native.lib, native.ffi.new
    take, wait, give, now = lib.lt_lock_try, lib.lt_lock_wait, lib.lt_lock_release, lib.lt_now

    class Lock:
        __slots__ = ("_lock",)

        def __init__(self) -> None:
            self._lock = new("lt_lock *")

        def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
            if take(self._lock):
                return True
            if not blocking:
                return False
            began = now()
            deadline = _FOREVER if timeout < 0 else began + int(timeout * 1e9)
            return wait(self._lock, deadline, began, 0) == 1

        def release(self) -> None:
            if not give(self._lock):
                raise RuntimeError("release unlocked lock")

        def __enter__(self) -> bool:
            return self.acquire()

        def __exit__(self, *exc_info: object) -> None:
            self.release()

    return Lock
