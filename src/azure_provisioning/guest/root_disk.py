"""Grows the root partition and its file system to the size of the VM's disk, which is larger than the image.

Only if root is a file system on the last partition of a disk. Nothing is ever made smaller, and a second run changes
nothing.
"""

from typing import NamedTuple, Optional

from ..door.system import Mount, System
from ..door.text import is_digits, read_line
from ..errors import GuestError

SECTOR = 512  # bytes: the unit of every size in sysfs, whatever the sector size of the disk
LEAST_GAIN = 16 << 20  # bytes; partitioning tools leave less than this for alignment and GPT's second table
SECONDS = 300.0  # time limit for a tool

# Tools that grow a mounted file system. ext2 and f2fs cannot be grown while they are mounted.
GROWERS = {
    "ext3": ("resize2fs", "DEVICE"),
    "ext4": ("resize2fs", "DEVICE"),
    "xfs": ("xfs_growfs", "/"),
    "btrfs": ("btrfs", "filesystem", "resize", "max", "/"),
}


class Partition(NamedTuple):
    """A partition of a disk, in sectors of 512 bytes."""

    name: str  # "sda1", as the kernel calls it
    disk: str  # "sda"
    number: str
    end: int
    room: int  # sectors behind it, up to the end of the disk; 0 if another partition follows


class Volume(NamedTuple):
    """A logical volume of LVM that lies on one partition."""

    device: str  # "/dev/mapper/rhel-root"
    partition: Partition


def grow_root(system: System) -> str:
    """Grow the partition of `/` if there is room behind it, then the LVM volume if there is one, then the file system.

    Returns what was done, or why not. Raises GuestError if a tool is missing or fails.
    """
    root = find_root(system)
    if root is None:
        return "the root file system is unknown"
    if root.kind not in GROWERS:
        return "a root of type %s is left unchanged" % root.kind
    number = number_of(system, root)
    partition, volume = find_partition(system, number), None
    if partition is None:
        volume = find_volume(system, number)
        if volume is None:
            return "the root file system is not on a partition of a disk: left unchanged"
        partition = volume.partition
    done = []
    if partition.room * SECTOR > LEAST_GAIN:
        grow_partition(system, partition)
        after = find_partition(system, read_line(system, "/sys/class/block/%s/dev" % partition.name))
        gain = after.end - partition.end if after else 0
        if gain <= 0:
            raise GuestError("the kernel does not see the larger partition", partition=partition.name)
        done.append("/dev/%s grew by %d MiB" % (partition.name, gain * SECTOR >> 20))
    if volume is not None:
        done.append(grow_volume(system, volume))
    done.append(grow_file_system(system, root, volume.device if volume else "/dev/" + partition.name))
    return ", ".join(filter(None, done))


def find_root(system: System) -> Optional[Mount]:
    """The last file system mounted at `/`, which hides the others."""
    return next((mount for mount in reversed(system.mounts()) if mount.point == "/"), None)


def number_of(system: System, root: Mount) -> str:
    """The device number of the device below `root`. btrfs mounts have a number of their own, so the source is used."""
    if root.kind == "btrfs" and root.source.startswith("/dev/"):
        name = system.chain(root.source)[-1].rpartition("/")[2]
        return read_line(system, "/sys/class/block/%s/dev" % name)
    return root.device


def find_partition(system: System, number: str) -> Optional[Partition]:
    """The partition with this device number; None for anything else (LVM, dm-crypt, a whole disk, no disk)."""
    for disk in system.list("/sys/block"):
        parts = [name for name in system.list("/sys/block/" + disk) if is_partition(system, disk, name)]
        ends = {name: read_end(system, disk, name) for name in parts}
        for name in parts:
            if read_line(system, "/sys/block/%s/%s/dev" % (disk, name)) == number:
                size = read_number(system, "/sys/block/%s/size" % disk)
                room = size - ends[name] if ends[name] == max(ends.values()) else 0
                index = read_line(system, "/sys/block/%s/%s/partition" % (disk, name))
                return Partition(name, disk, index, ends[name], max(0, room))
    return None


