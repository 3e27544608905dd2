"""netplan's definitions of network cards, as the .network files that it would generate. See netplan(5).

Of YAML only what such files use is read: mappings, lists, and scalars of one line.
"""

import re
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from ...guest.sshd_config import matching
from ...init.systems import systemd
from . import networkd
from .azure_card import INTERFACE, find_card
from .finding import Doubt
from .networkd import Network
from .subject import Image

PLACES = ("/usr/lib/netplan/*.yaml", "/lib/netplan/*.yaml", "/etc/netplan/*.yaml")  # a later one hides the same name
GENERATORS = ("/usr/lib/systemd/system-generators/netplan", "/lib/systemd/system-generators/netplan")
NETWORKD, NETWORKMANAGER = "systemd-networkd", "NetworkManager"
SERVICES = ("NetworkManager", "networkmanager", "network-manager")  # what the second one is called
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
    client: str  # for which netplan writes its configuration


# -- is it used, and does it configure Azure's card? -------------------------------------------------------------------


def find(image: Image) -> "Optional[str]":
    """netplan, if the image has files for it: its generator has systemd start a client, without a link in the image."""
    there = image.init == "systemd" and any(image.system.exists(path) for path in GENERATORS)
    return "netplan" if there and matching(image.system, "/etc/netplan/*.yaml") else None


def renderer(image: Image) -> str:
    """The client of Azure's card; networkd, the default, if that is not clear."""
    try:
        found = definitions(image)
    except Unclear:
        return NETWORKD
    return next((one.client for one in found if one.network.is_for(image.once(find_card), image.system)), NETWORKD)


def lack(image: Image, _service: str) -> str:
    """Why it does not have a client ask on Azure's card: that takes `dhcp4: true` for a card that may be eth0."""
    try:
        found = definitions(image)
    except Unclear:
        return Doubt("it cannot be determined whether the files of /etc/netplan ask for DHCP on %s" % INTERFACE)
    card = image.once(find_card)
    fit = [one for one in found if one.network.is_for(card, image.system) is not False]
    asking = [one for one in fit or found if one.network.value("Network", "DHCP")]
    if not asking:
        parts = [one.name for one in fit if one.part]
        none = "no file of /etc/netplan asks for DHCP on %s" % INTERFACE
        return Doubt("%s: it is a part of another card" % none) if parts else none
    if not fit:
        pinned = all(one.network.values("Match", "MACAddress") for one in asking)
        return "the files of /etc/netplan are for " + (
            "the card of one machine (macaddress)"
            if pinned
            else "%s, and Azure's card is %s" % (asking[0].name, INTERFACE)
        )
    first = fit[0]
    if first is not asking[0]:
        return Doubt("`%s` of /etc/netplan, the first for %s, does not ask for DHCP" % (first.name, INTERFACE))
    if first.network.is_for(card, image.system) is None:
        return Doubt("it cannot be determined whether `%s` of /etc/netplan is for %s" % (first.name, INTERFACE))
    policy = first.network.value("Link", "ActivationPolicy")
    if policy:
        problem = "`%s` of /etc/netplan does not bring %s up (activation-mode)" % (first.name, INTERFACE)
        return Doubt(problem) if policy == "manual" else problem
    no_routes = networkd.lacks_routes(first.network._replace(path="`%s` of /etc/netplan" % first.name))
    return Doubt(no_routes) if no_routes else not_started(image, first.client)


def not_started(image: Image, client: str) -> str:
    """Why the client for which netplan writes is not started. It has systemd start networkd, but not NetworkManager."""
    program = networkd.PROGRAM if client == NETWORKD else (client,)
    if not image.system.find_program(*program):
        return "it is for %s (renderer), which is not in the image" % client
    if client == NETWORKD and systemd.has_unit(image.system, networkd.UNIT):
        masked = not systemd.find_unit(image.system, networkd.UNIT)
        return "it is for %s, which is masked" % client if masked else ""
    started = client == NETWORKD or image.starts(*SERVICES)
    return "" if started else "it is for %s (renderer), which is not started" % client


# -- the definitions ---------------------------------------------------------------------------------------------------


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
    ethernets = dict(mapping(top.get("ethernets")))
    usual = ethernets.pop("renderer", None) or top.get("renderer")
    for name, value in sorted(ethernets.items()):
        settings = mapping(value)
        client = NETWORKMANAGER if (settings.get("renderer") or usual) == NETWORKMANAGER else NETWORKD
        found.append(Definition(name, Network(name, translate(name, settings)), name in parts, client))
    return found


def has_address(text: str) -> bool:
    """Does a file have a definition that chooses its card by the address? Raises Unclear."""
    top = mapping(mapping(parse(text)).get("network"))
    settings = [
        one for kind in top.values() if isinstance(kind, dict) for one in kind.values() if isinstance(one, dict)
    ]
    return any(mapping(one.get("match")).get("macaddress") for one in settings)


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
    routes = mapping(settings.get("dhcp4-overrides")).get("use-routes")
    if routes is not None:
        found.append(("DHCPv4", "UseRoutes", str(routes)))
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
