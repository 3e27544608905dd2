"""`check`: Hyper-V's drivers in the kernel and the initramfs, and the file systems of the provisioning DVD."""

import bz2
import gzip
import lzma
import os
import unittest
from typing import Dict, List

from azure_provisioning.config import PATH as OPTIONS
from azure_provisioning.image.check import initramfs
from azure_provisioning.image.check.initramfs import UnreadableError, file_names
from azure_provisioning.image.check.kernel import natural
from tests.sound import DRIVERS, INITRAMFS, KERNEL, MODULES, CheckTest, cpio, modules

BOTH = modules("hv_vmbus", "hv_storvsc")


def names(data: bytes) -> "List[str]":
    """All files of an initramfs."""
    return list(file_names(data, lambda files, size: None))


def file_of(name: str) -> str:
    """Where the image has a module."""
    return "%s/kernel/%s.ko.xz" % (MODULES, DRIVERS[name])


class KernelTest(CheckTest):
    def lacking(self, *names: str) -> "Dict[str, str]":
        """A modules.dep without these."""
        lines = ["kernel/%s.ko.xz:\n" % path for name, path in DRIVERS.items() if name not in names]
        return {MODULES + "/modules.dep": "".join(lines)}

    def test_drivers(self) -> None:
        self.good("kernel", "the kernel 6.1.0-2 has Hyper-V's drivers")
        for name in ("hv_vmbus", "hv_netvsc", "hv_storvsc"):
            self.bad("kernel", "error", r"lacks %s \(CONFIG_HYPERV" % name, self.lacking(name))
            self.bad("kernel", "error", "lacks %s" % name, gone=[file_of(name)])  # named, and not there
        self.bad("kernel", "warning", "lacks hv_utils", self.lacking("hv_utils"))

    def test_other_ways_to_the_disk(self) -> None:
        files = self.lacking("hv_storvsc")
        files[MODULES + "/modules.dep"] += "kernel/nvme.ko:\n"
        self.bad("kernel", "warning", "lacks hv_storvsc: most sizes", dict(files, **{MODULES + "/kernel/nvme.ko": ""}))

    def test_built_in(self) -> None:
        names = "".join("kernel/%s.ko\n" % path.replace("_", "-") for path in DRIVERS.values())
        self.fill({MODULES + "/modules.builtin": names, MODULES + "/modules.dep": ""})
        self.good("kernel")
        self.good("dvd")
        self.gone(INITRAMFS)
        self.good("initramfs", "built into the kernel")

    def test_configuration(self) -> None:
        """A kernel without modules tells by its configuration alone."""
        self.gone(MODULES)
        config = "CONFIG_HYPERV=y\nCONFIG_HYPERV_NET=y\nCONFIG_HYPERV_STORAGE=y\nCONFIG_HYPERV_UTILS=y\n"
        self.fill({"/boot/config-" + KERNEL: config + "CONFIG_BLK_DEV_SR=y\n# CONFIG_UDF_FS is not set\n"})
        self.good("kernel")
        self.assertRegex(self.findings("dvd")[0].message, r"cannot use udf \(CONFIG_UDF_FS\)")
        self.fill({"/boot/config-" + KERNEL: config.replace("HYPERV_NET=y", "HYPERV_NET=n")})
        self.assertEqual([one.level for one in self.findings("kernel")], ["error"])

    def test_no_kernel(self) -> None:
        self.gone(MODULES)
        for name in ("kernel", "dvd"):
            found = self.findings(name)
            self.assertEqual([one.level for one in found], ["warning"], found)
            self.assertIn("no kernel in the image: nobody can tell", found[0].message)

    def test_the_newest_that_can_boot(self) -> None:
        self.fill({"/usr/lib/modules/6.10.0/modules.dep": ""})  # no image of it in /boot
        self.good("kernel", "6.1.0-2")
        self.fill({"/boot/vmlinuz-6.10.0": ""})
        self.assertRegex(self.findings("kernel")[0].message, "6.10.0 lacks hv_vmbus")
        self.fill({"/usr/lib/modules/5.9.0/modules.dep": "", "/boot/vmlinuz-5.9.0": ""})
        self.assertRegex(self.findings("kernel")[0].message, "6.10.0 lacks hv_vmbus")
        self.assertEqual(sorted(["5.10", "5.9", "5.9-x", "x"], key=natural), ["5.9", "5.9-x", "5.10", "x"])

    def test_barred(self) -> None:
        path = "/etc/modprobe.d/hard.conf"
        remedy = self.bad("kernel", "error", "hard.conf keeps hv_netvsc from", {path: "blacklist hv_netvsc\n"})
        self.assertEqual(remedy, "rm %s%s" % (self.root, path))
        self.bad("dvd", "warning", "cannot use udf .*hard.conf", {path: "install udf /bin/true\n"})
        self.bad("dvd", "warning", "cannot use udf", {path: "install udf /usr/bin/false\n"})
        self.start()
        self.fill({path: "# install udf /bin/true\nblacklist udf\ninstall squashfs /bin/true\n"})
        self.good("dvd")  # a blacklist holds for udev alone
        self.good("kernel")

    def test_dvd(self) -> None:
        self.bad("dvd", "warning", "cannot use udf", self.lacking("udf"))
        self.bad("dvd", "warning", "cannot use sr_mod", self.lacking("sr_mod"))
        self.bad("dvd", "warning", "no mount program", gone=["/usr/bin/mount"])
        self.start()
        self.fill(self.lacking("isofs"))
        self.good("dvd")

    def test_dvd_that_nothing_is_wanted_of(self) -> None:
        """A hardened image may well do without its file system."""
        self.bad("dvd", "warning", "cannot use udf", {**self.lacking("udf"), OPTIONS: "password = no\n"})
        self.bad("dvd", "warning", "cannot use udf", {**self.lacking("udf"), OPTIONS: "custom_data = no\n"})
        self.fill({OPTIONS: "password = no\ncustom_data = no\n"})
        self.assertEqual(self.findings("dvd"), [])


