"""The services that start a DHCP client, and what the settings of each lack for Azure's card: nothing, if empty."""

import re
from typing import Callable, Dict, NamedTuple, Optional, Tuple

from . import dhcpcd, ifcfg, interfaces, netplan, networkd, networkmanager
from .azure_card import INTERFACE, find_card
from .client_calls import only_for
from .finding import Doubt
from .subject import Image

NETIFRC = "/etc/conf.d/net"
CONNMAN = "/etc/connman/main.conf"
ENSLAVED = ("Bridge", "Bond", "VRF", "BatmanAdvanced")  # what a card can be a part of, and has its address then


class Starter(NamedTuple):
    """A service that starts a DHCP client: its names, the clients that it can use, and a check of its settings."""

    services: Tuple[str, ...]
    clients: Tuple[str, ...]
    problem: "Callable[[Image, str], str]"


def of_call(image: Image, service: str) -> str:
    """It configures the card of its instance or of its options, or by default every card."""
    _, instance, card = service.partition("@")
    client = next(client for client in LEASERS if service.startswith(client))
    other = card if instance else only_for(image, service, client)
    return "it is for %s only" % other if other not in ("", INTERFACE) else ""


def of_networkmanager(image: Image, _service: str) -> str:
    """It configures every card without a profile, unless its settings forbid that. See NetworkManager.conf(5)."""
    card = image.once(find_card)
    problem = networkmanager.unmanaged(image, card)
    if problem:
        return problem
    found = networkmanager.profiles(image, card)
    ignored = [profile for profile in found if networkmanager.is_ignored(image, profile)]
    profiles = [profile for profile in found if profile not in ignored]
    if any(profile.certain and not profile.refusal for profile in profiles):
        return ""
    makes = not networkmanager.read(image).lists("main", "no-auto-default", card)
    unsure = [profile for profile in profiles if not profile.certain]
    if unsure and (not makes or unsure != profiles or any(profile.refusal for profile in unsure)):
        return Doubt("it cannot be determined whether %s is for %s" % (unsure[0].path, INTERFACE))
    if profiles and not unsure:  # with a profile for the card, none is created
        problem = "%s %s" % (profiles[0].path, profiles[0].refusal)
        return Doubt(problem) if isinstance(profiles[0].refusal, Doubt) else problem
    if makes:
        return ""
    if ignored:
        problem = "it ignores %s, which others than root may read or write" % ignored[0].path
        return Doubt(problem) if ignored[0].path.startswith("/usr/") else problem  # a package's: it may have been tried
    return "it has no profile for %s, and no-auto-default keeps it from making one" % INTERFACE


def of_networkd(image: Image, _service: str) -> str:
    """The first .network file for eth0 uses DHCP for IPv4."""
    card = image.once(find_card)
    unread = networkd.unread_for(image.system, card)
    found = networkd.find_for(image.system, card)
    problems = [lack(network) for network, _ in found]
    if not any(certain for _, certain in found):
        problems.append("no file of systemd/network asks for DHCP on %s" % INTERFACE)
    if not any(problems):
        return ""
    if unread:
        return "it is not root and may not read %s" % unread[0]
    if not all(problems):
        path = next(network.path for network, certain in found if not certain)
        return Doubt("it cannot be determined whether %s is for %s" % (path, INTERFACE))
    return next((problem for problem in problems if isinstance(problem, Doubt)), problems[-1])


def lack(network: networkd.Network) -> str:
    """Why a .network file that is used for eth0 does not ask by DHCP; empty if it does."""
    if network.value("Link", "Unmanaged") in networkd.YES:
        return "%s makes it ignore %s" % (network.path, INTERFACE)
    policy = network.value("Link", "ActivationPolicy")
    if policy in ("down", "always-down"):
        return "%s keeps %s down (ActivationPolicy)" % (network.path, INTERFACE)
    if any(network.values("Network", key) for key in ENSLAVED):
        return Doubt("%s makes %s a part of another card" % (network.path, INTERFACE))
    if network.value("Network", "DHCP") not in ("ipv4", "v4", "both", *networkd.YES):
        words = (INTERFACE, network.path)
        return "no file of systemd/network asks for DHCP on %s: %s is the first for it" % words
    problem = networkd.lacks_routes(network)
    if problem:
        return problem
    if policy == "manual":
        return Doubt("%s leaves it to others to bring %s up (ActivationPolicy)" % (network.path, INTERFACE))
    return ""


