"""`python -m lowthreads vendor`, and what a copy under another name counts on.

That two copies work in one process is tested where they are built: `nox -s vendor`.
"""

from __future__ import annotations

import ast
import json
import subprocess
from pathlib import Path

import pytest
from test_main import python

import lowthreads
from lowthreads._vendor import RECORD, contents

PACKAGE = Path(lowthreads.__file__).resolve().parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent.name != "_source")


def vendor(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return python(folder, "-m", "lowthreads", "vendor", *map(str, arguments))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose package is in src/sample."""
    package = tmp_path / "src" / "sample"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    return tmp_path


COPY = Path("src", "sample", "threads")


def written(copy: Path) -> dict[str, bytes]:
    return {
        path.relative_to(copy).as_posix(): path.read_bytes()
        for path in copy.rglob("*")
        if path.is_file() and path.name != RECORD
    }


def make(project: Path) -> Path:
    done = vendor(project, COPY)
    assert (done.returncode, done.stderr) == (0, "")
    return project / COPY


# ---- What a copy under another name counts on


def imported(tree: ast.Module) -> list[str]:
    """What a module imports that isn't relative."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.append(str(node.module))
    return names


def docstrings(tree: ast.Module) -> set[ast.AST]:
    """The strings that stand alone: nobody looks at them at run time."""
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_knows_the_package_by_its_name(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert [name for name in imported(tree) if name.partition(".")[0] == "lowthreads"] == []
    told = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node not in docstrings(tree)
    }
    named = {text for text in told if text == "lowthreads" or text.startswith("lowthreads.")}
    # A key of the JSON documents, and pytest's option.
    assert named <= {"lowthreads"}, named
    assert not named or path.parent.name == "_check" or path.name in ("_vendor.py", "pytest.py")


# ---- The command


def test_a_copy_has_all_that_it_takes_and_nothing_else(project: Path) -> None:
    copy = make(project)
    files = written(copy)
    assert files == contents()
    sources = {name.partition("/")[2] for name in files if name.startswith("_source/csrc/")}
    assert {"csrc/lowthreads.h", "csrc/lock.c", "csrc/ffi/pypy/cdef.h"} <= sources
    assert b"MIT License" in files["LICENSE"]
    modules = {path.relative_to(PACKAGE).as_posix() for path in MODULES}
    others = {name for name in files if not name.startswith("_source/")} - modules
    assert others == {"LICENSE", "_observe/page.html", "include/lowthreads.h", "py.typed"}
    assert modules <= files.keys()
    record = json.loads((copy / RECORD).read_text())
    assert record["lowthreads"] == lowthreads.__version__
    assert record["files"].keys() == files.keys()


def test_it_says_how_to_hook_the_build(project: Path) -> None:
    done = vendor(project, COPY)
    hook = f'cffi_modules=["{COPY.as_posix()}/_source/build_ffi.py:ffibuilder"]'
    assert hook in done.stdout
    assert f"graft {COPY.as_posix()}" in done.stdout


def test_the_extension_is_named_after_the_folder(project: Path) -> None:
    pytest.importorskip("cffi")
    make(project)
    source = f"""
import runpy
build = runpy.run_path({str(COPY / "_source" / "build_ffi.py")!r})
module, _, _, options = build["ffibuilder"]()._assigned_source
print(module, *options["sources"], *options["include_dirs"])
module, _, _, options = build["make_ffi"]("another.name", "/folder")._assigned_source
print(module, *options["sources"], *options["include_dirs"])
"""
    done = python(project, "-c", source)
    own, others = (line.split() for line in done.stdout.splitlines())
    assert own[0] == "sample.threads._native"
    assert all((project / path).exists() for path in own[1:])
    assert others[0] == "another.name"
    assert all(path.startswith("/folder/") for path in others[1:])


def test_a_second_time_there_is_nothing_to_do(project: Path) -> None:
    copy = make(project)
    before = written(copy)
    done = vendor(project, COPY)
    assert done.stdout == f"{COPY}: lowthreads {lowthreads.__version__}, up to date\n"
    assert written(copy) == before


def alter(copy: Path, name: str, content: bytes | None) -> None:
    """Change a copy as if another version had been vendored."""
    from hashlib import sha256

    record = json.loads((copy / RECORD).read_text())
    if content is None:
        (copy / name).unlink()
        del record["files"][name]
    else:
        (copy / name).write_bytes(content)
        record["files"][name] = sha256(content).hexdigest()
    (copy / RECORD).write_text(json.dumps(record))


def test_it_updates_and_leaves_nothing_stale(project: Path) -> None:
    copy = make(project)
    alter(copy, "_gone.py", b"gone = True\n")
    alter(copy, "_lock.py", b"old = True\n")
    alter(copy, "_source/csrc/lock.c", None)
    for built in ["_native.abi3.so", "__pycache__/_gone.pyc", "_source/__pycache__/build_ffi.pyc"]:
        (copy / built).parent.mkdir(exist_ok=True)
        (copy / built).touch()
    done = vendor(project, COPY)
    assert "files: 1 added, 1 updated, 1 removed" in done.stdout
    assert "setup.py" not in done.stdout
    assert written(copy) == contents()


def test_changes_to_a_copy_are_only_undone_by_force(project: Path) -> None:
    copy = make(project)
    (copy / "_lock.py").write_bytes(b"changed")
    (copy / "_new.py").touch()
    (copy / "_rlock.py").unlink()
    before = written(copy)
    done = vendor(project, COPY)
    assert done.returncode == 2
    assert "was changed" in done.stderr
    assert "_lock.py, _new.py, _rlock.py" in done.stderr
    assert written(copy) == before
    assert vendor(project, COPY, "--force").returncode == 0
    assert written(copy) == contents()


def test_other_ends_of_lines_are_no_change(project: Path) -> None:
    copy = make(project)
    for path in copy.rglob("*.py"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    done = vendor(project, COPY)
    assert done.returncode == 0, done.stderr
    assert written(copy) == contents()


@pytest.mark.parametrize(
    ("folder", "why"),
    [
        ("src/sample/other", "not a vendored copy"),
        ("src/sample/file", "not a folder"),
        ("src/sample/one-two", "can't be the name"),
        ("src/threads", "no __init__.py beside it"),
        ("src/sample/record", "not a vendored copy"),
    ],
)
def test_what_is_no_copy_is_left_alone(project: Path, folder: str, why: str) -> None:
    package = project / "src" / "sample"
    (package / "other").mkdir()
    (package / "other" / "mine.py").write_text("mine = True")
    (package / "record").mkdir()
    (package / "record" / RECORD).write_text("[]")
    (package / "file").touch()
    before = written(project)
    done = vendor(project, folder)
    assert done.returncode == 2
    assert why in done.stderr
    assert written(project) == before


def test_the_package_itself_is_no_place_for_a_copy(project: Path) -> None:
    before = written(PACKAGE)
    for folder in (PACKAGE, PACKAGE / "_check" / "copy"):
        done = vendor(project, folder)
        assert done.returncode == 2
    assert written(PACKAGE).keys() == before.keys()


def test_a_copy_can_be_copied_on(project: Path) -> None:
    make(project)
    source = f"""
import sys
sys.path.insert(0, "src")
from importlib.util import spec_from_file_location, module_from_spec
spec = spec_from_file_location("vendor", {str(COPY / "_vendor.py")!r})
module = module_from_spec(spec)
spec.loader.exec_module(module)
from pathlib import Path
print(len(module.vendor(Path("src/sample/again"), "1")))
"""
    done = python(project, "-c", source)
    assert int(done.stdout) == len(contents()), done.stderr
    assert written(project / "src" / "sample" / "again") == contents()
