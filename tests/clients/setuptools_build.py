"""Builds a client's extension with setuptools."""

from __future__ import annotations

import os
from pathlib import Path

import lowthreads

HERE = Path(__file__).resolve().parent


def build_extension(name: str, source: str, folder: Path) -> None:
    """Build the extension in the folder, where its objects stay, too."""
    from setuptools import Extension, setup

    extension = Extension(
        name,
        [source],
        include_dirs=[str(HERE), lowthreads.get_include()],
        extra_compile_args=[] if os.name == "nt" else ["-pthread"],
        extra_link_args=[] if os.name == "nt" else ["-pthread"],
    )
    extensions = [extension]
    if source.endswith(".pyx"):
        from Cython.Build import cythonize

        os.chdir(HERE)
        extensions = cythonize(extensions, build_dir=str(folder), quiet=True)
    os.chdir(HERE)  # where the sources are
    options = ["build_ext", f"--build-lib={folder}", f"--build-temp={folder}"]
    setup(name=name, ext_modules=extensions, script_args=["-q", *options])
