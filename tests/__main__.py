"""Runs the suite, or the tests that are named: `python3 -m tests [tests.test_state ...]`. No test is a failure.

Most tests wait for something that they have slowed down: so the modules run side by side, each in a process of its own.
"""

import concurrent.futures
import glob
import os
import re
import subprocess
import sys
import time
import unittest
from typing import List, Tuple

from . import TOP

MODULE_SECONDS = 600
CLOSING = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", re.MULTILINE)


def main() -> int:
    """Exit code 0 if every test passed; the last line counts them."""
    started = time.monotonic()
    names = sys.argv[1:]
    if len(names) == 1:
        passed, failed, skipped = run_here(names[0])
    else:
        passed, failed, skipped = run_side_by_side(names or find_modules())
        print("Python %s, %.0f s" % (sys.version.split()[0], time.monotonic() - started))
    print("%d passed, %d failed, %d skipped" % (passed, failed, skipped))
    return 0 if passed + skipped and not failed else 1


def find_modules() -> List[str]:
    """The names of all test modules, the largest first, so that none is begun late."""
    paths = glob.glob(os.path.join(TOP, "tests", "test_*.py"))
    paths.sort(key=os.path.getsize, reverse=True)
    return ["tests." + os.path.basename(path)[: -len(".py")] for path in paths]


def run_side_by_side(names: List[str]) -> Tuple[int, int, int]:
    """(passed, failed, skipped) of all of them; what those that fail printed is shown."""
    counts = [0, 0, 0]
    with concurrent.futures.ThreadPoolExecutor((os.cpu_count() or 1) + 1) as pool:
        for name, (code, printed) in zip(names, pool.map(run_apart, names)):
            closing = CLOSING.search(printed)
            found = [int(number) for number in closing.groups()] if closing else [0, 1, 0]
            if code and not found[1]:
                found[1] = 1  # it ended in some other way than by a test
            counts = [sum(pair) for pair in zip(counts, found)]
            lines = [line for line in printed.splitlines() if code or line.startswith("skipped: ")]
            row = "%-24s %d passed, %d failed, %d skipped" % (name.partition(".")[2], found[0], found[1], found[2])
            print("\n".join([row] + lines), flush=True)
    return counts[0], counts[1], counts[2]


def run_apart(name: str) -> Tuple[int, str]:
    """(exit code, output) of one module in a process of its own."""
    try:
        child = subprocess.run(
            [sys.executable, "-m", "tests", name],
            cwd=TOP,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=MODULE_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return 1, "%s took more than %d s" % (name, MODULE_SECONDS)
    return child.returncode, child.stdout.decode("utf-8", "backslashreplace")


def run_here(name: str) -> Tuple[int, int, int]:
    """(passed, failed, skipped) of one module, class or test."""
    suite = unittest.defaultTestLoader.loadTestsFromName(name)
    result = unittest.TextTestRunner(verbosity=1, buffer=True).run(suite)
    for test, reason in result.skipped:
        print("skipped: %s: %s" % (test.id(), reason))
    bad = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    return max(result.testsRun - bad - len(result.skipped), 0), bad, len(result.skipped)


if __name__ == "__main__":
    sys.exit(main())
