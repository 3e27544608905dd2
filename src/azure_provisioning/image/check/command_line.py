"""What the kernel's command line has systemd start: kernel-command-line(7), systemd-debug-generator(8)."""

import re
from typing import Dict, List, Set

from ...door.system import System
from ...guest.boot_loader import kernel_lines
from ...init.systems import systemd

MASK, UNIT = "systemd.mask=", "systemd.unit="
TARGETS = {
    **dict.fromkeys(("single", "s", "S", "1", "rescue"), "rescue.target"),
    **dict.fromkeys(("2", "3", "4"), "multi-user.target"),
    "emergency": "emergency.target",
    "5": "graphical.target",
}


def words_of(system: System) -> "List[List[str]]":
    """The words of each command line for everyday use."""
    return [re.findall(r"[^\s\"']+", line) for line in kernel_lines(system)]


def find_target(system: System) -> str:
    """The target that all of them ask for; empty if there is none. The last word counts."""
    found = set()
    for words in words_of(system):
        asked = [word[len(UNIT) :] if word.startswith(UNIT) else TARGETS.get(word, "") for word in words]
        found.add(next(filter(None, reversed(asked)), ""))
    return found.pop() if len(found) == 1 else ""


def find_masked(system: System) -> "Set[str]":
    """The units that all of them mask."""
    masked = [
        {systemd.unit_name(word[len(MASK) :]) for word in words if word.startswith(MASK)} for words in words_of(system)
    ]
    return set.intersection(*masked) if masked else set()


def services(system: System) -> "Dict[str, str]":
    """The units that a boot on Azure starts with these lines, as systemd.services() has them."""
    masked, found = find_masked(system), systemd.services(system, find_target(system))
    units = {name: systemd.unit_name(name) for name in found}
    gone = {name for name, unit in units.items() if unit in masked or systemd.never_starts(system, unit)}
    return {name: path for name, path in found.items() if name not in gone}
