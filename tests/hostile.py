"""`python3 -m tests.hostile [NAME ...]`: the attacks that the promises of .github/SECURITY.md were made after.

Not part of the suite, which they would make thrice as long; `python3 -m tests --attacks` has them too. Races run longer
here, and a skip is a failure: as root, on Linux.
"""

import sys

from tests import __main__ as runner
from tests import test_races
from tests.slow import ATTACKS

RACE_SECONDS = 10.0


def main() -> int:
    """Exit code 0 if no attack got through, and all could be tried."""
    test_races.SECONDS = RACE_SECONDS
    names = sys.argv[1:] or ATTACKS
    sys.argv[1:] = ["--no-skips"] + ["tests." + name for name in names]
    return runner.main()


if __name__ == "__main__":
    sys.exit(main())
