"""The root disk: which one it is, and the tools that grow it; also for real, on an image file behind a loop device.

`python3 -m tests.test_root_disk IMAGE` is the real part, in its own mount namespace.
"""

import glob
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from contextlib import suppress
from typing import Dict, List, Optional, Sequence, Tuple

from azure_provisioning.door.system import System
from azure_provisioning.door.tree import Place
from azure_provisioning.errors import GuestError
from azure_provisioning.guest.root_disk import grow_root
from tests import TOP
from tests.tools import ToolTest

MIB = 2048  # sectors
ROOT = "22 1 %s / / rw,relatime shared:1 - %s %s rw\n"


class DiskTest(ToolTest):
    """A disk of 30 GiB with a 2 GiB image on it: an ESP and the root partition."""

    def setUp(self) -> None:
        super().setUp()
        self.disk("sda", 30720 * MIB, "8:0")
        self.part("sda", "sda1", 15, "8:1", 1 * MIB, 100 * MIB)
        self.part("sda", "sda2", 1, "8:2", 101 * MIB, 1900 * MIB)
        self.disk("sdb", 8192 * MIB, "8:16")
        self.part("sdb", "sdb1", 1, "8:17", 1 * MIB, 100 * MIB)
        self.root_is("8:2", "ext4", "/dev/root")
        self.grown = 30718 * MIB - 101 * MIB  # the size that the partitioning tool gives it
        for name in ("growpart", "sfdisk", "partx", "blockdev"):
            self.tools.add(name, self.partition_tool)
        for name in ("resize2fs", "xfs_growfs", "btrfs"):
            self.tools.add(name)

    def disk(self, name: str, size: int, number: str) -> None:
        self.fill({"/sys/block/%s/size" % name: "%d\n" % size, "/sys/block/%s/dev" % name: number + "\n"})

    def part(self, disk: str, name: str, index: int, number: str, start: int, size: int) -> None:
        facts = {"partition": index, "dev": number, "start": start, "size": size}
        for fact, value in facts.items():
            self.system.write("/sys/block/%s/%s/%s" % (disk, name, fact), "%s\n" % value)
        self.system.link("/sys/block/%s/%s" % (disk, name), "/sys/class/block/%s" % name)

    def root_is(self, number: str, kind: str, source: str) -> None:
        self.fill({"/proc/self/mountinfo": ROOT % ("0:1", "rootfs", "rootfs") + ROOT % (number, kind, source)})

    def partition_tool(self, argv: "List[str]", stdin: bytes) -> "Tuple[int, str]":
        self.stdin = getattr(self, "stdin", b"") + stdin
        self.system.write("/sys/block/sda/sda2/size", "%d\n" % self.grown)
        return 0, ""

    def test_growpart(self) -> None:
        self.assertEqual(grow_root(self.system), "/dev/sda2 grew by 28717 MiB, the file system fills /dev/sda2")
        self.assertEqual(self.tools.ran_words(), ["growpart /dev/sda 1", "resize2fs /dev/sda2"])

    def test_second_run_grows_only_the_file_system(self) -> None:
        grow_root(self.system)
        del self.tools.ran[:]
        self.assertEqual(grow_root(self.system), "the file system fills /dev/sda2")
        self.assertEqual(self.tools.ran_words(), ["resize2fs /dev/sda2"])

    def test_sfdisk(self) -> None:
        self.system.unlink("/sbin/growpart")
        grow_root(self.system)
        sfdisk = "sfdisk --no-reread --force -N 1 /dev/sda"
        self.assertEqual(self.tools.ran_words(), [sfdisk, "partx --update --nr 1 /dev/sda", "resize2fs /dev/sda2"])
        self.assertEqual(self.stdin, b", +\n")

    def test_sfdisk_without_partx(self) -> None:
        self.system.unlink("/sbin/growpart")
        self.system.unlink("/sbin/partx")
        grow_root(self.system)
        self.assertEqual(self.tools.ran_words()[1], "blockdev --rereadpt /dev/sda")

    def test_other_file_systems(self) -> None:
        self.root_is("8:2", "xfs", "/dev/sda2")
        grow_root(self.system)
        self.assertEqual(self.tools.ran_words()[-1], "xfs_growfs /")
        self.fill({"/dev/sda2": "", "/dev/disk/by-label/root": "-> ../../sda2"})
        self.root_is("0:33", "btrfs", "/dev/disk/by-label/root")
        grow_root(self.system)
        self.assertEqual(self.tools.ran_words()[-1], "btrfs filesystem resize max /")

    def test_nvme(self) -> None:
        self.disk("nvme0n1", 30720 * MIB, "259:0")
        self.part("nvme0n1", "nvme0n1p3", 3, "259:3", 1 * MIB, 30718 * MIB)
        self.root_is("259:3", "ext4", "/dev/nvme0n1p3")
        self.assertEqual(grow_root(self.system), "the file system fills /dev/nvme0n1p3")

    def test_not_the_last_partition(self) -> None:
        self.part("sda", "sda3", 3, "8:3", 2001 * MIB, 10 * MIB)
        self.assertEqual(grow_root(self.system), "the file system fills /dev/sda2")

    def test_small_gap_is_ignored(self) -> None:
        self.disk("sda", (2001 + 16) * MIB, "8:0")
        grow_root(self.system)
        self.assertEqual(self.tools.ran_words(), ["resize2fs /dev/sda2"])

    def test_unsupported_roots_are_left_unchanged(self) -> None:
        for number, kind, source in (
            ("0:30", "overlay", "overlay"),
            ("0:31", "zfs", "rpool/root"),
            ("0:2", "tmpfs", "tmpfs"),
            ("253:0", "ext4", "/dev/mapper/vg-root"),
            ("253:1", "xfs", "/dev/mapper/crypt"),
            ("8:0", "ext4", "/dev/sda"),
            ("0:33", "btrfs", "/dev/mapper/vg-root"),
        ):
            self.root_is(number, kind, source)
            self.assertIn("left unchanged", grow_root(self.system))
        self.system.write("/proc/self/mountinfo", "")
        self.assertIn("unknown", grow_root(self.system))
        self.assertEqual(self.tools.ran, [])

    def volume(self, uuid: str = "LVM-abc", *below: str) -> None:
        """The root is a logical volume, on the second partition of the disk by default."""
        self.fill({"/sys/block/dm-0/dev": "253:0\n", "/sys/block/dm-0/size": "1\n", "/sys/block/dm-0/dm/uuid": uuid})
        self.fill({"/sys/block/dm-0/dm/name": "rhel-root\n"})
        for name in below or ("sda2",):
            self.system.link("../../sda/" + name, "/sys/block/dm-0/slaves/" + name)
        self.root_is("253:0", "xfs", "/dev/mapper/rhel-root")
        self.rows = "  linear:7000\n"
        self.tools.add("lvm", lambda argv, stdin: (0, self.rows if argv[1] == "lvs" else ""))

    def test_volume(self) -> None:
        """LVM, as in Red Hat's images: the partition, the physical volume, the logical one, the file system."""
        self.volume()
        device = "/dev/mapper/rhel-root"
        done = "/dev/sda2 grew by 28717 MiB, %s takes the free space of its group, the file system fills %s"
        self.assertEqual(grow_root(self.system), done % (device, device))
        lvs = "lvm lvs --noheadings --separator : -o segtype,vg_free_count " + device
        steps = ["growpart /dev/sda 1", "lvm pvresize /dev/sda2", lvs, "lvm lvextend -l +100%FREE " + device]
        self.assertEqual(self.tools.ran_words(), [*steps, "xfs_growfs /"])
        del self.tools.ran[:]
        self.rows = "  linear:0\n  linear:0\n"
        self.assertEqual(grow_root(self.system), "the file system fills " + device)
        self.assertEqual(self.tools.ran_words(), [steps[1], steps[2], "xfs_growfs /"])

    def test_volume_with_btrfs(self) -> None:
        self.volume()
        self.fill({"/dev/dm-0": "", "/dev/mapper/rhel-root": "-> ../dm-0"})
        self.system.link("/sys/block/dm-0", "/sys/class/block/dm-0")
        self.root_is("0:33", "btrfs", "/dev/mapper/rhel-root")
        self.assertIn("takes the free space of its group", grow_root(self.system))

    def test_unsupported_volumes_are_left_unchanged(self) -> None:
        for uuid, below in (("CRYPT-LUKS2-abc", ("sda2",)), ("LVM-abc", ("sda1", "sda2")), ("", ("sda2",))):
            self.volume(uuid, *below)
            self.assertIn("left unchanged", grow_root(self.system))
            self.system.unlink("/sys/block/dm-0/slaves/sda1")
        for rows in ("  thin:7000\n", "  linear:7000\n  striped:7000\n", "nothing\n", ""):
            self.volume()
            self.rows = rows
            with self.assertRaises(GuestError):
                grow_root(self.system)
        self.assertNotIn("lvextend", " ".join(self.tools.ran_words()))
        self.system.unlink("/sbin/lvm")
        with self.assertRaisesRegex(GuestError, "lvm is missing"):
            grow_root(self.system)

    def test_missing_tools(self) -> None:
        for name in ("growpart", "partx", "blockdev", "sfdisk"):
            self.system.unlink("/sbin/" + name)
            if name in ("blockdev", "sfdisk"):
                with self.assertRaises(GuestError):
                    grow_root(self.system)
                self.part("sda", "sda2", 1, "8:2", 101 * MIB, 1900 * MIB)
        self.part("sda", "sda2", 1, "8:2", 101 * MIB, self.grown)
        self.system.unlink("/sbin/resize2fs")
        with self.assertRaises(GuestError):
            grow_root(self.system)

    def test_partition_does_not_grow(self) -> None:
        for size in (1900 * MIB, 1800 * MIB):
            self.grown = size
            with self.assertRaises(GuestError) as caught:
                grow_root(self.system)
            self.assertEqual(caught.exception.reason, "the kernel does not see the larger partition")
            self.part("sda", "sda2", 1, "8:2", 101 * MIB, 1900 * MIB)
        self.assertNotIn("resize2fs /dev/sda2", self.tools.ran_words())

    def test_odd_sysfs(self) -> None:
        self.system.write("/sys/block/sda/sda2/size", "many\n")
        with self.assertRaises(GuestError):
            grow_root(self.system)


