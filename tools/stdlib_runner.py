"""Runs modules of the interpreter's own test package and writes each test's outcome as JSON.

    python tools/stdlib_runner.py OUTPUT test.test_thread ...

`tools/stdlib.py` runs it, once on the interpreter's `_thread` and once on lowthreads.
"""

import argparse
import json
import subprocess
import sys
import unittest


class Outcomes(unittest.TextTestResult):
    """Remembers how each test ended, and which ones started child interpreters."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.outcomes = {}
        self.in_children = set()
        self.current = None

    def startTest(self, test):
        super().startTest(test)
        self.current = test.id()
        self.outcomes[self.current] = "passed"

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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output")
    parser.add_argument("modules", nargs="+")
    arguments = parser.parse_args()

    results = []

    def make_result(*args, **kwargs):
        results.append(Outcomes(*args, **kwargs))
        return results[-1]

    def watch(event, args):
        # Windows: the command line alone, as one string.
        if event != "subprocess.Popen" or not results:
            return
        program = str(args[0] or args[1]).lstrip('"')
        if program.startswith(sys.executable):
            results[-1].in_children.add(results[-1].current)

    sys.addaudithook(watch)
    suite = unittest.defaultTestLoader.loadTestsFromNames(arguments.modules)
    runner = unittest.TextTestRunner(verbosity=2, resultclass=make_result)
    runner.run(suite)
    document = {
        "thread_module": repr(sys.modules["_thread"]),
        "outcomes": results[-1].outcomes,
        "in_children": sorted(test for test in results[-1].in_children if test),
    }
    with open(arguments.output, "w") as file:
        json.dump(document, file)


if __name__ == "__main__":
    assert subprocess  # imported before the audit hook looks
    main()
