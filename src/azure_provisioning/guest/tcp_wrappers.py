"""Do the files of TCP wrappers let strangers connect to sshd? hosts_access(5). Debian's sshd is linked with libwrap."""

import re

from ..door.system import System
from ..door.text import lines_in
from ..errors import GuestError
from .sshd_config import find_sshd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, List, Tuple

    Rule = Tuple[str, List[str], List[str], str]  # the line, the daemons, the clients, and what follows them

ALLOW, DENY = "/etc/hosts.allow", "/etc/hosts.deny"
# The part that has the connection is a program of its own since OpenSSH 9.8.
SESSIONS = ("/usr/lib/openssh/sshd-session", "/usr/libexec/openssh/sshd-session", "/usr/lib/ssh/sshd-session")
LIBRARY, PROGRAM_LIMIT = b"libwrap.so.", 8 << 20
RULE = re.compile(r"([^:]+):((?:\[[^\]]*\]|[^:\[])*)(.*)\Z")
OTHER = re.compile(r"(?a)[a-z0-9._-]+\Z")  # the name of a daemon, without a pattern
NEARBY = re.compile(r"127\.|localhost\Z|\[::1\]|LOCAL\Z")


def find_refusal(system: System) -> "Tuple[str, bool]":
    """(the rule by which sshd hangs up on strangers, whether that holds for all of them); empty if there is none.

    Raises GuestError if a file cannot be read.
    """
    denied = list(rules(system, DENY))
    if not denied or not is_asked(system):
        return "", False
    sure = True
    for _, daemons, clients, more in rules(system, ALLOW):
        if "ALL" in clients and "EXCEPT" not in daemons + clients and not more:
            return "", False
        sure = False
    for line, daemons, clients, more in denied:
        plain = "EXCEPT" not in daemons + clients and more.replace(" ", "") in ("", ":deny")
        if "ALL" in clients and plain:
            return "%s: %s" % (DENY, line), sure
        sure = sure and not more
    return "", False


def rules(system: System, path: str) -> "Iterator[Rule]":
    """The rules of a file that may be about sshd and a client from outside."""
    for line in lines_in((system.read_text(path) or "").replace("\\\n", "")):
        match = None if line.startswith("#") else RULE.match(line.strip())
        if match is None:
            continue
        daemons, clients = (re.split(r"[, \t]+", match.group(number).strip()) for number in (1, 2))
        ours = any(word in ("ALL", "sshd") or not OTHER.match(word) for word in daemons)
        if ours and not all(map(NEARBY.match, clients)):
            yield " ".join(line.split()), daemons, clients, match.group(3)


def is_asked(system: System) -> bool:
    """Does this sshd read these files?"""
    for path in (find_sshd(system), *SESSIONS):
        try:
            if path and LIBRARY in (system.read(path, limit=PROGRAM_LIMIT, head=True) or b""):
                return True
        except GuestError:
            continue  # it is no regular file
    return False
