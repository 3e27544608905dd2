"""The provisioning DVD: `ovf-env.xml`, the only source of the password and the customData.

Azure attaches it at the first boot and removes it after Ready is accepted. It is usually a DVD drive, in rare
environments a disk (Azure/azure-init issue 66). drives.py finds it, ovf.py parses the document.
"""

from ..door.system import System
from ..door.text import read_line
from ..door.tree import ROOT
from ..errors import GuestError
from .drives import KINDS, POINT, SPARE_POINT, find_drives, find_kinds
from .ovf import Media, parse_ovf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional, Tuple

FILE = "ovf-env.xml"
FILE_LIMIT = 1 << 20  # bytes; customData is at most 64 KiB before base64
MOUNT_SECONDS = 20.0


def read_media(system: System) -> "Tuple[Optional[Media], str]":
    """(the parsed document, where it was read), or (None, why there is none: no drive, no medium, no udf, ...).

    Takes at most a minute for each drive that hangs. Raises BadReply if the document on the DVD is not understood.
    """
    reasons = []
    for drive in find_drives(system):
        try:
            document, how = read_drive(system, drive)
        except GuestError as error:
            reasons.append("/dev/%s: %s" % (drive, error))
        else:
            return parse_ovf(document), how
    return None, "; ".join(reasons) or "no DVD drive"


def read_drive(system: System, drive: str) -> "Tuple[bytes, str]":
    """(ovf-env.xml of the DVD in this drive, where it was read). Raises GuestError."""
    if read_line(system, "/sys/block/%s/size" % drive) == "0":
        raise GuestError("no medium")
    number = read_line(system, "/sys/block/%s/dev" % drive)
    points = [mount.point for mount in system.mounts() if mount.device == number and mount.inside == "/"]
    if points and points[-1] not in (POINT, SPARE_POINT):  # mounted by an automounter
        return read_file(system, points[-1]), "/dev/%s at %s" % (drive, points[-1])
    point = points[-1] if points else ""  # a mount that an earlier run of ours left
    if not point:
        point = mount(system, drive, KINDS if drive.startswith("sr") else find_kinds(system, drive))
    try:
        document = read_file(system, point)
    finally:
        complaint = unmount(system, point)
    return document, "/dev/%s%s" % (drive, complaint)


def make_point(system: System) -> str:
    """Make the folder to mount on, readable by root only; returns its path. Raises GuestError."""
    for point in (POINT, SPARE_POINT):
        try:
            system.make_dirs(point.rpartition("/")[0], owner=ROOT)
            system.make_dirs(point, mode=0o700)
        except GuestError:
            if point == SPARE_POINT:
                raise
        else:
            break
    return point


def mount(system: System, drive: str, kinds: "Tuple[str, ...]") -> str:
    """Mount the DVD; returns where. Raises GuestError with the output of `mount` for each file system."""
    program = system.find_program("mount")
    if program is None:
        raise GuestError("no program to mount with")
    point = make_point(system)
    problems = {}
    for kind in kinds:
        argv = [program, "-t", kind, "-o", "ro,nosuid,nodev,noexec", "/dev/" + drive, point]
        try:
            code, printed = system.execute(argv, MOUNT_SECONDS)
        except GuestError:
            system.remove_dir(point)
            raise
        if code == 0:
            return point
        problems[kind] = printed.strip().partition("\n")[0][:200] or "exit code %d" % code
    system.remove_dir(point)
    raise GuestError("cannot be mounted", **problems)


def unmount(system: System, point: str) -> str:
    """Unmount the DVD, now or when it is no longer in use; returns what is left to report."""
    program = system.find_program("umount") or "umount"
    for flags in ([], ["-l"]):
        try:
            system.run([program] + flags + [point], MOUNT_SECONDS)
            system.remove_dir(point)
        except GuestError as error:
            complaint = ", which stays mounted (%s)" % error
        else:
            return ""
    return complaint


def read_file(system: System, point: str) -> bytes:
    """The file on the DVD that is mounted at `point`. Raises GuestError."""
    names = [name for name in system.list(point) if name.lower() == FILE]
    document = system.read("%s/%s" % (point, names[0]), limit=FILE_LIMIT) if names else None
    if document is None:
        raise GuestError("no %s on it" % FILE)
    return document
