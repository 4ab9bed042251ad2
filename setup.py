"""What pyproject.toml can't say.

cffi's hook, which interpreters a wheel fits and the sources that it carries, and an sdist that is
the same wherever it is made.
"""

import gzip
import io
import os
import shutil
import sys
import tarfile
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

sys.path.insert(0, str(Path(__file__).resolve().parent))

from build_ffi import CSRC, HERE, OLDEST, stable_abi

abi = stable_abi()


class ReproducibleSdist(sdist):
    """An archive whose bytes depend on its files alone, and on SOURCE_DATE_EPOCH if it is set."""

    def make_archive(self, *args, **kwargs):
        """Make it, and pack it again without times, users and order."""
        path = super().make_archive(*args, **kwargs)
        seconds = int(os.environ.get("SOURCE_DATE_EPOCH", "315532800"))

        def plain(member):
            member.mtime, member.uid, member.gid, member.uname, member.gname = seconds, 0, 0, "", ""
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            return member

        with tarfile.open(path) as given:
            members = sorted(given, key=lambda member: member.name)
            contents = [member.isfile() and given.extractfile(member).read() for member in members]
        with (
            open(path, "wb") as raw,
            gzip.GzipFile("", "wb", mtime=seconds, fileobj=raw) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as made,
        ):
            for member, content in zip(members, contents):
                made.addfile(plain(member), io.BytesIO(content or b""))
        return path


class BuildWithSources(build_py):
    """Also puts into the package what it takes to build it: `lowthreads vendor` copies that."""

    def run(self) -> None:
        """Build the package's files."""
        super().run()
        if self.editable_mode:
            return
        package = Path(self.build_lib, "lowthreads")
        source = package / "_source"
        shutil.rmtree(source, ignore_errors=True)
        shutil.copytree(CSRC, source / "csrc")
        shutil.copy(HERE / "build_ffi.py", source)
        shutil.copy(HERE / "LICENSE", package)


setup(
    cffi_modules=["build_ffi.py:ffibuilder"],
    cmdclass={"build_py": BuildWithSources, "sdist": ReproducibleSdist},
    options={"bdist_wheel": {"py_limited_api": OLDEST[abi]}} if abi else {},
)
