"""The file systems: is root writable and persistent, and do their names find Azure's disks?"""

import re
from functools import partial
from typing import Iterator, List, NamedTuple, Optional

from ...door.files import is_below
from ...door.text import words_in
from ...guest.boot_loader import kernel_lines
from ...init.systems import systemd
from ...init.table import LEAVE_ROOT
from ...story.lasting import VOUCHED, find_mismatch
from ...story.state import FOLDER
from .. import diskless
from ..command import Command
from .finding import Finding, error, ok, warning
from .serial import LOADERS, command_lines
from .subject import Image

FSTAB = "/etc/fstab"
FORGETFUL = ("tmpfs", "ramfs")
# Disk names of other clouds and boards.
NEVER = re.compile(
    r"/dev/(?:vd[a-z]|xvd[a-z]|hd[a-z]|mmcblk\d|nbd\d"
    r"|disk/by-id/(?:virtio-|google-|nvme-Amazon_|(?:ata|scsi|nvme)-[^/\s]*QEMU)|disk/by-path/(?:virtio-|xen-))"
)
CHANGING = re.compile(r"/dev/(?:sd[a-z]|nvme\d)")
UNWRITABLE = ("squashfs", "erofs", "cramfs", "romfs", "iso9660")
KIND = re.compile(r"\brootfstype=([^\s\"']+)")
DISK_ROOT = re.compile(r"root=(?:(?:PART)?(?:UUID|LABEL)=|/dev/(?!ram))")
LAYERED = re.compile(r"\bostree=|overlay|systemd\.volatile=")
REMOUNT = "systemd-remount-fs"  # for a root that fstab has, or if it is given this variable
REMOUNT_VARIABLE = "SYSTEMD_REMOUNT_ROOT_RW=1"
IN_MEMORY = "/run"  # whatever fstab says
# Both are read as shell scripts, in this order. The command line counts more.
OVERLAYROOT = ("/etc/overlayroot.conf", "/etc/overlayroot.local.conf")
OVERLAYROOT_VALUE = re.compile(r"(?m)^[ \t]*overlayroot=[\"']?(\w*)")
# Settings on the kernel's command line: of systemd, of overlayroot, and of Alpine's initramfs.
FORGETTING = re.compile(
    r"\b(?:systemd\.volatile=(?:yes|state|overlay)|overlayroot=tmpfs|overlaytmpfs(?:=yes)?(?![^\s\"']))"
)
LAYERS = 8  # nested overlays and binds


class Line(NamedTuple):
    """A line of fstab(5), or a mount unit at `path`."""

    source: str
    point: str
    kind: str
    options: "List[str]"
    path: str = FSTAB


def read_fstab(image: Image) -> "List[Line]":
    """The lines without comments and empty ones."""
    found = []
    for line in image.text(FSTAB).split("\n"):
        words = words_in(line)
        if len(words) >= 3 and not words[0].startswith("#"):
            point = words[1].rstrip("/") or "/"
            found.append(Line(words[0], point, words[2], words[3].split(",") if len(words) > 3 else []))
    return found


def mount_units(image: Image) -> "List[Line]":
    """The same for the mount units that systemd starts, which count more than lines of fstab: systemd.mount(5)."""
    if image.init != "systemd":
        return []
    lines = []
    for name in image.services or {}:
        values = dict(systemd.unit_settings(image.system, name)) if name.endswith(".mount") else {}
        if values.get("Where", "").startswith("/"):
            what, kind, options = (values.get(key, "") for key in ("What", "Type", "Options"))
            path = systemd.find_unit(image.system, name) or ""
            lines.append(Line(what, values["Where"].rstrip("/") or "/", kind, options.split(","), path))
    return lines


def mount_over(image: Image, path: str) -> "Optional[Line]":
    """The mount that has `path`; None if it is not known."""
    above = [line for line in mount_units(image) + read_fstab(image) if is_below(path, line.point)]
    return max((line for line in above if "noauto" not in line.options), key=lambda line: len(line.point), default=None)


def kind_of(image: Image, path: str, layers: int = LAYERS) -> str:
    """The kind of file system ("tmpfs") that will be below `path`, if it is lost at reboot; empty if it lasts."""
    found = mount_over(image, path)
    if is_below(path, IN_MEMORY):
        return "tmpfs"
    if found is None:
        return ""
    if found.kind == "overlay" and layers:  # lasts as long as its upper layer
        upper = [word.partition("=")[2] for word in found.options if word.startswith("upperdir=")]
        outside = [place for place in upper if not is_below(place, found.point)]  # else it is below the overlay
        return kind_of(image, outside[0], layers - 1) if outside else ""
    if {"bind", "rbind"} & set(found.options) and layers:
        return kind_of(image, found.source.rstrip("/") + path[len(found.point.rstrip("/")) :], layers - 1)
    return found.kind if found.kind in FORGETFUL else ""


