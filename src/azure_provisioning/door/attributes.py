"""The metadata of a file: owner, mode, access lists, labels, and the mount that it is on."""

import errno
import os
import stat

from .tree import Place, list_attributes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Tuple

ACLS = ("system.posix_acl_access", "system.posix_acl_default")
RIGHTS = (*ACLS, "security.capability")
UNSUPPORTED = (errno.ENOTSUP, errno.ENODATA, errno.EPERM, errno.EACCES)  # from a file system without attributes


def mount_of(descriptor: int) -> str:
    """An identifier of the mount that an open file is on; st_dev is the same for two bind mounts of a disk.

    The kernel's mount id (proc(5), fdinfo); without /proc only the number of the file system.
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
    """Give the new file the owner of the file that it replaces."""
    new = os.fstat(descriptor)
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        os.fchown(descriptor, old.st_uid, old.st_gid)


def is_own(descriptor: int, mode: int, owner: "Tuple[int, int]") -> bool:
    """Do only `owner` and `mode` give rights to an open file? Only root can change an owner."""
    found = os.fstat(descriptor)
    if stat.S_IMODE(found.st_mode) != mode:
        return False
    if os.geteuid() == 0 and (found.st_uid, found.st_gid) != owner:
        return False
    return found.st_uid in (owner[0], os.geteuid()) and not set(ACLS) & set(attributes(descriptor))


def remove_rights(descriptor: int) -> None:
    """Remove from an open file the attributes that grant rights besides its mode, including a folder's default ACL."""
    for name in RIGHTS:
        if name in attributes(descriptor):
            os.removexattr(descriptor, name)


def attributes(descriptor: int) -> "List[str]":
    """The names of the extended attributes of an open file; empty if the file system does not support them."""
    try:
        return list_attributes(descriptor)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        return []


def copy_attributes(source: Place, descriptor: int) -> None:
    """Extended attributes: SELinux labels, ACLs, capabilities. A file system without them is not an error."""
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
