"""Runs the suite, or the tests that are named: `python3 -m tests [tests.test_state ...]`. No test is a failure."""

import sys
import time
import unittest

from . import TOP


def main() -> int:
    """Exit code 0 if every test passed; the last line counts them."""
    loader = unittest.defaultTestLoader
    names = sys.argv[1:]
    suite = loader.loadTestsFromNames(names) if names else loader.discover("tests", top_level_dir=TOP)
    started = time.monotonic()
    result = unittest.TextTestRunner(verbosity=1, buffer=True).run(suite)
    for test, reason in result.skipped:
        print("skipped: %s: %s" % (test.id(), reason))
    bad = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    passed = result.testsRun - bad - len(result.skipped)
    print("Python %s, %.0f s" % (sys.version.split()[0], time.monotonic() - started))
    print("%d passed, %d failed, %d skipped" % (max(passed, 0), bad, len(result.skipped)))
    return 0 if result.wasSuccessful() and passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
