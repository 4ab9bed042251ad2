"""The interpreter's own thread tests, on its `_thread` and on lowthreads, compared.

    python tools/stdlib.py [--output FOLDER] [SUITE ...]

Every test that passes on the interpreter's `_thread` must pass on lowthreads.  The report
says how many tests ran in the process that has lowthreads installed, and how many did
their work in child interpreters that they start isolated, on the interpreter's own module.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

SUITES = [
    "test.test_thread",
    "test.test_threading",
    "test.test_threadsignals",
    "test.test_threading_local",
    "test.test_queue",
    "test.test_threadedtempfile",
    "test.test_importlib.test_threaded_import",
    "test.test_concurrent_futures",
]

OLD_NAMES = {"test.test_importlib.test_threaded_import": "test.test_threaded_import"}

# Tests that assert the literal name of the interpreter's module, or a detail of how it is
# made: end of the id, and the reason.
EXCEPTIONS: "dict[str, str]" = {}

RUNNER = Path(__file__).with_name("stdlib_runner.py")
LIMIT = 900  # seconds, for a suite


def find(name):
    """Return the suite's name in this interpreter's test package, or None."""
    from importlib.util import find_spec

    for candidate in filter(None, (name, OLD_NAMES.get(name))):
        try:
            if find_spec(candidate) is not None:
                return candidate
        except ModuleNotFoundError:
            pass
    return None


def run(suite, folder, on_lowthreads):
    """Run a suite and return what the runner wrote."""
    kind = "lowthreads" if on_lowthreads else "stock"
    output = folder / f"{suite}-{kind}.json"
    log = folder / f"{suite}-{kind}.log"
    prefix = ["-m", "lowthreads", "run"] if on_lowthreads else []
    command = [sys.executable, *prefix, str(RUNNER), str(output), suite]
    with log.open("w") as file, tempfile.TemporaryDirectory() as cwd:
        try:
            subprocess.run(command, stdout=file, stderr=file, timeout=LIMIT, cwd=cwd, check=False)
        except subprocess.TimeoutExpired:
            print(f"{suite} on {kind}: not over after {LIMIT} s, see {log}")
    if not output.exists():
        print(f"{suite} on {kind}: ended before its report, see {log}")
        return {"outcomes": {}, "in_children": [], "thread_module": "?"}
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
    in_children = len(set(ours["in_children"]) & set(ours_passed))
    print(
        f"{suite:45} {len(passed):6} {len(ours_passed):10} {len(ours_passed) - in_children:9}"
        f" {in_children:9}"
    )
    for test in worse:
        print(f"    {test}: {ours['outcomes'].get(test, 'not run')} ({excuse(test) or 'WORSE'})")
    return bool(passed) and worse == excused


def main():
    """Compare all suites; the exit status says whether lowthreads is as good."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, help="keep the logs and outcomes in this folder")
    parser.add_argument("suites", nargs="*", default=SUITES)
    arguments = parser.parse_args()
    folder = arguments.output or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)

    print(platform.python_implementation(), sys.version)
    print(f"{'suite':45} {'stock':>6} {'lowthreads':>10} {'in place':>9} {'children':>9}")
    good = True
    for name in arguments.suites:
        suite = find(name)
        if suite is None:
            print(f"{name:45} not part of this interpreter's installation")
            continue
        good &= compare(suite, run(suite, folder, False), run(suite, folder, True))
    print(f"logs: {folder}")
    raise SystemExit(not good)


if __name__ == "__main__":
    main()
