"""Runs modules of the interpreter's own test package and writes each test's outcome as JSON.

    python tools/stdlib_runner.py OUTPUT test.test_thread ...

`tools/stdlib.py` runs it, once on the interpreter's `_thread` and once on lowthreads.
"""

import argparse
import faulthandler
import json
import subprocess
import sys
import unittest
from itertools import takewhile


class Outcomes(unittest.TextTestResult):
    """Remembers how each test ended, and which ones started child interpreters."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.outcomes = {}
        self.children = {}
        self.current = None

    def startTest(self, test):
        super().startTest(test)
        self.current = test.id()
        self.outcomes[self.current] = "passed"

    def stopTest(self, test):
        self.current = None
        super().stopTest(test)

    def note(self, test, outcome):
        test_id = getattr(test, "test_case", test).id()
        if self.outcomes.get(test_id) not in ("failed", "error"):
            self.outcomes[test_id] = outcome

    def addError(self, test, err):
        super().addError(test, err)
        self.note(test, "error")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.note(test, "failed")

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.note(test, "skipped")

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.note(test, "failed")

    def note_child(self, arguments):
        """Note that the running test starts a child interpreter, and on which `_thread`."""
        options = takewhile(lambda each: each.startswith("-"), map(str, arguments[1:]))
        before_program = takewhile(lambda each: each[:2] not in ("-c", "-m"), options)
        if any("S" in each for each in before_program if not each.startswith(("-X", "--"))):
            self.children[self.current] = "stock"  # no `site`, and so no `sitecustomize`
        else:
            self.children.setdefault(self.current, "lowthreads")


def tests_in(suite):
    """Yield each test, however deep it is in the suite."""
    for each in suite:
        if isinstance(each, unittest.TestSuite):
            yield from tests_in(each)
        else:
            yield each


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output")
    parser.add_argument("modules", nargs="+")
    parser.add_argument("--without", metavar="START", help="leave out classes so named")
    parser.add_argument("--limit", type=float, default=3600, help="seconds to a dump of stacks")
    arguments = parser.parse_args()

    result = None

    def make_result(*args, **kwargs):
        nonlocal result
        result = Outcomes(*args, **kwargs)
        return result

    def watch(event, args):
        starts = event == "subprocess.Popen" and str(args[0]) == sys.executable
        if starts and result is not None and result.current:
            result.note_child(args[1])

    sys.addaudithook(watch)
    faulthandler.dump_traceback_later(arguments.limit, exit=True)
    suite = unittest.defaultTestLoader.loadTestsFromNames(arguments.modules)
    if arguments.without:
        kept = [
            test
            for test in tests_in(suite)
            if not type(test).__name__.startswith(arguments.without)
        ]
        suite = unittest.TestSuite(kept)
    unittest.TextTestRunner(verbosity=2, resultclass=make_result).run(suite)
    installed = getattr(sys.modules["_thread"].__spec__, "origin", None) == "lowthreads"
    document = {
        "installed": installed,
        "outcomes": result.outcomes,
        "children": result.children,
    }
    with open(arguments.output, "w") as file:
        json.dump(document, file)


if __name__ == "__main__":
    assert subprocess  # imported before the audit hook looks
    main()
