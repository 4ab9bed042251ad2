"""The client that is an extension of cffi's, in API mode: cffi makes all calls detached."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cffi import FFI

import lowthreads


def build(folder: Path) -> None:
    """Build `_cffi_client` in the folder."""
    ffi = FFI()
    ffi.cdef(
        """
        int start_counting(uintptr_t table, uintptr_t lock, int64_t rounds);
        void join_counting(void);
        int start_taking(uintptr_t table, uintptr_t first, uintptr_t second);
        void join_taking(void);
        extern volatile int64_t counter;
        """
    )
    here = str(Path(__file__).resolve().parent)
    ffi.set_source(
        "_cffi_client",
        '#include "counting.h"',
        include_dirs=[here, lowthreads.get_include()],
        extra_compile_args=["-pthread"],
        extra_link_args=["-pthread"],
    )
    ffi.compile(str(folder))


class Client:
    """See run.py."""

    THREADS = 5

    def __init__(self) -> None:
        from _cffi_client import lib

        self.lib: Any = lib

    def start(self, lock: Any, rounds: int) -> None:
        assert self.lib.start_counting(lowthreads.c_api(), lock.address, rounds) == 0

    def read(self) -> int:
        return self.lib.counter

    def write(self, value: int) -> None:
        self.lib.counter = value

    def join(self) -> None:
        self.lib.join_counting()

    def start_taking(self, first: Any, second: Any) -> None:
        assert self.lib.start_taking(lowthreads.c_api(), first.address, second.address) == 0

    def join_taking(self) -> None:
        self.lib.join_taking()
