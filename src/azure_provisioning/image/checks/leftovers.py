"""What belongs to one machine, and should not be in an image of many."""

import re
from typing import Iterator, List, Tuple

from ...azure.endpoint import SOURCES
from ...errors import GuestError
from ...guest.accounts import all_accounts, uid_min
from ...state import State
from .finding import Finding, ok, warning
from .subject import Image

MACHINE_IDS = ("/etc/machine-id", "/var/lib/dbus/machine-id")
MORE_LEASES = (
    ("/var/lib/NetworkManager", r"internal-.*\.lease"),
    ("/var/lib/systemd/network", r"dhcp\S*|.*\.lease"),
    ("/var/lib/connman", r"ethernet_.*"),
    ("/var/lib/udhcpc", r".*\.leases?"),
    ("/var/lib/dhcpcd", r"duid|secret"),
    ("/var/db/dhcpcd", r"duid|secret"),
    ("/etc", r"dhcpcd\.(duid|secret)"),
)
SEEDS = (
    "/var/lib/systemd/random-seed",
    "/var/lib/urandom/random-seed",
    "/var/lib/misc/random-seed",
    "/var/lib/random-seed",
    "/var/lib/seedrng/seed.credit",
    "/var/lib/seedrng/seed.no-credit",
    "/var/db/runit/random-seed",
)
HISTORIES = (".bash_history", ".ash_history", ".sh_history", ".zsh_history", ".python_history", ".lesshst", ".viminfo")
NETWORK_FILES = (
    ("/etc/udev/rules.d", r"70-persistent-net\.rules|75-persistent-net.*", r"ATTRS?\{address\}=="),
    ("/etc/sysconfig/network-scripts", r"ifcfg-e.*", r"(?m)^[ \t]*HWADDR\s*="),
    ("/etc/netplan", r".*\.yaml", r"(?m)^[ \t]*macaddress\s*:"),
    ("/etc/systemd/network", r".*\.(network|link)", r"(?m)^[ \t]*(Permanent)?MACAddress\s*="),
    ("/etc/NetworkManager/system-connections", r".*", r"(?m)^[ \t]*mac-address\s*="),
)


def check_machine_id(image: Image) -> "Iterator[Finding]":
    """systemd, D-Bus and DHCP clients tell machines apart by it. Empty or `uninitialized` is none: machine-id(5)."""
    ids = []
    for path in MACHINE_IDS:
        if not image.system.is_link(path) and re.match(r"[0-9a-f]{32}\s*$", image.text(path)):
            ids.append(path)
    if ids:
        yield warning("machine-id", "all VMs would have the same: %s" % " ".join(ids), image.ours("generalize"))
    else:
        yield ok("machine-id", "every VM gets its own")


def check_leases(image: Image) -> "Iterator[Finding]":
    """Leases, and the names that DHCP clients give the machine."""
    places = [(source.folder, source.name) for source in SOURCES if not source.folder.startswith("/run/")]
    found = files_in(image, places + list(MORE_LEASES))
    if found:
        yield warning("leases", "left from another machine: %s" % some(found), image.ours("generalize"))
    else:
        yield ok("leases", "none are left")


def files_in(image: Image, places: "List[Tuple[str, str]]") -> "List[str]":
    """The paths, in folders, whose names match."""
    found = []
    for folder, form in places:
        for name in image.system.list(folder):
            path = "%s/%s" % (folder, name)
            if re.match("(?:%s)$" % form, name) and path not in found and not image.system.is_dir(path + "/."):
                found.append(path)
    return found


def some(paths: "List[str]") -> str:
    """The first few."""
    return " ".join(paths[:3]) + (" and %d more" % (len(paths) - 3) if len(paths) > 3 else "")


def check_network(image: Image) -> "Iterator[Finding]":
    """What names a network card by its address: every VM has another."""
    found = []
    for folder, names, form in NETWORK_FILES:
        for path in files_in(image, [(folder, names)]):
            text = "\n".join(line for line in image.text(path).splitlines() if not line.lstrip().startswith("#"))
            if re.search(form, text):
                found.append(path)
    for path in found:
        yield warning("network-pinned", "%s is for the network card of one machine" % path, "rm " + image.place(path))
    if not found:
        yield ok("network-pinned", "no network card is named by its address")


def check_seed(image: Image) -> "Iterator[Finding]":
    """Random numbers that begin with the same seed."""
    sizes = [(path, image.system.stat(path)) for path in SEEDS]
    found = [path for path, status in sizes if status and status.st_size]
    if found:
        yield warning("random-seed", "all VMs would begin with that of %s" % found[0], image.ours("generalize"))
    else:
        yield ok("random-seed", "none is left")


def check_people(image: Image) -> "Iterator[Finding]":
    """Shell histories, and keys by which somebody could log in to every VM."""
    system = image.system
    first = uid_min(system)
    histories, keys = [], []
    for account in all_accounts(system):
        if account.uid != 0 and account.uid < first or not account.home.startswith("/") or account.home == "/":
            continue
        home = account.home.rstrip("/")
        try:
            histories += [home + "/" + name for name in HISTORIES if system.exists(home + "/" + name)]
            if (system.read(home + "/.ssh/authorized_keys", head=True) or b"").strip():
                keys.append(account.name)
        except GuestError:
            continue  # another's home, for a user who is not root
    if histories:
        yield warning("histories", "left from whoever made the image: %s" % some(histories), image.ours("generalize"))
    else:
        yield ok("histories", "no shell history is left")
    if keys:
        message = "who has the key of %s can log in to every VM" % " and of ".join(keys)
        yield warning(
            "authorized-keys", message, "rm %s" % " ".join(image.place(key) for key in key_files(image, keys))
        )
    else:
        yield ok("authorized-keys", "no account of the image has any")


def key_files(image: Image, names: "List[str]") -> "List[str]":
    """Where the keys of these accounts are."""
    homes = [account.home.rstrip("/") for account in all_accounts(image.system) if account.name in names]
    return [home + "/.ssh/authorized_keys" for home in homes]


def check_state(image: Image) -> "Iterator[Finding]":
    """Our own: it knows VMs apart, but names one that is not this image's."""
    state = State(image.system)
    if state.problem:
        yield warning("state", "the state is not usable: %s" % state.problem, image.ours("generalize"))
    elif state.facts.get("vm_id"):
        yield warning(
            "state", "the image is of VM %s, which was set up" % state.facts["vm_id"], image.ours("generalize")
        )
    else:
        yield ok("state", "no VM was set up from this image yet")
