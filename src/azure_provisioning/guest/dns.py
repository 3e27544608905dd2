"""The machine's name in Azure's DNS, which registers what the DHCP request carried.

The first request of a new VM carried the image's name. Azure's leases never end, so no renewal corrects it. The client
that holds the lease is asked to send the new name; the link stays up and the address stays the same.
"""

import re
from typing import Callable, Dict, List, Tuple

from ..door.routes import card_to, read_routes
from ..door.system import System
from ..door.tree import ROOT
from ..errors import GuestError
from .processes import hang_up, processes

# Files for dhclient are in folders that AppArmor lets it read and write (Debian's /etc/apparmor.d/sbin.dhclient): if it
# cannot read its configuration, it sends no name and reports nothing.
DHCLIENT_FOLDER = "/etc/dhcp"
DHCLIENT_CONF = DHCLIENT_FOLDER + "/azure-provisioning.conf"
DHCLIENT_LEASES, DHCLIENT_PID = "/run/dhclient-azure-provisioning.leases", "/run/dhclient-azure-provisioning.pid"
DHCLIENT_SPARE = DHCLIENT_LEASES + ".conf"  # if /etc is read-only: the profile's pattern for leases allows it
END_SECONDS = 5.0  # for our own dhclient to end
SECONDS = 30.0  # for a client to get an answer
OBEY_SECONDS = 3.0  # for networkd to begin, which takes it milliseconds
AZURE = "168.63.129.16"  # Azure's DNS server too

# The service, object and interface of its D-Bus API (org.freedesktop.network1(5)).
NETWORKD = ("org.freedesktop.network1", "/org/freedesktop/network1", "org.freedesktop.network1.Manager")
PROGRAMS = ("systemd-networkd", "NetworkManager", "dhcpcd", "dhclient", "udhcpc")

Running = Dict[str, List[List[str]]]  # the command lines of the running clients, by name


def publish_name(system: System, name: str) -> str:
    """Have the DHCP client of each interface with a default route send `name`; returns which clients were asked.

    Raises GuestError if that fails on all of them.
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
    """Have the name sent on one interface; returns the name of the client. Raises GuestError."""
    for client, publish in CLIENTS:
        if publish(system, interface, name, running):
            return client
    raise GuestError("no known DHCP client can send the new name", interface=interface)


def find_interfaces(system: System) -> List[str]:
    """The interfaces with a default route (IPv4); if there are none, the one over which Azure is reached."""
    found: "List[str]" = []
    for route in read_routes(system):
        if route.target == route.mask == 0 and route.card not in found:
            found.append(route.card)
    return found or list(filter(None, [card_to(system, AZURE)]))


def find_processes(system: System) -> Running:
    """The running clients by name, only the image's own programs."""
    found: Running = {}
    for process in processes(system, *PROGRAMS):
        found.setdefault(process.name, []).append(process.argv)
    return found


# -- one function for each client: True if it manages the interface and sent the name ----------------------------


def by_networkd(system: System, interface: str, _name: str, running: Running) -> bool:
    """systemd-networkd. `renew` and `forcerenew` send the old name (systemd issues 23244, 36440).

    This calls what `networkctl reconfigure` calls, but does not wait for an answer, which an SELinux policy may block.
    The policy may block the call, too: networkd has obeyed when it writes its file about the link again.
    """
    index = index_of(system, interface)
    if "systemd-networkd" not in running or not has_index_in(system, "/run/systemd/netif/leases", interface):
        return False
    before = written(system, index)
    if system.find_program("busctl"):
        system.run(["busctl", "call", "--expect-reply=no", *NETWORKD, "ReconfigureLink", "i", index], SECONDS)
    else:
        system.run(["networkctl", "reconfigure", interface], SECONDS)
    if before and not system.becomes(lambda: written(system, index) != before, OBEY_SECONDS):
        raise GuestError("systemd-networkd did not request a lease with the new name", interface=interface)
    return True


def written(system: System, index: str) -> "Tuple[int, ...]":
    """A value that changes whenever networkd writes its file about a link; empty without such a file."""
    found = system.stat("/run/systemd/netif/links/" + index)
    return (found.st_ino, found.st_mtime_ns) if found else ()


def by_network_manager(system: System, interface: str, name: str, running: Running) -> bool:
    """NetworkManager. Reapplying an unchanged connection requests no lease; setting a name for this activation does."""
    if "NetworkManager" not in running or not has_index_in(system, "/run/NetworkManager/devices", interface):
        return False
    argv = ["nmcli", "--wait", "%d" % (SECONDS - 5), "device", "modify", interface, "ipv4.dhcp-hostname", name]
    system.run(argv, SECONDS)
    return True


