"""systemd-networkd's files: which one applies to a network card, and its settings. See systemd.network(5)."""

import re
from typing import Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

from ...door.pattern import matches
from ...door.system import System
from ...door.text import read_text
from .daemon_user import user_of
from .finding import Doubt
from .machine import machine_of

PROGRAM = ("/usr/lib/systemd/systemd-networkd", "/lib/systemd/systemd-networkd")
UNIT = "systemd-networkd.service"
FOLDERS = ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
NO = ("no", "false", "off", "0", "n", "f")
YES = ("yes", "true", "on", "1", "y", "t")
# What no network card of Azure has: a kind, which is of virtual cards, and what is of wireless ones.
LACKED = ("Kind", "WLANInterfaceType", "SSID", "BSSID")
NETVSC = "hv_netvsc"
GIVEN = ("ID_", "DEV", "IF", "TAG", "USEC", "SYSTEMD_", "CURRENT_")  # beginnings of what the kernel and udev may set
BUSES = ("pci-", "usb-", "virtio-", "xen-", "ccw-")  # beginnings of ID_PATH that a card on VMBus does not have
# systemd's names of the architectures of the kernels that programs of a kind run on: surely, and perhaps.
ARCHITECTURES = {"x86": (("x86-64",), ("x86",)), "arm64": (("arm64",), ()), "": ((), ("x86-64", "x86", "arm64"))}
WORD = re.compile(r"""(?:"[^"]*"|'[^']*'|[^\s"'])+""")


class Card(NamedTuple):
    """A network card, with the properties that a [Match] section can test."""

    name: str
    drivers: Tuple[str, ...]  # possible ones
    properties: Tuple[str, ...] = ()  # from udev: "A=1"
    also: Tuple[str, ...] = ()  # alternative names
    perhaps: Tuple[str, ...] = ()  # names that it may have instead


class Network(NamedTuple):
    """A .network file with its drop-ins."""

    path: str
    settings: "List[Tuple[str, str, str]]"  # section, key, value

    def values(self, section: str, key: str) -> "List[str]":
        """The values of a key that can be repeated; an empty value drops those before it."""
        found: "List[str]" = []
        for where, name, value in self.settings:
            if (where, name) == (section, key):
                found = found + [value] if value else []
        return found

    def value(self, section: str, key: str) -> str:
        """The last value, in lower case; empty if there is none."""
        return (self.values(section, key) or [""])[-1].lower()

    def is_for(self, card: Card, system: System) -> "Optional[bool]":
        """Would networkd use this file for a card? None if it cannot be determined."""
        conditions = self.conditions()
        return bool(conditions) and together([self.meets(card, key, system) for key in conditions])

    def conditions(self) -> "Set[str]":
        """The keys of the [Match] section that have a value."""
        return {key for section, key, _ in self.settings if section == "Match" and self.values("Match", key)}

    def meets(self, card: Card, key: str, system: System) -> "Optional[bool]":
        """Does a card match the [Match] section's condition with this key? None if it cannot be determined."""
        patterns = self.patterns(key)
        if key in ("Virtualization", "Architecture"):
            value = self.values("Match", key)[-1]  # only the last counts
            met = meets_machine(key, value.lstrip("!").strip(), system)
            return met if met is None else met != value.startswith("!")
        if key in ("MACAddress", "PermanentMACAddress"):
            return False
        if key in LACKED:
            return listed(patterns, [])
        if key == "Name":
            met = listed(patterns, [card.name])
            doubtful = [name for name in card.perhaps if listed(patterns, [name]) != met]
            doubtful += [
                name for name in card.also if not met and listed(patterns, [name])
            ]  # any that matches is enough
            return None if doubtful else met
        if key == "OriginalName":  # of .link files
            return listed(patterns, [card.name])
        if key == "Driver":
            return listed(patterns, list(card.drivers))
        if key == "Type":
            return listed(patterns, ["ether"])
        if key == "Path" and NETVSC in card.drivers:
            elsewhere = all(word.startswith(BUSES) for _, word in patterns)
            return listed(patterns, []) if elsewhere else None
        if key == "Property":
            return together([has_property(card, word, inverted=inverted) for inverted, word in patterns])
        return None  # it depends on the VM, or on what the image does not show

    def patterns(self, key: str) -> "List[Tuple[bool, str]]":
        """(inverted, pattern) of each word of a condition: a `!` at the start inverts all words of its line."""
        found = []
        for value in self.values("Match", key):
            inverted = value.startswith("!")
            words = value[inverted:].split() if key == "Name" else WORD.findall(value[inverted:])  # no quotes in names
            found += [(inverted, word if key == "Name" else re.sub("[\"']", "", word)) for word in words]
        return found


def together(met: "List[Optional[bool]]") -> "Optional[bool]":
    """Are all conditions met? None if it cannot be determined."""
    return False if False in met else None if None in met else True


def listed(patterns: "List[Tuple[bool, str]]", names: "List[str]") -> bool:
    """Does a card whose name, driver, or other quality is one of `names` match a list of patterns?

    One without the quality meets a list in which all are inverted: net_condition_test_strv in net-condition.c.
    """
    if any(inverted and matches(name, pattern) for inverted, pattern in patterns for name in names):
        return False
    wanted = [pattern for inverted, pattern in patterns if not inverted]
    return not wanted or any(matches(name, pattern) for pattern in wanted for name in names)


