"""The image root given by `--root`. Anything else is a usage error, before anything is changed."""

import errno
import os
import stat

from ..door.system import System
from ..errors import GuestError, ProvisionError, UsageError
from .command import Command

NOWHERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
MOUNT_POINT = "/mnt"  # in examples
NOT_THE_IMAGES = ("/dev", "/proc", "/run", "/sys")  # in a mounted image they often belong to the host


def open_root(path: str) -> System:
    """The system at `path`, a path on the host. Raises UsageError if there is none, ProvisionError if it is not
    readable.

    The running machine is not checked: it is the default, and each verb checks what it needs.
    """
    try:
        found = os.stat(path)
    except OSError as error:
        if error.errno not in NOWHERE:
            raise unreadable(path, error.strerror or str(error)) from error
        dangling = "a dangling symlink" if os.path.islink(path) else "there is no such folder"
        raise UsageError("--root %s: %s" % (path, dangling), advice="name the folder that the image is mounted at")
    if not stat.S_ISDIR(found.st_mode):
        raise UsageError("--root %s: this is a file, not a folder" % path, advice=explain_mount(path, found))
    system = System(path)
    if system.root != "/":
        check_root(system)
        system.spared = NOT_THE_IMAGES
    return system


def check_root(system: System) -> None:
    """Raises UsageError if the root has no Linux system, ProvisionError if it is not readable."""
    try:
        found = system.is_dir("/etc") and (system.is_dir("/usr") or system.is_dir("/bin"))
    except GuestError as error:
        raise unreadable(system.called, error.details.get("error", error.reason)) from error
    if not found:
        raise UsageError(
            "%s is not the root of a Linux system: it has no /etc, or neither /usr nor /bin" % system.called,
            advice="mount the image's root file system there first",
        )


def unreadable(path: str, problem: str) -> ProvisionError:
    """The error for a root that cannot be read."""
    return ProvisionError(
        "%s cannot be read" % path, advice="call this as root, or as the owner of the image", error=problem
    )


def explain_mount(path: str, found: os.stat_result) -> str:
    """How to get from a disk image or a device to a folder."""
    if stat.S_ISBLK(found.st_mode):
        return "mount the file system first (%s), then name %s" % (Command("mount").on(path, MOUNT_POINT), MOUNT_POINT)
    return "mount a disk image first (%s prints the loop device; mount its root partition at %s), then name %s" % (
        Command("losetup", "--find", "--show", "--partscan").on(path),
        MOUNT_POINT,
        MOUNT_POINT,
    )
