"""The names that threads have in the operating system."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lowthreads
from lowthreads import _NAME_MAXLEN, _get_name, set_name
from support import run_threads

ENCODING = sys.getfilesystemencoding()
UNITS = "utf-16-le" if sys.platform == "win32" else "utf-8"  # what limits are counted in
UTF_8 = pytest.mark.skipif(ENCODING != "utf-8", reason="file names here aren't in UTF-8")


def seen(name: str) -> str:
    """The name of a thread that sets this one."""

    def rename() -> str:
        assert set_name(name) is None
        return _get_name()

    return str(run_threads(rename)[0])


def test_name_maxlen() -> None:
    known = {"linux": 15, "darwin": 63, "win32": 32766}
    assert type(_NAME_MAXLEN) is int
    assert known.get(sys.platform, _NAME_MAXLEN) == _NAME_MAXLEN


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", ""),
        ("worker", "worker"),
        ("a b\tc", "a b\tc"),
        ("ünï", "ünï"),
        ("日本語", "日本語"),
        ("\U0001f600", "\U0001f600"),
        ("null\0character", "null"),
        ("\0", ""),
        ("\udc80x\ud800", "?x?"),
        ("a" * (_NAME_MAXLEN + 1), "a" * _NAME_MAXLEN),
        ("a" * (_NAME_MAXLEN + 10000), "a" * _NAME_MAXLEN),
    ],
)
@UTF_8
def test_the_name_is_kept_as_far_as_it_can_be(name: str, expected: str) -> None:
    assert seen(name) == expected


@UTF_8
@pytest.mark.parametrize("character", ["é", "€", "\U0001f600"])
def test_a_name_is_cut_between_characters(character: str) -> None:
    width = len(character.encode(UNITS)) // len("x".encode(UNITS))
    for before in range(4):
        got = seen("x" * before + character * _NAME_MAXLEN)
        assert got == "x" * before + character * ((_NAME_MAXLEN - before) // width)


@UTF_8
@settings(max_examples=60)
@given(st.text(st.characters(), max_size=20))
def test_any_name(name: str) -> None:
    encoded = name.encode(ENCODING, "replace").decode(ENCODING).partition("\0")[0].encode(UNITS)
    limit = _NAME_MAXLEN * len("x".encode(UNITS))
    assert seen(name) == encoded[:limit].decode(UNITS, "ignore")


@pytest.mark.parametrize("name", [None, 1, b"bytes", object(), ["a"]])
def test_only_a_str_is_a_name(name: Any) -> None:
    with pytest.raises(TypeError) as info:
        set_name(name)
    expected = f"set_name() argument 'name' must be str, not {type(name).__name__}"
    # CPython calls None by its name.
    assert str(info.value) in (expected, expected.replace("NoneType", "None"))


def test_one_argument_is_taken_also_by_keyword() -> None:
    assert run_threads(lambda: (set_name(name="key"), _get_name())[1]) == ["key"]
    for args in [(), ("a", "b")]:
        with pytest.raises(TypeError):
            set_name(*args)


def test_a_name_is_the_calling_threads_alone() -> None:
    mine = _get_name()
    assert seen("other") == "other"
    assert _get_name() == mine
    assert lowthreads._get_name() == mine
