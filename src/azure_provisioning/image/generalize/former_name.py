"""The name of the machine that becomes the image, in every file that has it."""

import re

from ...door.system import System
from ...door.text import words_in
from ...guest.dns import DHCLIENT_CONF
from ...guest.hostname import KEYED, STORES, assign
from ...guest.hosts import ADDRESS, names_in
from ...guest.hosts import PATH as HOSTS
from .plan import Plan

NAME = "localhost"  # every DHCP client replaces it with the name from the network
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
    """`/etc/hosts` without the line of the machine's own name."""
    lines = text.split("\n")
    return "\n".join(line for line in lines if not (is_own(line) and name.lower() in names_in(line)))


def is_own(line: str) -> bool:
    """Is this the line with the address that distros give the machine itself?"""
    return words_in(line.split("#")[0])[:1] == [ADDRESS]
