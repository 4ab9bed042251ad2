"""The file of accepted pairs: docs/lock-order.md has its format."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable

from .sites import Place


class Accepted:
    """Pairs of places: whichever of the two locks comes first is accepted.

    A line of the file has two places with spaces between, quoted as in a shell if need be; what
    follows `#` is a comment.  A place is `FILE:LINE`, or `FILE:FUNCTION` for all that is made
    in functions of that name.  FILE is the end of a path, of whole parts between slashes.
    """

    def __init__(self, lines: Iterable[str] = ()) -> None:
        self._pairs: list[tuple[str, str]] = []
        for number, line in enumerate(lines, 1):
            words = shlex.split(line, comments=True)
            if not words:
                continue
            if len(words) != 2 or not all(":" in word for word in words):
                raise ValueError(f"line {number}: not two places FILE:LINE: {line.strip()!r}")
            self._pairs.append((words[0], words[1]))

    def has(self, one: Place, other: Place) -> bool:
        """Return whether the two places are a pair."""
        return any(
            (_is_at(one, first) and _is_at(other, second))
            or (_is_at(one, second) and _is_at(other, first))
            for first, second in self._pairs
        )


def _is_at(place: Place, text: str) -> bool:
    file, _, where = text.rpartition(":")
    path = "/" + place.file.replace(os.sep, "/")
    return where in (str(place.line), place.function) and path.endswith("/" + file.lstrip("/"))


def read_accepted(path: str) -> Accepted:
    """Return what is in a file; nothing for "".

    Raises:
        OSError: if it can't be read.
        ValueError: if a line isn't one.
    """
    if not path:
        return Accepted()
    with open(path, encoding="utf-8") as file:
        return Accepted(file)
