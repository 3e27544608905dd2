"""DHCP option 245: the address of the WireServer, from the lease files of the guest's DHCP clients.

Only files are read: no client is asked, and no packet is sent. NetworkManager's own lease files and udhcpc do not keep
option 245 (coreos/afterburn issue 146, canonical/cloud-init issue 4765). A lease may come from another cloud, so
callers must also try the well-known address, which is not here.
"""

import re
import time
from collections import namedtuple

from ..door.budget import Limits, limited
from ..door.system import System
from ..errors import GuestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Dict, List, Optional, Tuple

LEASE_LIMIT = 256 << 10  # bytes: hundreds of leases
FILES_LIMIT = 64  # lease files that are read, newest first
# For each try to reach Azure. The folders belong to DHCP clients, some of which run as an ordinary user.
WORK = Limits(5000, 1 << 20, 2.0)

COOKIE = b"\x63\x82\x53\x63"  # RFC 2131, section 3; the options of a BOOTP packet begin after it
COOKIE_AT = 236  # bytes
PAD, END, AZURE = 0, 255, 245

PIECE = re.compile(r'"(?:[^"\\]|\\.)*"?|#[^\n]*|[{};]|[^\s{};"#]+', re.DOTALL)
ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|(.))", re.DOTALL)
MOMENT = re.compile(r"[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}\Z")
NETWORKD = re.compile(r"(?m)^OPTION_245=([0-9A-Fa-f]{8})\s*$")
WICKED = re.compile(r"<unknown-245>\s{0,99}<code>245</code>\s{0,99}<data>([0-9A-Fa-f:]{7,11})</data>")


class Source(namedtuple("Source", "folder name read")):
    """Where a client keeps its leases: a folder, the names of its files, and the function that reads one."""

    __slots__ = ()

    folder: str
    name: str  # a regular expression for the whole name
    read: "Callable[[bytes, float], Optional[bytes]]"


def find_endpoint(system: System) -> "Optional[str]":
    """The IPv4 address in the newest lease with a usable option 245; None if there is none.

    Never raises: others write the lease files, and one that cannot be read is ignored.
    """
    try:
        with limited(system, WORK):
            return find_newest(system)
    except GuestError:  # the files are more work than WORK allows
        return None


def find_newest(system: System) -> "Optional[str]":
    """The same. Raises GuestError if there is too much to read."""
    found: "List[Tuple[float, str, Source]]" = []
    for source in SOURCES:
        for name in list_or_none(system, source.folder):
            path = "%s/%s" % (source.folder, name)
            age = changed_at(system, path) if re.match(source.name + r"\Z", name) else None
            if age is not None:
                found.append((age, path, source))
    found.sort(key=lambda item: item[:2], reverse=True)
    for _, path, source in found[:FILES_LIMIT]:
        try:
            data = system.read(path, limit=LEASE_LIMIT) or b""
        except GuestError:
            continue
        address = to_address(source.read(data, system.time()))
        if address:
            return address
    return None


def list_or_none(system: System, folder: str) -> "List[str]":
    """The names in a folder; empty if it cannot be read."""
    try:
        return system.list(folder)
    except GuestError:
        return []


def changed_at(system: System, path: str) -> "Optional[float]":
    """When a file was changed, in seconds since 1970; None if that cannot be determined."""
    try:
        found = system.stat(path)
    except GuestError:
        return None
    return None if found is None else found.st_mtime


def to_address(value: "Optional[bytes]") -> "Optional[str]":
    """Four bytes as an IPv4 address, if a host can have it: not 0/8, loopback, multicast or above."""
    if value is None or len(value) != 4 or value[0] in (0, 127) or value[0] >= 224:
        return None
    return "%d.%d.%d.%d" % tuple(value)


# -- one function for each format: from a file's bytes and the time of day to the option's value or None --------------


def read_networkd(data: bytes, _now: float) -> "Optional[bytes]":
    """systemd-networkd: a line `OPTION_245=a83f8110` (sd-dhcp-lease.c)."""
    found = NETWORKD.findall(data.decode("latin-1"))
    return bytes.fromhex(found[-1]) if found else None


