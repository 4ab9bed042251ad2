"""`python -m lowthreads vendor`: lowthreads as a part of another package, under its name.

A vendored copy is this package's own folder with all that it takes to build it: a wheel has it,
too.  It is the same all through, for nothing in the package knows the package by name, and
the extension is named after the folder that it is built for (`build_ffi.py`).

    .vendored.json   which version this is, and each file's digest
    LICENSE
    _source/         build_ffi.py, csrc/
    *.py, ...        the package
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

CFFI = "cffi>=2.0; platform_python_implementation != 'PyPy'"

PACKAGE = Path(__file__).resolve().parent
RECORD = ".vendored.json"
SOURCE = "_source"

_MADE = {"__pycache__", ".o", ".so", ".pyd", ".dylib", ".pyc"}
"""What building and running leave behind: parts and suffixes of names."""


class Refused(Exception):
    """The folder is left as it is; says why."""


def _files(folder: Path) -> Iterator[Path]:
    """The files that somebody wrote, relative to the folder."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and not _MADE.intersection({*name.parts, path.suffix}):
            yield name


def contents() -> dict[str, bytes]:
    """Return each file of a copy, by its name in it."""
    found = {name.as_posix(): PACKAGE / name for name in _files(PACKAGE) if name.name != RECORD}
    if SOURCE + "/build_ffi.py" not in found:  # a clone has it beside the package
        root = PACKAGE.parent
        if not (root / "build_ffi.py").is_file():
            raise Refused(f"{PACKAGE} was installed without its sources")
        found["LICENSE"] = root / "LICENSE"
        found[SOURCE + "/build_ffi.py"] = root / "build_ffi.py"
        found.update(
            (f"{SOURCE}/csrc/{name.as_posix()}", root / "csrc" / name)
            for name in _files(root / "csrc")
        )
    return {name: path.read_bytes() for name, path in sorted(found.items())}


def _digests(files: dict[str, bytes]) -> dict[str, str]:
    """Return a digest for each file, whatever git makes of the ends of its lines."""
    return {
        name: sha256(content.replace(b"\r\n", b"\n")).hexdigest() for name, content in files.items()
    }


def _read(copy: Path) -> dict[str, bytes]:
    """Return what is in a copy, but for the record."""
    return {
        name.as_posix(): (copy / name).read_bytes() for name in _files(copy) if name.name != RECORD
    }


def _changed(copy: Path, present: dict[str, str]) -> list[str]:
    """Return which files of a copy are not as they were when it was made."""
    try:
        recorded: dict[str, str] = json.loads((copy / RECORD).read_text(encoding="utf-8"))["files"]
        return sorted(dict(recorded.items() ^ present.items()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise Refused(f"{copy} is not a vendored copy: it has no {RECORD}") from None


def vendor(copy: Path, version: str, force: bool = False) -> dict[str, str]:
    """Make or update a copy, and return what happened to which file; what stays isn't there.

    Args:
        copy: the folder of the copy, whose name is the package's.
        version: lowthreads'.
        force: undo changes that were made to the copy.

    Raises:
        Refused: if the folder can't be the copy's, is another thing, or was changed.
    """
    if not copy.resolve().name.isidentifier():
        raise Refused(f"{copy} can't be the name of a package")
    if not (copy.resolve().parent / "__init__.py").is_file():
        raise Refused(f"{copy} would be no part of a package: there is no __init__.py beside it")
    if copy.resolve() == PACKAGE or PACKAGE in copy.resolve().parents:
        raise Refused(f"{copy} is where {__package__} itself is")
    if copy.exists() and not copy.is_dir():
        raise Refused(f"{copy} is not a folder")
    before = _digests(_read(copy))
    if copy.is_dir() and any(copy.iterdir()):
        changed = _changed(copy, before)
        if changed and not force:
            raise Refused(
                f"{copy} was changed since it was vendored; --force gives that up: "
                + ", ".join(changed)
            )
    files = contents()
    after = _digests(files)
    if copy.exists():
        shutil.rmtree(copy)  # with what was built of it
    copy.mkdir()
    record = {"lowthreads": version, "files": after}
    (copy / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for name, content in files.items():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(content)
    return {
        name: "added" if name not in before else "removed" if name not in after else "updated"
        for name in sorted({**before, **after})
        if before.get(name) != after.get(name)
    }


HOOK = """\
To build it with setuptools, put into setup.py
    setup(cffi_modules=["{copy}/_source/build_ffi.py:ffibuilder"])
and into MANIFEST.in
    graft {copy}
and into pyproject.toml
    [build-system]
    requires = ["setuptools>=77", "{cffi}"]
    build-backend = "setuptools.build_meta"
    [project]
    dependencies = ["{cffi}"]
Other builds: docs/vendoring.md."""


def tell(copy: Path, version: str, done: dict[str, str]) -> str:
    """Return what to print after `vendor`."""
    counts = {kind: list(done.values()).count(kind) for kind in ("added", "updated", "removed")}
    told = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    text = f"{copy}: lowthreads {version}, " + (f"files: {told}" if told else "up to date")
    if counts["added"] == len(done) > 0:
        text += "\n\n" + HOOK.format(copy=copy.as_posix(), cffi=CFFI)
    return text
