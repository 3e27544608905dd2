"""Settings of sshd with which nobody gets a session, whatever the key or password: sshd_config(5).

Each is judged by its value: False if it keeps everybody out, None if only a login could tell, True if it is harmless.
"""

import re

from ..door.network import dotted, read_addresses, read_lines
from ..door.system import System
from .account import NO_SHELLS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Dict, Iterator, Optional, Tuple

    from .accounts import Account

    Judge = Callable[[System, str, Optional[Account]], Optional[bool]]

PASSING = ("/run/", "/var/run/", "/dev/")  # what is missing there in an image may exist in a boot
NO_CONNECTION = ("0", "0:100:0")  # MaxStartups, as it is written and as sshd reports it
LOOPBACK = re.compile(r"127\.|::1\Z|localhost\Z")
EVERY = dotted(0)
IPV4 = re.compile(r"(?a)\d+(?:\.\d+){3}\Z")
ADDRESS = re.compile(r"(?a)\[([^\]]*)\](?::\w+)?\Z|([^:]*)(?::\w+)?\Z")  # else an IPv6 address without brackets
SOCKETS = ("/sockets.target.wants/ssh.socket", "/sockets.target.wants/sshd.socket")
# Ubuntu's has the socket listen where sshd's configuration says; any other socket has its own addresses.
GENERATOR = "/systemd/system-generators/sshd-socket-generator"
TOPS = ("/etc", "/usr/local/lib", "/usr/lib", "/lib")


def judge_command(system: System, value: str, account: "Optional[Account]") -> "Optional[bool]":
    """A command in place of the shell. A recorder of sessions starts one, internal-sftp and others do not."""
    words = value.split()
    if value.lower() in ("", "none"):
        return True
    return False if len(words) == 1 and words[0].strip("\"'").rpartition("/")[2] in NO_SHELLS else None


def judge_folder(system: System, value: str, account: "Optional[Account]") -> "Optional[bool]":
    """A folder that becomes the root. If it exists, it depends on what is in it whether there is a shell."""
    if value.lower() in ("", "none") or not value.strip("/"):
        return True
    path = value
    if account is not None:
        known = {"%%": "%", "%h": account.home, "%u": account.name, "%U": str(account.uid)}
        path = re.sub("%.", lambda found: known.get(found.group(), found.group()), value)
    if "%" in path:
        path = path.partition("%")[0].rpartition("/")[0]
    missing = path.startswith("/") and not system.exists(path)
    return False if missing and not path.startswith(PASSING) else None


def judge_number(system: System, value: str, account: "Optional[Account]") -> "Optional[bool]":
    """A limit of nothing."""
    return value not in NO_CONNECTION


def judge_family(system: System, value: str, account: "Optional[Account]") -> "Optional[bool]":
    """Every VM has IPv4, and few are reached by IPv6."""
    return None if value.lower() == "inet6" and has_own_addresses(system) else True


def judge_addresses(system: System, value: str, account: "Optional[Account]") -> "Optional[bool]":
    """The addresses where sshd listens. A name may stand for any, and an address may come later."""
    hosts = list(hosts_in(value))
    if not hosts or not has_own_addresses(system):
        return True
    if all(map(LOOPBACK.match, hosts)):
        return False
    rest = [host for host in hosts if not LOOPBACK.match(host)]
    own = {EVERY}
    if system.live:
        own.update(map(dotted, read_addresses(read_lines(system, "/proc/net/fib_trie"))))
    return True if any(host in own or not IPV4.match(host) and ":" not in host for host in rest) else None


# The keywords in the order in which they are reported.
SETTINGS: "Dict[str, Judge]" = {
    "ForceCommand": judge_command,
    "ChrootDirectory": judge_folder,
    "MaxSessions": judge_number,
    "MaxAuthTries": judge_number,
    "MaxStartups": judge_number,
    "PerSourceMaxStartups": judge_number,
    "AddressFamily": judge_family,
    "ListenAddress": judge_addresses,
}


def find_bar(system: System, account: "Account", sshd: "Dict[str, str]") -> "Tuple[Optional[bool], str]":
    """(does `account` get a session by these settings, the one against it); None if only a login could tell."""
    doubt: "Tuple[Optional[bool], str]" = (True, "")
    for keyword, judge in SETTINGS.items():
        value = sshd.get(keyword.lower(), "")
        verdict = judge(system, value, account) if value else True
        if verdict is False:
            return False, "%s %s" % (keyword, value)
        if verdict is None and doubt[0]:
            doubt = (None, "%s %s" % (keyword, value))
    return doubt


def hosts_in(value: str) -> "Iterator[str]":
    """The hosts of all ListenAddress lines, without ports and routing domains."""
    words = value.split()
    for place, word in enumerate(words):
        if word != "rdomain" and words[place - 1 : place] != ["rdomain"]:
            found = ADDRESS.match(word)
            yield (found.group(1) or found.group(2) or "").lower() if found else word.lower()


def has_own_addresses(system: System) -> bool:
    """Does sshd listen where its configuration says? Not if systemd listens for it, except by Ubuntu's generator."""
    if not any(system.is_link("%s/systemd/system%s" % (top, path)) for top in TOPS for path in SOCKETS):
        return True
    generator = next((top + GENERATOR for top in TOPS if system.exists(top + GENERATOR)), "")
    return bool(generator) and system.is_program(generator)
