"""/etc/network/interfaces, for ifupdown, ifupdown-ng and busybox."""

from typing import List, NamedTuple, Tuple

from ...door.pattern import matches
from ...door.text import words_in
from ...errors import GuestError
from ...guest.sshd_config import matching
from .subject import Image

PATH = "/etc/network/interfaces"
FILES_LIMIT = 200  # stops files that include themselves


class Interfaces(NamedTuple):
    """The content of the file and its includes."""

    auto: "List[str]"  # patterns of the cards that are brought up
    dhcp: "List[str]"  # cards with DHCP
    others: "List[str]"  # cards with an address from elsewhere
    settings: "List[Tuple[str, List[str]]]"  # (card, the words of a line below it)
    empty: bool


def read_interfaces(image: Image) -> Interfaces:
    """Read it. `allow-hotplug` counts only if something acts on it: busybox and OpenRC's script do not."""
    found = Interfaces([], [], [], [], not any(map(words_in, lines_of(image))))
    starts = {"auto", "allow-auto"} | ({"allow-hotplug"} if has_hotplug(image) else set())
    card = ""
    for words in (words_in(line) for line in lines_of(image)):
        if words and words[0] in starts:
            found.auto.extend(words[1:])
        elif words[:1] == ["iface"] and len(words) > 1:
            card = words[1]
            if "inet6" in words:
                card = ""
            elif "dhcp" in words:
                found.dhcp.append(card)
            elif "inet" in words and not {"manual", "inherits"} & set(words):
                found.others.append(card)
        elif words[:2] == ["use", "dhcp"] and card:  # ifupdown-ng
            found.dhcp.append(card)
        elif card and words and not words[0].startswith(("allow-", "source", "mapping", "no-")):
            found.settings.append((card, words))
    return found


def lines_of(image: Image) -> "List[str]":
    """The lines of the file, with its includes in their place."""
    lines: "List[str]" = []
    todo, count = [PATH], 0
    while todo:
        count += 1
        if count > FILES_LIMIT:
            raise GuestError("too many files", path=PATH, limit=FILES_LIMIT)
        path = todo.pop(0)
        for line in image.active(path).replace("\\\n", " ").split("\n"):
            words = words_in(line)
            pattern = words[1] if len(words) > 1 and words[0].startswith("source") else ""
            if pattern and not pattern.startswith("/"):
                pattern = path.rpartition("/")[0] + "/" + pattern
            if pattern and words[0] == "source-directory":
                pattern += "/*"
            if pattern:
                todo += matching(image.system, pattern)
                todo += [] if path != PATH or PATH + ".d" in pattern else matching(image.system, PATH + ".d/*")
            lines.append(line)
    return lines


def has_hotplug(image: Image) -> bool:
    """Does something bring up a card for `allow-hotplug`: Debian's script, or its udev rules?"""
    ifup = image.system.find_program("ifup")
    if ifup and "busybox" in image.system.chain(ifup)[-1]:
        return False
    return not image.text("/etc/init.d/networking").split("\n", 1)[0].endswith("openrc-run")


def is_for(pattern: str, card: str) -> bool:
    """Does a name in the file match a card? Patterns begin with `/`, and may end with how many cards they match."""
    if pattern.startswith("/"):
        pattern = pattern[1:].partition("/")[0]
    return pattern == card or matches(card, pattern.partition("=")[0])
