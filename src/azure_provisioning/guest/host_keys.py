"""The keys by which the machine proves its identity: new ones for each VM, made before sshd starts."""

import binascii
import hashlib
import os
import re
from fnmatch import fnmatchcase
from typing import Callable, Dict, List, Sequence

from ..door.system import System
from ..errors import GuestError
from . import services
from .processes import Process, processes
from .sshd import reload_sshd
from .sshd_config import find_sshd, walk

OPENSSH, OPENSSH_KEYS = "/etc/ssh", "ssh_host_*key*"  # includes what an interrupted ssh-keygen leaves
KINDS = {"ed25519": "ed25519", "ecdsa": "ecdsa", "rsa": "ssh-rsa"}  # and the kind in the public half
FOREIGN = ("/nix/", "/gnu/", "/run/", "/var/run/", "/dev/", "/proc/", "/sys/")
KEY_LIMIT = 64 << 10  # bytes
PRIVATE = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")
OPENSSH_KEY = re.compile(OPENSSH + r"/ssh_host_(rsa|ecdsa|ed25519)_key\Z")
FORMER_KEY = re.compile(OPENSSH + r"/ssh_host_(dsa_)?key\Z")  # of kinds that are left to `ssh-keygen -A`
DROPBEAR, DROPBEAR_KEYS = "/etc/dropbear", "dropbear_*_host_key*"
DROPBEAR_KINDS = ("ed25519", "ecdsa", "rsa")
MAKE_SECONDS = 120.0  # RSA on a slow machine
END_SECONDS = 5.0  # for a restarted dropbear to listen again
STALE = "the running dropbear has the old keys until it is restarted"
INETD = re.compile(r"-[A-Za-z]*i[A-Za-z]*\Z")  # the option of a dropbear that serves a single connection


AskInit = Callable[[System, str], Sequence[str]]  # the command that restarts a service: see services.restart


def renew_host_keys(system: System, ask_init: "AskInit") -> str:
    """Replace the host keys of OpenSSH and dropbear; returns what was done. Raises GuestError.

    The image's keys are removed first, so that sshd never starts with them. After an interruption, call it again.
    """
    done = [renew_openssh(system), renew_dropbear(system, ask_init)]
    return "; ".join(filter(None, done)) or "no ssh server here"


def renew_openssh(system: System) -> str:
    """New keys for OpenSSH; empty if it is not installed."""
    tool = system.find_program("ssh-keygen")
    if not keys_of(system, OPENSSH, OPENSSH_KEYS) and not find_sshd(system):
        return ""
    if tool is None:
        raise GuestError("host keys cannot be made", problem="ssh-keygen is missing")
    kinds, others = configured_kinds(system), find_others(system)
    removed = remove_keys(system, OPENSSH, OPENSSH_KEYS)
    removed += sum(system.unlink(path) for path in others)
    if not system.can_run:
        return "%d of OpenSSH removed, the next boot makes new ones" % removed
    if kinds:
        wanted = {"%s/ssh_host_%s_key" % (OPENSSH, kind): kind for kind in kinds}
    else:
        wanted = {}
        system.run([tool, "-A"], seconds=MAKE_SECONDS)
    wanted.update(others)
    refused = [kind for path, kind in wanted.items() if not any(make_key(system, tool, path, kind) for _ in range(2))]
    made = {*keys_of(system, OPENSSH, "ssh_host_*_key"), *filter(system.exists, others)}
    if not made:
        raise GuestError("host keys cannot be made", problem="ssh-keygen made none")
    running = ", sshd reads its files again" if reload_sshd(system) else ""
    without = ", but ssh-keygen makes no %s" % " ".join(refused) if refused else ""
    return "%d made for OpenSSH%s%s" % (len(made), without, running)


def configured_kinds(system: System) -> "List[str]":
    """The kinds of key that sshd's HostKey lines name; empty if there are none, or if they name other files too.

    An RSA key takes longer than everything else that the boot waits for. An image can leave it out in this way.
    """
    try:
        paths = [value for key, value in walk(system) if key == "hostkey"]
    except GuestError:
        return []
    found = [OPENSSH_KEY.match(path) for path in paths]
    return sorted({match.group(1) for match in found if match}) if all(found) else []


def configured(system: System) -> "List[str]":
    """The paths of sshd's HostKey lines in their order; empty if it uses the defaults. Raises GuestError."""
    pairs = list(walk(system))
    if any(key == "hostkeyagent" and value.lower() != "none" for key, value in pairs):
        return []  # the private halves are not in these files
    return [value for key, value in pairs if key == "hostkey" and value.startswith("/")]


def find_others(system: System) -> "Dict[str, str]":
    """The keys of HostKey lines that `ssh-keygen -A` does not make, each with its kind.

    Keys in a store, or in a folder that is lost at reboot, are not this machine's to renew, and are left out. So is a
    file that is not a key.
    """
    found = {}
    try:
        paths = configured(system)
    except GuestError:
        return {}
    for path in paths:
        usual = any(known.match(os.path.normpath(path)) for known in (OPENSSH_KEY, FORMER_KEY))
        if not usual and not is_foreign(system, path) and is_key(system, path):
            found[path] = kind_of(system, path)
    return found


