"""Accelerated networking: a second card besides eth0, its virtual function, has its address and must not be configured.

The kernel's hv_netvsc uses it by itself (Documentation/networking/device_drivers/ethernet/microsoft/netvsc.rst). A
client that configures it as a separate card requests one lease twice, or waits for an answer that does not come.
"""

import re
from typing import Callable, Dict, Iterator, List, NamedTuple

from ...door.pattern import matches
from ...guest.sshd_config import matching
from ..command import Command
from . import dhcp, dhcpcd, ifcfg, interfaces, netplan, networkd, networkmanager, starters
from .azure_card import INTERFACE, RENAMING, has_plain_names
from .finding import NOTHING, Finding, ok, warning
from .subject import Image

ID = "accelerated-networking"
# Which one a VM has depends on its size. The second has a name of its own for ethtool.
KINDS = (("mlx5_core",), ("mlx4_core", "mlx4_en"), ("mana",))
UDEVD = (
    "/usr/lib/systemd/systemd-udevd",
    "/lib/systemd/systemd-udevd",
    "udevd",
    "/lib/udev/udevd",
    "/usr/lib/udev/udevd",
)
RULES = "/etc/udev/rules.d/10-azure-unmanaged-sriov.rules"  # the name that azure-vm-utils uses
MARK = "AZURE_UNMANAGED_SRIOV"
# Slaves (IFF_SLAVE, 0x800) on Azure's PCI bus are those that hv_netvsc uses.
RULE = (
    'SUBSYSTEM=="net", ACTION!="remove", DRIVERS=="hv_pci", ATTR{flags}=="0x?[89ABCDEF]??", '
    'ENV{%s}="1", ENV{ID_NET_MANAGED_BY}="unmanaged", ENV{NM_UNMANAGED}="1"' % MARK
)
MEANS_IT = re.compile(r"hv_pci|mlx[45]|\bmana\b|ATTR\{flags\}")
BY_DRIVER = re.compile(r'\b(DRIVERS?|ENV\{ID_NET_DRIVER\})(==|!=)"([^"]*)"')  # conditions of a rule
LIBRARIES = ("/usr/lib/systemd", "/lib/systemd", "/usr/lib64/systemd")
MULTIARCH = ("/usr/lib/x86_64-linux-gnu/systemd", "/usr/lib/aarch64-linux-gnu/systemd")  # of Debian
IS_MANAGED_BY = 255  # the first release of systemd whose networkd respects ID_NET_MANAGED_BY


class Problem(NamedTuple):
    """Why a client configures the second card, and how to stop that."""

    message: str
    remedy: Command


def check_second_card(image: Image) -> "Iterator[Finding]":
    """Does the started client ignore the second card?"""
    started = next((one for one in dhcp.find_started(image, dhcp.find_clients(image)) if not one.problem), None)
    if started is None:
        return  # check_dhcp has reported it, or a script configures only one card
    look = LOOKS.get(started.starter.services[0])
    found: "Dict[Problem, List[str]]" = {}
    for drivers in KINDS if look else ():
        for problem in look(image, started.service, networkd.Card(card_name(image), drivers)) if look else ():
            found.setdefault(problem, []).append(drivers[0])
    for problem, names in found.items():
        some = " with the driver " + " or ".join(names) if len(names) < len(KINDS) else ""
        message = "%s%s: with accelerated networking that sets up the second card, which has the address of eth0"
        yield warning(ID, message % (problem.message, some), problem.remedy)
    if not found:
        yield ok(ID, "%s ignores the second card" % started.service)


def card_name(image: Image) -> str:
    """The name of the second card: from its place on the bus, or eth1 without such names."""
    plain = image.once(has_plain_names)
    for path in (RENAMING, "/etc/systemd/network/99-default.link"):
        plain = plain or image.system.chain(path)[-1] == "/dev/null"
    return "eth1" if plain or not image.system.find_program(*UDEVD) else "enP30832p0s2"


def marks(image: Image, card: networkd.Card) -> "Dict[str, str]":
    """The properties that udev's rules give such a card."""
    found: "Dict[str, str]" = {}
    if not image.system.find_program(*UDEVD):
        return found
    for path in networkd.newest(image.system, "udev/rules.d", ".rules").values():
        for line in image.active(path).replace("\\\n", " ").split("\n"):
            if MEANS_IT.search(line) and all(meets(card, *one) for one in BY_DRIVER.findall(line)):
                found.update(re.findall(r'ENV\{(\w+)\}="([^"]*)"', line))
    return found


