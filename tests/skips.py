"""The accepted skips: such a test runs elsewhere, and the list says where. Any other skip fails CI."""

import os
from typing import Dict, List

from .forks import FAILED, SKIPPED, Outcome

PLAIN_RUN = "the suite as a plain user"
ROOT_RUN = "the suite as root"

# The start of the reason, and where the test runs.
ANYBODY: "Dict[str, str]" = {
    "this Python has no crypt": "the suite on a Python before 3.13",
    "this Python has no extended attributes": "the suite on any Python but one before 3.11.3 for musl",
    "only Pythons from 3.10 on": "the suite on the newest Python",
    "the boot lab takes Python 3.8": "the suite on a Python from 3.8 on",
    "audit hooks take Python 3.8": "the suite on a Python from 3.8 on",
    "no shellcheck": "make lint",
    "no tree of real packages is there": "the suite on a machine where make distro-test has left some",
    "this file system knows no immutable files": "a kernel from 6.6 on, whose tmpfs knows them",
    "the temporary folder holds no extended attributes": "a kernel from 6.6 on, whose tmpfs holds them",
    "no Python 2.7": "a machine that has one; that __main__.py can be parsed by it is tested everywhere",
    "no dinit ": "a distro that packages dinit",
    "no zsh": "a machine with Debian's zsh",
    "no fish": "a machine with Debian's fish",
    "no dinitcheck": "a distro that packages dinit; make distro-test and the boot lab",
    "no s6-rc-compile": "a distro that packages s6-rc; the boot lab",
    "no s6-rc-set-commit": "a distro that packages s6-rc 0.6 or newer",
    "no kconfig-conf": "a machine with Debian's kconfig-frontends",
    "no nix-instantiate": "a machine with Debian's nix-bin",
    "no packer": "a machine with Packer",
}
AS_ROOT: "Dict[str, str]" = {
    "root may write anywhere": PLAIN_RUN,
    "root may read everything": PLAIN_RUN,
    "as root no folder is": PLAIN_RUN,
}
AS_PLAIN_USER: "Dict[str, str]" = {
    "as a plain user": ROOT_RUN,
    "no git, or no checkout of it": ROOT_RUN,  # the plain user has a copy
    "only root": ROOT_RUN,
    "not root": ROOT_RUN,
    "as nobody": ROOT_RUN,
    "there is one Python": ROOT_RUN,  # the home of the other Pythons may be closed to the user
    "the trees of real packages are root's": ROOT_RUN,
    "ssh-keygen does not work here": ROOT_RUN,  # it needs a user with a name
    # Not every kernel lets a plain user make namespaces.
    "no sealed room": ROOT_RUN,
    "no namespaces": ROOT_RUN,
    "no name space may be made here": ROOT_RUN,
    "no mount namespace": ROOT_RUN,
    "nothing can be mounted here": ROOT_RUN,
}


def judge(outcome: Outcome, *, none: bool = False) -> Outcome:
    """The outcome, failed if it is an unlisted skip; with `none`, if it is any skip."""
    if outcome.word != SKIPPED:
        return outcome
    unknown = outcome.texts if none else find_unknown(outcome.texts)
    if not unknown:
        return outcome
    why = "skipped where nothing may be: " if none else "skipped for a reason that is not in tests/skips.py: "
    return outcome._replace(word=FAILED, texts=[why + reason for reason in unknown])


def find_unknown(reasons: "List[str]") -> "List[str]":
    """The unlisted ones for the present user."""
    known = (*ANYBODY, *(AS_ROOT if os.geteuid() == 0 else AS_PLAIN_USER))
    return [reason for reason in reasons if not reason.startswith(known)]
