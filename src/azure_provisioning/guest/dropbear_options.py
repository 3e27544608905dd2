"""The options that this machine's boot starts dropbear with, which are all its settings: dropbear(8)."""

from ..door.system import System
from .account import NO_SHELLS
from .sshd_session import LOOPBACK, hosts_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Optional, Sequence, Tuple

    Options = Dict[str, List[str]]  # the values by letter; empty texts for one without

SERVICES = ("dropbear", "dropbear.socket")
WITH_VALUE = "2ADGIKMPQTWbcdlpr"  # in svr-runopts.c
UNKNOWN = "it cannot be determined with which options dropbear is started"


def find_options(system: System) -> "Optional[Options]":
    """The options; None if they cannot be determined. Raises GuestError if what starts dropbear cannot be read."""
    words = [] if system.ask_arguments is None else system.ask_arguments(system, SERVICES, ("dropbear",))
    return None if words is None else parse(words)


def parse(words: "Sequence[str]") -> "Options":
    """The options among the words, several of which may be in one."""
    found: "Options" = {}
    left = iter(words)
    for word in left:
        letters = word[1:] if word.startswith("-") else ""
        for place, letter in enumerate(letters, 1):
            has_value = letter in WITH_VALUE
            found.setdefault(letter, []).append((letters[place:] or next(left, "")) if has_value else "")
            if has_value:
                break
    return found


def find_bar(options: "Options", groups: "Sequence[str]") -> "Tuple[Optional[bool], str]":
    """(does a member of these groups get a session, the option against it); None if only a login could tell."""
    group, command = options.get("G", [])[-1:], options.get("c", [])[-1:]
    places = options.get("p", []) if "i" not in options else []
    if group and group[0] not in groups:
        return False, "dropbear -G %s" % group[0]
    if places and all(":" in place and all(map(LOOPBACK.match, hosts_in(place))) for place in places):
        return False, "dropbear -p %s" % places[0]
    if command:
        words = command[0].split()
        shut = len(words) == 1 and words[0].rpartition("/")[2] in NO_SHELLS
        return False if shut else None, "dropbear -c %s" % command[0]
    return True, ""