def meets(card: networkd.Card, key: str, operator: str, patterns: str) -> bool:
    """Does such a card surely meet a rule's condition about drivers? One of DRIVERS is about a device above it, too."""
    names = (*card.drivers, "hv_pci") if key == "DRIVERS" else card.drivers
    met = any(matches(name, pattern) for name in names for pattern in patterns.split("|"))
    return met if operator == "==" else not met and key != "DRIVERS"


def add_rule(image: Image) -> Command:
    """The command that adds the udev rule."""
    return image.put(RULES, Command("printf", "%s\\n", RULE))


def of_networkd(image: Image, _service: str, card: networkd.Card) -> "Iterator[Problem]":
    """The first .network file for the second card makes networkd ignore it, or there is none."""
    found = marks(image, card)
    properties = ("%s=1" % MARK,) if found.get(MARK) == "1" else ()
    network = networkd.first_for(image.system, card._replace(properties=properties))
    if network is None or network.value("Link", "Unmanaged") in networkd.YES:
        return
    if found.get("ID_NET_MANAGED_BY") == "unmanaged" and release_of_systemd(image) >= IS_MANAGED_BY:
        return
    path = "/etc/systemd/network/%s.d/azure.conf" % network.path.rpartition("/")[2]
    remedy = image.put_for_all(path, Command("printf", "%s\\n", "[Match]", "Driver=", "Driver=hv_netvsc"))
    yield Problem("%s is for any card" % network.path, remedy)


def release_of_systemd(image: Image) -> int:
    """systemd's release number, from the name of its library; 0 if unknown."""
    for folder in LIBRARIES + MULTIARCH:
        for name in image.system.list(folder):
            match = re.match(r"libsystemd-shared-([0-9]{3})\D", name)
            if match:
                return int(match.group(1))
    return 0


def of_networkmanager(image: Image, _service: str, card: networkd.Card) -> "Iterator[Problem]":
    """A udev rule, its configuration or its profiles exclude the second card."""
    if marks(image, card).get("NM_UNMANAGED") == "1" or networkmanager.unmanaged(image, card):
        return
    profiles = networkmanager.profiles(image, card)
    used = [profile for profile in profiles if not networkmanager.is_ignored(image, profile)]
    if not used and networkmanager.read(image).lists("main", "no-auto-default", card):
        return
    remedy = add_rule(image) if image.system.find_program(*UDEVD) else NOTHING
    yield Problem("NetworkManager has no rule (NM_UNMANAGED) that excludes a card", remedy)


def of_netplan(image: Image, _service: str, card: networkd.Card) -> "Iterator[Problem]":
    """`match:` with only a name also matches the second card."""
    try:
        found = netplan.definitions(image)
    except netplan.Unclear:  # check_dhcp has said so
        return
    first = next((one for one in found if one.network.is_for(card, image.system)), None)
    if first and first.network.value("Network", "DHCP"):
        path = next(
            (path for path in matching(image.system, "/etc/netplan/*.yaml") if first.name in image.text(path)), ""
        )
        remedy = image.edit(path).noting("match: {driver: hv_netvsc}") if path else NOTHING
        yield Problem("`%s` in %s is for any card of that name" % (first.name, path), remedy)


def of_dhcpcd(image: Image, service: str, of: networkd.Card) -> "Iterator[Problem]":
    """It configures every card, except those that are denied."""
    card, path = of.name, dhcpcd.PATH
    if service.endswith(starters.INSTANCES) or not dhcpcd.takes(image, card):
        return
    line = "denyinterfaces enP*" if card.startswith("enP") else "allowinterfaces " + INTERFACE
    block = re.search(r"(?m)^[ \t]*(?:%s)\b" % "|".join(dhcpcd.BLOCKS), image.text(path))  # in one it would not count
    first = Command("sed", "-i", "1i " + line).on(image.place(path))
    remedy = first if block else image.append(path, Command("echo", line))
    yield Problem("dhcpcd takes every card", remedy)


