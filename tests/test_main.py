"""`python -m lowthreads`: what it checks holds, and what doesn't hold is told."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest

import lowthreads
from lowthreads.__main__ import make_parser
from lowthreads._check.registry import NAMES
from support import WITH_GIL

LIMIT = 90.0  # seconds for a child process


# What the children that aren't `-m lowthreads` itself begin with.
PREAMBLE = """
import signal, sys, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)
import lowthreads
from lowthreads.__main__ import main
from lowthreads._check import compare, run, wordcount
from lowthreads._check.promises import PROMISES, Promise
"""


def environment() -> dict[str, str]:
    """The same `lowthreads` as in this process, also where it isn't installed."""
    path = [str(Path(lowthreads.__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}


def python(folder: Path, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        text=True,
        timeout=LIMIT,
        check=False,
    )


def script(source: str, *arguments: str) -> list[str]:
    """The arguments that make Python change something and then run the command."""
    source = textwrap.dedent(source)
    return ["-c", f"{PREAMBLE}{source}\nsys.exit(main(sys.argv[1:]))", *arguments]


@pytest.fixture(scope="module")
def in_json(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    done = python(tmp_path_factory.mktemp("json"), "-m", "lowthreads", "--json")
    assert (done.returncode, done.stderr) == (0, ""), done
    document: dict[str, Any] = json.loads(done.stdout)
    return document


# ---- All is well --------------------------------------------------------------------


def test_every_promise_holds(in_json: dict[str, Any]) -> None:
    assert [promise for promise in in_json["promises"] if not promise["ok"]] == []
    assert all(promise["expected"] is promise["got"] is None for promise in in_json["promises"])
    assert in_json["ok"] is True
    assert in_json["stopped"] is None


def test_every_name_of_the_reference_has_promises(in_json: dict[str, Any]) -> None:
    names = [promise["name"] for promise in in_json["promises"]]
    assert list(dict.fromkeys(names)) == list(NAMES)
    texts = [(promise["name"], promise["text"]) for promise in in_json["promises"]]
    assert len(set(texts)) == len(texts)


def test_counts_of_words_are_equal(in_json: dict[str, Any]) -> None:
    words = in_json["words"]
    assert words["ok"] is True
    assert words["threads"] == 8
    assert words["expected"] is words["got"] is None
    assert 0 < words["distinct"] <= words["words"] <= words["bytes"]
    assert words["files"] > 0


def test_comparison_is_of_every_load(in_json: dict[str, Any]) -> None:
    comparison = in_json["comparison"]
    assert comparison["peer"] == "_thread"
    assert comparison["note"] is None
    assert [row["load"] for row in comparison["rows"]] == [
        "acquire, release",
        "with lock",
        "contended by 2",
        "hand-off and back",
        "start a thread",
    ]
    for row in comparison["rows"]:
        assert 0 < row["low"] <= row["ratio"] <= row["high"]
        assert row["lowthreads_ns"] > 0
        assert row["peer_ns"] > 0
        assert row["rounds"] >= 3


def test_place_is_told(in_json: dict[str, Any]) -> None:
    assert in_json["schema"] == 1
    assert in_json["lowthreads"]["version"] == lowthreads.__version__
    assert in_json["lowthreads"]["parker"] in {"futex", "pthread", "win32"}
    assert in_json["lowthreads"]["api"]
    assert in_json["interpreter"]["implementation"] == platform.python_implementation()
    assert in_json["interpreter"]["python"] == platform.python_version()
    assert in_json["platform"]["system"] == platform.system()
    assert in_json["platform"]["cores"] >= 1


def test_text_is_plain_where_no_terminal_is(tmp_path: Path) -> None:
    done = python(tmp_path, "-m", "lowthreads")
    assert done.returncode == 0, done
    assert done.stderr == ""  # no progress
    assert "\r" not in done.stdout
    assert "\033" not in done.stdout
    assert done.stdout.isascii()
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"lowthreads {lowthreads.__version__}: ")
    assert not [line for line in lines if "FAIL" in line]
    for name in NAMES:
        assert [line for line in lines if line.startswith(f"  ok    {name} ")]
    assert [line for line in lines if re.match(r"  ok    [\d,]+ files, [\d,]+ bytes, ", line)]
    assert [line for line in lines if re.match(r" +acquire, release +\d+\.\d\d ", line)]
    assert re.fullmatch(r"ok: (\d+) of \1 promises hold, the counts are equal", lines[-1])
    assert max(map(len, lines)) <= 100


def test_one_part_alone(tmp_path: Path) -> None:
    done = python(tmp_path, *script("del PROMISES[1:]", "--only", "promises"))
    assert done.returncode == 0, done
    assert done.stdout.splitlines()[-1] == "ok: 1 of 1 promises hold"
    assert "Real work" not in done.stdout
    assert "Beside" not in done.stdout


# ---- Something is broken ------------------------------------------------------------


def test_broken_lock_type(tmp_path: Path) -> None:
    done = python(tmp_path, *script("lowthreads.LockType = int", "--only", "promises"))
    assert done.returncode == 1, done
    lines = done.stdout.splitlines()
    assert "  FAIL  LockType          is the type of lock objects" in lines
    at = lines.index("  FAIL  LockType          is the type of lock objects")
    assert lines[at + 1] == "        expected  type(allocate_lock()) to be <class 'int'>"
    assert lines[at + 2].startswith("        got       <class '")
    assert len([line for line in lines if "FAIL" in line]) == 2
    assert re.fullmatch(r"FAIL: \d+ of \d+ promises hold", lines[-1])


def test_wait_that_no_signal_ends(tmp_path: Path) -> None:
    # What other implementations do: run the handler when the wait is over.
    source = """
        class Deaf:
            def __init__(self):
                self._lock = lowthreads.lock()

            def acquire(self, *args, **kwargs):
                if threading.current_thread() is not threading.main_thread():
                    return self._lock.acquire(*args, **kwargs)
                came = []
                signum = getattr(signal, "SIGALRM", signal.SIGINT)  # of settings.Alarm
                handler = signal.signal(signum, lambda *given: came.append(given))
                try:
                    return self._lock.acquire(*args, **kwargs)
                finally:
                    signal.signal(signum, handler)
                    for given in came:
                        handler(*given)

            def __getattr__(self, name):
                return getattr(self._lock, name)

        lowthreads.allocate_lock = Deaf
        PROMISES[:] = [one for one in PROMISES if "interrupts a wait without" in one.text]
        """
    for _ in range(5):  # the signal may come before the lock has become deaf
        done = python(tmp_path, *script(source, "--only", "promises", "--json"))
        if done.returncode:
            break
    assert done.returncode == 1, done
    (promise,) = json.loads(done.stdout)["promises"]
    assert promise["expected"] == "Rang at once"
    assert promise["got"].startswith("after 5.")


@pytest.mark.parametrize(
    ("body", "expected", "got"),
    [
        ("raise ArithmeticError('so')", "no exception", "ArithmeticError: so"),
        ("lowthreads.exit()", "no exception", "SystemExit"),
        (
            "lowthreads.start_new_thread(divmod, (1, 0)); time.sleep(0.3)",
            "no exception in a thread",
            "in a thread: ZeroDivisionError: ",
        ),
    ],
)
def test_promise_that_raises(tmp_path: Path, body: str, expected: str, got: str) -> None:
    source = f"""
def check():
    {body}
PROMISES[:] = [Promise("exit", "is tested", check), *PROMISES[:1]]
"""
    done = python(tmp_path, *script(source, "--only", "promises", "--json"))
    assert done.returncode == 1, done
    assert done.stderr == ""
    document = json.loads(done.stdout)
    assert document["ok"] is False
    broken, kept = document["promises"]
    assert (broken["ok"], kept["ok"]) == (False, True)
    assert broken["expected"] == expected
    assert broken["got"].startswith(got)


HANGS = """
def hangs():
    lock = lowthreads.allocate_lock()
    lock.acquire()
    lock.acquire()
PROMISES[:] = [PROMISES[0], Promise("acquire", "is tested", hangs), PROMISES[1]]
"""


def test_promise_that_hangs(tmp_path: Path) -> None:
    done = python(tmp_path, *script(HANGS, "--limit", "0.5"))
    assert done.returncode == 1, done
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    at = lines.index("  FAIL  acquire           is tested")
    assert lines[at - 1].startswith("  ok    error ")
    assert lines[at + 1] == "        expected  an end within 0.5 s"
    assert lines[at + 2].startswith("        got       nothing for 0.5 s: in ")
    assert "hangs (" in lines[at + 2]
    assert lines[at + 4 :] == [
        "FAIL: 1 of 2 promises hold, stopped: a promise hung; what comes after it was not run"
    ]


def test_promise_that_hangs_in_json(tmp_path: Path) -> None:
    done = python(tmp_path, *script(HANGS, "--limit", "0.5", "--json"))
    assert done.returncode == 1, done
    document = json.loads(done.stdout)
    assert document["ok"] is False
    assert [promise["ok"] for promise in document["promises"]] == [True, False]
    assert document["stopped"].startswith("a promise hung")
    assert document["words"] is document["comparison"] is None


@pytest.mark.skipif(platform.python_implementation() != "CPython", reason="needs ctypes.PyDLL")
def test_promise_that_hangs_and_keeps_the_interpreter(tmp_path: Path) -> None:
    source = """
        import ctypes, os
        def hangs():
            if os.name == "nt":
                ctypes.PyDLL("kernel32").Sleep(60000)
            else:
                ctypes.PyDLL(None).sleep(60)
        PROMISES[:] = [Promise("acquire", "is tested", hangs)]
        """
    done = python(tmp_path, *script(source, "--limit", "0.5"))
    assert done.returncode == 1, done
    # Without a GIL the report can be made, until a collection would stop all threads.
    if WITH_GIL or "  FAIL  acquire           is tested" not in done.stdout.splitlines():
        assert done.stderr.startswith("Timeout (")
        assert "in hangs" in done.stderr


@pytest.mark.parametrize(
    ("change", "expected", "got"),
    [
        ("count.words['lowthreads!'] += 2", r".*, 0 x 'lowthreads!'", r".*, 2 x 'lowthreads!'"),
        ("count.bytes += 1", r"\d+ files, (\d+) bytes, .*", r"\d+ files, (\d+) bytes, .*"),
        ("raise ArithmeticError('so')", r"\d+ files, .*", "ArithmeticError: so"),
    ],
)
def test_counts_that_differ(tmp_path: Path, change: str, expected: str, got: str) -> None:
    source = f"""
stock = wordcount.count_in_threads
def count_wrongly(paths, progress):
    count = stock(paths, progress)
    {change}
    return count
wordcount.count_in_threads = count_wrongly
import pathlib
paths = sorted(pathlib.Path(lowthreads.__file__).parent.rglob("*.py"))[:20]
wordcount.standard_library = lambda: paths
"""
    done = python(tmp_path, *script(source, "--only", "words"))
    assert done.returncode == 1, done
    lines = done.stdout.splitlines()
    (at,) = (number for number, line in enumerate(lines) if line.startswith("  FAIL  20 files"))
    assert re.fullmatch(f"        expected  {expected}", lines[at + 1])
    assert re.fullmatch(f"        got       {got}", lines[at + 2])
    assert lines[-1] == "FAIL: the counts differ"


def test_word_count_whose_thread_fails(tmp_path: Path) -> None:
    source = """
        def fail(self, path):
            if threading.current_thread() is not threading.main_thread():
                raise ArithmeticError("so")
        wordcount.Count.add = fail
        """
    done = python(tmp_path, *script(source, "--only", "words", "--json"))
    assert done.returncode == 1, done
    words = json.loads(done.stdout)["words"]
    assert words["got"] == "RuntimeError: a thread failed: ArithmeticError('so')"


def test_failing_comparison_is_no_failure(tmp_path: Path) -> None:
    source = """
        def fail(*args, **kwargs):
            raise ArithmeticError("so")
        compare.measure = fail
        del PROMISES[1:]
        """
    options = ["--only", "promises", "--only", "comparison"]
    done = python(tmp_path, *script(source, *options))
    assert done.returncode == 0, done
    assert "        not measured: ArithmeticError: so" in done.stdout.splitlines()


def test_hanging_comparison_is_no_failure(tmp_path: Path) -> None:
    source = """
        run._COMPARISON_LIMIT = 0.3
        compare.measure = lambda *args: time.sleep(60)
        """
    done = python(tmp_path, *script(source, "--only", "comparison", "--json"))
    assert done.returncode == 0, done
    assert json.loads(done.stdout)["comparison"]["note"].startswith("hung: nothing for 0.3 s: in ")


def test_hanging_word_count_is_a_failure(tmp_path: Path) -> None:
    source = """
        run._WORDS_LIMIT = 0.3
        wordcount.count_in_threads = lambda *args: time.sleep(60)
        """
    done = python(tmp_path, *script(source, "--only", "words", "--json"))
    assert done.returncode == 1, done
    assert json.loads(done.stdout)["stopped"].startswith("the word count hung: nothing for 0.3 s")


# ---- Settings, terminals, the command line ------------------------------------------


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs signal.setitimer")
@pytest.mark.parametrize("end", ["pass", "raise ArithmeticError"])
def test_settings_are_restored(tmp_path: Path, end: str) -> None:
    source = f"""{PREAMBLE}
def check():
    lowthreads.stack_size(1 << 20)
    sys.unraisablehook = None
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, lambda *args: None)
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    {end}

def handler(*args):
    pass

hook = sys.unraisablehook
lowthreads.stack_size(1 << 21)
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 1000)
result = run.perform(Promise("exit", "is tested", check))
assert result.ok == ({end!r} == "pass"), result
assert lowthreads.stack_size() == 1 << 21
assert sys.unraisablehook is hook
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
assert signal.getsignal(signal.SIGALRM) is handler
assert 900 < signal.setitimer(signal.ITIMER_REAL, 0)[0] <= 1000
"""
    done = python(tmp_path, "-c", source)
    assert done.returncode == 0, done
    assert done.stderr == ""


@pytest.mark.skipif(os.name == "nt", reason="Windows: no pseudo-terminals (pty)")
def test_progress_shows_on_a_terminal(tmp_path: Path) -> None:
    import pty

    shown = b""

    def read() -> None:  # all the time: a terminal takes only so much unread
        nonlocal shown
        with contextlib.suppress(OSError):  # Linux: the other side is closed
            while data := os.read(ours, 1 << 16):
                shown += data

    ours, theirs = pty.openpty()
    reader = threading.Thread(target=read)
    try:
        try:
            reader.start()
            options = ["--only", "promises", "--only", "words", "--json"]
            done = python(tmp_path, *script("del PROMISES[2:]", *options), stderr=theirs)
        finally:
            os.close(theirs)
        reader.join(LIMIT)
    finally:
        os.close(ours)
    text = shown.decode()
    assert done.returncode == 0, done
    json.loads(done.stdout)
    updates = text.split("\r")
    assert "promise 1 of 2: error is a synonym of RuntimeError" in updates
    assert [update for update in updates if re.match(r"words, in 8 threads: |words, one ", update)]
    assert updates[-1] == ""
    assert updates[-2].strip() == ""  # nothing is left of it
    assert "\n" not in text


def test_ctrl_c(tmp_path: Path) -> None:
    source = """
        def check():
            print("ready", flush=True)
            if sys.platform == "win32":  # where only itself can, of this console
                import os
                press = lambda: os.kill(0, signal.CTRL_C_EVENT)
                threading.Timer(0.2, press).start()
            for _ in range(6000):  # from 3.14 on, a signal that comes just before a sleep is late
                time.sleep(0.01)
        PROMISES[:] = [Promise("exit", "is tested", check)]
        """
    child = subprocess.Popen(
        [sys.executable, *script(source)],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    with child:
        try:
            assert child.stdout is not None
            for line in child.stdout:
                if line == "ready\n":
                    break
            if os.name != "nt":
                child.send_signal(signal.SIGINT)
            stderr = child.communicate(timeout=LIMIT)[1]
        finally:
            child.kill()
    assert child.returncode == 130
    assert stderr == "interrupted\n"


def test_reader_who_has_seen_enough(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, *script("del PROMISES[4:]", "--only", "promises")],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with child:
        try:
            assert child.stdout is not None
            child.stdout.close()
            child.stdout = None
            stderr = child.communicate(timeout=LIMIT)[1]
        finally:
            child.kill()
    assert child.returncode == 1
    assert stderr == ""


@pytest.mark.skipif(os.name == "nt", reason="Windows: exec doesn't wait for the new program")
def test_closed_output(tmp_path: Path) -> None:
    command = [sys.executable, *script("del PROMISES[2:]", "--only", "promises")]
    done = python(
        tmp_path, "-c", f"import os; os.close(1); os.execv({sys.executable!r}, {command})"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_version(tmp_path: Path) -> None:
    done = python(tmp_path, "-m", "lowthreads", "--version")
    assert (done.returncode, done.stdout) == (0, f"lowthreads {lowthreads.__version__}\n")


def test_help(tmp_path: Path) -> None:
    done = python(tmp_path, "-m", "lowthreads", "-h")
    assert done.returncode == 0
    assert done.stdout.startswith("usage: python -m lowthreads ")
    for word in ["--json", "--version", "--only", "check", "exit status"]:
        assert word in done.stdout


def test_wrong_command_line(tmp_path: Path) -> None:
    for arguments in (["nonsense"], ["--nonsense"], ["--only", "x"], ["--limit", "-1"]):
        done = python(tmp_path, "-m", "lowthreads", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert "usage: python -m lowthreads" in done.stderr


def test_options_may_stand_before_and_after_the_command() -> None:
    parser = make_parser()
    plain = parser.parse_args([])
    assert (plain.json, plain.only, plain.limit) == (False, None, 20)
    assert vars(parser.parse_args(["check"])) == vars(plain)
    for options in (["--json"], ["--only", "words"], ["--limit", "3"]):
        alone = vars(parser.parse_args(options))
        assert alone != vars(plain)
        assert vars(parser.parse_args([*options, "check"])) == alone
        assert vars(parser.parse_args(["check", *options])) == alone


def test_import_stays_light(tmp_path: Path) -> None:
    source = """
        import sys
        import lowthreads
        heavy = {"argparse", "json", "statistics", "lowthreads._check"}
        print(sorted(heavy & set(sys.modules)))
        """
    done = python(tmp_path, "-c", textwrap.dedent(source))
    assert done.stdout == "[]\n", done
