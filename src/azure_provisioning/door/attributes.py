"""What a file has beside its content: owner, mode, access lists, labels, and the mount that it is on."""

import errno
import os
import stat

from .tree import Place, list_attributes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Tuple

ACLS = ("system.posix_acl_access", "system.posix_acl_default")
RIGHTS = (*ACLS, "security.capability")
UNSUPPORTED = (errno.ENOTSUP, errno.ENODATA, errno.EPERM, errno.EACCES)  # what a file system without attributes says


def mount_of(descriptor: int) -> str:
    """What tells the mount that an open file is on from all others: two bind mounts of a disk have one st_dev.

    The kernel's number of it (proc(5), fdinfo); without /proc no more than the number of the file system.
    """
    try:
        with open("/proc/self/fdinfo/%d" % descriptor) as info:
            for line in info:
                if line.startswith("mnt_id:"):
                    return line
    except OSError:
        pass  # no /proc
    return "file system %d" % os.fstat(descriptor).st_dev


def copy_owner(old: os.stat_result, descriptor: int) -> None:
    """The owner of the file that is replaced."""
    new = os.fstat(descriptor)
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        os.fchown(descriptor, old.st_uid, old.st_gid)


def is_own(descriptor: int, mode: int, owner: "Tuple[int, int]") -> bool:
    """Has nobody but `owner` another right to an open file than `mode` says? Only root can give files away."""
    found = os.fstat(descriptor)
    if stat.S_IMODE(found.st_mode) != mode:
        return False
    if os.geteuid() == 0 and (found.st_uid, found.st_gid) != owner:
        return False
    return found.st_uid in (owner[0], os.geteuid()) and not set(ACLS) & set(attributes(descriptor))


def remove_rights(descriptor: int) -> None:
    """Take from an open file what gives others a right beside its mode; a folder's own list is the default of it."""
    for name in RIGHTS:
        if name in attributes(descriptor):
            os.removexattr(descriptor, name)


def attributes(descriptor: int) -> "List[str]":
    """The names of the extended attributes of an open file; none where the file system has no such."""
    try:
        return list_attributes(descriptor)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        return []


def copy_attributes(source: Place, descriptor: int) -> None:
    """Extended attributes: SELinux labels, ACLs, capabilities. A file system without them is no error."""
    try:
        old = source.open_regular(os.O_RDONLY)
        if old is None:
            return
        try:
            for name in list_attributes(old):
                os.setxattr(descriptor, name, os.getxattr(old, name))
        finally:
            os.close(old)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