def by_dhcpcd(system: System, interface: str, _name: str, running: Running) -> bool:
    """dhcpcd. It is asked once: a second request before the first is answered would give up the lease.

    Without a known pid file, `-n` would start a second dhcpcd. It sends a name only if its configuration says so.
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
    """ISC dhclient, which takes no commands. A second one, which changes nothing in the guest, gets the same lease with
    the new name and ends; the first keeps running."""
    if not any(interface in argv or not argv[1:] for argv in running.get("dhclient", [])):
        return False
    was_there = system.is_dir(DHCLIENT_FOLDER)
    system.make_dirs("/run")
    files = ["-lf", DHCLIENT_LEASES, "-pf", DHCLIENT_PID, "-sf", find_true(system)]
    try:
        conf = write_dhclient_conf(system, 'send host-name "%s";\ntimeout 15;\n' % name)
        system.run(["dhclient", "-4", "-1", "-cf", conf] + files + [interface], SECONDS)
        if not system.read(DHCLIENT_LEASES):
            raise GuestError("dhclient got no lease", interface=interface, path=DHCLIENT_LEASES)
    finally:
        try:
            end_dhclient(system)
        finally:
            for path in (DHCLIENT_SPARE, DHCLIENT_LEASES, DHCLIENT_PID, DHCLIENT_CONF):
                system.unlink(path)
            if not was_there:
                system.remove_dir(DHCLIENT_FOLDER)
    return True


def write_dhclient_conf(system: System, text: str) -> str:
    """Write the configuration for our own dhclient; returns its path. Raises GuestError."""
    try:
        system.write(DHCLIENT_CONF, text, mode=0o644, owner=ROOT)
        return DHCLIENT_CONF
    except GuestError:
        system.write(DHCLIENT_SPARE, text, mode=0o644, owner=ROOT)
        return DHCLIENT_SPARE


def end_dhclient(system: System) -> None:
    """End the dhclient that we started. Raises GuestError.

    Otherwise it would keep renewing the lease and sending its name. Its own `-x` is no help: it reads the pid file,
    which is written late, and requests a lease itself if it finds no process.
    """
    ends = system.monotonic() + END_SECONDS
    while True:
        ours = [process for process in processes(system, "dhclient") if DHCLIENT_PID in process.argv]
        if not ours:
            return
        if system.monotonic() >= ends:
            raise GuestError("a second dhclient does not end", pid=ours[0].pid)
        for process in ours:
            hang_up(system, process)  # dhclient does not handle SIGHUP: it ends, and keeps the lease
        system.sleep(0.1)


def by_udhcpc(system: System, interface: str, name: str, running: Running) -> bool:
    """udhcpc, which always sends the name that it was started with. As with dhclient, a second one is started."""
    if not any(word.endswith(interface) for argv in running.get("udhcpc", []) for word in argv):
        return False
    program = [system.find_program("udhcpc") or "udhcpc"]
    if not system.is_program(program[0]):
        program = ["busybox", "udhcpc"]
    options = ["-i", interface, "-x", "hostname:" + name, "-s", find_true(system)]
    system.run(program + options + ["-f", "-n", "-q", "-t", "3", "-T", "3"], SECONDS)
    return True


def has_index_in(system: System, folder: str, interface: str) -> bool:
    """Does `folder` have a file named after the interface index?"""
    index = index_of(system, interface)
    return bool(index) and system.exists("%s/%s" % (folder, index))


def index_of(system: System, interface: str) -> str:
    """The interface index; empty if there is no such interface."""
    return (system.read_text("/sys/class/net/%s/ifindex" % interface) or "").strip()


def find_true(system: System) -> str:
    """The path of true(1), used in place of a script that would configure the interface."""
    program = system.find_program("true")
    if program is None:
        raise GuestError("no program `true`")
    return program


# Managers of other clients come first: NetworkManager may run its own dhclient.
CLIENTS: "Tuple[Tuple[str, Callable[[System, str, str, Running], bool]], ...]" = (
    ("systemd-networkd", by_networkd),
    ("NetworkManager", by_network_manager),
    ("dhcpcd", by_dhcpcd),
    ("dhclient", by_dhclient),
    ("udhcpc", by_udhcpc),
)
