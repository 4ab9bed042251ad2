"""The extension is of the settings that were asked for: sessions rely on it."""

from __future__ import annotations

import os

import pytest

from lowthreads._lib import ffi, lib


@pytest.mark.parametrize(
    ("variable", "built"),
    [
        ("LOWTHREADS_PARKER", ffi.string(lib.lt_ffi_parker()).decode()),
        ("LOWTHREADS_LIMITED_API", ffi.string(lib.lt_ffi_api()).decode()),
    ],
)
def test_the_build_is_what_was_asked_for(variable: str, built: str) -> None:
    asked = os.environ.get(variable)
    if asked is None:
        pytest.skip(f"{variable} is not set")
    assert built == {"0": "full"}.get(asked, asked)
