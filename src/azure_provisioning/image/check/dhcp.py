"""Is there a DHCP client, does the boot start it, and does it configure Azure's network card, which is eth0?"""

import re
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

from ...init.systems import systemd
from ..command import Command
from . import dhcpcd, ifcfg, interfaces, netplan, networkd, networkmanager
from .azure_card import INTERFACE, find_card
from .client_calls import find_script, only_for
from .client_names import check_names
from .coldplug import check_driver
from .finding import Doubt, Finding, error, ok, warning
from .networkd import Card
from .subject import Image

CLIENTS = (
    ("dhclient",),
    ("dhcpcd",),
    ("udhcpc",),
    ("NetworkManager",),
    networkd.PROGRAM,
    ("connmand",),
    ("wickedd",),
)
NETIFRC = "/etc/conf.d/net"
CONNMAN = "/etc/connman/main.conf"
ENSLAVED = ("Bridge", "Bond", "VRF", "BatmanAdvanced")  # what a card can be a part of, and has its address then
BUSYBOX_LIMIT = 4 << 20  # bytes of the program that are searched


class Starter(NamedTuple):
    """A service that starts a DHCP client: its names, the clients that it can use, and a check of its settings."""

    services: Tuple[str, ...]
    clients: Tuple[str, ...]
    problem: "Callable[[Image, str], str]"


class Started(NamedTuple):
    """A service that the boot starts, with its client."""

    starter: Starter
    service: str
    client: str
    problem: str


def check_dhcp(image: Image) -> "Iterator[Finding]":
    """Azure gives the address, and the route to itself, only by DHCP."""
    clients = find_clients(image)
    if not clients:
        yield error("dhcp", "no DHCP client is in the image", image.add("dhcp"))
        return
    names = " ".join(clients)
    if image.services is None:
        yield warning("dhcp", "it cannot be determined whether this boot starts a DHCP client; there is: " + names)
        return
    started = find_started(image, clients)
    good = next((one for one in started if not one.problem), None)
    by_settings = (name for one in STARTERS if one.problem not in (of_ifupdown, of_network) for name in one.services)
    script = None if good else find_script(image, clients, tuple(by_settings))
    enabled_later = None if good or script else find_preset(image, clients)
    if good:
        how = "is started" if good.service == good.client else "starts " + good.client
        yield ok("dhcp", "%s %s" % (good.service, how))
        yield from check_names(image, good.client, *READERS.get(good.starter.problem, ()))
        yield from check_preset(image, good)
        yield from check_driver(image)
    elif script:
        other = renamed(image)
        starts = "%s starts a DHCP client" % script
        yield warning("dhcp", "%s, but %s" % (starts, other)) if other else ok("dhcp", starts)
        yield from check_driver(image)
    elif enabled_later:
        message = "no DHCP client is started; presets enable %s in the first boot, if the root is writable then"
        yield warning("dhcp", message % enabled_later, image.enable(enabled_later))
    elif started:
        doubtful = [one for one in started if isinstance(one.problem, Doubt)]
        first, found = (doubtful or started)[0], warning if doubtful else error
        other = awaited(image, first.service)
        command = image.enable(other) if other else mend(image, first.starter)
        yield found("dhcp", "%s is started, but %s" % (first.service, first.problem), command)
    else:
        yield error("dhcp", "no DHCP client is started at boot; there is: " + names, remedy(image, clients))


def find_started(image: Image, clients: "List[str]") -> "List[Started]":
    """The services that the boot starts and that can start one of the clients, in the order of STARTERS."""
    found = []
    for starter in STARTERS:
        able = [client for client in clients if client in starter.clients]
        if starter.services == NETPLAN:
            service, able = netplan.find(image), [netplan.renderer(image)]
        else:
            service = image.starts(*starter.services)
        if service is None and starter.problem is of_netifrc:
            service = find_united(image)
        if service and able:
            other = awaited(image, service)
            problem = "it waits for %s, which is not started" % other if other else starter.problem(image, service)
            if starter.problem in BY_NAME and renamed(image):
                problem = Doubt(renamed(image))
            found.append(Started(starter, service, able[0], problem))
    return found


def renamed(image: Image) -> str:
    """That Azure's card may have another name than the settings of scripts say; empty if it has not."""
    card = image.once(find_card)
    names = [name for name in (card.name, *card.perhaps) if name != INTERFACE]
    return "a .link file of systemd/network calls %s %s" % (INTERFACE, names[0]) if names else ""


def awaited(image: Image, service: str) -> str:
    """The service without which the `run` of a runit service ends, if no boot starts it: Void's NetworkManager."""
    home, _, name = (image.services or {})[service].rpartition("/") if image.init == "runit" else ("", "", "")
    if name != "run":
        return ""
    folder, script = home.rpartition("/")[0], image.active(home + "/run")
    others = re.findall(r"\bsv[ \t]+(?:check|start|up)[ \t]+([\w.@-]+)[^|\n]*\|\|[ \t]*exit\b", script)
    return next((other for other in others if image.system.stat("%s/%s" % (folder, other)) is None), "")


def find_preset(image: Image, clients: "List[str]") -> "Optional[str]":
    """A service that no link starts, but that the presets of the first boot enable: without a line for it, too."""
    if image.init != "systemd" or not systemd.is_first_boot(image.system):
        return None
    for starter in STARTERS:
        for service in starter.services if set(clients).intersection(starter.clients) else ():
            unit = systemd.unit_name(service)
            wanted = any(key in ("WantedBy", "RequiredBy") for key, _ in systemd.unit_settings(image.system, unit))
            verdict = systemd.find_preset(image.system, unit) if wanted else (False, "")
            if (verdict is None or verdict[0]) and not starter.problem(image, service):
                return service
    return None


