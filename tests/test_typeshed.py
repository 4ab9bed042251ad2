"""lowthreads beside typeshed's `_thread.pyi`, which type checkers know `_thread` by."""

from __future__ import annotations

import ast
import inspect
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_main import environment

import lowthreads

mypy = pytest.importorskip("mypy", reason="mypy brings typeshed along")

STUB = Path(mypy.__file__).parent / "typeshed" / "stdlib" / "_thread.pyi"
AS_ON = {"version_info": (3, 15), "platform": "linux"}


def holds(condition: ast.expr) -> bool:
    code = compile(ast.Expression(condition), str(STUB), "eval")
    return bool(eval(code, {"sys": type("sys", (), AS_ON)}))


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        if isinstance(statement, ast.If):
            branch = statement.body if holds(statement.test) else statement.orelse
            yield from statements(branch)
        else:
            yield statement


def declared(body: list[ast.stmt]) -> dict[str, list[ast.stmt]]:
    """The names that a module or class declares; an overloaded function often."""
    names: dict[str, list[ast.stmt]] = {}
    for statement in statements(body):
        targets: list[Any] = []
        if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
            targets = [statement.name]
        elif isinstance(statement, ast.AnnAssign):
            targets = [ast.unparse(statement.target)]
        elif isinstance(statement, ast.Assign):
            targets = [ast.unparse(target) for target in statement.targets]
        for target in targets:
            names.setdefault(target, []).append(statement)
    return names


MODULE = declared(ast.parse(STUB.read_text(encoding="utf-8")).body) if STUB.exists() else {}
NAMES = sorted(name for name in MODULE if name != "_Ts")
HOSTS = {"_local", "_ExceptHookArgs", "_excepthook"}
METHODS = sorted(
    (name, method)
    for name, (first, *_) in MODULE.items()
    if isinstance(first, ast.ClassDef) and name not in HOSTS
    for method in declared(first.body)
)


def accepts(function: Any, declaration: ast.FunctionDef, skip: int) -> bool:
    """Whether every call that the declaration allows is bound by the function."""
    signature = inspect.signature(function)
    arguments = declaration.args
    positional = (arguments.posonlyargs + arguments.args)[skip:]
    required = len(positional) - len(arguments.defaults)
    only = max(len(arguments.posonlyargs) - skip, 0)
    for count in range(required, len(positional) + 1):
        for named in range(max(count - only, 0) + 1):
            args = [None] * (count - named)
            kwargs = {arg.arg: None for arg in positional[count - named : count]}
            signature.bind(*args, **kwargs)
    with_defaults = zip(positional[required:], arguments.defaults)
    for arg, default in with_defaults:
        parameter = signature.parameters.get(arg.arg)
        if parameter is not None and isinstance(default, ast.Constant):
            assert parameter.default == default.value, arg.arg
    return True


def test_the_stub_is_found() -> None:
    assert {"lock", "RLock", "start_new_thread", "set_name"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_of_the_stub_is_there(name: str) -> None:
    value = getattr(lowthreads, name)
    for statement in MODULE[name]:
        if isinstance(statement, ast.ClassDef):
            assert isinstance(value, type)
        elif isinstance(statement, ast.FunctionDef):
            assert callable(value)
            if name not in HOSTS:
                assert accepts(value, statement, 0)


@pytest.mark.parametrize(("name", "method"), METHODS)
def test_every_method_of_the_stub_is_there(name: str, method: str) -> None:
    (declaration,) = MODULE[name]
    assert isinstance(declaration, ast.ClassDef)
    cls = getattr(lowthreads, name)
    assert hasattr(cls, method)
    for statement in declared(declaration.body)[method]:
        if isinstance(statement, ast.FunctionDef):
            assert accepts(getattr(cls(), method), statement, 1)


PROGRAM = """
    import lowthreads as _thread
    from typing import Any

    guard: _thread.LockType = _thread.allocate_lock()
    again: _thread.RLock = _thread.RLock()
    total: list[int] = []

    def add(number: int, times: int = 1) -> None:
        with guard:
            total.append(number * times)

    def locks(lock: _thread.lock) -> bool:
        taken: bool = lock.acquire(blocking=True, timeout=1.5)
        lock.release()
        also: bool = lock.acquire(False)
        return taken and also and lock.locked()

    ident: int = _thread.start_new_thread(add, (1,))
    ident = _thread.start_new_thread(add, (1,), {"times": 2})
    handle: _thread._ThreadHandle = _thread.start_joinable_thread(lambda: add(2), daemon=False)
    handle.join()
    handle.join(1.0)
    done: bool = handle.is_done()
    ident = handle.ident
    made: _thread._ThreadHandle = _thread._ThreadHandle()
    _thread.start_joinable_thread(lambda: None, handle=made)

    with again as entered:
        flag: bool = entered
        flag = again.acquire(True, -1)
    size: int = _thread.stack_size()
    size = _thread.stack_size(0)
    limit: float = _thread.TIMEOUT_MAX
    numbers: tuple[int, int] = (_thread.get_ident(), _thread.get_native_id())
    count: int = _thread._count()
    _thread.interrupt_main
    _thread.set_name("name")
    allowed: bool = _thread.daemon_threads_allowed()

    class Mine(_thread._local):
        value: int = 0

    Mine().value = 3

    def end() -> int:
        try:
            raise _thread.error("over")
        except _thread.error as error:
            reason: RuntimeError = error
        _thread.exit()
    """


def check_types(folder: Path, source: str) -> subprocess.CompletedProcess[str]:
    path = folder / "program.py"
    path.write_text(textwrap.dedent(source))
    return subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary"),
            *("--cache-dir", str(folder / "cache"), str(path)),
        ],
        cwd=folder,
        env={**environment(), "MYPYPATH": os.fspath(Path(lowthreads.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def test_a_program_for_thread_has_right_types_with_lowthreads(tmp_path: Path) -> None:
    child = check_types(tmp_path, PROGRAM)
    ours = [line for line in child.stdout.splitlines() if line.startswith("program.py")]
    assert ours == [], child.stdout
    assert child.stderr == ""


def test_what_is_wrong_for_thread_is_wrong_for_lowthreads(tmp_path: Path) -> None:
    wrong = """
        import lowthreads
        lowthreads.allocate_lock().acquire("a", "b")
        lowthreads.stack_size("a")
        lowthreads.set_name(1)
        lowthreads.start_joinable_thread(1)
        lowthreads.start_new_thread(1, ())
        lowthreads.start_new_thread(print, [1])
        lowthreads.allocate_lock().missing
        """
    child = check_types(tmp_path, wrong)
    lines = {line.split(":")[1] for line in child.stdout.splitlines() if ": error:" in line}
    assert lines == {str(number) for number in range(3, 10)}, child.stdout
