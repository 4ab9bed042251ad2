"""Builds the extension of the vendored lowthreads."""

from setuptools import setup

setup(cffi_modules=["src/sample/_vendor/lowthreads/_source/build_ffi.py:ffibuilder"])
