"""`python3 -m tests.hostile [NAME ...]`: the attacks behind the promises of .github/SECURITY.md.

`python3 -m tests --also attacks` includes them in the suite. Races run longer here, and a skip is a failure. This needs
root and Linux.
"""

import sys

from tests import __main__ as runner
from tests import test_races
from tests.slow import ATTACKS

RACE_SECONDS = 10.0


def main() -> int:
    """Exit code 0 if no attack succeeded, and all could be tried."""
    test_races.SECONDS = RACE_SECONDS
    names = sys.argv[1:] or ATTACKS
    sys.argv[1:] = ["--no-skips"] + ["tests." + name for name in names]
    return runner.main()


if __name__ == "__main__":
    sys.exit(main())