class InitramfsTest(CheckTest):
    def put(self, data: bytes) -> None:
        self.system.write(INITRAMFS, data)

    def test_forms(self) -> None:
        plain = cpio("init", *BOTH)
        for data in (plain, gzip.compress(plain), lzma.compress(plain), bz2.compress(plain),
                     lzma.compress(plain, lzma.FORMAT_ALONE)):  # fmt: skip
            self.put(data)
            self.good("initramfs", "has the disk's driver")
            self.put(cpio("kernel/x86/microcode/GenuineIntel.bin") + b"\0" * 512 + data)
            self.good("initramfs", "has the disk's driver")
            self.put(cpio("kernel/x86/microcode/GenuineIntel.bin") + b"\0" * 2 + data + b"\0" * 100)
            self.good("initramfs", "has the disk's driver")

    def test_several_archives_in_one_stream(self) -> None:
        self.put(gzip.compress(cpio("init") + b"\0" * 64 + cpio(*BOTH)))
        self.good("initramfs")

    def test_lacks_the_driver(self) -> None:
        for data in (cpio("init", *modules("udf")), gzip.compress(cpio(*modules("hv_vmbus", "udf")))):
            self.put(data)
            found = self.findings("initramfs")
            self.assertEqual([one.level for one in found], ["error"])
            self.assertRegex(found[0].message, "lacks .*hv_storvsc")
        self.put(cpio("init"))
        self.assertRegex(self.findings("initramfs")[0].message, "has no modules at all")

    def test_none(self) -> None:
        self.bad("initramfs", "error", "no initramfs in /boot", gone=[INITRAMFS])
        self.bad("initramfs", "warning", "no initramfs in /boot: nobody", gone=[INITRAMFS, "/boot/vmlinuz-" + KERNEL])

    def test_without_a_version(self) -> None:
        os.rename(self.root + INITRAMFS, self.root + "/boot/initramfs-lts")
        self.good("initramfs", "/boot/initramfs-lts")

    def test_nobody_can_tell(self) -> None:
        for data, why in (
            (b"\x28\xb5\x2f\xfd....", "zstd"),
            (b"\x02\x21\x4c\x18....", "lz4"),
            (b"something", "no known kind"),
            (gzip.compress(cpio("init", *BOTH))[:60], "damaged"),
            (cpio("init", *BOTH)[:250], "damaged"),
        ):
            self.put(data)
            found = self.findings("initramfs")
            self.assertEqual([one.level for one in found], ["warning"], why)
            self.assertRegex(found[0].message, "nobody can tell whether .*" + why)

    def test_remedies(self) -> None:
        self.put(cpio("init"))
        for tool, words in (
            ("update-initramfs", r">>%s/etc/initramfs-tools/modules && chroot %s update-initramfs -u$"),
            ("dracut", r"chroot %s dracut --force"),
            ("mkinitcpio", r">%s/etc/mkinitcpio.conf.d/hyperv.conf && chroot %s mkinitcpio -P$"),
            ("mkinitfs", r"%s/etc/mkinitfs"),
        ):
            self.fill({"/usr/sbin/" + tool: ""})
            remedy = self.findings("initramfs")[0].remedy
            self.assertRegex(remedy, words % ((self.root,) * words.count("%s")))
            self.gone("/usr/sbin/" + tool)


class ArchiveTest(unittest.TestCase):
    """What an image has under this name is input, and may be anything."""

    def test_names(self) -> None:
        self.assertEqual(names(cpio("a", "b/c")), ["a", "b/c"])
        self.assertEqual(names(b""), [])
        self.assertEqual(names(b"\0" * 100), [])

    def test_damage(self) -> None:
        whole = cpio("a", "b/c")
        for data in (
            whole.replace(b"070701", b"070701zz", 1),
            whole[:-20],
            whole[:50],
            b"070701" + b"F" * 200,
            lzma.compress(whole)[:40],
            bz2.compress(whole)[:-30] + b"x" * 30,
            gzip.compress(b"no archive"),
        ):
            with self.assertRaises(UnreadableError):
                names(data)

    def test_bomb(self) -> None:
        """A file that claims gigabytes is read in pieces, and given up."""
        before = initramfs.SIZE_LIMIT
        initramfs.SIZE_LIMIT = 8 << 20
        self.addCleanup(setattr, initramfs, "SIZE_LIMIT", before)
        head = cpio("a")[:54] + b"%08X" % (64 << 20) + cpio("a")[62:112]
        for pack in (gzip.compress, lzma.compress, bz2.compress):
            with self.assertRaisesRegex(UnreadableError, "too large"):
                names(pack(head + b"\0" * (16 << 20)))
