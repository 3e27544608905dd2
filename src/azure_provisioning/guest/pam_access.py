"""Does pam_access let the administrator in over SSH? Our own reading of access.conf(5), so only a suspicion."""

import re

from ..door.system import System
from ..door.text import lines_in, words_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, List, Sequence

FOLDER = "/etc/pam.d"
ACCESS = "/etc/security/access.conf"
DEPTH_LIMIT = 8  # PAM's files that include one another
EVERYWHERE = ("ALL", "0.0.0.0/0")


def find_refusal(system: System, name: str, groups: "Sequence[str]", address: str) -> str:
    """The rule that refuses `name`, a member of `groups`, from `address`; empty if there is none.

    Raises GuestError if a file cannot be read.
    """
    for path in set(find_files(system, "sshd", DEPTH_LIMIT)):
        for line in lines_in(system.read_text(path) or ""):
            parts = [part.strip() for part in line.split(":", 2)]
            if line.lstrip().startswith("#") or len(parts) < 3 or parts[0] not in ("+", "-"):
                continue
            users = [name, *groups, *("(%s)" % group for group in groups)]
            if matches(parts[1], users) and matches(parts[2], [address], prefix=address):
                if parts[0] == "-":
                    return "%s: %s" % (path, ":".join(parts))
                break  # the first rule that matches counts
    return ""


def find_files(system: System, service: str, depth: int) -> "Iterator[str]":
    """The files of rules that a service uses when it asks PAM whether an account may log in."""
    for line in lines_in(system.read_text("%s/%s" % (FOLDER, service)) or "") if depth else ():
        words = words_in(line)
        if len(words) > 1 and words[0] == "@include" or words[1:2] in (["include"], ["substack"]):
            included = words[2] if words[1] in ("include", "substack") and len(words) > 2 else words[1]
            if "/" not in included and words[0].lstrip("-") in ("@include", "account"):
                yield from find_files(system, included, depth - 1)
        elif words[:1] in (["account"], ["-account"]) and any(word.endswith("pam_access.so") for word in words):
            given = [word.partition("=")[2] for word in words if word.startswith("accessfile=/")]
            yield given[0] if given else ACCESS


def matches(listed: str, names: "List[str]", prefix: str = "") -> bool:
    """Is one of the names in a list, and not among its exceptions? A word that ends with a dot may begin `prefix`."""
    wanted, _, exceptions = listed.partition(" EXCEPT ")
    if exceptions and matches(exceptions, names, prefix):
        return False
    words = re.split(r"[,\s]+", wanted.strip())
    return any(
        word in names or word in EVERYWHERE or bool(prefix and word.endswith(".") and prefix.startswith(word))
        for word in words
    )