def has_property(card: Card, word: str, *, inverted: bool) -> "Optional[bool]":
    """Does a card have udev's property `KEY=pattern`, or with `inverted` lack it? None if it cannot be determined."""
    key, _, pattern = word.partition("=")
    known = dict(one.partition("=")[::2] for one in card.properties)
    known.update(INTERFACE=card.name, SUBSYSTEM="net")
    values = list(card.drivers) if key == "ID_NET_DRIVER" else [known[key]] if key in known else []
    if not values and key.startswith(GIVEN):
        return None
    return inverted != any(matches(value, pattern) for value in values)


def meets_machine(key: str, value: str, system: System) -> "Optional[bool]":
    """Does a VM on Azure meet a condition of systemd.unit(5)? None if it cannot be determined."""
    if key == "Virtualization":
        return value.lower() in YES or value in ("vm", "microsoft")
    sure, perhaps = ARCHITECTURES[machine_of(system)]
    return True if value in sure or value == "native" else None if value in perhaps else False


def lacks_routes(network: Network) -> str:
    """Why a card has an address, but no way to Azure. UseGateway= is by default what UseRoutes= is."""
    dhcp = [(key, value.lower()) for section, key, value in network.settings if section in ("DHCPv4", "DHCP")]
    uses = dict(dhcp)
    if uses.get("UseRoutes") not in NO or uses.get("UseGateway", "no") not in NO:
        return ""
    problem = "%s ignores the routes from DHCP (UseRoutes)" % network.path
    static = network.values("Route", "Gateway") or network.values("Network", "Gateway")
    return Doubt(problem) if static else problem


def find_networks(system: System) -> "List[Network]":
    """The files in the order in which networkd tries them; the first that matches a card counts."""
    return [network for network, barriers in all_networks(system) if not barriers]


def all_networks(system: System) -> "List[Tuple[Network, List[str]]]":
    """The files, each with what keeps networkd, which is not root, from reading it: the files and folders."""
    found = []
    user = user_of(system, UNIT, "systemd-network")
    for path, drop_ins in files(system, ".network"):
        settings, barriers = read_settings(read_text(system, path)), user.barriers(system, path)
        for part in drop_ins:
            more = user.barriers(system, part)
            if not more or more == [part]:  # one in a folder that it cannot list is not there for it
                settings += read_settings(read_text(system, part))
                barriers += more
        found.append((Network(path, settings), barriers))
    return found


def all_links(system: System) -> "Iterator[Network]":
    """The .link files, which udevd, which is root, tries in this order."""
    for path, drop_ins in files(system, ".link"):
        yield Network(path, [one for part in (path, *drop_ins) for one in read_settings(read_text(system, part))])


def files(system: System, ending: str) -> "Iterator[Tuple[str, List[str]]]":
    """(path, paths of its drop-ins) of the files with an ending, in the order of their names."""
    for name, path in sorted(newest(system, "systemd/network", ending).items()):
        if read_text(system, path).strip():  # an empty file, or a link to /dev/null, hides others of its name
            drops = newest(system, "systemd/network/%s.d" % name, ".conf")
            yield path, [drops[drop] for drop in sorted(drops)]


def newest(system: System, inside: str, ending: str) -> "Dict[str, str]":
    """The files in a subfolder of each of FOLDERS, by name: an earlier folder hides the same names in later ones.

    A link to /dev/null also hides them, although a mounted image has no /dev/null.
    """
    found: "Dict[str, str]" = {}
    for folder in FOLDERS:
        for name in system.list("%s/%s" % (folder, inside)):
            if name.endswith(ending) and not name.startswith("."):
                found.setdefault(name, "%s/%s/%s" % (folder, inside, name))
    return found


def read_settings(content: str) -> "List[Tuple[str, str, str]]":
    """(section, key, value) of each line."""
    found, section = [], ""
    for line in content.replace("\\\n", " ").split("\n"):
        if line[:1] in ("#", ";"):
            continue
        if line.strip().startswith("[") and line.strip().endswith("]"):
            section = line.strip()[1:-1]
            continue
        key, equals, value = line.partition("=")
        if equals:
            found.append((section, key.strip(), value.strip()))
    return found


def find_for(system: System, card: Card) -> "List[Tuple[Network, bool]]":
    """(file, whether that is certain) of the files that networkd may use for a card; it uses the first that applies."""
    found = []
    for network in find_networks(system):
        met = network.is_for(card, system)
        if met is not False:
            found.append((network, met is True))
        if met:
            break
    return found


def unread_for(system: System, card: Card) -> "List[str]":
    """What keeps networkd from reading the first file that may be for a card and that it may not read."""
    found = (barriers for network, barriers in all_networks(system) if barriers and network.is_for(card, system))
    return next(found, [])


def first_for(system: System, card: Card) -> "Optional[Network]":
    """The first file that networkd may use for a card; None if it ignores the card."""
    return next((network for network, _ in find_for(system, card)), None)
