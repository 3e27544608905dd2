"""Shell patterns written by others: `fnmatch` takes for ever with some of them. Here the time is limited."""

import re

LIMIT = 1024  # characters; a longer pattern matches nothing
PARTS = re.compile(r"\[(?:!.|[^!])[^\]]*\]|.", re.DOTALL)


def matches(name: str, pattern: str, *, sets: bool = True) -> bool:
    """Does a name match? `*` and `?` are special, with `sets` also `[a-z]` and `[!a-z]`. A leading dot is not
    special."""
    if len(pattern) > LIMIT:
        return False
    parts = PARTS.findall(pattern) if sets else list(pattern)
    place = at = 0
    star, begun = -1, 0  # the last star, and where in the name the rest was tried: the earliest place is enough
    while place < len(name):
        if at < len(parts) and parts[at] == "*":
            star, begun = at, place
            at += 1
        elif at < len(parts) and is_one(name[place], parts[at]):
            place, at = place + 1, at + 1
        elif star >= 0:
            begun += 1
            place, at = begun, star + 1
        else:
            return False
    return all(part == "*" for part in parts[at:])


def is_one(char: str, part: str) -> bool:
    """Does a part of a pattern other than a star match a character?"""
    return part in ("?", char) or (len(part) > 1 and is_in(char, part))


def is_in(char: str, part: str) -> bool:
    """Does `[a-z_]` or `[!a-z_]` match a character?"""
    negated = part[1] == "!"
    chars = part[1 + negated : -1]
    place, found = 0, False
    while place < len(chars) and not found:
        width = 3 if chars[place + 1 : place + 2] == "-" and place + 2 < len(chars) else 1
        found = chars[place] <= char <= chars[place + width - 1]
        place += width
    return found != negated
