"""The file systems: is root writable and persistent, and do their names find Azure's disks?"""

import re
from functools import partial
from typing import Iterator, List, NamedTuple

from ...door.files import is_below
from ...door.text import words_in
from ...story.lasting import VOUCHED, find_mismatch
from .. import diskless
from .finding import Finding, error, ok, warning
from .serial import LOADERS, SOURCES, command_lines
from .subject import Image

FORGETFUL = ("tmpfs", "ramfs")
NEVER = re.compile(r"/dev/(?:vd[a-z]|xvd[a-z]|hd[a-z]|mmcblk\d|nbd\d)")  # disk names of other clouds and boards
CHANGING = re.compile(r"/dev/(?:sd[a-z]|nvme\d)")
IN_MEMORY = "/run"  # whatever fstab says
LAYERS = 8  # nested overlays


class Line(NamedTuple):
    """A line of fstab(5)."""

    source: str
    point: str
    kind: str
    options: "List[str]"


def read_fstab(image: Image) -> "List[Line]":
    """The lines without comments and empty ones."""
    found = []
    for line in image.text("/etc/fstab").split("\n"):
        words = words_in(line)
        if len(words) >= 3 and not words[0].startswith("#"):
            point = words[1].rstrip("/") or "/"
            found.append(Line(words[0], point, words[2], words[3].split(",") if len(words) > 3 else []))
    return found


def kind_of(image: Image, path: str, layers: int = LAYERS) -> str:
    """The kind of file system ("tmpfs") below `path` in fstab, if it is lost at reboot; empty if it lasts."""
    above = [line for line in read_fstab(image) if is_below(path, line.point) and "noauto" not in line.options]
    found = max(above, key=lambda line: len(line.point), default=None)
    if is_below(path, IN_MEMORY):
        return "tmpfs"
    if found is None:
        return ""
    if found.kind == "overlay" and layers:  # lasts as long as its upper layer
        upper = [word.partition("=")[2] for word in found.options if word.startswith("upperdir=")]
        outside = [place for place in upper if not is_below(place, found.point)]  # else it is below the overlay
        return kind_of(image, outside[0], layers - 1) if outside else ""
    return found.kind if found.kind in FORGETFUL else ""


def check_root_filesystem(image: Image) -> "Iterator[Finding]":
    """A new account must still exist after the next boot."""
    problems = []
    edit = image.edit("/etc/fstab")
    forgotten = find_mismatch(partial(kind_of, image))
    if forgotten:
        grave = any(kind_of(image, path) for path in VOUCHED)
        problems.append((error if grave else warning)("root-filesystem", "by fstab " + forgotten, edit))
    for line in read_fstab(image):
        if line.point in ("/", "/etc") and "ro" in line.options:
            problems.append(
                error("root-filesystem", "fstab has %s read-only: no account can be made" % line.point, edit)
            )
    if re.search(r"(?m)^[ \t]*ROOTFS_READ_ONLY=[\"']?yes", image.text("/etc/default/rcS")):
        edit = image.edit("/etc/default/rcS")
        problems.append(error("root-filesystem", "the image has a read-only root (ROOTFS_READ_ONLY)", edit))
    if re.search(r"(?m)^[ \t]*overlayroot=[\"']?tmpfs", image.text("/etc/overlayroot.conf")):
        edit = image.edit("/etc/overlayroot.conf")
        problems.append(error("root-filesystem", "overlayroot keeps every change in memory", edit))
    lines = [line for _, found in command_lines(image, LOADERS) or command_lines(image, SOURCES) for line in found]
    if lines and all(re.search(r"\b(systemd\.volatile=(yes|state|overlay)|overlayroot=tmpfs)", line) for line in lines):
        problems.append(error("root-filesystem", "the kernel's command line keeps every change in memory"))
    problems += of_running(image)
    for problem in problems:
        yield problem
    if not any(problem.level == "error" for problem in problems):
        yield ok("root-filesystem", "writable and persistent")


def of_running(image: Image) -> "List[Finding]":
    """The mounts, if this machine itself is checked."""
    system = image.system
    found: "List[Finding]" = []
    if not system.live:
        return found
    forgotten = find_mismatch(system.volatile)
    if forgotten:
        grave = any(map(system.volatile, VOUCHED))
        remedy = diskless.keep(system)
        if remedy:
            forgotten += ", unless it is committed, at the end of a boot by a program in ready.d"
        found.append((error if grave else warning)("root-filesystem", forgotten, remedy))
    root = [mount for mount in system.mounts() if mount.point in ("/", "/etc")]
    if root and "ro" in root[-1].options.split(","):
        found.append(error("root-filesystem", "%s is read-only: no account can be made" % root[-1].point))
    return found


def check_fstab(image: Image) -> "Iterator[Finding]":
    """Disks should have names that do not depend on the order in which they are found."""
    remedy = image.edit("/etc/fstab").noting("UUID=... as shown by blkid")
    problems = []
    for line in read_fstab(image):
        calm = {"nofail", "noauto"} & set(line.options)
        if line.kind == "swap" or not line.source.startswith("/dev/"):
            continue
        if NEVER.match(line.source) and not calm:
            message = "%s for %s: Azure has no such disk, and the boot stops there" % (line.source, line.point)
            problems.append(error("fstab", message, remedy))
        elif CHANGING.match(line.source) and not calm:
            message = "%s for %s: the order of Azure's disks changes" % (line.source, line.point)
            problems.append(warning("fstab", message, remedy))
    for path, lines in command_lines(image, LOADERS):
        roots = {word for line in lines for word in re.findall(r"\broot=(/dev/\S+)", line)}
        named = [word for word in roots if NEVER.match(word)]
        if named and named == list(roots):
            problems.append(error("fstab", "root=%s in %s: Azure has no such disk" % (named[0], path)))
        elif any(CHANGING.match(word) for word in roots):
            message = "root=%s in %s: the order of Azure's disks changes" % (sorted(roots)[0], path)
            problems.append(warning("fstab", message))
    for problem in problems:
        yield problem
    if not problems:
        yield ok("fstab", "no disk is named by the order in which it is found")


def check_swap(image: Image) -> "Iterator[Finding]":
    """Azure recommends swap only on the temporary disk: the OS disk is a remote one."""
    found = [line.source for line in read_fstab(image) if line.kind == "swap" and "zram" not in line.source]
    if found:
        yield warning("swap", "%s is on the OS disk, which is slow and remote" % found[0],
                      image.edit("/etc/fstab"))  # fmt: skip
    else:
        yield ok("swap", "none on the OS disk")
