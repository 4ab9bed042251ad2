"""The client that is a plain extension, with the Python C API; see capi_client.c."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from setuptools_build import build_extension


def build(folder: Path) -> None:
    """Build `_capi_client` in the folder."""
    build_extension("_capi_client", "capi_client.c", folder)


class Client:
    """See run.py."""

    THREADS = 5

    def __init__(self) -> None:
        import _capi_client as native

        self.start, self.join = native.start, native.join
        self.read, self.write = native.get, native.set
        self.start_taking, self.join_taking = native.take, native.taken
        self.count_once = native.count_once
        self.hold_gil: Any = native.hold_gil
