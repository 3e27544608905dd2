"""`python3 -m tests.hostile [NAME ...]`: the attacks that the promises of .github/SECURITY.md were made after.

All of them are part of the suite too, where some skip for want of rights, and where races are short. Here races are run
longer, and a skip is a failure: as root, on Linux.
"""

import sys

from tests import __main__ as runner
from tests import test_races

RACE_SECONDS = 10.0
MODULES = (
    "test_races",  # the owner of an image swaps what is in it
    "test_mounts",  # what is mounted in an image
    "test_processes",  # what users run beside us, by what name ever
    "test_holders",  # who stops a tool that holds a lock
    "test_rights",  # files of ours that others may write to
    "test_lock",  # commands in the middle of a boot
    "test_remedies",  # names that a shell would take for commands
    "test_odd",  # names and numbers that nothing expects
    "test_root",  # what --root may name
    "test_strangers",  # others on the port of a rehearsal
    "test_streams",  # closed and full descriptors
    "test_whole",  # a damaged file
    "test_budget",  # work without an end
    "test_text",  # ends of lines that only Python knows
    "test_essential_hostile",  # the shell part: redirects, links and pipes
)


def main() -> int:
    """Exit code 0 if no attack got through, and all could be tried."""
    test_races.SECONDS = RACE_SECONDS
    names = sys.argv[1:] or MODULES
    sys.argv[1:] = ["--no-skips"] + ["tests." + name for name in names]
    return runner.main()


if __name__ == "__main__":
    sys.exit(main())
