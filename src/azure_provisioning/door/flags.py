"""The flags that chattr(1) gives a file: ioctl_iflags(2)."""

import fcntl
import os
import struct

from .tree import Tree

FIXED = 0x10 | 0x20  # immutable, append only
GET = 0x80006601 | struct.calcsize("l") << 16  # FS_IOC_GETFLAGS, except on MIPS, PowerPC and SPARC


def is_fixed(tree: Tree, path: str) -> bool:
    """May not even root replace this file or folder? False if that cannot be determined. Raises GuestError."""
    try:
        with tree.reach(path) as place:
            descriptor = place.open(os.O_RDONLY)
            try:
                return bool(struct.unpack("i", fcntl.ioctl(descriptor, GET, bytes(8))[:4])[0] & FIXED)
            finally:
                os.close(descriptor)
    except OSError:
        return False
