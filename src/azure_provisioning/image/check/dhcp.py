"""Is there a DHCP client, does the boot start it, and does it care for Azure's interface, which is called eth0?"""

import re
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

from ...door.pattern import matches
from ...door.text import words_in
from ...guest.sshd_config import matching
from ..command import Command
from .finding import Finding, error, ok, warning
from .subject import Image

INTERFACE = "eth0"  # hv_netvsc has no slot or path that udev could make another name of
NETWORKD = ("/usr/lib/systemd/systemd-networkd", "/lib/systemd/systemd-networkd")
CLIENTS = (
    ("dhclient",),
    ("dhcpcd",),
    ("udhcpc",),
    ("NetworkManager",),
    NETWORKD,
    ("connmand",),
    ("wickedd",),
)
BUSYBOX_LIMIT = 4 << 20  # bytes of the program that are searched
SCRIPT = re.compile(r"\b(udhcpc|dhcpcd|dhclient)\b")
PINNED = re.compile(r"(?im)^[ \t]*(?:MACAddress|PermanentMACAddress|HWADDR|mac-address|macaddress)\s*[=:]")


class Starter(NamedTuple):
    """A service that starts a DHCP client: its names, the clients that it can use, and what its settings lack."""

    services: Tuple[str, ...]
    clients: Tuple[str, ...]
    problem: "Callable[[Image, str], str]"


def check_dhcp(image: Image) -> "Iterator[Finding]":
    """Azure gives the address, and the way to itself, by DHCP alone."""
    clients = find_clients(image)
    if not clients:
        yield error("dhcp", "no DHCP client is in the image", image.add("dhcp"))
        return
    names = " ".join(clients)
    if image.services is None:
        yield warning("dhcp", "nobody can tell whether this boot starts a DHCP client; there is: " + names)
        return
    problems = []
    for starter in STARTERS:
        service = find_netplan(image) if starter.services == NETPLAN else image.starts(*starter.services)
        able = [client for client in clients if client in starter.clients]
        if service and able:
            problem = starter.problem(image, service)
            if not problem:
                yield ok(
                    "dhcp", "%s starts %s" % (service, able[0]) if service != able[0] else "%s is started" % service
                )
                return
            problems.append("%s is started, but %s" % (service, problem))
    service = find_script(image, clients)
    if service:
        yield ok("dhcp", "%s starts a DHCP client" % service)
    elif problems:
        yield error("dhcp", problems[0])
    else:
        yield error("dhcp", "no DHCP client is started at boot; there is: " + names, remedy(image, clients))


def find_clients(image: Image) -> "List[str]":
    """The clients of the image, by the names of their programs."""
    system = image.system
    found = [names[-1].rpartition("/")[2] for names in CLIENTS if system.find_program(*names)]
    if image.init not in ("systemd", None) and "systemd-networkd" in found:
        found.remove("systemd-networkd")  # which does nothing without systemd
    busybox = system.find_program("busybox")
    if "udhcpc" not in found and busybox:
        if b"udhcpc" in (system.read(busybox, BUSYBOX_LIMIT, head=True) or b""):
            found.append("udhcpc")
    return found


def remedy(image: Image, clients: "List[str]") -> Command:
    """The command that has the boot start one that is there, if it is a service by itself."""
    services = {"systemd-networkd": "systemd-networkd", "NetworkManager": "NetworkManager", "dhcpcd": "dhcpcd"}
    for client in clients:
        name = services.get(client)
        command = image.enable(name) if name else Command()
        if command:
            return command
    return Command()


def find_script(image: Image, clients: "List[str]") -> "Optional[str]":
    """The first service whose own script calls one of the clients."""
    for name, path in sorted((image.services or {}).items()):
        if "/init.d/" in image.system.chain(path)[-1] or "/rc.d/" in path:
            match = SCRIPT.search(image.active(path))
            if match and match.group(1) in clients:
                return name
    return None


# -- what the settings of each lack; empty if nothing ------------------------------------------------------------------


def nothing(_image: Image, _service: str) -> str:
    """It asks on every interface by itself."""
    return ""


def find_netplan(image: Image) -> "Optional[str]":
    """netplan, if the image has files for it: its generator has systemd start a client, by no link of the image's."""
    places = ("/usr/lib/systemd/system-generators/netplan", "/lib/systemd/system-generators/netplan")
    there = image.init == "systemd" and any(image.system.exists(path) for path in places)
    return "netplan" if there and matching(image.system, "/etc/netplan/*.yaml") else None


def of_netplan(image: Image, _service: str) -> str:
    """`dhcp4: true` for a card that may be eth0. The files are YAML, of which this looks at the words alone."""
    text = image.active(*matching(image.system, "/etc/netplan/*.yaml"))
    if not re.search(r"\bdhcp4:\s*(true|yes|on)\b", text):
        return "no file of /etc/netplan asks for DHCP"
    if PINNED.search(text):
        return "the files of /etc/netplan are for the card of one machine (macaddress)"
    if not re.search(r"(?m)^[ \t]*[\"']?%s[\"']?:|\bmatch:" % INTERFACE, text):
        return "no file of /etc/netplan is for %s" % INTERFACE
    return ""