def of_dhcpcd(image: Image, service: str) -> str:
    """It configures every card, unless its settings exclude it or its address is from elsewhere. See dhcpcd.conf(5)."""
    problem = of_call(image, service)
    if problem:
        return problem
    card = image.once(find_card).name
    if not dhcpcd.takes(image, card):
        return "%s excludes %s (denyinterfaces or allowinterfaces)" % (dhcpcd.PATH, card)
    against: "Dict[str, str]" = {}
    for words in dhcpcd.lines_for(image, card):
        line = " ".join(words)
        if words[0] in ("dhcp", "ipv4", "ipv4only"):
            against.pop("ipv4", "")
            against.pop("dhcp" if words[0] == "dhcp" else "", "")
        elif words[0] == "nodhcp":
            against["dhcp"] = line
        elif words[0] in ("noipv4", "ipv6only"):
            against["ipv4"] = line
        elif words[0] == "inform" or line.startswith("static ip_address="):
            against["address"] = line
    return "`%s` in %s keeps it from asking by DHCP" % (min(against.values()), dhcpcd.PATH) if against else ""


def of_ifupdown(image: Image, service: str) -> str:
    """`iface eth0 inet dhcp` in /etc/network/interfaces, and `auto eth0`: `ifup -a` brings up nothing else."""
    reader = interfaces.read_interfaces(image)
    found = reader.found
    if found.empty:
        return "/etc/network/interfaces is empty"
    if found.refused:
        return "ifup refuses /etc/network/interfaces: %s" % found.refused
    alone = service in ("ifup@%s" % INTERFACE, "net.%s" % INTERFACE)  # they bring up this card only
    names = [INTERFACE] if alone else [name for _, name in reader.entries(INTERFACE)]
    if not found.asks(*(names or [INTERFACE])):
        others = [name for name in found.with_dhcp() if name != INTERFACE]
        if others and INTERFACE in found.parts:
            return Doubt("/etc/network/interfaces makes %s a part of another card" % INTERFACE)
        if others:
            words = (others[0], INTERFACE)
            return "/etc/network/interfaces asks for DHCP on %s, and Azure's card is %s" % words
        return "/etc/network/interfaces does not ask for DHCP on %s" % INTERFACE
    if lacks_program(image, reader):
        return "ifup finds no DHCP client: busybox has one, but nothing called udhcpc is there"
    if names:
        return ""
    if found.excludes(INTERFACE):
        return "%s keeps it from bringing up %s" % (interfaces.DEFAULTS, INTERFACE)
    if INTERFACE in found.unseen:
        return "it searches for `auto %s` only in /etc/network/interfaces itself, not in its includes" % INTERFACE
    return "nothing in /etc/network/interfaces brings %s up: it lacks `auto %s`" % (INTERFACE, INTERFACE)


def lacks_program(image: Image, reader: interfaces.Reader) -> bool:
    """Is ifup one that runs a client as a program, and there is none?"""
    return reader.needs_program and not image.system.find_program(*LEASERS)


def of_network(image: Image, service: str) -> str:
    """Scripts called `network`: those of chkconfig distros use ifcfg files, Buildroot's and others' interfaces."""
    if not any(image.system.is_dir(folder) for folder in ifcfg.FOLDERS):
        return of_ifupdown(image, service)
    return ifcfg.lack(image, INTERFACE)


def find_united(image: Image) -> "Optional[str]":
    """The started service of netifrc for a card of which Azure's is a part: a bridge, for example."""
    text = image.text(NETIFRC)
    for name in (one[len("net.") :] for one in sorted(image.services or {}) if one.startswith("net.")):
        parts = " ".join(ifcfg.assigned(text, key + name) for key in ("bridge_", "slaves_", "team_"))
        if INTERFACE in parts.split():
            return "net." + name
    return None


