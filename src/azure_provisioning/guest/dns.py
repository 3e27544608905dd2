"""The machine's name in Azure's DNS, which registers what the DHCP request carried.

The first request of a new VM carried the image's name, and Azure's leases never end, so that no renewal corrects it.
Whoever has the lease is asked to send the new name; the link stays up, and the address too.
"""

import re
from typing import Callable, Dict, List, Tuple

from ..door.routes import card_to, read_routes
from ..door.system import System
from ..errors import GuestError
from .processes import processes

FOLDER = "/run/azure-provisioning"
SECONDS = 30.0  # for a client to get its answer
AZURE = "168.63.129.16"  # which has the names too

PROGRAMS = ("systemd-networkd", "NetworkManager", "dhcpcd", "dhclient", "udhcpc")

Running = Dict[str, List[List[str]]]  # the command lines of the processes that go by a name


def publish_name(system: System, name: str) -> str:
    """Have the DHCP client of each interface that leads outside send `name`; returns who was asked.

    Raises GuestError if that cannot be done on any of them.
    """
    if not re.match(r"[A-Za-z0-9.-]{1,64}\Z", name):
        raise GuestError("not a host name", name=ascii(name))
    interfaces = find_interfaces(system)
    if not interfaces:
        raise GuestError("no interface has a route to Azure")
    running = find_processes(system)
    done: "List[str]" = []
    problems: "List[GuestError]" = []
    for interface in interfaces:
        try:
            done.append("%s by %s" % (interface, publish_on(system, interface, name, running)))
        except GuestError as error:
            problems.append(error)
    if not done:
        raise problems[0]
    return ", ".join(done + [str(error) for error in problems])


def publish_on(system: System, interface: str, name: str, running: Running) -> str:
    """Have the name sent on one interface; returns by whom. Raises GuestError."""
    for client, publish in CLIENTS:
        if publish(system, interface, name, running):
            return client
    raise GuestError("no DHCP client is known that could send the new name", interface=interface)


def find_interfaces(system: System) -> List[str]:
    """The interfaces that a default route (IPv4) leads over; if none does, the one over which Azure is reached."""
    found: "List[str]" = []
    for route in read_routes(system):
        if route.target == route.mask == 0 and route.card not in found:
            found.append(route.card)
    return found or list(filter(None, [card_to(system, AZURE)]))


def find_processes(system: System) -> Running:
    """The clients that run, by their names: only the image's own."""
    found: Running = {}
    for process in processes(system, *PROGRAMS):
        found.setdefault(process.name, []).append(process.argv)
    return found


# -- one function a client: True if it has the interface and sent the name ---------------------------------------


def by_networkd(system: System, interface: str, _name: str, running: Running) -> bool:
    """systemd-networkd. `renew` and `forcerenew` send the old name (systemd issues 23244, 36440)."""
    if "systemd-networkd" not in running or not has_index_in(system, "/run/systemd/netif/leases", interface):
        return False
    system.run(["networkctl", "reconfigure", interface], SECONDS)
    return True


def by_network_manager(system: System, interface: str, name: str, running: Running) -> bool:
    """NetworkManager. To reapply what has not changed asks for no lease; a name for this activation alone does."""
    if "NetworkManager" not in running or not has_index_in(system, "/run/NetworkManager/devices", interface):
        return False
    argv = ["nmcli", "--wait", "%d" % (SECONDS - 5), "device", "modify", interface, "ipv4.dhcp-hostname", name]
    system.run(argv, SECONDS)
    return True


def by_dhcpcd(system: System, interface: str, _name: str, running: Running) -> bool:
    """dhcpcd. It is told once: a second time, before the first is answered, gives the lease up.

    Without a pid file that we know, `-n` would start a second one. It sends a name only if its configuration says so.
    """
    pid_files: "Tuple[Tuple[str, List[str]], ...]" = (
        ("/run/dhcpcd/pid", []),
        ("/run/dhcpcd.pid", []),
        ("/run/dhcpcd/%s.pid" % interface, [interface]),
        ("/run/dhcpcd-%s.pid" % interface, [interface]),
        ("/run/dhcpcd/%s-4.pid" % interface, ["-4", interface]),
        ("/run/dhcpcd-%s-4.pid" % interface, ["-4", interface]),
    )
    which = [words for path, words in pid_files if "dhcpcd" in running and system.exists(path)]
    if not which:
        return False
    if not re.search(r"(?m)^[ \t]*hostname(?:_short)?\b", system.read_text("/etc/dhcpcd.conf") or ""):
        raise GuestError(
            "dhcpcd sends no host name", advice="put the line `hostname` into /etc/dhcpcd.conf of the image"
        )
    system.run(["dhcpcd", "-n"] + which[0], SECONDS)
    return True


def by_dhclient(system: System, interface: str, name: str, running: Running) -> bool:
    """ISC dhclient, which cannot be told. A second one, that changes nothing of the guest, gets the same lease with the
    new name and ends; the first goes on."""
    if not any(interface in argv or not argv[1:] for argv in running.get("dhclient", [])):
        return False
    paths = ["%s/dhclient.%s" % (FOLDER, ending) for ending in ("conf", "leases", "pid")]
    system.make_dirs("/run")
    system.make_dirs(FOLDER, mode=0o700)
    system.write(paths[0], 'send host-name "%s";\ntimeout 15;\n' % name)
    files = ["-cf", paths[0], "-lf", paths[1], "-pf", paths[2], "-sf", find_true(system), interface]
    try:
        system.run(["dhclient", "-4", "-1"] + files, SECONDS)
        system.run(["dhclient", "-4", "-x"] + files, SECONDS, check=False)
    finally:
        for path in paths:
            system.unlink(path)
    return True


def by_udhcpc(system: System, interface: str, name: str, running: Running) -> bool:
    """udhcpc, which sends what it was started with for as long as it lives. As with dhclient, a second one."""
    if not any(word.endswith(interface) for argv in running.get("udhcpc", []) for word in argv):
        return False
    program = [system.find_program("udhcpc") or "udhcpc"]
    if not system.is_program(program[0]):
        program = ["busybox", "udhcpc"]
    options = ["-i", interface, "-x", "hostname:" + name, "-s", find_true(system)]
    system.run(program + options + ["-f", "-n", "-q", "-t", "3", "-T", "3"], SECONDS)
    return True


def has_index_in(system: System, folder: str, interface: str) -> bool:
    """Is there a file in `folder` that is called like the kernel's number of the interface?"""
    index = (system.read_text("/sys/class/net/%s/ifindex" % interface) or "").strip()
    return bool(index) and system.exists("%s/%s" % (folder, index))


def find_true(system: System) -> str:
    """The program that does nothing, in the place of a script that would configure the interface."""
    program = system.find_program("true")
    if program is None:
        raise GuestError("no program `true`")
    return program


# Who manages others comes first: NetworkManager may have a dhclient of its own.
CLIENTS: "Tuple[Tuple[str, Callable[[System, str, str, Running], bool]], ...]" = (
    ("systemd-networkd", by_networkd),
    ("NetworkManager", by_network_manager),
    ("dhcpcd", by_dhcpcd),
    ("dhclient", by_dhclient),
    ("udhcpc", by_udhcpc),
)
