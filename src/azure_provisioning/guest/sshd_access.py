"""Does this sshd let the administrator in at all? A hardened image often lists who may log in."""

from typing import Dict, List, Optional

from ..door.pattern import matches
from ..door.system import System
from ..errors import GuestError
from .accounts import all_groups, find_account
from .sshd_config import OUTSIDE, settings

EVERYWHERE = ("0.0.0.0/0", "*")
LIST_LIMIT = 100000  # comparisons of a name with a pattern, in all


def find_lock_out(system: System, name: str, sshd: "Optional[Dict[str, str]]" = None) -> str:
    """The setting by which sshd refuses every key of `name`; empty if there is none. Raises GuestError.

    `sshd`: the settings that apply to `name`; by default sshd is asked. sshd checks them in this order, and adds up all
    lines of one list (sshd_config(5)).
    """
    found = settings(system, name) if sshd is None else sshd
    if found.get("pubkeyauthentication", "yes") == "no":
        return "PubkeyAuthentication no"
    return find_barrier(system, name, found)


def find_barrier(system: System, name: str, found: "Dict[str, str]") -> str:
    """The list by which sshd refuses `name` with any key or password; empty if there is none. Raises GuestError."""
    groups = groups_of(system, name)
    lists = (("DenyUsers", [name]), ("AllowUsers", [name]), ("DenyGroups", groups), ("AllowGroups", groups))
    for keyword, names in lists:
        patterns = found.get(keyword.lower(), "").split()
        denies = keyword.startswith("Deny")
        if patterns and listed(patterns, names, OUTSIDE if denies else "") == denies:
            return "%s %s" % (keyword, " ".join(patterns))
    return ""


def groups_of(system: System, name: str) -> "List[str]":
    """The names of the account's groups."""
    account = find_account(system, name)
    groups = all_groups(system) if account else []
    return [group.name for group in groups if name in group.members or (account and group.gid == account.gid)]


def listed(patterns: "List[str]", names: "List[str]", host: str = "") -> bool:
    """Does a pattern match a name, and no negated one? `host`: the host that `user@host` must match; empty for any.

    Raises GuestError if that would take too long.
    """
    known = set(names)
    if len(names) * sum("*" in pattern or "?" in pattern for pattern in patterns) > LIST_LIMIT:
        raise GuestError("sshd's list of who may log in is too long", patterns=len(patterns))

    def match(pattern: str) -> bool:
        user, _, place = pattern.partition("@")
        if host and place and place not in EVERYWHERE and not matches(host, place, sets=False):
            return False
        if "*" not in user and "?" not in user:
            return user in known
        return any(matches(name, user, sets=False) for name in names)

    if any(match(pattern[1:]) for pattern in patterns if pattern.startswith("!")):
        return False
    return any(match(pattern) for pattern in patterns if not pattern.startswith("!"))
