"""netplan's definitions of network cards, as the .network files that it would generate. See netplan(5).

Of YAML only what such files use is read: mappings, lists, and scalars of one line.
"""

import re
from typing import Any, Dict, List, NamedTuple, Tuple

from ...guest.sshd_config import matching
from .networkd import Network
from .subject import Image

PLACES = ("/usr/lib/netplan/*.yaml", "/lib/netplan/*.yaml", "/etc/netplan/*.yaml")  # a later one hides the same name
TRUE = ("true", "yes", "on", "y")
UNITED = ("bridges", "bonds", "vrfs")  # kinds of definitions that other cards are a part of
DEPTH = 20
LIMIT, SIZE = 4096, 1 << 17  # characters of a line, and of a file
SPECIAL = tuple("\"'#&*!|>%@`{}[],")  # a plain scalar or key begins with none of them
PLAIN = re.compile(r"(?:[^{}\[\],:]|:(?=[^\s{}\[\],]))+")  # in {} or []
FLOW = re.compile(r"(?:^|[:-][ \t]+)[{\[]")
QUOTED = re.compile(r"""(?:"[^"\\]*"|'[^']*')""")

Line = Tuple[int, str]  # its indentation, and the rest


class Unclear(Exception):
    """A file uses a form of YAML that is not read here, or has a mistake."""


class Definition(NamedTuple):
    """A definition of a card."""

    name: str
    network: Network
    part: bool  # of another card


def definitions(image: Image) -> "List[Definition]":
    """The definitions of Ethernet cards in the order in which networkd tries them. Raises Unclear."""
    whole: "Dict[str, Any]" = {}
    paths = {path.rpartition("/")[2]: path for place in PLACES for path in matching(image.system, place)}
    for name in sorted(paths):
        read = parse(image.text(paths[name]))
        whole = merge(whole, mapping(read))
    top = mapping(whole.get("network"))
    united = [mapping(one) for kind in UNITED for one in mapping(top.get(kind)).values()]
    lists = [one["interfaces"] for one in united if isinstance(one.get("interfaces"), list)]
    parts = {str(name) for names in lists for name in names}
    found = []
    for name, settings in sorted(mapping(top.get("ethernets")).items()):
        found.append(Definition(name, Network(name, translate(name, mapping(settings))), name in parts))
    return found


def translate(name: str, settings: "Dict[str, Any]") -> "List[Tuple[str, str, str]]":
    """The settings of the .network file for a definition."""
    match = mapping(settings.get("match"))
    old = match.get("name") or ("*" if "match" in settings else name)
    named = [old, settings["set-name"]] if settings.get("set-name") else old  # it may have either
    found = []
    for key, value in (("Name", named), ("Driver", match.get("driver")), ("MACAddress", match.get("macaddress"))):
        if value:
            found.append(("Match", key, " ".join(map(str, value)) if isinstance(value, list) else str(value)))
    if str(settings.get("dhcp4")).lower() in TRUE:
        found.append(("Network", "DHCP", "ipv4"))
    mode = str(settings.get("activation-mode") or "")
    return [*found, ("Link", "ActivationPolicy", "always-down" if mode == "off" else mode)]


def mapping(value: object) -> "Dict[str, Any]":
    """A value that has to be a mapping; nothing counts as an empty one. Raises Unclear."""
    if value is None or isinstance(value, dict):
        return value or {}
    raise Unclear


def merge(old: "Dict[str, Any]", new: "Dict[str, Any]") -> "Dict[str, Any]":
    """A later file on top of an earlier one: mappings and lists are joined."""
    both = dict(old)
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(key), dict):
            both[key] = merge(old[key], value)
        elif isinstance(value, list) and isinstance(old.get(key), list):
            both[key] = old[key] + value
        else:
            both[key] = value
    return both


# -- YAML --------------------------------------------------------------------------------------------------------------


def parse(text: str) -> object:
    """The content of a file: mappings, lists, texts, and None. Raises Unclear."""
    lines = join(text) if len(text) <= SIZE else None
    if lines is None:
        raise Unclear
    if not lines:
        return None
    value, at = block(lines, 0, DEPTH)
    if at != len(lines):
        raise Unclear
    return value


