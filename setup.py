"""Only what pyproject.toml can't say: cffi's hook, and which interpreters a wheel fits."""

import sys
from pathlib import Path

from setuptools import setup

sys.path.insert(0, str(Path(__file__).resolve().parent))

from build_ffi import OLDEST, stable_abi

abi = stable_abi()

setup(
    cffi_modules=["build_ffi.py:ffibuilder"],
    options={"bdist_wheel": {"py_limited_api": OLDEST[abi]}} if abi else {},
)
