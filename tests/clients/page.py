"""Builds and runs the examples of docs/c-api.md, each as it stands there.

python tests/clients/page.py
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import lowthreads

sys.path.insert(0, str(Path(__file__).resolve().parent))

PAGE = Path(__file__).resolve().parents[2] / "docs" / "c-api.md"


def examples() -> dict[str, list[str]]:
    """Return the page's examples by their language."""
    found: dict[str, list[str]] = {}
    for language, text in re.findall(r"^```(\w+)\n(.*?)^```", PAGE.read_text(), re.M | re.S):
        found.setdefault(language, []).append(text)
    return found


def run_python(folder: Path, name: str, text: str, *args: str) -> None:
    """Run an example in a process of its own."""
    (folder / name).write_text(text)
    subprocess.run([sys.executable, name, *args], cwd=folder, check=True, timeout=300)
    print(f"{name}: ok", flush=True)


def call(function: object, *args: object) -> None:
    """Call it from four threads."""
    threads = [threading.Thread(target=function, args=args) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> None:
    """Run them all."""
    found = examples()
    build_cffi, use_cffi, setup, use_ctypes = found["python"]
    _, extension = found["c"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run_python(folder, "build_counter.py", build_cffi)
        run_python(folder, "use_counter.py", use_cffi)
        run_python(folder, "use_ctypes.py", use_ctypes)
        (folder / "counter.c").write_text(extension)
        run_python(folder, "setup.py", setup, "-q", "build_ext", "--inplace")
        sys.path.insert(0, name)
        import counter

        lock = lowthreads.lock()
        call(counter.add, lock)
        call(counter.add_without_gil, lock)
        assert not lock.locked()
        if sys.implementation.name == "cpython":
            os.chdir(folder)  # which Cython looks in
            (folder / "from_cython.pyx").write_text(found["cython"][0])
            cythonized = setup.replace("counter", "from_cython").replace('.c"', '.pyx"')
            run_python(folder, "setup_cython.py", cythonized, "-q", "build_ext", "--inplace")
            import from_cython

            call(from_cython.add, lock)
            assert not lock.locked()


if __name__ == "__main__":
    main()