def read_wicked(data: bytes, _now: float) -> "Optional[bytes]":
    """wicked: an element `unknown-245` (leasefile.c)."""
    found = WICKED.findall(data.decode("latin-1"))
    return from_colons(found[-1]) if found else None


def read_dhcpcd(data: bytes, _now: float) -> "Optional[bytes]":
    """dhcpcd: the packet as received, with its options as in RFC 2132: code, length, value."""
    if data[COOKIE_AT : COOKIE_AT + 4] != COOKIE:
        return None
    at = COOKIE_AT + 4
    while at < len(data) and data[at] != END:
        if data[at] == PAD:  # PAD and END have no length
            at += 1
            continue
        length = data[at + 1] if at + 1 < len(data) else 0
        if data[at] == AZURE:
            return data[at + 2 : at + 2 + length]
        at += 2 + length
    return None


def read_dhclient(data: bytes, now: float) -> "Optional[bytes]":
    """ISC dhclient: the last lease that has not expired, as in WALinuxAgent."""
    value: "Optional[bytes]" = None
    lease: "Dict[str, List[str]]" = {}
    words: "List[str]" = []
    for piece in PIECE.findall(data.decode("latin-1")):
        if piece.startswith("#"):
            continue
        if piece not in ("{", "}", ";"):
            words.append(piece)
            continue
        if piece == ";":
            lease[" ".join(words[: 2 if words[:1] == ["option"] else 1])] = words
        elif piece == "{":
            lease = {}
        elif not has_expired(lease.get("expire", []), now):
            option = lease.get("option unknown-245", [])
            value = from_dhclient(option[2]) if len(option) == 3 else value
        words = []
    return value


def has_expired(statement: "List[str]", now: float) -> bool:
    """Is this `expire N YYYY/MM/DD HH:MM:SS` (UTC) or `expire epoch N` in the past? `never`, or anything else: no."""
    words = statement[1:]
    try:
        if words[:1] == ["epoch"]:
            return float(words[1]) < now
    except (ValueError, IndexError):
        return False
    # Compared as text: a module that parses a time takes as long to load as the rest of this module.
    moment = " ".join(words[1:])
    return bool(MOMENT.match(moment)) and moment < time.strftime("%Y/%m/%d %H:%M:%S", time.gmtime(now))


def from_dhclient(token: str) -> "Optional[bytes]":
    """`a8:3f:81:10`, or a string with escapes if all four bytes are printable, as dhclient writes it: `"bL6 "`."""
    if not token.startswith('"'):
        return from_colons(token)

    def unescape(match: "re.Match[str]") -> str:
        octal, char = match.groups()
        return chr(int(octal, 8) & 0xFF) if octal else str(char)

    return ESCAPE.sub(unescape, token[1:-1]).encode("latin-1")


def from_colons(text: str) -> "Optional[bytes]":
    """Hexadecimal numbers of one or two digits, separated by colons."""
    parts = text.split(":")
    if not all(re.match(r"[0-9A-Fa-f]{1,2}\Z", part) for part in parts):
        return None
    return bytes(int(part, 16) for part in parts)


SOURCES = (
    Source("/run/systemd/netif/leases", r"[0-9]+", read_networkd),
    Source("/var/lib/dhcp", r"dhclient.*\.leases?", read_dhclient),  # Debian
    Source("/var/lib/dhclient", r"dhclient.*\.leases?", read_dhclient),  # chkconfig distros
    Source("/var/lib/NetworkManager", r"dhclient-.*\.lease", read_dhclient),
    Source("/var/lib/dhcpcd", r".*\.lease", read_dhcpcd),
    Source("/var/lib/dhcpcd5", r".*\.lease", read_dhcpcd),  # older Debian
    Source("/var/db/dhcpcd", r".*\.lease", read_dhcpcd),  # dhcpcd's own default
    Source("/var/lib/wicked", r"lease-.*-dhcp-ipv4\.xml", read_wicked),
    Source("/run/wicked", r"lease-.*-dhcp-ipv4\.xml", read_wicked),
)
