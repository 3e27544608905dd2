"""Azure's network card: its name, unless a .link file of systemd-udevd gives it another one. See systemd.link(5)."""

import re
from typing import List, Tuple

from ...door.system import System
from ...guest.boot_loader import kernel_lines
from . import networkd
from .networkd import Card, Network

INTERFACE = "eth0"  # hv_netvsc has no slot or path from which udev could make another name
BY_ADDRESS = "enx000d3a000000"  # such a name has the address of the card, which begins like that
UDEVD = ("/usr/lib/systemd/systemd-udevd", "/lib/systemd/systemd-udevd")
RENAMING = "/etc/udev/rules.d/80-net-setup-link.rules"


def find_card(system: System) -> Card:
    """The card with the name that the first .link file for it gives it, and those that others may give it."""
    card = Card(INTERFACE, (networkd.NETVSC,))
    perhaps: "List[str]" = []
    if not system.find_program(*UDEVD) or system.chain(RENAMING)[-1] == "/dev/null":
        return card
    for link in networkd.all_links(system):
        met = link.is_for(card, system) if link.conditions() else None
        if met:
            name = name_by(link, system)
            return card._replace(name=name, also=tuple(also_by(link)), perhaps=without(name, perhaps))
        if met is None:
            perhaps.append(name_by(link, system))
    return card._replace(perhaps=without(INTERFACE, perhaps))


def without(name: str, others: "List[str]") -> "Tuple[str, ...]":
    """The other names."""
    return tuple(other for other in others if other != name)


def name_by(link: Network, system: System) -> str:
    """The name that a .link file gives the card. Of the policies only `mac` has one for it."""
    if "mac" in " ".join(link.values("Link", "NamePolicy")).split() and not has_plain_names(system):
        return BY_ADDRESS
    return (link.values("Link", "Name") or [INTERFACE])[-1]


def also_by(link: Network) -> "List[str]":
    """The alternative names that a .link file gives the card."""
    names = " ".join(link.values("Link", "AlternativeName")).split()
    return names + [BY_ADDRESS] * ("mac" in " ".join(link.values("Link", "AlternativeNamesPolicy")).split())


def has_plain_names(system: System) -> bool:
    """Do all command lines of the kernel disable the policies?"""
    lines = kernel_lines(system)
    return bool(lines) and all(re.search(r"\bnet\.ifnames=0\b", line) for line in lines)
