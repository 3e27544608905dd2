"""The name of the machine that becomes the image, in every file that has it."""

import re

from ...door.system import System
from ...door.text import BLANKS, words_in
from ...guest.dns import DHCLIENT_CONF
from ...guest.hostname import KEYED, STORES, assign
from ...guest.hosts import ADDRESS, names_in
from ...guest.hosts import PATH as HOSTS
from .plan import Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List

NAME = "localhost"  # every DHCP client replaces it with the name from the network
LOOPBACK = re.compile(r"127\.|::1\Z")
LOCAL = re.compile(r"(?:ip6-)?(?:localhost|loopback)")
MAILNAME = "/etc/mailname"  # Debian's, for the programs that send mail
NAMED = ("/etc/hostname", "/etc/HOSTNAME")  # the second is Slackware's
DHCLIENT = ("/etc/dhcp/dhclient.conf", "/etc/dhclient.conf", "/etc/dhcp3/dhclient.conf")
SCRIPTS = "/etc/sysconfig/network-scripts"


def plan_former_name(plan: Plan) -> None:
    """Remove the name. `/etc/hosts` goes first, because the other files still have the name to look for."""
    system = plan.system
    plan.remove(DHCLIENT_CONF)  # from an interrupted boot
    with plan.looking():
        name = former_name(system)
        if name:
            plan.rewrite(HOSTS, lambda text: without_name(text, name))
            plan.rewrite(MAILNAME, lambda text: NAME + "\n" if is_name(text.strip(), name) else text)
            sent = re.compile(r'(?m)^[ \t]*send[ \t]+host-name[ \t]+"%s(?:\.[^"]*)?"[ \t]*;.*\n?' % re.escape(name))
            for path in DHCLIENT:  # the line that waagent writes
                plan.rewrite(path, lambda text: sent.sub("", text))
            setting = re.compile(r"(?m)^DHCP_HOSTNAME=[\"']?%s\b.*\n?" % re.escape(name))
            for path in plan.files(SCRIPTS, "ifcfg-*"):
                plan.rewrite(path, lambda text: setting.sub("", text))
    for path, key in KEYED:
        plan.rewrite(path, lambda text, key=key: assign(text, key, NAME))  # type: ignore[misc] # a default binds it
    for path in reversed(NAMED):
        with plan.looking():
            if not (system.readlink(path) or "").startswith(STORES):
                plan.rewrite(path, lambda text: NAME + "\n" if text.strip() else text)


def former_name(system: System) -> str:
    """The name in the image's files; empty if they have none of its own."""
    for path in NAMED:
        words = (system.read_text(path) or "").split()
        if words and words[0] != NAME:
            return words[0]
    return ""


def without_name(text: str, name: str) -> str:
    """`/etc/hosts` without the machine's own name: its line, and the name in the lines of `localhost`."""
    kept = []
    for line in text.split("\n"):
        address, names = words_in(line.split("#")[0])[:1], names_in(line)
        own = [word for word in names if is_name(word, name)]
        if address == [ADDRESS] and (name.lower() in names or own == names != []):
            continue
        local = own and address and LOOPBACK.match(address[0])
        if not (local and own == names):
            kept.append(without_words(line, own) if local else line)
    return "\n".join(kept)


def is_name(word: str, name: str) -> bool:
    """Is a word the machine's name, with or without a domain?"""
    short = name.lower().partition(".")[0]
    return word.lower().partition(".")[0] == short and not LOCAL.match(short)


def without_words(line: str, words: "List[str]") -> str:
    """A line without some of its words; the rest, with its blanks and its comment, stays."""
    names, mark, comment = line.partition("#")
    parts = re.findall(r"(?a)\s*[^\s]+|\s+\Z", names)
    return "".join(part for part in parts if part.strip(BLANKS).lower() not in words) + mark + comment
