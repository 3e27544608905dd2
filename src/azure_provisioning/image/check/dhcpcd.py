"""dhcpcd.conf(5): the lines that count for a card."""

from typing import Dict, List

from ...door.pattern import matches
from ...door.text import words_in
from .subject import Image

PATH = "/etc/dhcpcd.conf"
BLOCKS = ("interface", "ssid", "profile")  # words that begin a block of that file, which ends at the next


def takes(image: Image, card: str) -> bool:
    """Does dhcpcd configure a card? Its lists count only before the first block."""
    lists: "Dict[str, List[str]]" = {"denyinterfaces": [], "allowinterfaces": []}
    for words in lines_for(image, ""):
        if words[0] in lists:
            lists[words[0]] += " ".join(words[1:]).replace(",", " ").split()
    if any(matches(card, word) for word in lists["denyinterfaces"]):
        return False
    return not lists["allowinterfaces"] or any(matches(card, word) for word in lists["allowinterfaces"])


def lines_for(image: Image, card: str) -> "List[List[str]]":
    """The words of the lines of dhcpcd.conf that count for a card: before the first block, and in its own blocks."""
    found, counts = [], True
    for words in (words_in(line.partition("#")[0]) for line in image.text(PATH).split("\n")):
        if words[:1] and words[0] in BLOCKS:
            counts = bool(card) and words == ["interface", card]
        elif counts and words:
            found.append(words)
    return found