def check_preset(image: Image, started: Started) -> "Iterator[Finding]":
    """If a preset says `disable`, a systemd built with first-boot-full-preset removes the link in the first boot."""
    unit = systemd.unit_name(started.service)
    if not (image.services or {}).get(started.service, "").startswith(systemd.OWN + "/"):
        return
    verdict = systemd.find_preset(image.system, unit) if systemd.is_first_boot(image.system) else None
    if verdict and not verdict[0]:
        message = "%s disables %s, which some builds of systemd apply in the first boot" % (verdict[1], started.service)
        path = "/etc/systemd/system-preset/10-%s.preset" % started.service.partition("@")[0]
        yield warning("dhcp", message, image.put(path, Command("echo", "enable " + unit)))


def find_clients(image: Image) -> "List[str]":
    """The names of the image's clients."""
    system = image.system
    found = [names[-1].rpartition("/")[2] for names in CLIENTS if system.find_program(*names)]
    if image.init not in ("systemd", None) and "systemd-networkd" in found:
        found.remove("systemd-networkd")  # it needs systemd
    busybox = system.find_program("busybox")
    if "udhcpc" not in found and busybox:
        if b"udhcpc" in (system.read(busybox, BUSYBOX_LIMIT, head=True) or b""):
            found.append("udhcpc")
    return found


def remedy(image: Image, clients: "List[str]") -> Command:
    """The command that has the boot start a client: one that is configured, else networkd with a file for it."""
    networking = image.enable("networking")
    if networking and image.init == "openrc":
        networking = image.inside(Command("rc-update", "add", "networking", "boot"))  # before those of `default`
    if networking and set(clients).intersection(LEASERS) and not of_ifupdown(image, "networking"):
        return networking
    found = [(image.enable(name), of(image, name)) for name, of in ALONE.items() if name in clients]
    ready = next((command for command, problem in found if command and not problem), None)
    networkd = image.enable("systemd-networkd") if "systemd-networkd" in clients else Command()
    if ready is None and networkd:
        return write_network(image).then(networkd)
    any_other = next((command for command, _ in found if command), networking)
    # Debian's dhcpcd-base, for example, is a client without a service, which the package `dhcpcd` has.
    return ready or any_other or (image.add("dhcp") if image.init in PACKAGED else Command())


def write_network(image: Image) -> Command:
    """The command that writes a .network file for Azure's card, or edits the file that would come before it."""
    path = networkd.FOLDERS[0] + "/systemd/network/00-azure.network"
    card = image.once(find_card)
    first = networkd.first_for(image.system, card)
    if image.system.stat(path, follow=False) is not None:
        path = path.replace("00-azure", "00-azure-dhcp")
    if first and first.path.rpartition("/")[2] <= path.rpartition("/")[2]:
        return image.edit(first.path)
    name = ["Name=" + INTERFACE] if card == Card(INTERFACE, card.drivers, also=card.also) else []
    lines = ("[Match]", *name, "Driver=" + networkd.NETVSC, "[Network]", "DHCP=ipv4")
    return image.put_for_all(path, Command("printf", "%s\\n", *lines))


def mend(image: Image, starter: Starter) -> Command:
    """The command that makes a started client configure Azure's card, if that is a new file or lines at an end."""
    if starter.problem is of_networkd:
        unread = networkd.unread_for(image.system, image.once(find_card))
        places = map(image.place, unread)
        return Command("chmod", "a+rX").on(*places) if unread else write_network(image)
    if starter.problem is netplan.lack:
        client = netplan.renderer(image)
        return image.enable(client) if netplan.not_started(image, client) else Command()
    if starter.problem is not of_ifupdown:
        return Command()
    reader = interfaces.read_interfaces(image)
    found, names = reader.found, [name for _, name in reader.entries(INTERFACE)]
    if INTERFACE in found.parts:  # with an address of its own it would not be one any more
        return image.edit(interfaces.PATH)
    if lacks_program(image, reader):
        return image.add("dhcp")
    if found.excludes(INTERFACE) and not names:
        return image.edit(interfaces.DEFAULTS)
    lines = [] if names else ["auto " + INTERFACE]  # busybox refuses a second one
    name = names[0] if names else INTERFACE
    if found.refused or INTERFACE in found.unseen or (found.methods.get(name) and not found.asks(*names, name)):
        return image.edit(interfaces.PATH)
    if not found.asks(*names, name):
        lines.append("iface %s inet dhcp" % name)
    return image.append(interfaces.PATH, Command("printf", "%s\\n", *lines)) if lines else Command()


# -- what the settings of each lack; empty if nothing ------------------------------------------------------------------


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
    text, name = image.text(NETIFRC), service.partition(".")[2]
    if name != INTERFACE:
        return Doubt("%s makes %s a part of %s" % (NETIFRC, INTERFACE, name))
    value = ifcfg.assigned(text, "config_" + INTERFACE)
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
    return "" if INTERFACE in ifcfg.asked(image) else "rc.inet1.conf does not ask for DHCP on %s" % INTERFACE


INSTANCES = ("-" + INTERFACE, "@" + INTERFACE)  # ends of the names of services that are for Azure's card only
LEASERS = ("dhclient", "dhcpcd", "udhcpc")
PACKAGED = ("systemd", "sysvinit", "openrc")  # for these a distro's packages have services
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