def of_networkmanager(image: Image, _service: str) -> str:
    """It asks on every card that it has no profile for, unless it is told not to. See NetworkManager.conf(5)."""
    folders = ("/etc/NetworkManager/conf.d/*.conf", "/usr/lib/NetworkManager/conf.d/*.conf")
    files = ["/etc/NetworkManager/NetworkManager.conf"]
    files += [path for folder in folders for path in matching(image.system, folder)]
    if not any(re.search(r"(?m)^[ \t]*no-auto-default\s*=\s*(\*|%s)" % INTERFACE, image.text(path)) for path in files):
        return ""
    profiles = matching(image.system, "/etc/NetworkManager/system-connections/*")
    profiles += matching(image.system, "/etc/sysconfig/network-scripts/ifcfg-e*")
    if any(not PINNED.search(image.text(path)) for path in profiles):
        return ""
    return "it has no profile for %s, and no-auto-default keeps it from making one" % INTERFACE


def of_networkd(image: Image, _service: str) -> str:
    """A .network file that asks for IPv4 on eth0, and not on the card of one machine alone. See systemd.network(5)."""
    files: "Dict[str, str]" = {}
    for folder in ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"):
        for path in matching(image.system, folder + "/systemd/network/*.network"):
            files.setdefault(path.rpartition("/")[2], path)
    for name in sorted(files):
        text = image.active(files[name])
        if re.search(r"(?im)^[ \t]*DHCP\s*=\s*(yes|true|ipv4|both|1|on)\s*$", text) and matches_network(text):
            return ""
    return "no file of systemd/network asks for DHCP on %s" % INTERFACE


def matches_network(text: str) -> bool:
    """Does the [Match] section mean eth0?"""
    if PINNED.search(text.partition("[Network]")[0]):
        return False
    names = re.findall(r"(?im)^[ \t]*Name\s*=\s*(.*)$", text.partition("[Network]")[0])
    words = [word for line in names for word in line.split()]
    return not words or any(matches(INTERFACE, word) for word in words)


def of_ifupdown(image: Image, _service: str) -> str:
    """`iface eth0 inet dhcp` in /etc/network/interfaces, or in what that includes."""
    paths = ["/etc/network/interfaces"] + matching(image.system, "/etc/network/interfaces.d/*")
    text = image.active(*paths)
    if not text.strip():
        return "/etc/network/interfaces is empty"
    asked, card = [], ""
    for words in (words_in(line) for line in text.split("\n")):
        if words[:1] == ["iface"] and len(words) > 1:
            card = words[1]
            if "dhcp" in words and "inet6" not in words:
                asked.append(card)
        elif words[:2] == ["use", "dhcp"]:  # ifupdown-ng
            asked.append(card)
    if any(name == INTERFACE or matches(INTERFACE, name.lstrip("/")) for name in asked):
        return ""
    if asked:
        return "/etc/network/interfaces asks for DHCP on %s, and Azure's card is %s" % (asked[0], INTERFACE)
    return "/etc/network/interfaces does not ask for DHCP on %s" % INTERFACE


def of_network(image: Image, service: str) -> str:
    """The scripts called `network`: those of chkconfig distros have ifcfg files, Buildroot's and others' interfaces."""
    folders = ("/etc/sysconfig/network-scripts", "/etc/sysconfig/network")
    if not any(image.system.is_dir(folder) for folder in folders):
        return of_ifupdown(image, service)
    for folder in folders:
        text = image.text("%s/ifcfg-%s" % (folder, INTERFACE))
        if re.search(r"(?im)^[ \t]*BOOTPROTO\s*=\s*[\"']?(dhcp|dhcp4)\b", text):
            return "ifcfg-%s is for the card of one machine (HWADDR)" % INTERFACE if PINNED.search(text) else ""
    return "no ifcfg-%s asks for DHCP" % INTERFACE


def of_netifrc(image: Image, _service: str) -> str:
    """netifrc asks by DHCP unless it is told otherwise."""
    match = re.search(r"(?m)^[ \t]*config_%s=[\"'(]*([^\"')\n]*)" % INTERFACE, image.text("/etc/conf.d/net"))
    return "" if match is None or "dhcp" in match.group(1) else "/etc/conf.d/net gives %s an address" % INTERFACE


def of_slackware(image: Image, _service: str) -> str:
    """`USE_DHCP[0]="yes"`."""
    asks = re.search(r"(?m)^[ \t]*(USE_DHCP\[0\]|IFOPTS\[0\])=[\"']?yes", image.text("/etc/rc.d/rc.inet1.conf"))
    return "" if asks else "rc.inet1.conf does not ask for DHCP on %s" % INTERFACE


LEASERS = ("dhclient", "dhcpcd", "udhcpc")
NETPLAN = ("netplan",)
STARTERS = (
    Starter(NETPLAN, ("systemd-networkd", "NetworkManager"), of_netplan),
    Starter(("systemd-networkd",), ("systemd-networkd",), of_networkd),
    Starter(("NetworkManager", "networkmanager", "network-manager"), ("NetworkManager",), of_networkmanager),
    Starter(("dhcpcd", "dhcpcd5", "dhcpcd@*", "dhcpcd-%s" % INTERFACE), ("dhcpcd",), nothing),
    Starter(("dhclient", "dhclient@%s" % INTERFACE), ("dhclient",), nothing),
    Starter(("udhcpc", "udhcpc@*"), ("udhcpc",), nothing),
    Starter(("connman", "connmand"), ("connmand",), nothing),
    Starter(("wicked", "wickedd"), ("wickedd",), of_network),
    Starter(("net.%s" % INTERFACE,), LEASERS, of_netifrc),
    Starter(("networking", "networking.sh", "ifup@%s" % INTERFACE), LEASERS, of_ifupdown),
    Starter(("network", "network-interface"), LEASERS, of_network),
    Starter(("inet1",), LEASERS, of_slackware),
)
