"""systemd-networkd's files: which one applies to a network card, and its settings. See systemd.network(5)."""

from typing import Dict, List, NamedTuple, Optional, Tuple

from ...door.pattern import matches
from ...door.system import System
from ...door.text import read_text

FOLDERS = ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
YES = ("yes", "true", "on", "1", "y", "t")
OF_OTHERS = ("Kind", "WLANInterfaceType", "SSID", "BSSID")  # only match other interfaces


class Card(NamedTuple):
    """A network card, with the properties that a [Match] section can test."""

    name: str
    drivers: Tuple[str, ...]  # possible ones
    properties: Tuple[str, ...] = ()  # from udev: "A=1"


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

    def is_for(self, card: Card) -> bool:
        """Would networkd use this file for a card?"""
        conditions = {key for section, key, _ in self.settings if section == "Match" and self.values("Match", key)}
        return bool(conditions) and all(self.meets(card, key) for key in conditions)

    def meets(self, card: Card, key: str) -> bool:
        """Does a card match the [Match] section's condition with this key? Unknown conditions count as met."""
        words = [word for value in self.values("Match", key) for word in value.split()]
        if key in OF_OTHERS or key in ("MACAddress", "PermanentMACAddress"):
            return False
        if key in ("Name", "OriginalName"):
            return listed(words, [card.name])
        if key == "Driver":
            return listed(words, list(card.drivers))
        if key == "Type":
            return listed(words, ["ether"])
        if key == "Property":
            return all(word.strip("\"'") in card.properties for word in words)
        if key == "Virtualization":
            return listed([word.replace("yes", "vm").replace("true", "vm") for word in words], ["vm", "microsoft"])
        return True


def listed(words: "List[str]", names: "List[str]") -> bool:
    """Does a name match a list of patterns? A `!` at the start negates the whole list."""
    negated = bool(words) and words[0].startswith("!")
    if negated:
        words = [words[0][1:], *words[1:]]
    return negated != any(matches(name, word) for word in words for name in names)


def find_networks(system: System) -> "List[Network]":
    """The files in the order in which networkd tries them; the first that matches a card counts."""
    found = []
    for name, path in sorted(newest(system, "systemd/network", ".network").items()):
        own = read_text(system, path)
        if not own.strip():
            continue  # an empty file, or a link to /dev/null, hides others of its name
        drops = newest(system, "systemd/network/%s.d" % name, ".conf")
        parts = [own] + [read_text(system, drops[drop]) for drop in sorted(drops)]
        found.append(Network(path, [setting for part in parts for setting in read_settings(part)]))
    return found


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


def first_for(system: System, card: Card) -> "Optional[Network]":
    """The file that networkd uses for a card; None if it ignores the card."""
    return next((network for network in find_networks(system) if network.is_for(card)), None)
