"""`/etc/hosts`: a line for the machine's own name if nothing else resolves it. `sudo` waits for that look-up."""

import re

from ..door.system import System
from ..door.text import lines_in, words_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List

PATH = "/etc/hosts"
ADDRESS = "127.0.1.1"  # what Debian, Alpine and SUSE use for the name of the machine itself


def resolve_own_name(system: System, name: str, old_name: str) -> str:
    """Have `name` resolved by `/etc/hosts`, unless that file or nss-myhostname does already; returns what was done.

    The line for `old_name` is replaced; 127.0.0.1 and ::1 are never touched. The name is not looked up, because that
    would query the network. Raises GuestError.
    """
    lines = lines_in(system.read_text(PATH) or "")
    if any(name.lower() in names_in(line) for line in lines):
        return "in %s already" % PATH
    if has_myhostname(system):
        return "left to nss-myhostname"
    short = name.partition(".")[0]
    own = "%s\t%s" % (ADDRESS, name if short == name else "%s %s" % (name, short))
    former = [words_in(line.split("#")[0])[:1] == [ADDRESS] and old_name.lower() in names_in(line) for line in lines]
    kept = [line for line, is_former in zip(lines, former) if not is_former]
    place = former.index(True) if True in former else len(kept)
    kept.insert(place, own)
    system.write(PATH, "\n".join(kept) + "\n")
    return "written to %s" % PATH


def names_in(line: str) -> "List[str]":
    """The names that a line of `/etc/hosts` gives to its address."""
    return words_in(line.split("#")[0].lower())[1:]


def has_myhostname(system: System) -> bool:
    """Does the C library resolve the machine's own name without a file?"""
    for line in (system.read_text("/etc/nsswitch.conf") or "").split("\n"):
        if re.match(r"(?a)\s*hosts\s*:.*\bmyhostname\b", line.split("#")[0]):
            return True
    return False