class LoopSystem(System):
    """A scratch root with the real /sys, /dev and tools. Its `/` is a partition of a loop device."""

    def reach(self, path: str, *, follow: bool = True, wary: bool = False) -> Place:
        if path.startswith(("/sys", "/dev")):
            return System().reach(path, follow=follow, wary=wary)
        return super().reach(path, follow=follow, wary=wary)

    def find_program(self, *names: str) -> "Optional[str]":
        found = [shutil.which(name) for name in names if name != "growpart"]  # it would still run sfdisk
        return next((path for path in found if path), None)

    def execute(
        self,
        argv: "Sequence[str]",
        seconds: float = 60.0,
        secret: bytes = b"",
        environment: "Optional[Dict[str, str]]" = None,
    ) -> "Tuple[int, str]":
        if argv[0].endswith("resize2fs") and not may_resize():
            return 0, ""
        child = subprocess.run(argv, input=secret, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds)
        return child.returncode, child.stdout.decode("utf-8", "replace")


def may_resize() -> bool:
    """Does this root have CAP_SYS_RESOURCE, which a container may lack?"""
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith("CapEff:"))
    return bool(int(line.split()[1], 16) >> 24 & 1)


class RealDiskTest(unittest.TestCase):
    def test_image(self) -> None:
        """GPT and DOS: an enlarged disk, with a mounted ext4 on its last partition."""
        if os.geteuid() != 0:
            self.skipTest("only root has loop devices")
        for program in ("sfdisk", "partx", "losetup", "mkfs.ext4", "resize2fs", "unshare"):
            if shutil.which(program) is None:
                self.skipTest("no %s" % program)
        for label in ("gpt", "dos"):
            with self.subTest(label):
                scratch = tempfile.mkdtemp(prefix="azure-provisioning-test-")
                self.addCleanup(shutil.rmtree, scratch)
                argv = ["unshare", "--mount", sys.executable, "-m", "tests.test_root_disk", scratch, label]
                child = subprocess.run(argv, cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
                printed = child.stdout.decode("utf-8", "replace")
                if "SKIP" in printed:
                    self.skipTest(printed.strip())
                self.assertEqual(child.returncode, 0, printed)
                lines = printed.splitlines()
                self.assertRegex(lines[0], r"^/dev/loop\d+p2 grew by (6[0-9]|7[0-9]) MiB, the file system fills")
                self.assertRegex(lines[1], "^the file system fills")
                if may_resize():
                    self.assertGreater(float(lines[2]), 90)


def main() -> None:
    """Make a disk of 64 MiB with two partitions, enlarge it to 128 MiB, and grow: twice."""
    scratch, label = sys.argv[1:]
    image, point = scratch + "/disk.img", scratch + "/point"
    os.mkdir(point)
    os.mkdir(scratch + "/root")
    with open(image, "wb") as file:
        file.truncate(64 << 20)
    layout = "label: %s\n1MiB 8MiB\n9MiB +\n" % label
    subprocess.run(["sfdisk", "--quiet", image], input=layout.encode("ascii"), check=True)
    with open(image, "r+b") as file:
        file.truncate(128 << 20)
    loop = subprocess.check_output(["losetup", "--find", "--show", "--partscan", image]).decode("ascii").strip()
    try:
        subprocess.call(["partx", "--add", loop], stderr=subprocess.DEVNULL)
        device = loop + "p2"
        until = time.monotonic() + 5
        while not os.path.exists(device) and time.monotonic() < until:
            time.sleep(0.1)
        if not os.path.exists(device):
            print("SKIP: this kernel gives loop devices no partitions")
            return
        subprocess.check_call(["mkfs.ext4", "-q", device])
        subprocess.check_call(["mount", device, point])
        with open("/proc/self/mountinfo") as file:
            mine = [line for line in file if " %s " % point in line]
        system = LoopSystem(scratch + "/root")
        system.write("/proc/self/mountinfo", mine[-1].replace(" %s " % point, " / "))
        print(grow_root(system))
        print(grow_root(system))
        found = os.statvfs(point)
        print(found.f_blocks * found.f_frsize / (1 << 20))
    finally:
        subprocess.call(["umount", point], stderr=subprocess.DEVNULL)
        for partition in glob.glob(loop + "p*"):
            with suppress(OSError):
                subprocess.call(["partx", "--delete", "--nr", partition.rpartition("p")[2], loop])
        subprocess.call(["losetup", "--detach", loop])


if __name__ == "__main__":
    main()
