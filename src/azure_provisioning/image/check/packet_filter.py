"""Packet filters of the image that drop what they do not know, and know nothing of SSH."""

import re
from typing import Iterator, List

from ...door.text import is_digits
from ..command import Command
from .finding import Finding, warning
from .subject import Image

# Services, the files that they load, and what says that other connections are dropped.
FILTERS = (
    (
        ("nftables",),
        ("/etc/nftables.conf", "/etc/sysconfig/nftables.conf", "/etc/nftables.nft"),
        r"\bhook\s+input\b[^{}]*\bpolicy\s+drop\b",
    ),
    (
        ("netfilter-persistent", "iptables"),
        (
            "/etc/iptables/rules.v4",
            "/etc/sysconfig/iptables",
            "/etc/iptables/iptables.rules",
            "/etc/iptables/rules-save",
        ),
        r"(?m)^:INPUT\s+DROP\b",
    ),
)
# Rules of iptables, and words of nftables, for whatever is left.
REST = re.compile(
    r"""-A\s+INPUT(?:\s+-i\s+(?!lo\s)\S+)?(?:\s+-m\s+comment\s+--comment\s+(?:"[^"]*"|\S+))?\s+-j\s+(?:DROP|REJECT)\b"""
)
REFUSALS = {"drop", "reject", "DROP", "REJECT"}
FIREWALLD, ZONES = "/etc/firewalld/firewalld.conf", ("/etc/firewalld/zones", "/usr/lib/firewalld/zones")
UFW, UFW_POLICY = "/etc/ufw/ufw.conf", "/etc/default/ufw"
UFW_RULES = ("/etc/ufw/user.rules", "/lib/ufw/user.rules", "/etc/ufw/before.rules")
SSH = re.compile(r"(?i)(?<![\w.])(?:22|ssh|openssh)(?![\w.])")
RANGE = re.compile(r"(?a)(?<![\d.])(\d{1,5})[-:](\d{1,5})(?![\d.])")
OPEN = re.compile(r"(?m)^\s*include\b|-A\s+INPUT(?:\s+-i\s+(?!lo\s)\S+)?\s+-j\s+ACCEPT")  # other files, or a whole card


def find_problems(image: Image, ports: "List[str]") -> "Iterator[Finding]":
    """The filters that the boot loads. How one treats a packet only the kernel could tell: these are warnings."""
    message = "%s drops connections, and has no rule for SSH: nobody may be able to log in"
    for services, files, drops in FILTERS:
        if image.starts(*services):
            for path in files:
                text = image.active(path)
                if (re.search(drops, text) or refuses_rest(text)) and not lets_in(without_refusals(text), ports):
                    yield warning("sshd-config", message % path, image.edit(path))
    if image.starts("ufw") and re.search(r"(?mi)^ENABLED=\W?yes\b", image.active(UFW)):
        policy = re.search(r"(?mi)^DEFAULT_INPUT_POLICY=\W?(DROP|REJECT)\b", image.active(UFW_POLICY))
        if policy and not lets_in(without_refusals(image.active(*UFW_RULES)), ports):
            yield warning("sshd-config", message % "ufw", image.inside(Command("ufw", "allow", "22/tcp")))
    if image.starts("firewalld"):
        zone = find_closed_zone(image, ports)
        if zone:
            remedy = Command("firewall-offline-cmd", "--zone=" + zone, "--add-service=ssh")
            yield warning("sshd-config", message % ("firewalld's zone " + zone), image.inside(remedy))


def find_closed_zone(image: Image, ports: "List[str]") -> str:
    """The default zone of firewalld, if it does not let SSH in; empty also if another zone has cards or addresses."""
    own, shipped = ZONES
    for name in image.system.list(own):
        if name.endswith(".xml") and re.search(r"<(?:interface|source)\b", image.text(own + "/" + name)):
            return ""
    found = re.search(r"(?m)^[ \t]*DefaultZone[ \t]*=[ \t]*([\w-]{1,64})[ \t]*$", image.active(FIREWALLD))
    zone = found.group(1) if found else "public"
    texts = [image.text("%s/%s.xml" % (folder, zone)) for folder in (own, shipped)]
    text = next(filter(None, texts), "")
    values = " ".join(re.findall(r'="([^"]*)"', re.sub(r"<!--[^>]*-->", "", text)))
    return zone if text and "ACCEPT" not in values and not lets_in(values, ports) else ""


def refuses_rest(text: str) -> bool:
    """Is there a rule for all incoming packets that none before was about?"""
    is_input = False
    for statement in re.split(r"[;\n]", text):
        if REST.match(statement.strip()):
            return True
        words = statement.split()
        if "hook" in words:
            is_input = words[words.index("hook") :][1:2] == ["input"]
        elif words == ["}"]:
            is_input = False
        elif is_input and words and words[0] in {"counter", "log", *REFUSALS} and REFUSALS & set(words):
            return True
    return False


def without_refusals(text: str) -> str:
    """The statements that may let packets in: none that refuses, and of iptables none after the rest is refused."""
    kept, rest = [], False
    for statement in re.split(r"[;\n]", text):
        line = statement.strip()
        rest = rest or bool(REST.match(line))
        if not REFUSALS & set(line.split()) and not (rest and line.startswith("-A INPUT ")):
            kept.append(line)
    return "\n".join(kept)


def lets_in(text: str, ports: "List[str]") -> bool:
    """May a rule be about SSH?"""
    numbers = [int(port) for port in ports if is_digits(port, 5)] or [22]
    between = any(int(low) <= number <= int(high) for low, high in RANGE.findall(text) for number in numbers)
    named = any(re.search(r"(?<![\w.])%d(?![\w.])" % number, text) for number in numbers)
    return bool(SSH.search(text) or OPEN.search(text) or between or named)