def of_ifupdown(image: Image, _service: str, card: networkd.Card) -> "Iterator[Problem]":
    """No pattern that is brought up matches the second card."""
    reader = interfaces.read_interfaces(image)
    for entry, name in reader.entries(card.name):
        if reader.found.asks(name):
            remedy = image.edit(interfaces.PATH).noting("auto %s" % INTERFACE)
            yield Problem("`%s` in %s is any card" % (entry, interfaces.PATH), remedy)
            return


def of_connman(image: Image, _service: str, of: networkd.Card) -> "Iterator[Problem]":
    """It configures every card, except those whose names begin with a word of its list."""
    path, card = starters.CONNMAN, of.name
    if starters.is_listed(image, card):
        return
    text = image.active(path)
    prefix, place = card[:3] if card.startswith("enP") else card, image.place(path)
    usual = "vmnet,vboxnet,virbr,ifb,ve-,vb-,ham,veth"  # connman.conf(5)
    if re.search(r"(?m)^[ \t]*NetworkInterfaceBlacklist[ \t]*=", text):
        remedy = Command("sed", "-i", "s/^[[:blank:]]*NetworkInterfaceBlacklist[[:blank:]]*=.*/&,%s/" % prefix).on(
            place
        )
    elif re.search(r"(?m)^\[General\]", text):
        added = "NetworkInterfaceBlacklist=%s,%s" % (usual, prefix)
        remedy = Command("sed", "-i", "s/^\\[General\\].*/&\\n%s/" % added).on(place)
    else:
        remedy = Command("mkdir", "-p").on(image.place("/etc/connman"))
        lines = ("[General]", "NetworkInterfaceBlacklist=%s,%s" % (usual, prefix))
        remedy = remedy.then(image.append(path, Command("printf", "%s\\n", *lines)))
    yield Problem("connman takes every card", remedy)


def of_dhclient(image: Image, service: str, _card: networkd.Card) -> "Iterator[Problem]":
    """Without the name of a card on its command line it configures every card: dhclient(8)."""
    path = (image.services or {}).get(service, "")
    conf = path.rpartition("/")[0] + "/conf"  # Void's script takes the options from there
    options = re.search(r"(?m)\bdhclient((?:[ \t]+(?:-\w+|\$\{?OPTS\S*))*)[ \t]*$", image.active(path))
    taken = bool(options and "OPTS" in options.group(1))
    if options and not (taken and INTERFACE in image.active(conf)):
        write = image.put(conf, Command("echo", "OPTS='-d %s'" % INTERFACE))
        yield Problem("dhclient takes every card", write if taken else image.edit(path))


def of_slackware(image: Image, _service: str, card: networkd.Card) -> "Iterator[Problem]":
    """The card has one of these names; which one, is udev's choice."""
    for name in ifcfg.asked(image):
        if name in ("eth1", card.name):
            yield Problem("%s in rc.inet1.conf may be the second card" % name, image.edit(ifcfg.INET1))


def of_ifcfg(image: Image, _service: str, card: networkd.Card) -> "Iterator[Problem]":
    """The same for ifcfg files, or for interfaces where scripts called `network` use that."""
    if not any(image.system.is_dir(folder) for folder in ifcfg.FOLDERS):
        yield from of_ifupdown(image, _service, card)
    for path in (path for name in sorted({"eth1", card.name}) for path in ifcfg.files(name)):
        if image.system.exists(path) and not ifcfg.lack(image, path.rpartition("/ifcfg-")[2]):
            yield Problem("%s may be for the second card" % path, image.remove(path))


def of_netifrc(image: Image, _service: str, card: networkd.Card) -> "Iterator[Problem]":
    """The same for the services of netifrc."""
    service = image.starts("net.eth1", "net." + card.name)
    if service:
        remedy = image.inside(Command("rc-update", "-a", "del", service))
        yield Problem("%s may be for the second card" % service, remedy)


# By the first service name in STARTERS; the others only use eth0.
LOOKS: "Dict[str, Callable[[Image, str, networkd.Card], Iterator[Problem]]]" = {
    "netplan": of_netplan,
    "systemd-networkd": of_networkd,
    "NetworkManager": of_networkmanager,
    "dhcpcd": of_dhcpcd,
    "dhclient": of_dhclient,
    "connman": of_connman,
    "networking": of_ifupdown,
    "net.eth0": of_netifrc,
    "network": of_ifcfg,
    "wicked": of_ifcfg,
    "inet1": of_slackware,
}
