"""The package of a program in the running guest, removed by the guest's own package manager."""

import re
from typing import NamedTuple, Optional, Tuple

from ..door.programs import last_line
from ..door.system import System
from ..errors import GuestError

SECONDS = 900.0  # time limit for a package manager
ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive"}


class Manager(NamedTuple):
    """How a kind of package manager finds the package of a file, and removes a package."""

    ask: Tuple[str, ...]  # the path is appended
    answer: str  # a regular expression; its group is the package's name
    purges: Tuple[Tuple[str, ...], ...]  # the name is appended: the first that is installed and succeeds counts


class Package(NamedTuple):
    """An installed package."""

    name: str
    purges: Tuple[Tuple[str, ...], ...]  # complete commands, the best first


MANAGERS = (
    Manager(
        ("dpkg-query", "-S"),
        r"(?m)^([a-z0-9][a-z0-9+.-]+)(?::[a-z0-9-]+)?: /",
        (("apt-get", "purge", "-y"), ("dpkg", "--purge")),
    ),
    Manager(
        ("rpm", "-qf", "--queryformat", "%{NAME}\n"),
        r"(?m)^([A-Za-z0-9][A-Za-z0-9+._-]+)$",
        (
            ("dnf", "remove", "-y"),
            ("tdnf", "remove", "-y"),
            ("microdnf", "remove", "-y"),
            ("yum", "remove", "-y"),
            ("zypper", "--non-interactive", "remove"),
            ("rpm", "-e"),
        ),
    ),
    Manager(("apk", "info", "--who-owns"), r"is owned by (\S+)-[^-\s]+-r[0-9]+\s*$", (("apk", "del"),)),
    Manager(("pacman", "-Qqo"), r"(?m)^([a-z0-9@_+][a-z0-9@._+-]*)$", (("pacman", "-Rns", "--noconfirm"),)),
    Manager(("xbps-query", "-o"), r"(?m)^(\S+)-[^-\s]+_[0-9]+: ", (("xbps-remove", "-R", "-y"),)),
)


def find_package(system: System, program: str) -> Optional[Package]:
    """The package of the guest's program at this path; None if it has none, or if no program may be run."""
    for manager in MANAGERS if system.can_run else ():
        asked = system.find_program(manager.ask[0])
        if asked is None:
            continue
        try:
            answer = system.ask([asked] + list(manager.ask[1:]) + [program], SECONDS)
        except GuestError:
            continue  # not its file
        found = re.search(manager.answer, answer)
        if found:
            tools = [(system.find_program(purge[0]), purge[1:]) for purge in manager.purges]
            purges = tuple((tool,) + words + (found.group(1),) for tool, words in tools if tool)
            if purges:
                return Package(found.group(1), purges)
    return None


def purge(system: System, package: Package) -> None:
    """Remove the package, with its configuration if the package manager can. Raises GuestError.

    Some tools check the whole system first, and refuse if something else is broken; simpler ones then still work.
    """
    failures = []
    for command in package.purges:
        code, printed = system.execute(list(command), SECONDS, environment=ENVIRONMENT)
        if code == 0:
            return
        failures.append(GuestError("command failed", command=" ".join(command), code=code, output=last_line(printed)))
    raise failures[0]
