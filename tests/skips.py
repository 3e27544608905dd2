"""Which skips are well: the test runs elsewhere, and where is said here. Any other skip fails CI, for nothing tests it."""

import os

from .forks import FAILED, SKIPPED, Outcome

# The beginning of a reason -> where that test runs.
ROOT = {}  # of a run as root
PLAIN = {}
ANYONE = {}


def judge(outcome: Outcome) -> Outcome:
    """The outcome, failed if it is a skip that is not on the list."""
    if outcome.word != SKIPPED:
        return outcome
    known = tuple(ANYONE) + tuple(ROOT if os.geteuid() == 0 else PLAIN)
    unknown = [reason for reason in outcome.texts if not reason.startswith(known)]
    return outcome._replace(word=FAILED, texts=["skipped, and not on the list: " + text for text in unknown]) if unknown else outcome
