"""Data of one machine that should not be in an image: everything that `generalize` would remove."""

from contextlib import suppress
from typing import Callable, Dict, Iterator, Tuple

from ...door.budget import limited
from ...errors import GuestError
from ...guest.accounts import all_accounts, uid_min
from ..generalize.histories import plan_histories
from ..generalize.leases import plan_leases
from ..generalize.machine_id import plan_machine_id, plan_storage_ids
from ..generalize.network_cards import plan_network_cards
from ..generalize.own_data import plan_own_data, plan_state
from ..generalize.plan import Plan
from ..generalize.random_seed import plan_random_seeds
from ..key_files import find_copied, find_ownerless, find_patterns, has_keys, key_files
from . import netplan, networkd
from .finding import Finding, ok, warning
from .subject import Image

# The id, the function, the message if something is found, and the message if not.
KINDS: "Tuple[Tuple[str, Callable[[Plan], None], str, str], ...]" = (
    ("machine-id", plan_machine_id, "every VM would have the id of this machine", "every VM gets its own"),
    ("machine-id", plan_storage_ids, "every VM would be this machine for iSCSI and NVMe", "no id for storage is left"),
    ("leases", plan_leases, "DHCP leases or ids are left", "none are left"),
    ("network-pinned", plan_network_cards, "the network card of one machine is named", "no card is named"),
    ("random-seed", plan_random_seeds, "every VM would begin with the same random numbers", "none is left"),
    ("histories", plan_histories, "the image has a shell history", "no shell history is left"),
    ("state", plan_own_data, "data of a VM is left", "no data of a VM is left"),
    ("state", plan_state, "the state of a VM that was set up is left", "no VM was set up from this image yet"),
)
# Files that may name a card by its address, which `generalize` leaves to the user.
NETWORK_FILES = (
    ("/etc/netplan", "*.yaml"),
    ("/etc/systemd/network", "*.network"),
    ("/etc/systemd/network", "*.link"),
    ("/etc/NetworkManager/system-connections", "*"),
)
# Sections in which an address chooses the card. In others the card is given that address.
CHOOSING = ("Match", "ethernet", "802-3-ethernet", "wifi", "802-11-wireless")
ADDRESSES = ("MACAddress", "PermanentMACAddress", "mac-address")
SHOWN = 3  # leftovers in one message
KEYS_SHOWN = 32  # accounts with keys, in one run


def check_leftovers(image: Image) -> "Iterator[Finding]":
    """One finding for each kind."""
    for name, look, bad, good in KINDS:
        plan = Plan(image.system)
        try:
            with limited(image.system):
                look(plan)
        except GuestError as failure:
            yield warning(name, "cannot be determined: %s" % failure)
            continue
        whats = [change.what for change in plan.changes]
        for problem in plan.problems:
            yield warning(name, "cannot be determined: %s" % problem)
        if whats:
            more = ", and %d more" % (len(whats) - SHOWN) if len(whats) > SHOWN else ""
            yield warning(name, "%s: %s%s" % (bad, ", ".join(whats[:SHOWN]), more), image.ours("generalize"))
        elif not plan.problems:
            yield ok(name, good)


def check_network(image: Image) -> "Iterator[Finding]":
    """Network configuration for a card with one address: every VM has another."""
    plan = Plan(image.system)
    for folder, names in NETWORK_FILES:
        for path in plan.files(folder, names):
            if is_pinned(path, image.active(path)):
                message = "%s is for the network card of one machine" % path
                yield warning("network-pinned", message, image.remove(path))


def is_pinned(path: str, text: str) -> bool:
    """Does a file choose a card by its address?"""
    if path.endswith(".yaml"):
        try:
            return netplan.has_address(text)
        except netplan.Unclear:  # check_dhcp has said so
            return False
    found = networkd.read_settings(text)
    return any(section in CHOOSING and key in ADDRESSES and value for section, key, value in found)


def check_keys(image: Image) -> "Iterator[Finding]":
    """Keys with which somebody could log in to every VM."""
    system, first = image.system, uid_min(image.system)
    patterns = image.once(find_patterns)
    found: "Dict[str, str]" = {}
    for account in all_accounts(system):
        for path in key_files(account, patterns) if account.uid == 0 or account.uid >= first else ():
            with suppress(GuestError):  # another user's home, if we are not root
                if path not in found and has_keys(system, path):
                    found[path] = "people with the key of %s can log in to every VM" % account.name
    for path in find_copied(system, patterns):
        found[path] = "people with a key of %s can log in to every VM: a new home is a copy of that folder" % path
    for path in find_ownerless(system, patterns):
        found[path] = "people with a key of %s can log in to every VM whose administrator has that name" % path
    for path in list(found)[:KEYS_SHOWN]:
        yield warning("authorized-keys", found[path], image.remove(path))
    if len(found) > KEYS_SHOWN:
        yield warning("authorized-keys", "%d more accounts have keys" % (len(found) - KEYS_SHOWN))
    if not found:
        yield ok("authorized-keys", "no account of the image has any")
