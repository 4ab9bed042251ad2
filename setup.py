"""Only what pyproject.toml can't say: cffi's hook, and which wheels fit every CPython."""

import os
import platform
import sys
import sysconfig

from setuptools import setup

limited = (
    platform.python_implementation() == "CPython"
    and not sysconfig.get_config_var("Py_GIL_DISABLED")
    and os.environ.get("LOWTHREADS_LIMITED_API") != "0"
    and not hasattr(sys, "gettotalrefcount")
)

setup(
    cffi_modules=["build_ffi.py:ffibuilder"],
    options={"bdist_wheel": {"py_limited_api": "cp39"}} if limited else {},
)
