"""Every name that the reference promises is there, and is what the reference says it is."""

from __future__ import annotations

import inspect
import shutil
import sys
import threading
from importlib import metadata
from pathlib import Path

import pytest

import lowthreads
from lowthreads._lib import ffi, lib
from support import LIMIT, run_child, run_threads

REFERENCE = {
    "LockType",
    "TIMEOUT_MAX",
    "allocate_lock",
    "error",
    "exit",
    "get_ident",
    "interrupt_main",
    "stack_size",
    "start_new_thread",
}
LATER = {"_count", "allocate", "exit_thread", "get_native_id", "lock", "start_new"}
LOCK_METHODS = {
    "acquire": ["acquire", "acquire_lock"],
    "release": ["release", "release_lock"],
    "locked": ["locked", "locked_lock"],
}
UNDOCUMENTED = {"TIMEOUT_MAX", "error", "host_names"}  # no objects of lowthreads' own
PUBLIC = {name for name in lowthreads.__all__ if not name.startswith("_")} - UNDOCUMENTED
OWN = {"install", "uninstall"}  # no other module has them
DOCUMENTED = [getattr(lowthreads, name) for name in sorted(PUBLIC - OWN)] + [
    getattr(cls, method)
    for cls in (lowthreads.lock, lowthreads.RLock)
    for method in ("acquire", "release", "locked")
]
METHODS = [name for names in LOCK_METHODS.values() for name in names]


@pytest.mark.parametrize("name", sorted(REFERENCE | LATER))
def test_the_name_is_there_and_exported(name: str) -> None:
    assert hasattr(lowthreads, name)
    assert name in lowthreads.__all__


def test_exported_names_exist_once() -> None:
    assert len(set(lowthreads.__all__)) == len(lowthreads.__all__)
    assert all(hasattr(lowthreads, name) for name in lowthreads.__all__)


def test_without_its_extension_the_package_says_how_to_build_it(tmp_path: Path) -> None:
    package = Path(lowthreads.__file__).parent
    shutil.copytree(
        package,
        tmp_path / "unbuilt",
        ignore=shutil.ignore_patterns("_native*"),
        copy_function=shutil.copyfile,  # Wine lacks what copy2 uses
    )
    body = """
        import sys
        sys.path.insert(0, sys.argv[1])
        try:
            import unbuilt
        except ImportError as error:
            print(error)
        """
    message = run_child(body, str(tmp_path)).stdout
    assert "has no extension that" in message
    assert "No module named 'unbuilt._native'" in message
    assert "python -m pip install -e ." in message


def test_star_import_brings_the_names() -> None:
    names: dict[str, object] = {}
    exec("from lowthreads import *", names)
    assert names.keys() >= REFERENCE | LATER


def test_error_is_runtime_error() -> None:
    assert lowthreads.error is RuntimeError


def test_the_lock_type_has_its_names() -> None:
    assert isinstance(lowthreads.LockType, type)
    assert type(lowthreads.allocate_lock()) is lowthreads.LockType
    assert lowthreads.lock is lowthreads.LockType
    assert lowthreads.lock.__name__ == lowthreads.lock.__qualname__ == "lock"
    assert lowthreads.lock.__module__ == "lowthreads"


def test_names_of_old_are_the_same_objects() -> None:
    assert lowthreads.allocate is lowthreads.allocate_lock
    assert lowthreads.exit_thread is lowthreads.exit
    assert lowthreads.start_new is lowthreads.start_new_thread


def test_a_lock_can_be_made_by_calling_its_type() -> None:
    lock = lowthreads.LockType()
    assert type(lock) is lowthreads.LockType
    assert not lock.locked()


def test_allocate_lock_on_a_class_does_not_bind() -> None:
    class User:
        make = lowthreads.allocate_lock

    assert not User().make().locked()
    assert User().make() is not User().make()


def test_timeout_max() -> None:
    assert type(lowthreads.TIMEOUT_MAX) is float
    assert lowthreads.TIMEOUT_MAX == 9223372036.0


def test_acquire_has_the_documented_parameters() -> None:
    for name in LOCK_METHODS["acquire"]:
        parameters = inspect.signature(getattr(lowthreads.allocate_lock(), name)).parameters
        described = [(parameter.name, parameter.default) for parameter in parameters.values()]
        assert described == [("blocking", True), ("timeout", -1)]


@pytest.mark.parametrize("name", LOCK_METHODS["release"] + LOCK_METHODS["locked"])
def test_release_and_locked_have_no_parameters(name: str) -> None:
    assert not inspect.signature(getattr(lowthreads.allocate_lock(), name)).parameters


