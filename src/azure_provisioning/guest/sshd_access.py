"""Does this sshd let the administrator in at all? A hardened image often lists who may log in."""

from typing import Dict, Iterator, List, Optional, Sequence, Tuple

from ..door.pattern import matches
from ..door.system import System
from ..errors import GuestError
from .accounts import all_groups, find_account
from .sshd_config import OUTSIDE, settings

EVERYWHERE = ("0.0.0.0/0", "*", "*.*.*.*")
NEARBY = ("127.", "::1", "localhost")  # the beginnings of addresses of the machine itself
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
    return next((line for line, sure in find_barriers(system, name, found) if sure), "")


def find_doubt(system: System, name: str, found: "Dict[str, str]") -> str:
    """The list by which sshd may refuse `name`, depending on the client's address; empty if there is none. Raises
    GuestError."""
    return next((line for line, sure in find_barriers(system, name, found) if not sure), "")


def find_barriers(system: System, name: str, found: "Dict[str, str]") -> "Iterator[Tuple[str, bool]]":
    """(a list by which sshd refuses `name`, whether that is so from everywhere). Raises GuestError."""
    groups = groups_of(system, name)
    lists = (("DenyUsers", [name]), ("AllowUsers", [name]), ("DenyGroups", groups), ("AllowGroups", groups))
    for keyword, names in lists:
        patterns = found.get(keyword.lower(), "").split()
        if not patterns:
            continue
        line, users = "%s %s" % (keyword, " ".join(patterns)), keyword.endswith("Users")
        if keyword.startswith("Deny"):
            if is_denied(patterns, names, users=users):
                yield line, True
        else:
            allowed = is_allowed(patterns, names, users=users)
            if not allowed:
                yield line, allowed is False


def groups_of(system: System, name: str) -> "List[str]":
    """The names of the account's groups."""
    account = find_account(system, name)
    groups = all_groups(system) if account else []
    return [group.name for group in groups if name in group.members or (account and group.gid == account.gid)]


def is_denied(patterns: "List[str]", names: "Sequence[str]", *, users: bool) -> bool:
    """Is one of `names` in a list of those who are refused, for a client from anywhere?"""
    return any(not place or has_address(place, OUTSIDE) for place in places_of(patterns, names, users=users))


def is_allowed(patterns: "List[str]", names: "Sequence[str]", *, users: bool) -> "Optional[bool]":
    """Is one of `names` in a list of those who are allowed? None if only clients from some addresses are."""
    places = list(places_of(patterns, names, users=users))
    if any(not place or set(place.split(",")) & set(EVERYWHERE) and "!" not in place for place in places):
        return True
    return False if all(is_nearby(place) for place in places) else None


def is_nearby(place: str) -> bool:
    """Are all clients of this list of addresses on the machine itself?"""
    return all(word.startswith(("!", *NEARBY)) for word in place.split(","))


def has_address(place: str, host: str) -> bool:
    """Is `host` in this list of addresses, in which a negated one counts more than others?"""
    words = place.split(",")
    known = [word for word in words if word.lstrip("!") in EVERYWHERE or matches(host, word.lstrip("!"), sets=False)]
    return bool(known) and not any(word.startswith("!") for word in known)


def places_of(patterns: "List[str]", names: "Sequence[str]", *, users: bool) -> "Iterator[str]":
    """The addresses after the `@` of each pattern that matches a name; empty for a pattern without them.

    Only lists of users have addresses, and none has a negation: to sshd a `!` is part of the name (auth.c,
    groupaccess.c). Raises GuestError if that would take too long.
    """
    known = set(names)
    if len(names) * sum("*" in pattern or "?" in pattern for pattern in patterns) > LIST_LIMIT:
        raise GuestError("sshd's list of who may log in is too long", patterns=len(patterns))
    for pattern in patterns:
        user, at, place = pattern.partition("@") if users else (pattern, "", "")
        special = "*" in user or "?" in user
        if any(matches(name, user, sets=False) for name in names) if special else user in known:
            yield place if at else ""