def check_root_filesystem(image: Image) -> "Iterator[Finding]":
    """A new account must still exist after the next boot."""
    problems = []
    forgotten = find_mismatch(partial(kind_of, image))
    if forgotten:
        lost = [path for path in (*VOUCHED, FOLDER) if kind_of(image, path)]
        place = next((line.path for line in (mount_over(image, path) for path in lost) if line), FSTAB)
        grave = lost[0] in VOUCHED
        message = "by %s %s" % (place, forgotten)
        problems.append((error if grave else warning)("root-filesystem", message, image.edit(place)))
    over = [line for line in (mount_over(image, path) for path in VOUCHED) if line and "ro" in line.options]
    for point, place in dict.fromkeys((line.point, line.path) for line in over):
        message = "%s has %s read-only: no account can be made" % (place, point)
        problems.append(error("root-filesystem", message, image.edit(place)))
    if re.search(r"(?m)^[ \t]*ROOTFS_READ_ONLY=[\"']?yes", image.text("/etc/default/rcS")):
        edit = image.edit("/etc/default/rcS")
        problems.append(error("root-filesystem", "the image has a read-only root (ROOTFS_READ_ONLY)", edit))
    lines = image.once(kernel_lines)
    doubts = list(of_root(image, lines))
    problems += doubts
    asked = [(path, value) for path in OVERLAYROOT for value in OVERLAYROOT_VALUE.findall(image.text(path))][-1:]
    if asked and asked[0][1] == "tmpfs" and not (lines and all("overlayroot=disabled" in line for line in lines)):
        problems.append(error("root-filesystem", "overlayroot keeps every change in memory", image.edit(asked[0][0])))
    if lines and all(FORGETTING.search(line) for line in lines):
        problems.append(error("root-filesystem", "the kernel's command line keeps every change in memory"))
    problems += of_running(image)
    for problem in problems:
        yield problem
    if not doubts and not any(problem.level == "error" for problem in problems):
        yield ok("root-filesystem", "writable and persistent")


def of_root(image: Image, lines: "List[str]") -> "Iterator[Finding]":
    """The ways in which the root itself stays read-only, where no other mount has /etc or /home."""
    over = [line for line in (mount_over(image, path) for path in VOUCHED) if line is None or line.point == "/"]
    if not over or image.system.live:  # the mounts of a running system are known
        return
    kinds = {kind for line in lines for kind in (KIND.findall(line) or ["auto"])[-1].split(",")}
    listed = [line for line in read_fstab(image) if line.point == "/"]
    kinds = kinds if kinds and kinds <= set(UNWRITABLE) else {line.kind for line in listed} & set(UNWRITABLE)
    if kinds:
        message = "the root is %s, which is read-only: it cannot be determined whether an overlay makes it writable"
        yield warning("root-filesystem", message % min(kinds))
    roots = list(map(read_only_root, lines))
    if lines and not kinds and not listed and all(roots) and leaves_unlisted_root(image):
        message = "the kernel is given `ro`, and %s has no line for /, with which %s would make it writable"
        add = image.append(FSTAB, Command("echo", "%s / auto defaults 0 1" % roots[0]))
        remedy = add if len(set(roots)) == 1 else image.edit(FSTAB)
        yield error("root-filesystem", message % (FSTAB, image.init), remedy)


def read_only_root(line: str) -> str:
    """The device of a root that a command line has mounted read-only; empty if it may be mounted otherwise.

    The last of `ro` and `rw` counts. The scripts for ZFS ignore both.
    """
    words = re.findall(r"[^\s\"']+", line)
    last = [word for word in words if word in ("ro", "rw")][-1:]
    roots = [word[len("root=") :] for word in words if DISK_ROOT.match(word)]
    return roots[-1] if roots and last == ["ro"] and not LAYERED.search(line) else ""


def leaves_unlisted_root(image: Image) -> bool:
    """Would nothing remount a root that fstab does not have? Scripts of other init systems do, without a line."""
    settings = systemd.unit_settings(image.system, REMOUNT + ".service")
    others = [name for name in image.services or {} if "remount" in name and name != REMOUNT]
    named = image.init in LEAVE_ROOT and not others
    return named and not any(REMOUNT_VARIABLE in value for _, value in settings)


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