@pytest.mark.parametrize("name", METHODS)
def test_methods_know_their_lock(name: str) -> None:
    lock = lowthreads.allocate_lock()
    assert getattr(lock, name).__self__ is lock


@pytest.mark.parametrize("documented", DOCUMENTED)
def test_documentation_names_its_source(documented: object) -> None:
    doc = inspect.getdoc(documented)
    assert doc is not None
    assert "Source: " in doc
    assert len(doc.splitlines()[0]) > 10


@pytest.mark.parametrize("method", sorted(LOCK_METHODS))
def test_methods_of_old_are_documented_as_the_new(method: str) -> None:
    docs = {inspect.getdoc(getattr(lowthreads.lock, name)) for name in LOCK_METHODS[method]}
    assert len(docs) == 1


@pytest.mark.parametrize("name", sorted(OWN))
def test_what_no_other_module_has_is_documented(name: str) -> None:
    assert "Raises:" in (inspect.getdoc(getattr(lowthreads, name)) or "")


def test_the_module_is_documented() -> None:
    assert lowthreads.__doc__


def test_the_package_is_typed() -> None:
    assert (Path(lowthreads.__file__).parent / "py.typed").is_file()


def test_the_version_is_the_distributions() -> None:
    try:
        version = metadata.version("lowthreads")
    except metadata.PackageNotFoundError:
        pytest.skip("lowthreads is not installed, only importable")
    assert lowthreads.__version__ == version


@pytest.mark.thread_unsafe(reason="asks in the main thread")
def test_get_ident_is_that_of_threading_in_the_main_thread() -> None:
    ident = lowthreads.get_ident()
    assert type(ident) is int
    assert ident == threading.get_ident() == threading.main_thread().ident != 0


def test_get_ident_is_that_of_threading_in_other_threads() -> None:
    def idents() -> tuple[int, int]:
        return lowthreads.get_ident(), threading.get_ident()

    ours, theirs = run_threads(idents)[0]
    assert ours == theirs != 0
    assert ours != lowthreads.get_ident()
    result: list[tuple[int, int]] = []
    thread = threading.Thread(target=lambda: result.append(idents()))
    thread.start()
    thread.join()
    assert result[0][0] == result[0][1] == thread.ident


def test_get_ident_stays_the_same_in_a_thread() -> None:
    def two() -> tuple[int, int]:
        return lowthreads.get_ident(), lowthreads.get_ident()

    for first, second in [two(), *run_threads(two, two)]:
        assert first == second


def test_get_ident_is_unique_among_running_threads() -> None:
    together = threading.Barrier(8)

    def ident() -> int:
        together.wait(LIMIT)
        ident = lowthreads.get_ident()
        together.wait(LIMIT)
        return ident

    idents = run_threads(*[ident] * 8)
    by_ident = {ident: number for number, ident in enumerate(idents)}
    assert len(by_ident) == 8
    assert lowthreads.get_ident() not in by_ident


def test_get_ident_is_a_key_of_current_frames() -> None:
    assert lowthreads.get_ident() in sys._current_frames()
    assert run_threads(lambda: lowthreads.get_ident() in sys._current_frames()) == [True]


def test_get_native_id_is_that_of_threading() -> None:
    if not hasattr(threading, "get_native_id"):
        pytest.skip("this interpreter's threading has no get_native_id")

    def ids() -> tuple[int, int]:
        return lowthreads.get_native_id(), threading.get_native_id()

    for ours, theirs in [ids(), *run_threads(ids)]:
        assert type(ours) is int
        assert ours == theirs != 0


def test_exit_raises_system_exit_without_a_code() -> None:
    with pytest.raises(SystemExit) as info:
        lowthreads.exit()
    assert info.type is SystemExit
    assert info.value.args == ()
    assert info.value.code is None


@pytest.mark.skipif(
    ffi.string(lib.lt_ffi_api()) != b"limited", reason="this build fits free-threaded CPython"
)
def test_a_build_for_a_gil_is_refused_without_one() -> None:
    run_child("""
        import sys

        import lowthreads

        # But for the extension, as cffi looks at the version, too.
        for name in [name for name in sys.modules if name.startswith("lowthreads")]:
            if name != "lowthreads._native":
                del sys.modules[name]
        sys.version = "3.14.0 free-threading build"
        try:
            import lowthreads
        except ImportError as error:
            assert "for interpreters with a GIL" in str(error), error
        else:
            raise AssertionError("imported")
        """)