def find_volume(system: System, number: str) -> Optional[Volume]:
    """The logical volume with this device number, if it is on one partition. Its uuid in sysfs shows that it is
    LVM's."""
    for name in system.list("/sys/block"):
        folder = "/sys/block/" + name
        if not name.startswith("dm-") or read_line(system, folder + "/dev") != number:
            continue
        below = system.list(folder + "/slaves")
        if not read_line(system, folder + "/dm/uuid").startswith("LVM-") or len(below) != 1:
            return None
        partition = find_partition(system, read_line(system, "/sys/class/block/%s/dev" % below[0]))
        return partition and Volume("/dev/mapper/" + read_line(system, folder + "/dm/name"), partition)
    return None


def is_partition(system: System, disk: str, name: str) -> bool:
    """Is this folder of the disk in sysfs a partition?"""
    return name.startswith(disk) and system.exists("/sys/block/%s/%s/partition" % (disk, name))


def read_end(system: System, disk: str, name: str) -> int:
    """The first sector behind a partition."""
    folder = "/sys/block/%s/%s/" % (disk, name)
    return read_number(system, folder + "start") + read_number(system, folder + "size")


def grow_partition(system: System, partition: Partition) -> None:
    """Give the partition all the room behind it, and tell the kernel. Raises GuestError."""
    disk, number = "/dev/" + partition.disk, partition.number
    growpart = system.find_program("growpart")
    if growpart:
        system.run([growpart, disk, number], SECONDS)
        return
    sfdisk = system.find_program("sfdisk")
    if sfdisk is None:
        raise GuestError(
            "neither growpart nor sfdisk is installed", partition=partition.name, room=partition.room * SECTOR
        )
    system.run([sfdisk, "--no-reread", "--force", "-N", number, disk], SECONDS, secret=b", +\n")
    partx = system.find_program("partx")
    if partx:
        system.run([partx, "--update", "--nr", number, disk], SECONDS)
        return
    blockdev = system.find_program("blockdev")
    if blockdev is None:
        raise GuestError("the partition grows at the next boot: neither partx nor blockdev is installed", disk=disk)
    system.run([blockdev, "--rereadpt", disk], SECONDS)


def grow_volume(system: System, volume: Volume) -> str:
    """Give a volume all free space of its group, including the new room; returns what was done. Raises GuestError."""
    lvm = system.find_program("lvm")
    if lvm is None:
        raise GuestError("lvm is missing: the volume keeps its size", volume=volume.device)
    system.run([lvm, "pvresize", "/dev/" + volume.partition.name], SECONDS)
    columns = ["--noheadings", "--separator", ":", "-o", "segtype,vg_free_count", volume.device]
    rows = [line.strip().split(":") for line in system.ask([lvm, "lvs", *columns], SECONDS).split("\n")]
    found = [row for row in rows if len(row) == 2 and is_digits(row[1])]
    if not found or any(kind != "linear" for kind, _ in found):
        raise GuestError("the volume is not a linear one: it keeps its size", volume=volume.device)
    if int(found[0][1]) == 0:
        return ""
    system.run([lvm, "lvextend", "-l", "+100%FREE", volume.device], SECONDS)
    return "%s takes the free space of its group" % volume.device


def grow_file_system(system: System, root: Mount, device: str) -> str:
    """Grow the file system to the size of its device; returns what was done. Raises GuestError."""
    tool, words = GROWERS[root.kind][0], GROWERS[root.kind][1:]
    program = system.find_program(tool)
    if program is None:
        raise GuestError("%s is missing: the file system keeps its size" % tool, kind=root.kind)
    system.run([program] + [device if word == "DEVICE" else word for word in words], SECONDS)
    return "the file system fills " + device


def read_number(system: System, path: str) -> int:
    """The number in a sysfs file. Raises GuestError if there is none."""
    text = read_line(system, path)
    if not is_digits(text):
        raise GuestError("no number in %s" % path)
    return int(text)
