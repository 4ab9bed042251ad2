"""The interpreter's own thread tests, on its `_thread` and on lowthreads, compared.

    python tools/stdlib.py [--output FOLDER] [--observe] [SUITE ...]

Every test that passes on the interpreter's `_thread` must pass on lowthreads.

Both run in virtual environments made for it.  In one of them, a `sitecustomize` installs
lowthreads at the start of every interpreter, also of those that tests start isolated.  The
report says how many tests ran in the process that has lowthreads installed, how many of
them had work done in child interpreters that have it as well, and how many in children on
the interpreter's own module: those that are started without `site`.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import venv
from importlib.util import find_spec
from pathlib import Path

SUITES = [
    "test.test_thread",
    "test.test_threading",
    "test.test_threadsignals",
    "test.test_threading_local",
    "test.test_queue",
    "test.test_threadedtempfile",
    "test.test_importlib.test_threaded_import",
    "test.test_importlib.test_locks",
    "test.test_concurrent_futures",
]

OLD_NAMES = {"test.test_importlib.test_threaded_import": "test.test_threaded_import"}

# These parts are about processes; starts of the names of their classes.
LEFT_OUT = {"test.test_concurrent_futures": "ProcessPool"}

# Tests that assert the literal name of the interpreter's module, or a detail of how it is
# made: end of the id, and the reason.
EXCEPTIONS = {
    "test_threading.ThreadTests.test_start_new_thread_at_exit": (
        "CPython 3.12 alone refuses threads while atexit callbacks run; 3.13 took it back"
    ),
}

RUNNER = Path(__file__).with_name("stdlib_runner.py")
LIMIT = 900  # seconds, for a suite

SITECUSTOMIZE = """\
try:
    import lowthreads
except ImportError:
    from _thread import _is_main_interpreter

    if _is_main_interpreter():
        raise
    # An isolated subinterpreter can't load extensions of cffi's.
else:
    lowthreads.install()
"""

# As `python -m lowthreads run --profile --trace=... --lock-order`, but for the files.
OBSERVE = """\
    from lowthreads._observe import lock_order, locks, profile, trace

    for observer in (profile.Profile(), trace.Trace(), lock_order.LockOrder(None, str)):
        locks.start(observer)
"""


def make_python(folder, sitecustomize=None):
    """Make a virtual environment, on lowthreads by a `sitecustomize`; return its interpreter."""
    builder = venv.EnvBuilder(symlinks=sys.platform != "win32")
    builder.create(folder)
    scripts, name = ("Scripts", "python.exe") if sys.platform == "win32" else ("bin", "python")
    python = folder / scripts / name
    if sitecustomize is not None:
        asked = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
        packages = Path(subprocess.check_output(asked, text=True).strip())
        found = [Path(find_spec(name).origin) for name in ("lowthreads", "cffi", "_cffi_backend")]
        paths = [str(found[0].parents[1]), str(found[1].parents[1]), str(found[2].parent)]
        (packages / "lowthreads.pth").write_text("\n".join(paths))
        (packages / "sitecustomize.py").write_text(sitecustomize)
    return python


def find(name):
    """Return the suite's name in this interpreter's test package, or None."""
    for candidate in filter(None, (name, OLD_NAMES.get(name))):
        try:
            if find_spec(candidate) is not None:
                return candidate
        except ModuleNotFoundError:
            pass
    return None


def run(suite, python, folder):
    """Run a suite and return what the runner wrote."""
    output, log = folder / f"{suite}.json", folder / f"{suite}.log"
    command = [str(python), str(RUNNER), "--limit", str(LIMIT), str(output), suite]
    if suite in LEFT_OUT:
        command += ["--without", LEFT_OUT[suite]]
    with log.open("w") as file, tempfile.TemporaryDirectory() as cwd:
        try:
            subprocess.run(
                command, stdout=file, stderr=file, timeout=LIMIT + 30, cwd=cwd, check=False
            )
        except subprocess.TimeoutExpired:
            print(f"{suite}: not over after {LIMIT} s, see {log}")
    if not output.exists():
        print(f"{suite}: ended before its report, see {log}")
        return {"outcomes": {}, "children": {}, "installed": None}
    return json.loads(output.read_text())


def excuse(test):
    """Return why a test needn't pass on lowthreads, or None."""
    return next((why for end, why in EXCEPTIONS.items() if test.endswith(end)), None)


def compare(suite, stock, ours):
    """Print a line, and what differs; return whether all is as it should be."""
    passed = [test for test, outcome in stock["outcomes"].items() if outcome == "passed"]
    ours_passed = [test for test, outcome in ours["outcomes"].items() if outcome == "passed"]
    worse = [test for test in passed if ours["outcomes"].get(test) != "passed"]
    excused = [test for test in worse if excuse(test)]
    children = [ours["children"].get(test) for test in ours_passed]
    counts = [children.count(where) for where in (None, "lowthreads", "stock")]
    print(f"{suite:42}", *(f"{n:10}" for n in (len(passed), len(ours_passed), *counts)))
    for test in worse if ours["outcomes"] else ():
        print(f"    {test}: {ours['outcomes'].get(test, 'not run')} ({excuse(test) or 'WORSE'})")
    if ours["installed"] is False or stock["installed"]:
        print(f"    {suite} ran on the wrong module")
        return False
    return bool(stock["outcomes"]) and worse == excused


def main():
    """Compare all suites; the exit status says whether lowthreads is as good."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, help="keep the logs and outcomes in this folder")
    parser.add_argument("--observe", action="store_true", help="with observed locks")
    parser.add_argument("suites", nargs="*", default=SUITES)
    arguments = parser.parse_args()
    folder = arguments.output or Path(tempfile.mkdtemp())
    stock, ours = folder / "stock", folder / "lowthreads"
    sitecustomize = SITECUSTOMIZE + (OBSERVE if arguments.observe else "")
    pythons = [make_python(stock / "env"), make_python(ours / "env", sitecustomize)]

    print(platform.python_implementation(), sys.version)
    heads = ("stock", "lowthreads", "in place", "children", "of stock")
    print(f"{'passed':42}", *(f"{head:>10}" for head in heads))
    good = True
    for name in arguments.suites:
        suite = find(name)
        if suite is None:
            print(f"{name:42} not part of this interpreter's installation")
            continue
        outcomes = [run(suite, pythons[0], stock), run(suite, pythons[1], ours)]
        good &= compare(suite, *outcomes)
    print(f"logs: {folder}")
    raise SystemExit(not good)


if __name__ == "__main__":
    main()
