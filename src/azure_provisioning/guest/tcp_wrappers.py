"""Do the files of TCP wrappers let strangers connect to sshd? hosts_access(5). Debian's sshd is linked with libwrap."""

import re

from ..door.system import System
from ..door.text import lines_in
from ..errors import GuestError
from .sshd_config import find_sshd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterator, List, Optional, Tuple, Union

    Verdict = Union[bool, str, None]  # for `SOME`, or None if it cannot be told
    Rule = Tuple[str, Verdict, bool, Optional[bool]]  # the line, who is meant, with exceptions?, and whether it denies

ALLOW, DENY = "/etc/hosts.allow", "/etc/hosts.deny"
# The part that has the connection is a program of its own since OpenSSH 9.8.
SESSIONS = ("/usr/lib/openssh/sshd-session", "/usr/libexec/openssh/sshd-session", "/usr/lib/ssh/sshd-session")
LIBRARY, PROGRAM_LIMIT = b"libwrap.so.", 8 << 20
RULE = re.compile(r"([^:]+):((?:\[[^\]]*\]|[^:\[])*)(.*)\Z")
OTHER = re.compile(r"(?a)[a-z0-9._-]+\Z")  # the name of a daemon, without a pattern
NEARBY = re.compile(r"127\.|localhost\Z|\[::1\]|(?:LOCAL|PARANOID)\Z")  # clients that are no strangers
VAGUE = re.compile(r"(?:UNKNOWN|KNOWN)\Z|[*?.]+\Z")  # clients that may be all
SOME = "some"  # clients, or daemons


def find_refusal(system: System) -> "Tuple[str, Optional[bool]]":
    """(the rule by which sshd hangs up on strangers, whether that holds for all of them); empty if there is none.

    None if only a connection could tell. Raises GuestError if a file cannot be read.
    """
    found = list(rules(system))
    if not any(denies is not False for *_, denies in found) or not is_asked(system):
        return "", False
    sure, doubt = True, ""
    for line, who, some_else, denies in found:
        if who is True and denies:
            return line, sure and not some_else
        if who is True and denies is False:
            break
        if who is SOME or denies is False:
            sure = sure and bool(denies)
        else:
            doubt = doubt or line
    return doubt, None if doubt else False


def rules(system: System) -> "Iterator[Rule]":
    """The rules that may be about sshd and a client from outside, in the order in which the first that fits counts."""
    for path in (ALLOW, DENY):
        for line in lines_in((system.read_text(path) or "").replace("\\\n", "")):
            match = None if line.startswith("#") else RULE.match(line.strip())
            if match is None:
                continue
            daemons, clients = (re.split(r"[, \t]+", match.group(number).strip()) for number in (1, 2))
            verdicts = fits(daemons, is_ours), fits(clients, is_stranger)
            if False not in verdicts:
                who = next((verdict for verdict in (None, SOME) if verdict in verdicts), True)
                shown = "%s: %s" % (path, " ".join(line.split()))
                yield shown, who, "EXCEPT" in clients, find_denial(match.group(3), usual=path == DENY)


def find_denial(options: str, *, usual: bool) -> "Optional[bool]":
    """Does a rule with these options deny? None if that depends on a command: hosts_options(5)."""
    words = [option.split() for option in options.split(":")]
    names = [word[0].lower() for word in words if word]
    if "aclexec" in names:
        return None
    last = next((name for name in names if name in ("allow", "deny", "twist")), "")
    return last != "allow" if last else usual


def fits(words: "List[str]", judge: "Callable[[str], Verdict]") -> "Verdict":
    """Does a list fit, with its exceptions?"""
    place = words.index("EXCEPT") if "EXCEPT" in words else len(words)
    verdicts = [judge(word) for word in words[:place]]
    verdict = next((verdict for verdict in (True, None, SOME) if verdict in verdicts), False)
    excepted = fits(words[place + 1 :], judge) if words[place:] else False
    if excepted is True or verdict is False:
        return False
    return None if excepted is None else verdict


def is_ours(word: str) -> "Verdict":
    """Does a word for daemons mean sshd?"""
    if word in ("ALL", "sshd"):
        return True
    return False if OTHER.match(word) else None


def is_stranger(word: str) -> "Verdict":
    """Does a word for clients mean strangers?"""
    if word == "ALL":
        return True
    return False if NEARBY.match(word) else None if VAGUE.match(word) else SOME


def is_asked(system: System) -> bool:
    """Does this sshd read these files?"""
    for path in (find_sshd(system), *SESSIONS):
        try:
            if path and LIBRARY in (system.read(path, limit=PROGRAM_LIMIT, head=True) or b""):
                return True
        except GuestError:
            continue  # it is no regular file
    return False
