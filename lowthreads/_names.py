"""The names that threads have in the operating system."""

from __future__ import annotations

import sys

from ._lib import ffi, lib
from ._style import in_place

_NAME_MAXLEN = lib.lt_thread_name_max()


def encode_name(name: str) -> bytes:
    """Encode for the operating system, cut to what it takes at a character's boundary."""
    encoding = sys.getfilesystemencoding()
    encoded = name.encode(encoding, "replace").partition(b"\0")[0]
    if len(encoded) <= _NAME_MAXLEN:
        return encoded
    cut = encoded[:_NAME_MAXLEN]
    return cut if in_place() else cut.decode(encoding, "ignore").encode(encoding)


def set_name(name: str) -> None:
    """Set the calling thread's name in the operating system.

    Args:
        name: any text; what the platform can't take is replaced or cut off.

    Raises:
        TypeError: if the name isn't a str.
        OSError: if the operating system refuses it.

    Source: `_thread.set_name`, from 3.14 on.
    """
    if not isinstance(name, str):
        given = "None" if name is None else type(name).__name__
        raise TypeError(f"set_name() argument 'name' must be str, not {given}")
    errno = lib.lt_thread_set_name(ffi.new("char[]", encode_name(name)))
    if errno:
        raise OSError(errno, "can't set the thread's name")


def _get_name() -> str:
    """Return the calling thread's name in the operating system."""
    buffer = ffi.new("char[]", _NAME_MAXLEN + 1)
    errno = lib.lt_thread_get_name(buffer, _NAME_MAXLEN + 1)
    if errno:
        raise OSError(errno, "can't get the thread's name")
    return ffi.string(buffer).decode(sys.getfilesystemencoding(), "surrogateescape")
