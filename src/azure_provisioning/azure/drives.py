"""Which block devices may be the provisioning DVD: drives first, then small or read-only disks with its file system.

Nothing is opened in this process, because a drive that hangs would hold whoever opens it: a program reads in our place,
and is ended.
"""

import re

from ..door.system import System
from ..door.text import read_line
from ..errors import GuestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Tuple

# Where it is mounted, by us. SELinux's policy lets an init script mount on a folder in /var/lib, and not on one of its
# own in /run: that has to do where /var cannot be written.
POINT = "/var/lib/azure-provisioning/media"
SPARE_POINT = "/run/azure-provisioning/media"
BLOCK = "/sys/block"
KINDS = ("udf", "iso9660")
DRIVE = re.compile(r"sr[0-9]{1,3}\Z")
DISKS = tuple(re.compile(form + r"\Z") for form in (r"vd[a-z]{1,2}", r"sd[a-z]{1,2}", r"nvme[0-9]{1,3}n[0-9]{1,3}"))
DISKS_LIMIT = 16  # that are looked at
SMALL = (256 << 20) >> 9  # sectors of 512 bytes: the DVD has one megabyte or two
READ_SECONDS = 10.0

# ECMA-167 and ISO 9660: volume descriptors of 2048 bytes from the 32nd KiB on, each with its name behind one byte.
FIRST, DESCRIPTOR, COUNT = 16, 2048, 16  # number of the first, bytes, how many are looked at
SIGNATURES = (("NSR02", "udf"), ("NSR03", "udf"), ("CD001", "iso9660"))


def find_drives(system: System) -> "List[str]":
    """The kernel's names of what may be the DVD, best first: `sr0`, ..., and disks that nothing here uses."""
    names = system.list(BLOCK)
    drives = sorted((name for name in names if DRIVE.match(name)), key=lambda name: int(name[2:]))
    if not drives and system.exists("/dev/sr0"):
        drives = ["sr0"]  # no sysfs
    disks = [name for form in DISKS for name in sorted(names) if form.match(name)]
    return drives + [name for name in disks if may_be_dvd(system, name)][:DISKS_LIMIT]


def may_be_dvd(system: System, disk: str) -> bool:
    """Is this disk small or read-only, without a partition, and used by nobody: not mounted, no part of an array?"""
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
    ours = (POINT, SPARE_POINT)  # such a mount a run of ours has left
    mounts = [mount for mount in system.mounts() if mount.point not in ours]
    return not any(number == mount.device or mount.source == "/dev/" + disk for mount in mounts)


def find_kinds(system: System, disk: str) -> "Tuple[str, ...]":
    """The file systems of the DVD that the disk has, by their signatures; raises GuestError if it has none."""
    program = system.find_program("dd")
    if program is None:
        raise GuestError("no program to read it with")
    place = "if=/dev/%s" % disk
    argv = [program, place, "bs=%d" % DESCRIPTOR, "skip=%d" % FIRST, "count=%d" % COUNT]
    code, printed = system.execute(argv, READ_SECONDS)
    # What was read is one character a byte or less, so a name is looked for by what comes before and after it.
    found = {kind for name, kind in SIGNATURES if re.search("[\0-\x03]%s\x01" % name, printed)}
    if not found:
        raise GuestError("neither UDF nor ISO 9660 on it" if code == 0 else "cannot be read", code=code)
    return tuple(kind for kind in KINDS if kind in found)
