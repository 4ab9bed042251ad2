"""Places in the user's code, told apart at the price of a look into a dict.

What `threading`, `queue` and `concurrent.futures` do is done where the user calls them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from itertools import islice
from types import CodeType, FrameType
from typing import NamedTuple

from .._places import WAITED_IN, is_bootstrap, is_in

MAX_SITES = 50_000
"""So many places are told apart; all later ones are `OTHER`."""

_PACKAGE = __package__.rpartition(".")[0]

try:
    _BEGAN_IN = os.getcwd()
except OSError:  # it was removed
    _BEGAN_IN = os.sep

# Of a frame: the user's own code, a library's, lowthreads', or an import.
_USER, _LIBRARY, _OWN, _IMPORT = range(4)


class Place(NamedTuple):
    """A line of code, as it is shown."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{shown_file(self.file)}:{self.line}" if self.line else self.file


@cache
def shown_file(file: str) -> str:
    """Return a file's name, relative if it is below the folder where the program began."""
    try:
        relative = os.path.relpath(file, _BEGAN_IN) if os.path.isabs(file) else file
    except ValueError:  # on another drive
        relative = os.pardir
    return (file if relative.startswith(os.pardir) else relative).replace(os.sep, "/")


class Site:
    """A step of the program that calls something; one object for each."""

    __slots__ = ("code", "kind", "place", "within")

    def __init__(
        self, place: Place, kind: int, code: CodeType | None = None, within: str | None = None
    ) -> None:
        self.place = place
        self.kind = kind
        self.code = code  # kept, for it is known by its address
        self.within = within
        """What was called there, such as "Queue.__init__", for a lock that a library made."""

    def __str__(self) -> str:
        return str(self.place)


OTHER = Site(Place("(other places)", 0, ""), _USER)
"""What stands for all places that are too many to be told apart."""

_sites: dict[tuple[int, int], Site] = {}
_made: dict[tuple[Site, Site], Site] = {}
_known = _sites.get


def sites_are_full() -> bool:
    """Return whether there were more places than can be told apart."""
    return len(_sites) >= MAX_SITES


def site_of(frame: FrameType | None) -> Site:
    """Return where the user's code is that led to this frame.

    Where there is none, as in a thread of the library's own, it is the library's step; when
    it is imported, the one of the module.
    """
    first: Site | None = None
    last: Site | None = None
    while frame is not None:
        key = (id(frame.f_code), frame.f_lasti)
        site = _known(key) or _add(frame, key)
        if site.kind == _USER:
            return site
        if site.kind == _IMPORT:
            return last or OTHER
        if site.kind == _LIBRARY:
            first, last = first or site, site
        frame = frame.f_back
    return first or OTHER


def site_of_lock(frame: FrameType | None) -> Site:
    """Return where a lock is made: what a library makes at a line of the user's is of its own."""
    user = site_of(frame)
    inner: Site | None = None
    outer = frame
    while frame is not None:
        key = (id(frame.f_code), frame.f_lasti)
        site = _known(key) or _add(frame, key)
        if site is user or site is OTHER:
            break
        if site.kind == _LIBRARY:
            inner, outer = inner or site, frame
        frame = frame.f_back
    if inner is None or outer is None or frame is None:
        return user
    made = _made.get((inner, user))
    if made is None:
        made = Site(user.place, _USER, within=_name(outer))
        made = _made.setdefault((inner, user), made)
    return made


def _name(frame: FrameType) -> str:
    """Return the name of what runs there, without a look at its variables: that keeps them."""
    code = frame.f_code
    for each in list(frame.f_globals.values()):
        if isinstance(each, type):
            method = vars(each).get(code.co_name)
            if getattr(method, "__code__", None) is code:
                return f"{each.__name__}.{code.co_name}"
    return code.co_name


def _add(frame: FrameType, key: tuple[int, int]) -> Site:
    if is_in(frame, _PACKAGE):
        kind = _OWN
    elif is_in(frame, *WAITED_IN):
        kind = _LIBRARY
    elif is_in(frame, "importlib._bootstrap"):
        kind = _IMPORT
    else:
        kind = _USER
    if sites_are_full():
        return OTHER if kind == _USER else Site(OTHER.place, kind)
    code = frame.f_code
    place = Place(code.co_filename, frame.f_lineno or 0, code.co_name)
    return _sites.setdefault(key, Site(place, kind, code))


def stack_of(frame: FrameType | None, limit: int = 60) -> tuple[Place, ...]:
    """Return where that frame is and who called it, the outermost first, without our own."""

    def found() -> Iterator[Place]:
        each = frame
        while each is not None:
            if not (is_in(each, _PACKAGE) or is_bootstrap(each)):
                code = each.f_code
                yield Place(code.co_filename, each.f_lineno or 0, code.co_name)
            each = each.f_back

    return tuple(islice(found(), limit))[::-1]
