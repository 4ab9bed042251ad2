"""Real packages' own test suites, on the interpreter's `_thread` and on lowthreads, compared.

    python -m pip install . -r tools/packages.txt
    python tools/packages.py [--output FOLDER] [--again TIMES] [PACKAGE ...]

For each package, the source of the release that is installed is fetched by pip, and its suite
is run by `python -m pytest` and by `python -m lowthreads run -m pytest`.  A test that passes on
the first alone is run again, by turns, to tell lowthreads' fault from chance.  The exit
status says whether any is lowthreads' fault.
"""

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

# Each package's tests, in its source, and further arguments for pytest.
SUITES = {
    # A scheduler; but for stores that need servers.
    "APScheduler": ["tests", "--ignore=tests/test_jobstores.py"],
    "asgiref": ["tests"],  # event loops and threads that call each other
    "cachetools": ["tests"],  # caches
    "DBUtils": ["tests"],  # connection pools
    "execnet": ["testing"],  # threads and gateways to other processes
    "filelock": ["tests"],  # locks
    "janus": ["tests", "--ignore=tests/test_benchmarks.py"],  # queues
    "pykka": ["tests"],  # actors
    "pytest-xdist": ["testing"],  # a test distributor
    "tornado": ["tornado/test"],  # an event loop and servers
    "waitress": ["tests"],  # a server on a pool of threads
    "watchdog": ["tests"],  # observer threads
    "zict": ["zict/tests"],  # caches, under stress
}

PLUGINS = Path(__file__).with_name("pytest_plugins")
LIMIT = 600  # seconds, for a suite
LIMIT_AGAIN = 120  # for those of its tests that are run again


class Suite:
    """A package's source, and what its tests wrote."""

    def __init__(self, package: str, folder: Path) -> None:
        self.arguments = SUITES[package]
        self.pin = f"{package}=={version(package)}"
        self.folder = folder
        self.runs = 0
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.source = self.fetch()

    def fetch(self) -> Path:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        options = ["--no-deps", "--no-binary", ":all:", "--dest", str(self.folder)]
        subprocess.run([*pip, *options, self.pin], check=True)
        (archive,) = self.folder.glob("*.tar.gz")
        shutil.unpack_archive(archive, self.folder / "source")
        (source,) = (self.folder / "source").iterdir()
        return source

    def run(self, on_lowthreads: bool, tests: "list[str] | None" = None) -> "dict[str, str]":
        """Run the suite, or some of its tests, and return the outcomes."""
        self.runs += 1
        output = self.folder / f"{self.runs}-{'lowthreads' if on_lowthreads else 'stock'}.jsonl"
        command = [
            sys.executable,
            *(("-m", "lowthreads", "run") if on_lowthreads else ()),
            *("-m", "pytest", "-o", "addopts=", "-p", "no:cacheprovider"),
            *("-p", "outcomes", f"--outcomes={output}"),
            *([*tests, *options(self.arguments)] if tests else self.arguments),
        ]
        env = {**os.environ, "PYTHONPATH": str(PLUGINS)}
        with output.with_suffix(".log").open("w") as log:
            end_at(LIMIT_AGAIN if tests else LIMIT, command, cwd=self.source, env=env, stdout=log)
        return self.read(output, on_lowthreads)

    def read(self, output: Path, on_lowthreads: bool) -> "dict[str, str]":
        """Return what the plugin wrote, as far as the run came."""
        lines = output.read_text().splitlines() if output.exists() else []
        if not lines:
            raise SystemExit(f"{self.pin}: no test was run, see {output.with_suffix('.log')}")
        proof, *entries = map(json.loads, lines)
        if proof["on_lowthreads"] != on_lowthreads:
            raise SystemExit(f"{self.pin}: on the wrong _thread, see {output}")
        return {entry["test"]: entry["outcome"] for entry in entries}


def options(arguments: "list[str]") -> "list[str]":
    return [each for each in arguments if each.startswith("-")]


def end_at(limit: float, command: "list[str]", **how: object) -> None:
    """Run a command; in the end, or at the limit, end all that it started."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        **how,
    )
    try:
        process.wait(limit)
    except subprocess.TimeoutExpired:
        print(f"    ended after {limit} s: {' '.join(command)}", flush=True)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def is_to_blame(suite: Suite, tests: "list[str]", times: int) -> bool:
    """Run tests again, by turns, and return whether one fails far more often on lowthreads."""
    passes = {test: [0, 0] for test in tests}
    for _ in range(times):
        for on_lowthreads in (False, True):
            outcomes = suite.run(on_lowthreads, tests)
            for test in tests:
                passes[test][on_lowthreads] += outcomes.get(test) == "passed"
    worse = {test for test, (stock, ours) in passes.items() if stock - ours > times // 3}
    for test, (stock, ours) in passes.items():
        verdict = "WORSE" if test in worse else "chance"
        print(f"    {test}: again {stock} and {ours} of {times}: {verdict}", flush=True)
    return bool(worse)


def compare(suite: Suite, times: int) -> bool:
    """Run a suite on both, and return whether lowthreads is as good."""
    start = time.monotonic()
    stock = suite.run(on_lowthreads=False)
    between = time.monotonic()
    ours = suite.run(on_lowthreads=True)
    end = time.monotonic()
    passed = [test for test, outcome in stock.items() if outcome == "passed"]
    ours_passed = [test for test, outcome in ours.items() if outcome == "passed"]
    print(
        f"{suite.pin:30} {len(passed):7} {len(ours_passed):10}"
        f" {between - start:7.0f} s {end - between:8.0f} s",
        flush=True,
    )
    differ = [test for test in passed if ours.get(test) != "passed"]
    for test in differ:
        print(f"    {test}: {ours.get(test, 'not run')} on lowthreads", flush=True)
    return bool(passed) and not (differ and is_to_blame(suite, differ, times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, help="keep sources, logs and outcomes here")
    parser.add_argument("--again", type=int, default=10, help="how often to repeat what differs")
    parser.add_argument("packages", nargs="*", default=[*SUITES])
    given = parser.parse_args()
    folder = (given.output or Path(tempfile.mkdtemp())).resolve()

    print(platform.python_implementation(), sys.version)
    print(f"{'tests passed on':30} {'stock':>7} {'lowthreads':>10}", flush=True)
    good = True
    for package in given.packages:
        good &= compare(Suite(package, folder / package), given.again)
    print(f"logs: {folder}")
    raise SystemExit(not good)


if __name__ == "__main__":
    main()