def is_key(system: System, path: str) -> bool:
    """Is there a private key at `path`, or no file, as after `generalize`?"""
    try:
        head = system.read(path, KEY_LIMIT, head=True)
    except GuestError:
        return False
    return head is None or PRIVATE.match(head) is not None


def is_foreign(system: System, path: str) -> bool:
    """Does something else provide the key: a distro's store, or a tool that fetches secrets at each boot?"""
    return any(step.startswith(FOREIGN) for step in system.chain(os.path.normpath(path)))


def kind_of(system: System, path: str) -> str:
    """The kind of the key at `path`, from its public half or its name: the new key is of the same kind."""
    try:
        public = (system.read_text(path + ".pub") or "").split(" ")[0]
    except GuestError:
        public = ""
    name = os.path.basename(path)
    kinds = [kind for kind in KINDS if KINDS[kind] in public] or [kind for kind in KINDS if kind in name]
    return kinds[0] if kinds else "ed25519"


def make_key(system: System, tool: str, path: str, kind: str) -> bool:
    """Make one key, and replace what a killed ssh-keygen left. False if ssh-keygen cannot make this kind."""
    try:
        system.make_dirs(os.path.dirname(path))
    except GuestError:
        return False
    system.unlink(path)
    system.unlink(path + ".pub")
    return system.run([tool, "-q", "-t", kind, "-N", "", "-f", path], seconds=MAKE_SECONDS, check=False) == 0


def renew_dropbear(system: System, ask_init: "AskInit") -> str:
    """New keys for dropbear; empty if it is not installed. Without dropbearkey, `dropbear -R` makes them."""
    if not keys_of(system, DROPBEAR, DROPBEAR_KEYS) and not system.find_program("dropbear"):
        return ""
    removed = remove_keys(system, DROPBEAR, DROPBEAR_KEYS)
    tool = system.find_program("dropbearkey")
    if tool is None or not system.can_run:
        return "%d of dropbear removed, it makes new ones with -R" % removed
    system.make_dirs(DROPBEAR)
    for kind in DROPBEAR_KINDS:  # this dropbear may not know every kind, which is not a failure
        path = "%s/dropbear_%s_host_key" % (DROPBEAR, kind)
        system.run([tool, "-t", kind, "-f", path], seconds=MAKE_SECONDS, check=False)
    made = keys_of(system, DROPBEAR, "dropbear_*_host_key")
    if not made:
        raise GuestError("host keys cannot be made", problem="dropbearkey made none")
    return "%d made for dropbear%s" % (len(made), restart_dropbear(system, ask_init))


def restart_dropbear(system: System, ask_init: "AskInit") -> str:
    """Restart a dropbear that is listening already, because it reads its keys only at start; returns the result as
    words. Connections stay."""
    before = listeners(system) if system.live else []
    if not before:
        return ""
    restarted = []
    try:
        restarted = [services.restart(system, process, ask_init) for process in before]
    except GuestError as error:
        return ", but %s: %s" % (STALE, error)
    if not all(restarted):
        return ", but " + STALE
    if "systemd" in restarted:
        return ", and systemd restarts dropbear"
    old = {process.pid for process in before}
    if not system.becomes(lambda: {process.pid for process in listeners(system)} - old, END_SECONDS):
        return ", but dropbear has not come back after a restart by %s" % restarted[0]
    return ", and dropbear was restarted by " + restarted[0]


def listeners(system: System) -> "List[Process]":
    """The dropbears that wait for connections. One that serves a connection is their child, or started by inetd."""
    found = list(processes(system, "dropbear"))
    pids = {process.pid for process in found}
    return [process for process in found if process.parent not in pids and not any(map(INETD.match, process.argv))]


def keys_of(system: System, folder: str, pattern: str) -> "List[str]":
    """The paths of the matching files in a folder."""
    return ["%s/%s" % (folder, name) for name in system.list(folder) if fnmatchcase(name, pattern)]


def remove_keys(system: System, folder: str, pattern: str) -> int:
    """Remove the matching files; returns how many there were."""
    return sum(system.unlink(path) for path in keys_of(system, folder, pattern))


def fingerprints(system: System) -> "List[str]":
    """`SHA256:... (kind)` of each host key that is served, so that the first connection can be checked.

    Raises GuestError."""
    paths = [path + ".pub" for path in configured(system)] or keys_of(system, OPENSSH, "ssh_host_*_key.pub")
    publics = [system.read_text(path) or "" for path in paths]
    tool = system.find_program("dropbearkey") if system.can_run else None
    for path in keys_of(system, DROPBEAR, "dropbear_*_host_key") if tool else []:
        publics.append(system.ask([tool or "", "-y", "-f", path]))
    found = []
    for line in "\n".join(publics).split("\n"):
        words = line.split()
        if len(words) > 1 and words[0].startswith(("ssh-", "ecdsa-")):
            shown = fingerprint(words[0], words[1])
            if shown and shown not in found:
                found.append(shown)
    return found


def fingerprint(kind: str, blob: str) -> str:
    """A key's fingerprint as ssh shows it; empty if the blob is not a key."""
    try:
        digest = hashlib.sha256(binascii.a2b_base64(blob)).digest()
    except ValueError:
        return ""
    return "SHA256:%s (%s)" % (binascii.b2a_base64(digest).decode().strip().rstrip("="), kind)