def of_netifrc(image: Image, service: str) -> str:
    """netifrc uses DHCP by default. Alpine's net.eth0 is a link to its `networking`."""
    if image.system.chain("/etc/init.d/" + service)[-1].rpartition("/")[2] == "networking":
        return of_ifupdown(image, service)
    value = ifcfg.assigned(image.text(NETIFRC), "config_" + INTERFACE)
    united = find_united(image)
    if united and not re.search("dhcp", value):
        return Doubt("%s makes %s a part of %s" % (NETIFRC, INTERFACE, united.partition(".")[2]))
    if not value or re.search(r"dhcp(?!v6)|dhclient", value):
        return ""
    problem = "/etc/conf.d/net gives %s an address" % INTERFACE
    return Doubt(problem) if "$" in value else problem


def of_connman(image: Image, _service: str) -> str:
    """It configures every card, except those whose names begin with a word of its list."""
    card = image.once(find_card).name
    return "%s excludes %s (NetworkInterfaceBlacklist)" % (CONNMAN, card) if is_listed(image, card) else ""


def is_listed(image: Image, card: str) -> bool:
    """Does connman's list exclude a card? See connman.conf(5)."""
    lists = re.findall(r"(?m)^[ \t]*NetworkInterfaceBlacklist[ \t]*=[ \t]*(.*)$", image.active(CONNMAN))
    return bool(lists) and any(word.strip() and card.startswith(word.strip()) for word in lists[-1].split(","))


def of_slackware(image: Image, _service: str) -> str:
    """`USE_DHCP[0]="yes"`, unless IFNAME[0] is another card."""
    if INTERFACE in ifcfg.asked(image):
        return ""
    problem = "rc.inet1.conf does not ask for DHCP on %s" % INTERFACE
    part = re.search(r"(?m)^[ \t]*(?:BRNICS|BONDNICS)\[[0-9]+\]=[^#\n]*\b%s\b" % INTERFACE, image.text(ifcfg.INET1))
    return Doubt(problem + ": it is a part of another card") if part else problem


INSTANCES = ("-" + INTERFACE, "@" + INTERFACE)  # ends of the names of services that are for Azure's card only
LEASERS = ("dhclient", "dhcpcd", "udhcpc")
# The clients that are services of their own.
ALONE = {"dhcpcd": of_dhcpcd, "NetworkManager": of_networkmanager, "systemd-networkd": of_networkd}
BY_NAME = (of_ifupdown, of_network, of_netifrc, of_slackware)  # whose settings name the card
NETPLAN = ("netplan",)
STARTERS = (
    Starter(NETPLAN, ("systemd-networkd", "NetworkManager"), netplan.lack),
    Starter(("systemd-networkd",), ("systemd-networkd",), of_networkd),
    Starter(netplan.SERVICES, ("NetworkManager",), of_networkmanager),
    Starter(("dhcpcd", "dhcpcd5", *("dhcpcd%s" % one for one in (*INSTANCES, "@*"))), ("dhcpcd",), of_dhcpcd),
    Starter(("dhclient", "dhclient@%s" % INTERFACE), ("dhclient",), of_call),
    Starter(("udhcpc", "udhcpc@*"), ("udhcpc",), of_call),
    Starter(("connman", "connmand"), ("connmand",), of_connman),
    Starter(("wicked", "wickedd"), ("wickedd",), of_network),
    Starter(("net.%s" % INTERFACE,), LEASERS, of_netifrc),
    Starter(("networking", "networking.sh", "ifup@%s" % INTERFACE), LEASERS, of_ifupdown),
    Starter(("network", "network-interface"), LEASERS, of_network),
    Starter(("inet1",), LEASERS, of_slackware),
)
# What has a name to send besides the client itself: client_names.py.
READERS: "Dict[Callable[[Image, str], str], Tuple[str, ...]]" = {
    of_network: ("ifcfg", "interfaces"),
    of_slackware: ("rc.inet1",),
    of_ifupdown: ("interfaces",),
}
