"""`python -m lowthreads run`: a program runs as under plain `python`, side by side."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from test_main import LIMIT, environment

PYPY = platform.python_implementation() == "PyPy"

# Tells whether the program runs on lowthreads, for what must not differ otherwise.
ON_LOWTHREADS = "sys.modules['_thread'].__spec__.origin == 'lowthreads'"


# Windows: to all processes of this console.
CTRL_C = "os.kill(0, signal.CTRL_C_EVENT)" if os.name == "nt" else "os.kill(os.getpid(), 2)"
STATUS_CONTROL_C_EXIT = 0xC000013A


class Result:
    """What can be seen of a process from outside."""

    def __init__(self, process: subprocess.CompletedProcess[str]) -> None:
        self.status = process.returncode
        self.stdout = process.stdout
        self.stderr = process.stderr

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Result) and vars(self) == vars(other)

    def __repr__(self) -> str:
        return f"status {self.status}\n-- stdout\n{self.stdout}\n-- stderr\n{self.stderr}"


def start(
    folder: Path,
    command: Sequence[str],
    arguments: Sequence[object],
    flags: Sequence[str] = (),
    stdin: str = "",
    env: dict[str, str] | None = None,
) -> Result:
    return Result(
        subprocess.run(
            [sys.executable, *flags, *command, *map(str, arguments)],
            cwd=folder,
            env={**environment(), **(env or {})},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    )


def run(folder: Path, *arguments: object, **options: Any) -> Result:
    return start(folder, ["-m", "lowthreads", "run"], arguments, **options)


def both(folder: Path, *arguments: object, **options: Any) -> Result:
    """Run it both ways; they must look the same."""
    stock = start(folder, [], arguments, **options)
    ours = run(folder, *arguments, **options)
    assert ours == stock
    return ours


def write(folder: Path, source: str, name: str = "program.py") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(source))
    return path


STATE = """
    import __main__, os, sys, threading
    print(sys.argv)
    print(sys.path)
    print(sorted(set(vars(__main__)) - {"__annotations__"}))
    print(__name__, __file__, __package__, __spec__ and __spec__.name, sys.modules["__main__"])
    print(os.getcwd(), sys.flags, sys._xoptions, sys.warnoptions, sys.executable)
    print(sys.stdout.encoding, sys.stdout.errors, sys.stdout.write_through)
    print(threading.current_thread() is threading.main_thread(), threading.active_count())
    """


# ---- The state that a program sees


def test_the_program_runs_on_lowthreads(tmp_path: Path) -> None:
    program = write(
        tmp_path,
        f"""
        import sys, threading, _thread
        assert {ON_LOWTHREADS}
        assert type(threading.Lock()).__module__ == "_thread"
        import lowthreads
        assert isinstance(threading.Lock(), lowthreads.lock)
        assert isinstance(threading.RLock(), lowthreads.RLock)
        counts = []
        thread = threading.Thread(target=lambda: counts.append(lowthreads._count()))
        thread.start()
        thread.join()
        assert counts == [1]
        """,
    )
    assert run(tmp_path, program) == Result(subprocess.CompletedProcess([], 0, "", ""))


@pytest.mark.parametrize("arguments", [[], ["a", "-m", "--json", "--help", "-h", "--", "-c", ""]])
@pytest.mark.parametrize("how", ["absolute", "relative", "folder", "module", "package", "-c", "-"])
def test_the_state_is_that_of_plain_python(tmp_path: Path, how: str, arguments: list[str]) -> None:
    path = write(tmp_path, STATE)
    write(tmp_path, STATE, "folder/__main__.py")
    write(tmp_path, "", "package/__init__.py")
    write(tmp_path, STATE, "package/__main__.py")
    program: list[object] = {
        "absolute": [path],
        "relative": [os.path.join(os.curdir, path.name)],
        "folder": ["folder"],
        "module": ["-m", "program"],
        "package": ["-m", "package"],
        "-c": ["-c", textwrap.dedent(STATE).replace("__file__, ", "")],
        "-": ["-"],
    }[how]
    stdin = textwrap.dedent(STATE).replace("__file__, ", "") if how == "-" else ""
    result = both(tmp_path, *program, *arguments, stdin=stdin)
    assert result.status == 0
    assert result.stdout


@pytest.mark.parametrize("flags", ["-O", "-OO", "-B", "-b", "-W error", "-X dev", "-s", "-q", "-u"])
def test_flags_of_the_interpreter_are_passed_on(tmp_path: Path, flags: str) -> None:
    assert both(tmp_path, write(tmp_path, STATE), flags=flags.split()).status == 0


@pytest.mark.skipif(PYPY or sys.version_info < (3, 11), reason="newer options")
@pytest.mark.parametrize("option", ["no_debug_ranges", "int_max_str_digits=5000", "mine=1"])
def test_any_option_of_the_interpreter_is_passed_on(tmp_path: Path, option: str) -> None:
    both(tmp_path, write(tmp_path, STATE), flags=["-X", option])


@pytest.mark.parametrize("flag", ["-E", "-I", "-S"])
def test_flags_that_hide_the_environment_never_lead_to_plain_python(
    tmp_path: Path, flag: str
) -> None:
    # It may run on lowthreads or be refused.
    program = write(tmp_path, f"import sys; print('ran', {ON_LOWTHREADS})")
    result = run(tmp_path, program, flags=[flag])
    if "No module named" in result.stderr and "lowthreads" in result.stderr:
        pytest.skip("lowthreads is not installed, only importable")
    assert result.stdout in ("", "ran True\n")
    assert (result.status == 0) is (result.stdout != "")


@pytest.mark.parametrize("path", ["", "lib", os.pathsep.join(["lib", "", "other"])])
def test_the_path_of_the_environment_holds(tmp_path: Path, path: str) -> None:
    write(tmp_path, "print('mine')", "lib/wanted.py")
    program = write(tmp_path, "import sys; print(sys.path)\nimport wanted" if path else STATE)
    package = environment()["PYTHONPATH"]
    both(tmp_path, program, env={"PYTHONPATH": os.pathsep.join(filter(None, [path, package]))})


def test_a_sitecustomize_of_ones_own_runs_too(tmp_path: Path) -> None:
    write(
        tmp_path,
        f"import sys; print('customized', __name__, __file__, {ON_LOWTHREADS}, file=sys.stderr)",
        "site/sitecustomize.py",
    )
    program = write(tmp_path, "import sitecustomize; print(sitecustomize.__file__)")
    env = {"PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), environment()["PYTHONPATH"]])}
    ours = run(tmp_path, program, env=env)
    assert ours.status == 0
    assert ours.stdout == start(tmp_path, [], [program], env=env).stdout
    # Once in the command's own interpreter, and once in the program's.
    told = [line.rsplit(" ", 1) for line in ours.stderr.splitlines()]
    where = f"customized sitecustomize {tmp_path / 'site' / 'sitecustomize.py'}"
    assert told == [[where, "False"], [where, "True"]]


# ---- How it ends


@pytest.mark.parametrize(
    "end",
    [
        "pass",
        "sys.exit(0)",
        "sys.exit(7)",
        "sys.exit('a message')",
        "sys.exit(None)",
        "raise SystemExit(3)",
        "os._exit(5)",
        "import missing_module",
        "1 / 0",
        "raise KeyError('x') from ValueError('y')",
        "def f(:",
        "threading.Thread(target=lambda: 1 / 0, name='worker').start()",
        "threading.Thread(target=sys.exit, args=(1,)).start()",
        "_thread.exit()",
        "warnings.warn('careful')",
    ],
)
def test_the_end_is_that_of_plain_python(tmp_path: Path, end: str) -> None:
    source = f"""
        import atexit, os, sys, threading, warnings, _thread
        atexit.register(print, "at exit")
        print("begins", flush=True)

        def function():
            {end}

        function()
        print("goes on")
        """
    if end == "_thread.exit()":
        source = source.replace("_thread.exit()", "sys.exit()")
    both(tmp_path, write(tmp_path, source))
    both(tmp_path, "-m", "program")


@pytest.mark.parametrize("how", ["raise KeyboardInterrupt", CTRL_C])
def test_an_interrupted_program_dies_by_the_signal(tmp_path: Path, how: str) -> None:
    source = f"""
        import os, signal, time
        signal.signal(2, signal.default_int_handler)
        {how}
        time.sleep(30)
        """
    result = both(tmp_path, write(tmp_path, source))
    if not PYPY:
        assert result.status == (STATUS_CONTROL_C_EXIT if os.name == "nt" else -signal.SIGINT)


@pytest.mark.parametrize("status", [0, 1, 255, -1, 0x7FFFFFFF, -0x40000000])
def test_any_exit_status_is_passed_on(tmp_path: Path, status: int) -> None:
    both(tmp_path, write(tmp_path, f"import os; os._exit({status})"))


@pytest.mark.skipif(os.name != "nt", reason="elsewhere there is but one process to interrupt")
def test_ctrl_c_is_the_programs_alone(tmp_path: Path) -> None:
    program = write(
        tmp_path,
        f"""
        import os, signal, sys, threading, time
        lock = threading.Lock()
        lock.acquire()
        threading.Timer(0.2, lambda: {CTRL_C}).start()
        try:
            lock.acquire()
        except KeyboardInterrupt:
            time.sleep(1)  # in which an impatient parent would end it
            print("all is cleared away")
            sys.exit(7)
        """,
    )
    result = run(tmp_path, program)
    assert (result.status, result.stdout, result.stderr) == (7, "all is cleared away\n", "")


def test_threads_are_waited_for_at_the_end(tmp_path: Path) -> None:
    result = both(
        tmp_path,
        write(
            tmp_path,
            """
            import atexit, threading, time
            over = threading.Event()
            atexit.register(print, "at exit")

            def late():
                over.wait()
                time.sleep(0.05)
                print("late", flush=True)

            threading.Thread(target=late).start()
            threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
            print("over", flush=True)
            over.set()
            """,
        ),
    )
    assert result.stdout == "over\nlate\nat exit\n"


def test_standard_input_is_passed_through(tmp_path: Path) -> None:
    program = write(tmp_path, "import sys; print([input(), *sys.stdin])")
    result = both(tmp_path, program, stdin="one\ntwo\nthree")
    assert result.stdout == "['one', 'two\\n', 'three']\n"


# ---- Wrong command lines


def test_without_a_program_it_is_a_usage_error(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert result.status == 2
    assert "usage: python -m lowthreads run" in result.stderr
    assert "no program to run" in result.stderr


@pytest.mark.parametrize("program", [["missing.py"], ["-m", "missing"], ["-m"], ["folder"]])
def test_a_program_that_does_not_exist(tmp_path: Path, program: list[str]) -> None:
    (tmp_path / "folder").mkdir()
    assert both(tmp_path, *program).status in (1, 2)


def test_help(tmp_path: Path) -> None:
    for option in ("-h", "--help"):
        result = run(tmp_path, option)
        assert (result.status, result.stderr) == (0, "")
        assert result.stdout.startswith("usage: python -m lowthreads run")


# ---- Processes that the program starts


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_children_of_multiprocessing_run_on_lowthreads(tmp_path: Path, method: str) -> None:
    import multiprocessing

    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    program = write(
        tmp_path,
        f"""
        import multiprocessing, sys, threading, warnings
        warnings.simplefilter("ignore", DeprecationWarning)

        def answer(queue):
            locks = []
            thread = threading.Thread(target=lambda: locks.append(threading.Lock()))
            thread.start()
            thread.join()
            queue.put(({ON_LOWTHREADS}, type(locks[0]).__mro__[1].__module__,
                       threading.main_thread().is_alive()))

        if __name__ == "__main__":
            context = multiprocessing.get_context({method!r})
            queue = context.Queue()
            process = context.Process(target=answer, args=(queue,))
            process.start()
            print(queue.get(timeout=60))
            process.join()
            print(process.exitcode)
        """,
    )
    result = run(tmp_path, program)
    assert result.stdout == "(True, 'lowthreads', True)\n0\n", result
    assert result.stderr == ""


def test_other_pythons_that_it_starts_run_on_lowthreads(tmp_path: Path) -> None:
    inner = write(tmp_path, f"import sys; print({ON_LOWTHREADS})", "inner.py")
    outer = write(
        tmp_path,
        f"import subprocess, sys; subprocess.run([sys.executable, {str(inner)!r}], check=True)",
    )
    assert run(tmp_path, outer).stdout == "True\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
def test_a_forked_child_waits_for_its_threads(tmp_path: Path) -> None:
    program = write(
        tmp_path,
        """
        import os, sys, threading, time, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
        if pid == 0:
            def late():
                time.sleep(0.1)
                print("late", flush=True)
            print(threading.main_thread().is_alive(), flush=True)
            threading.Thread(target=late).start()
            sys.exit(3)
        print(os.waitpid(pid, 0)[1] >> 8)
        """,
    )
    assert both(tmp_path, program).stdout == "True\nlate\n3\n"


@pytest.mark.parametrize("same", [True, False])
def test_another_interpreter_may_lack_lowthreads(tmp_path: Path, same: bool) -> None:
    # Not found is as good as not loaded: the child has no package of that name.
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
        import os, subprocess, sys
        interpreter, package, folder = os.environ["LOWTHREADS_RUN"].split("=", 2)
        assert interpreter == sys.implementation.cache_tag
        if sys.argv[1] == "False":
            interpreter = "other-311"
        os.environ["LOWTHREADS_RUN"] = f"{interpreter}={package}_missing={folder}"
        command = [sys.executable, "-c", "import sys; print(sys.modules['_thread'])"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0 and "built-in" in done.stdout, done
        print(done.stderr)
        """)
    )
    result = start(tmp_path, ["-m", "lowthreads", "run"], ["program.py", same])
    assert result.status == 0, result
    assert ("lowthreads_missing" in result.stdout) == same, result
    assert same or not result.stdout.strip()


@pytest.mark.skipif(os.name == "nt", reason="by a POSIX shell")
@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_standard_streams_may_be_closed(tmp_path: Path, closed: str) -> None:
    (tmp_path / "program.py").write_text("open('ran', 'w').close()")
    command = f"exec {sys.executable} -m lowthreads run program.py {closed}"
    subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, env=environment(), timeout=LIMIT, check=True
    )
    assert (tmp_path / "ran").exists()
