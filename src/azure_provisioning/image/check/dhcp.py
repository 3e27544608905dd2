"""Is there a DHCP client, does the boot start it, and does it configure Azure's network card, which is eth0?"""

import re
from typing import Iterator, List, NamedTuple, Optional

from ...door.text import read_bytes
from ...init.systems import systemd
from ..command import Command
from . import interfaces, netplan, networkd, udhcpc
from .azure_card import INTERFACE, find_card
from .client_calls import find_script
from .client_names import check_names
from .coldplug import check_driver
from .finding import Doubt, Finding, error, ok, warning
from .networkd import Card
from .starters import (
    ALONE,
    BY_NAME,
    LEASERS,
    NETPLAN,
    READERS,
    STARTERS,
    Starter,
    find_united,
    lacks_program,
    of_ifupdown,
    of_netifrc,
    of_network,
    of_networkd,
)
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
PACKAGED = ("systemd", "sysvinit", "openrc")  # for these a distro's packages have services


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
        starts, doubt = "%s starts a DHCP client" % script, renamed(image)
        lack = udhcpc.lacks_script(image, script) if clients == ["udhcpc"] else ""
        if lack or doubt:
            yield (error if lack else warning)("dhcp", "%s, but %s" % (starts, lack or doubt))
        else:
            yield ok("dhcp", starts)
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
            if not problem and able[0] == "udhcpc":
                problem = udhcpc.lacks_script(image, service)
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
        if udhcpc.APPLET in read_bytes(system, busybox, udhcpc.LIMIT):
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
