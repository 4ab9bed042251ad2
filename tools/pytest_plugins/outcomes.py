"""A pytest plugin that writes each test's outcome as it comes, for `tools/packages.py`.

One JSON document a line: first whether the tests run on lowthreads, seen from the locks and
the threads that `threading` makes; then the tests.
"""

import json
import sys
import threading


def pytest_addoption(parser):
    parser.addoption("--outcomes", help="the file to write")


def pytest_configure(config):
    if not hasattr(config, "workerinput"):  # xdist's workers report to the main process
        config.pluginmanager.register(Outcomes(config.getoption("--outcomes")))


def made_by(thing):
    """Return the packages that have defined a class of the object."""
    return {base.__module__.partition(".")[0] for base in type(thing).__mro__}


def counts_threads():
    """Return whether lowthreads has started what `threading` starts."""
    lowthreads = sys.modules.get("lowthreads")
    if lowthreads is None:
        return False
    before = lowthreads._count()
    release = threading.Event()
    thread = threading.Thread(target=release.wait)
    thread.start()
    counted = lowthreads._count() > before
    release.set()
    thread.join()
    return counted


class Outcomes:
    def __init__(self, path):
        self.file = open(path, "w")  # noqa: SIM115
        self.outcomes = {}
        locks = "lowthreads" in made_by(threading.Lock()) & made_by(threading.RLock())
        threads = counts_threads()
        assert locks == threads, "half of threading is on lowthreads"
        self.write(on_lowthreads=locks)

    def write(self, **entry):
        self.file.write(json.dumps(entry) + "\n")
        self.file.flush()

    def pytest_runtest_logreport(self, report):
        told = report.when == "call" or report.outcome != "passed"
        if told and self.outcomes.get(report.nodeid) != "failed":
            self.outcomes[report.nodeid] = report.outcome
            self.write(test=report.nodeid, outcome=report.outcome)
