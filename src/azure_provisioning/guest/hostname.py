"""The machine's name: for the running kernel, and in every file from which this image reads it at boot."""

import re

from ..door.system import System
from ..errors import LastingError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, List, Optional, Tuple

LABEL_LIMIT = 63  # RFC 1123
NAME_LIMIT = 64  # bytes; the kernel's __NEW_UTS_LEN
STORES = ("/nix/", "/gnu/", "/run/")  # where a declarative distro keeps its /etc/hostname

# Files besides /etc/hostname from which some distros read the name: changed if they exist and have the key.
KEYED = (
    ("/etc/conf.d/hostname", "hostname"),  # OpenRC before 0.22, Gentoo
    ("/etc/sysconfig/network", "HOSTNAME"),  # chkconfig distros
    ("/etc/rc.conf", "HOSTNAME"),  # old Void and Arch
)


def choose_name(candidates: "Iterable[str]") -> "Tuple[Optional[str], List[str]]":
    """(the first candidate that makes a valid name, the candidates that were not usable)."""
    refused: "List[str]" = []
    for candidate in candidates:
        name = valid_name(candidate)
        if name:
            return name, refused
        refused.append(candidate)
    return None, refused


def valid_name(wanted: str) -> str:
    """The valid host name nearest to `wanted`; empty if nothing is left of it.

    Case and dots are kept; a run of other characters becomes one `-`; labels are cut at 63 bytes, the name at 64.
    """
    labels = []
    for part in re.sub(r"-*[^A-Za-z0-9.-][^A-Za-z0-9.]*", "-", wanted[:1024]).split("."):
        label = part.strip("-")[:LABEL_LIMIT].strip("-")
        if label:
            labels.append(label)
    while len(".".join(labels)) > NAME_LIMIT:
        labels.pop()
    return ".".join(labels)


def set_name(system: System, name: str) -> str:
    """Write the name for the next boot, then set it in the running kernel; returns what was done.

    Raises GuestError if the name cannot be written.
    """
    written = write_name(system, name)
    if system.hostname() == name:
        return "already %s, %s" % (name, written)
    if not system.set_hostname(name):
        return "%s from the next boot on, %s" % (name, written)
    return "%s, %s" % (name, written)


def write_name(system: System, name: str) -> str:
    """Write every file from which this image reads its name; returns which of them had to be changed."""
    changed = []
    target = system.readlink("/etc/hostname") or ""
    if target.startswith(STORES):
        raise LastingError("the hostname belongs to the distro's configuration", path="/etc/hostname", target=target)
    if system.write("/etc/hostname", name + "\n"):
        changed.append("/etc/hostname")
    if system.exists("/etc/HOSTNAME") or system.exists("/etc/slackware-version"):
        if system.write("/etc/HOSTNAME", name + "\n"):
            changed.append("/etc/HOSTNAME")
    for path, key in KEYED:
        text = system.read_text(path)
        if text is not None and system.write(path, assign(text, key, name)):
            changed.append(path)
    return "written to " + " ".join(changed) if changed else "nothing to write"


def assign(text: str, key: str, value: str) -> str:
    """A shell-like file with `key=value` in place of every line that sets `key`; quotes and comments stay."""
    return re.sub(
        r"(?am)^([ \t]*(?:export[ \t]+)?%s=)([\"']?)[^\s\"'#]*\2" % re.escape(key), r"\g<1>\g<2>%s\g<2>" % value, text
    )