def join(text: str) -> "List[Line]":
    """The lines without comments, those inside {} or [] joined. Raises Unclear."""
    found: "List[Line]" = []
    whole: "List[str]" = []  # the parts of a line whose brackets are not closed yet
    opened = indentation = 0
    for line in text.split("\n"):
        content = without_comment(line).rstrip() if len(line) <= LIMIT else line
        if not content.strip() or (content == "---" and not found):
            continue
        if content.lstrip(" ").startswith("\t") or content in ("---", "...") or len(content) > LIMIT:
            raise Unclear
        if not whole:
            indentation = len(content) - len(content.lstrip(" "))
        whole.append(content.strip())
        bare = QUOTED.sub("", content.strip())
        if len(whole) > 1 or FLOW.search(bare):
            opened += sum(map(bare.count, "{[")) - sum(map(bare.count, "}]"))
        if opened == 0:
            found.append((indentation, " ".join(whole)))
            whole = []
    if whole:
        raise Unclear
    return found


def without_comment(line: str) -> str:
    """A line without its comment, which begins with `#` after a blank."""
    for match in re.finditer(r"""(?:^|(?<=[\s:,\[{-]))(?:"[^"]*"|'[^']*')|(?:^|\s)#""", line):
        if match.group().endswith("#"):
            return line[: match.start()]
    return line


def block(lines: "List[Line]", at: int, depth: int) -> "Tuple[object, int]":
    """(value, the line after it) of the mapping, list or scalar that begins at a line. Raises Unclear."""
    if depth < 0:
        raise Unclear
    indentation, content = lines[at]
    if is_item(content):
        return items(lines, at)
    if content.startswith(("{", "[")):
        return scalar(content), at + 1
    found: "Dict[str, Any]" = {}
    while at < len(lines) and lines[at][0] == indentation:
        key, rest = split_key(lines[at][1])
        if not key:
            raise Unclear
        at += 1
        below = at < len(lines) and (
            lines[at][0] > indentation or (lines[at][0] == indentation and is_item(lines[at][1]))
        )
        if rest and below:
            raise Unclear  # a scalar of several lines
        if below:
            found[key], at = block(lines, at, depth - 1)
        else:
            found[key] = scalar(rest) if rest else None
    return found, at


def split_key(content: str) -> "Tuple[str, str]":
    """(key, the rest of the line); the key is empty if the line has none."""
    quoted = QUOTED.match(content)
    end = quoted.end() if quoted else (content + " ").replace("\t", " ").find(": ")
    if end <= 0 or not content.startswith(":", end) or (not quoted and content.startswith(SPECIAL)):
        return "", content
    return content[1 : end - 1] if quoted else content[:end].rstrip(), content[end + 1 :].strip()


def is_item(content: str) -> bool:
    """Does a line begin an item of a list?"""
    return content == "-" or content.startswith("- ")


def items(lines: "List[Line]", at: int) -> "Tuple[List[object], int]":
    """A list; its items that are not scalars are not examined."""
    indentation, found = lines[at][0], []
    while at < len(lines) and lines[at][0] == indentation and is_item(lines[at][1]):
        content, at = lines[at][1][1:].strip(), at + 1
        simple = bool(content) and not split_key(content)[0]
        while at < len(lines) and lines[at][0] > indentation:
            simple, at = False, at + 1
        found.append(scalar(content) if simple else None)
    return found, at


def scalar(text: str) -> object:
    """The value of a text of one line. Raises Unclear."""
    if text.startswith(("{", "[")):
        value, at = flow(text, 0, DEPTH)
        if text[at:].strip():
            raise Unclear
        return value
    if QUOTED.fullmatch(text):
        return text[1:-1]
    if text.startswith(SPECIAL) or split_key(text)[0]:
        raise Unclear
    return None if text in ("~", "null") else text


def flow(text: str, at: int, depth: int) -> "Tuple[object, int]":
    """(value, the place after it) of what begins at a place: {}, [], or a scalar in them. Raises Unclear."""
    at = skip(text, at)
    opened = text[at : at + 1]
    if depth < 0:
        raise Unclear
    if opened not in ("{", "["):
        match = QUOTED.match(text, at) or PLAIN.match(text, at)
        if not match:
            raise Unclear
        return scalar(match.group().strip()), match.end()
    found: "Dict[str, Any]" = {}
    values: "List[object]" = []
    at = skip(text, at + 1)
    while text[at : at + 1] not in ("}", "]"):
        value, at = flow(text, at, depth - 1)
        at = skip(text, at)
        if opened == "{":
            found[str(value)] = None
            if text[at : at + 1] == ":":
                found[str(value)], at = flow(text, at + 1, depth - 1)
                at = skip(text, at)
        values.append(value)
        if text[at : at + 1] == ",":
            at = skip(text, at + 1)
        elif text[at : at + 1] not in ("}", "]"):
            raise Unclear
    return (found if opened == "{" else values), at + 1


def skip(text: str, at: int) -> int:
    """The place of the next character that is no blank."""
    while text[at : at + 1].isspace():
        at += 1
    return at
