"""Configuration files that are shell scripts, such as ifcfg files, /etc/conf.d/net and rc.inet1.conf."""

import re
from typing import List, Tuple

from .subject import Image

VALUE = r"""("(?:[^"\\]|\\.)*"|'[^']*'|\([^)]{0,512}\)|[^\s;#]*)"""
FOLDERS = ("/etc/sysconfig/network-scripts", "/etc/sysconfig/network")  # the second is SUSE's
STARTMODES = ("auto", "boot", "onboot", "on", "nfsroot", "hotplug", "ifplugd")  # with which SUSE brings up a card
INET1 = "/etc/rc.d/rc.inet1.conf"


def assigned(text: str, name: str) -> str:
    """The last value that a file assigns to a variable, of an array its words; empty if it does not."""
    found = re.findall(r"(?m)^[ \t]*(?:export[ \t]+)?%s=%s" % (re.escape(name), VALUE), text)
    return " ".join(re.sub("[\"'()]", " ", found[-1]).split()) if found else ""


# -- ifcfg files -------------------------------------------------------------------------------------------------------


def files(card: str) -> "Tuple[str, ...]":
    """The files that may be for a card."""
    return tuple("%s/ifcfg-%s" % (folder, card) for folder in FOLDERS)


def lack(image: Image, card: str) -> str:
    """Why no ifcfg file asks for DHCP on a card at boot; empty if one does."""
    for path in files(card):
        text = image.text(path)
        if re.match(r"dhcp4?\b", assigned(text, "BOOTPROTO").lower()):
            if assigned(text, "HWADDR"):
                return "ifcfg-%s is for the card of one machine (HWADDR)" % card
            return "" if is_at_boot(path, text) else "ifcfg-%s is not brought up at boot" % card
    return "no ifcfg-%s asks for DHCP" % card


def is_at_boot(path: str, text: str) -> bool:
    """Is the card of an ifcfg file brought up at boot? SUSE's default is `manual` (ifcfg(5)), that of others is yes."""
    if path.startswith(FOLDERS[1] + "/") and assigned(text, "STARTMODE").lower() not in STARTMODES:
        return False
    return not re.match("no|off|0", assigned(text, "ONBOOT").lower())


# -- Slackware ---------------------------------------------------------------------------------------------------------


def asked(image: Image) -> "List[str]":
    """The cards for which Slackware's rc.inet1.conf asks for DHCP: eth0 to eth5, or what IFNAME calls them."""
    text = image.text(INET1)
    numbers = sorted(set(re.findall(r"(?m)^[ \t]*USE_DHCP\[([0-9]{1,2})\]=", text)))
    asking = [number for number in numbers if assigned(text, "USE_DHCP[%s]" % number) == "yes"]
    return [assigned(text, "IFNAME[%s]" % number) or "eth" + number for number in asking]
