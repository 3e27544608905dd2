"""Is every file that the program writes complete? For a disk after a power cut, and at the end."""

import re
from pathlib import Path
from typing import Callable, Dict, List

from .disk import Disk

# Hidden files that a first boot makes for other reasons.
NOT_OURS = r"/home/[^/]+/\.(bashrc|profile|bash_logout)$|\.updated$|/\.pwd\.lock$|/\.depend\.\w+$"

FOLDERS = ["/etc", "/home", "/usr/local/sbin", "/var/lib/azure-provisioning"]


def _fields(count: int) -> Callable[[str], bool]:
    return lambda text: text.endswith("\n") and all(line.count(":") == count - 1 for line in text.splitlines())


def _lines(text: str) -> bool:
    return text.endswith("\n")


def _private_key(text: str) -> bool:
    return text.startswith("-----BEGIN") and text.rstrip().endswith("PRIVATE KEY-----")


# The form of a complete file, for each file that the program writes or replaces.
SHAPES: Dict[str, Callable[[str], bool]] = {
    r"/etc/hostname": lambda text: re.fullmatch(r"[A-Za-z0-9.-]+\n", text) is not None,
    r"/etc/hosts": lambda text: _lines(text) and "127.0.0.1" in text,
    r"/etc/passwd": _fields(7),
    r"/etc/shadow": _fields(9),
    r"/etc/g?shadow": lambda text: text.endswith("\n"),
    r"/etc/group": _fields(4),
    r"/etc/sudoers\.d/.*": _lines,
    r"/etc/ssh/ssh_host_\w+_key": _private_key,
    r"/etc/ssh/ssh_host_\w+_key\.pub": lambda text: _lines(text) and len(text.split()) >= 2,
    r"/etc/ssh/sshd_config\.d/.*": _lines,
    r"/etc/systemd/system/azure-provisioning\.service": lambda text: "\n[Install]\n" in text,
    r"/etc/init\.d/.*azure-provisioning": lambda text: text.startswith("#!") and _lines(text),
    r"/home/.*/\.ssh/authorized_keys": lambda text: _lines(text) and len(text.split()) >= 2,
    r"/var/lib/azure-provisioning/state": lambda text: _lines(text) and all("=" in line for line in text.splitlines()),
}


def broken(disk: Disk, scratch: Path, program: bytes) -> List[str]:
    """The files on the disk that are empty or half written, one on each line; empty if all are complete."""
    found = []
    for path, file in sorted(disk.dump(FOLDERS, scratch).items()):
        content = file.read_bytes()
        if path == "/usr/local/sbin/azure-provisioning" and content != program:
            found.append("%s differs from what was installed" % path)
        for shape, whole in SHAPES.items():
            if re.fullmatch(shape, path) and not whole(content.decode("utf-8", "surrogateescape")):
                found.append("%s is %s" % (path, "half written" if content else "empty"))
    return found


def leftovers(before: Disk, after: Disk, scratch: Path) -> List[str]:
    """Temporary files that the program left: new, and with a name that no finished file has."""
    old = set(before.dump(FOLDERS, scratch))
    new = set(after.dump(FOLDERS, scratch)) - old
    hidden = [path for path in new if re.search(r"/\.[^/]+$|\.(tmp|new)$", path)]
    return sorted(path for path in hidden if not re.search(NOT_OURS, path))
