"""The client in Cython; see _cython_client.pyx."""

from __future__ import annotations

from pathlib import Path

from setuptools_build import build_extension


def build(folder: Path) -> None:
    """Build `_cython_client` in the folder."""
    build_extension("_cython_client", "_cython_client.pyx", folder)


class Client:
    """See run.py."""

    THREADS = 5

    def __init__(self) -> None:
        import _cython_client as native

        self.start, self.join = native.start, native.join
        self.read, self.write = native.get, native.set
        self.start_taking, self.join_taking = native.take, native.taken
        self.count_once = native.count_once
