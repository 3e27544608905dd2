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
                if re.search(drops, text) and not lets_in(text, ports):
                    yield warning("sshd-config", message % path, image.edit(path))
    if image.starts("ufw") and re.search(r"(?mi)^ENABLED=\W?yes\b", image.active(UFW)):
        policy = re.search(r"(?mi)^DEFAULT_INPUT_POLICY=\W?(DROP|REJECT)\b", image.active(UFW_POLICY))
        if policy and not lets_in(image.active(*UFW_RULES), ports):
            yield warning("sshd-config", message % "ufw", image.inside(Command("ufw", "allow", "22/tcp")))


def lets_in(text: str, ports: "List[str]") -> bool:
    """May a rule be about SSH?"""
    numbers = [int(port) for port in ports if is_digits(port, 5)] or [22]
    between = any(int(low) <= number <= int(high) for low, high in RANGE.findall(text) for number in numbers)
    named = any(re.search(r"(?<![\w.])%d(?![\w.])" % number, text) for number in numbers)
    return bool(SSH.search(text) or OPEN.search(text) or between or named)
