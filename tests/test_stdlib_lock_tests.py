"""The running interpreter's own tests of locks pass on lowthreads' locks."""

from __future__ import annotations

import importlib.util
import json

import pytest

from support import run_child

DISALLOWED = "test_disallow_instantiation"
"""CPython 3.10 to 3.12 refuse `LockType()`, newer versions (and so lowthreads) allow it."""


@pytest.mark.skipif(
    importlib.util.find_spec("test") is None or importlib.util.find_spec("test.lock_tests") is None,
    reason="this distribution of Python leaves out test.lock_tests",
)
def test_lock_tests() -> None:
    child = run_child(
        """
        import json, sys, unittest
        import lowthreads
        from test import lock_tests

        class LockTests(lock_tests.LockTests):
            locktype = lowthreads.allocate_lock  # as the interpreter's own test_thread does

        lock_tests.TIMEOUT_MAX = lowthreads.TIMEOUT_MAX  # theirs is the interpreter's own
        names = unittest.TestLoader().getTestCaseNames(LockTests)
        suite = unittest.TestSuite(map(LockTests, set(names) - {sys.argv[1]}))
        result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
        print(json.dumps([result.testsRun, len(result.skipped), result.wasSuccessful()]))
        """,
        DISALLOWED,
        check=False,
    )
    output = f"{child.stdout}\n{child.stderr}"
    assert child.returncode == 0, output
    ran, skipped, successful = json.loads(child.stdout.splitlines()[-1])
    assert successful, output
    assert ran - skipped >= 15, output
