"""`python3 -m tests.hostile [NAME ...]`: the attacks that the promises of .github/SECURITY.md were made after.

All of them are part of the suite too, where they are short, and where some skip for want of rights. Here races are run
longer, and a skip is a failure: as root, on Linux.
"""

import sys

from tests import __main__ as runner
from tests import test_races

RACE_SECONDS = 15.0
MODULES = (
    "test_races",
    "test_mounts",
)


def main() -> int:
    """Exit code 0 if no attack got through, and all could be tried."""
    test_races.SECONDS = RACE_SECONDS
    counts = [0, 0, 0]
    for name in sys.argv[1:] or MODULES:
        print("== %s" % name, flush=True)
        counts = [sum(pair) for pair in zip(counts, runner.run_here("tests." + name))]
    passed, failed, skipped = counts
    print("%d passed, %d failed, %d skipped" % (passed, failed + skipped, skipped))
    return 0 if passed and not failed and not skipped else 1


if __name__ == "__main__":
    sys.exit(main())
