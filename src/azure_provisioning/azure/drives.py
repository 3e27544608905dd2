"""Which block devices may be the provisioning DVD: drives first, then small or read-only disks with its file system.

A drive that hangs would block the process that opens it. So another program reads it, and is killed at a time limit.
"""

import re

from ..door.system import System
from ..door.text import read_line
from ..errors import GuestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Tuple

# Where we mount it. SELinux's policy lets an init script mount on a folder in /var/lib, but not on one of its own in
# /run, which is used only if /var cannot be written.
POINT = "/var/lib/azure-provisioning/media"
SPARE_POINT = "/run/azure-provisioning/media"
BLOCK = "/sys/block"
KINDS = ("udf", "iso9660")
DRIVE = re.compile(r"sr[0-9]{1,3}\Z")
DISKS = tuple(re.compile(form + r"\Z") for form in (r"vd[a-z]{1,2}", r"sd[a-z]{1,2}", r"nvme[0-9]{1,3}n[0-9]{1,3}"))
DISKS_LIMIT = 16  # that are examined
SMALL = (256 << 20) >> 9  # sectors of 512 bytes: the DVD has one megabyte or two
READ_SECONDS = 10.0

# ECMA-167 and ISO 9660: volume descriptors of 2048 bytes from 32 KiB on, each with its name after one byte.
FIRST, DESCRIPTOR, COUNT = 16, 2048, 16  # number of the first, bytes of each, how many are examined
SIGNATURES = (("NSR02", "udf"), ("NSR03", "udf"), ("CD001", "iso9660"))


def find_drives(system: System) -> "List[str]":
    """The kernel's names of devices that may be the DVD, best first: `sr0`, ..., then disks that are not in use."""
    names = system.list(BLOCK)
    drives = sorted((name for name in names if DRIVE.match(name)), key=lambda name: int(name[2:]))
    if not drives and system.exists("/dev/sr0"):
        drives = ["sr0"]  # no sysfs
    disks = [name for form in DISKS for name in sorted(names) if form.match(name)]
    return drives + [name for name in disks if may_be_dvd(system, name)][:DISKS_LIMIT]


def may_be_dvd(system: System, disk: str) -> bool:
    """Is this disk small or read-only, without a partition and not in use: not mounted, not part of an array?"""
    folder = "%s/%s" % (BLOCK, disk)
    size, number = read_line(system, folder + "/size"), read_line(system, folder + "/dev")
    read_only = read_line(system, folder + "/ro") == "1"
    if not re.match(r"[1-9][0-9]{0,17}\Z", size) or not number or (int(size) > SMALL and not read_only):
        return False
    if system.list(folder + "/holders") or any(name.startswith(disk) for name in system.list(folder)):
        return False
    swaps = (system.read_text("/proc/swaps") or "").split("\n")
    if any(line.startswith("/dev/%s " % disk) for line in swaps):
        return False
    ours = (POINT, SPARE_POINT)  # a mount that an earlier run of ours left
    mounts = [mount for mount in system.mounts() if mount.point not in ours]
    return not any(number == mount.device or mount.source == "/dev/" + disk for mount in mounts)


def find_kinds(system: System, disk: str) -> "Tuple[str, ...]":
    """The DVD's file systems that the disk has, by their signatures; raises GuestError if it has none."""
    program = system.find_program("dd")
    if program is None:
        raise GuestError("no program to read it with")
    place = "if=/dev/%s" % disk
    argv = [program, place, "bs=%d" % DESCRIPTOR, "skip=%d" % FIRST, "count=%d" % COUNT]
    code, printed = system.execute(argv, READ_SECONDS)
    # What was read has at most one character for each byte, so a name is found by the bytes before and after it.
    found = {kind for name, kind in SIGNATURES if re.search("[\0-\x03]%s\x01" % name, printed)}
    if not found:
        raise GuestError("neither UDF nor ISO 9660 on it" if code == 0 else "cannot be read", code=code)
    return tuple(kind for kind in KINDS if kind in found)
