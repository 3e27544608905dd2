"""`check`: Hyper-V's drivers in the kernel and the initramfs, and the file systems of the provisioning DVD."""

import bz2
import gzip
import itertools
import lzma
import os
import re
import unittest
from typing import Callable, Dict, List

from azure_provisioning.config import PATH as OPTIONS
from azure_provisioning.image.check import initramfs
from azure_provisioning.image.check.initramfs import UnreadableError, file_names
from azure_provisioning.image.check.kernel import CONFIG, natural
from tests.images import call
from tests.sound import DISK, DRIVERS, GRUB, INITRAMFS, KERNEL, MODULES, CheckTest, cpio, modules

ALL = modules(*DISK)
OPTIONS_OF = {"hv_vmbus": "", "hv_netvsc": "_NET", "hv_storvsc": "_STORAGE"}


def names(data: bytes) -> "List[str]":
    """All files of an initramfs."""
    return list(file_names(data, lambda files, size: None))


def file_of(name: str) -> str:
    """The path of a module in the image."""
    return "%s/kernel/%s.ko.xz" % (MODULES, DRIVERS[name])


class KernelTest(CheckTest):
    def lacking(self, *names: str) -> "Dict[str, str]":
        """A modules.dep without these."""
        lines = ["kernel/%s.ko.xz:\n" % path for name, path in DRIVERS.items() if name not in names]
        return {MODULES + "/modules.dep": "".join(lines)}

    def test_drivers(self) -> None:
        self.good("kernel", "the kernel 6.1.0-2 has Hyper-V's drivers")
        for name in ("hv_vmbus", "hv_netvsc", "hv_storvsc"):
            option = r"lacks %s \(CONFIG_HYPERV%s\)" % (name, OPTIONS_OF[name])
            files = self.lacking(name, *(["nvme"] if name == "hv_storvsc" else []))
            self.start()
            self.fill(files)
            found = [one for one in self.findings("kernel") if one.level == "error"]
            self.assertEqual(len(found), 1, found)
            self.assertRegex(found[0].message, option)
        for name in ("hv_vmbus", "hv_netvsc"):
            self.bad("kernel", "error", "lacks %s" % name, gone=[file_of(name)])  # named, but missing
        self.bad("kernel", "warning", "lacks hv_utils", self.lacking("hv_utils"))

    def test_nvme_and_scsi_drivers(self) -> None:
        files = self.lacking("hv_storvsc")
        self.bad("kernel", "warning", "lacks hv_storvsc: most VM sizes", files)
        self.bad("kernel", "warning", "lacks hv_storvsc", gone=[file_of("hv_storvsc")])
        self.good("initramfs", "has the disk's driver")
        self.system.write(INITRAMFS, cpio("init", *modules("hv_vmbus", "hv_storvsc", "sd_mod", "pci_hyperv")))
        self.assertRegex(self.findings("initramfs")[0].message, "lacks nvme: the root disk is not found")
        self.start()
        files[MODULES + "/modules.dep"] += "kernel/ata_piix.ko:\n"
        self.fill(dict(files, **{MODULES + "/kernel/ata_piix.ko": ""}))
        self.system.write(INITRAMFS, cpio("init", *ALL))
        self.good("initramfs", "has the disk's driver")

    def test_driver_of_scsi_disks(self) -> None:
        """The controller's driver alone gives no /dev/sda."""
        self.bad("kernel", "warning", "lacks sd_mod: most VM sizes", self.lacking("sd_mod"))
        self.good("initramfs")  # an NVMe disk is all that this kernel can have
        self.fill(self.lacking("sd_mod", "nvme"))
        self.assertRegex(self.findings("kernel")[0].message, r"lacks sd_mod \(CONFIG_BLK_DEV_SD\)")
        self.assertEqual([one.level for one in self.findings("kernel")], ["error", "warning"])
        self.fill({"/boot/config-" + KERNEL: "# CONFIG_BLK_DEV_SD is not set\n", MODULES + "/modules.builtin": ""})
        self.assertEqual([one.level for one in self.findings("kernel")], ["error", "warning"])
        self.bad("kernel", "error", "`blacklist sd_mod` in ", {"/etc/modprobe.d/x.conf": "blacklist sd_mod\n"})
        self.start()
        self.system.write(INITRAMFS, cpio("init", *modules(*(name for name in DISK if name != "sd_mod"))))
        (found,) = self.findings("initramfs")
        self.assertEqual(
            (found.level, found.message), ("error", INITRAMFS + " lacks sd_mod: the root disk is not found")
        )
        built_in = "".join("kernel/%s.ko\n" % DRIVERS[name] for name in ("hv_vmbus", "hv_storvsc"))
        self.bad("initramfs", "error", "sd_mod is a module, and there is no initramfs",
                 {MODULES + "/modules.builtin": built_in}, gone=[INITRAMFS])  # fmt: skip

    def test_driver_of_scsi_disks_built_in(self) -> None:
        """Where nothing says what is built in, sd_mod is supposed to be, as in many kernels."""
        dep, config = self.lacking("sd_mod"), "/boot/config-" + KERNEL
        for files in (
            {MODULES + "/modules.builtin": "kernel/drivers/scsi/sd_mod.ko\n"},
            {config: "CONFIG_BLK_DEV_SD=y\n"},
            {MODULES + "/modules.builtin": "", config: "CONFIG_BLK_DEV_SD=y\n"},
            {MODULES + "/modules.builtin": ""},
        ):
            self.start()
            self.fill({**dep, **files})
            self.system.write(INITRAMFS, cpio("init", *modules(*(name for name in DISK if name != "sd_mod"))))
            self.good("kernel")
            self.good("initramfs")

    def test_driver_of_ide_disks(self) -> None:
        """A VM of generation 1 shows its disk as IDE too, for a kernel without hv_storvsc."""
        path = MODULES + "/kernel/ata_piix.ko"
        dep = self.lacking("hv_storvsc", "nvme")[MODULES + "/modules.dep"] + "kernel/ata_piix.ko:\n"
        self.fill({MODULES + "/modules.dep": dep, path: "", "/usr/sbin/update-initramfs": ""})
        self.assertEqual([one.level for one in self.findings("kernel")][:2], ["warning", "warning"])
        self.system.write(INITRAMFS, cpio("init", *modules("hv_vmbus")))
        (found,) = self.findings("initramfs")
        self.assertRegex(found.message, "lacks ata_piix and sd_mod: the root disk is not found")
        self.assertRegex(found.remedy, "printf '%s.n' hv_vmbus sd_mod pci_hyperv ata_piix >>")
        self.system.write(INITRAMFS, cpio("init", path, *modules("sd_mod")))
        self.good("initramfs")

    def test_nvme(self) -> None:
        """VM sizes of version 6 and later have no other disk."""
        for name, option in (("nvme", "CONFIG_BLK_DEV_NVME"), ("pci_hyperv", "CONFIG_PCI_HYPERV")):
            pattern = r"lacks %s \(%s\): VM sizes of version 6 and later" % (name, option)
            self.bad("kernel", "warning", pattern, self.lacking(name))
            self.good("initramfs")  # it cannot contain a driver that the kernel lacks
            self.bad("kernel", "warning", pattern, gone=[file_of(name)])
            self.start()
            self.system.write(INITRAMFS, cpio("init", *modules(*(word for word in DISK if word != name))))
            found = self.findings("initramfs")
            self.assertEqual([one.level for one in found], ["warning"])
            self.assertRegex(found[0].message, "lacks %s: VM sizes of version 6" % name)
        self.start()
        built_in = "".join("kernel/%s.ko\n" % DRIVERS[name] for name in ("hv_vmbus", "hv_storvsc", "sd_mod"))
        self.fill({MODULES + "/modules.builtin": built_in})
        self.gone(INITRAMFS)
        self.assertRegex(self.findings("initramfs")[0].message, "nvme is a module, and there is no .*: VM sizes of")
        self.assertEqual([one.level for one in self.findings("initramfs")], ["warning"])

    def test_vmbus_option_since_6_18(self) -> None:
        """CONFIG_HYPERV is no longer a driver: CONFIG_HYPERV_VMBUS is."""
        config = "/boot/config-" + KERNEL
        both = "CONFIG_HYPERV=y\nCONFIG_HYPERV_VMBUS=m\nCONFIG_HYPERV_STORAGE=m\n"
        self.fill({config: both})
        self.good("kernel")
        self.good("initramfs")
        self.system.write(INITRAMFS, cpio("init", *modules("hv_storvsc", "sd_mod", "nvme", "pci_hyperv")))
        self.assertRegex(self.findings("initramfs")[0].message, "lacks hv_vmbus: the root disk is not found")
        self.fill({config: both.replace("VMBUS=m", "VMBUS=y")})
        self.good("initramfs")
        self.fill({config: "CONFIG_HYPERV=y\n"})  # as in Linux 6.17
        self.good("initramfs")
        self.fill(self.lacking("hv_vmbus"))
        self.good("kernel")
        self.fill({config: "CONFIG_HYPERV=y\n# CONFIG_HYPERV_VMBUS is not set\n"})
        self.assertRegex(self.findings("kernel")[0].message, r"lacks hv_vmbus \(CONFIG_HYPERV_VMBUS\)")
        self.gone(config)
        self.assertRegex(self.findings("kernel")[0].message, r"lacks hv_vmbus \(CONFIG_HYPERV\)")
        os.rename(self.root + MODULES, self.root + "/usr/lib/modules/6.18.1")
        self.assertRegex(self.findings("kernel")[0].message, r"6.18.1 lacks hv_vmbus \(CONFIG_HYPERV_VMBUS\)")
        self.fill({"/usr/lib/modules/6.18.1/config": "CONFIG_HYPERV=y\n"})
        self.assertRegex(self.findings("kernel")[0].message, "lacks hv_vmbus")

    def test_configuration_named_by_flavour(self) -> None:
        """A kernel before 6.18 on Alpine, whose configuration has no version in its name, and on Slackware."""
        config = "CONFIG_HYPERV=m\nCONFIG_HYPERV_NET=m\nCONFIG_HYPERV_STORAGE=m\nCONFIG_HYPERV_UTILS=m\n"
        for version, suffix in (
            ("6.12.58-0-virt", "virt"),
            ("5.15.19", "generic-5.15.19.x64"),
            ("5.15.19-smp", "generic-smp-5.15.19-smp"),
        ):
            self.start()
            os.rename(self.root + MODULES, self.root + "/usr/lib/modules/" + version)
            os.rename(self.root + "/boot/vmlinuz-" + KERNEL, "%s/boot/vmlinuz-%s" % (self.root, suffix))
            self.fill({"/boot/config-" + suffix: config, "/boot/config-edge": "CONFIG_HYPERV_VTL_MODE=y\n"})
            self.good("kernel", "the kernel %s has" % version)
            self.fill({"/boot/config-" + suffix: config + "CONFIG_HYPERV_VTL_MODE=y\n"})  # it is read
            self.assertRegex(self.findings("kernel")[0].message, "the kernel %s is made for VTL2" % version)

    def test_configuration_is_all_there_is(self) -> None:
        """A kernel without modules, in a file named by its flavour."""
        self.gone(MODULES, "/boot/vmlinuz-" + KERNEL)
        config = "CONFIG_HYPERV=y\nCONFIG_HYPERV_NET=y\nCONFIG_HYPERV_STORAGE=y\nCONFIG_HYPERV_UTILS=y\n"
        config += "CONFIG_BLK_DEV_SD=y\nCONFIG_BLK_DEV_NVME=y\nCONFIG_PCI_HYPERV=y\n"
        self.fill({"/boot/config-virt": config, "/boot/vmlinuz-virt": ""})
        self.good("kernel", "the kernel virt has")
        self.fill({"/boot/config-virt": config.replace("HYPERV=y\n", "HYPERV=n\n")})
        self.assertRegex(self.findings("kernel")[0].message, r"virt lacks hv_vmbus \(CONFIG_HYPERV\)")

    def test_kernel_for_vtl2_is_an_error(self) -> None:
        self.bad("kernel", "error", "made for VTL2 .CONFIG_HYPERV_VTL_MODE.: it does not boot as an ordinary guest",
                 {"/boot/config-" + KERNEL: "CONFIG_HYPERV_VTL_MODE=y\n"})  # fmt: skip

    def test_built_in(self) -> None:
        names = "".join("kernel/%s.ko\n" % path.replace("_", "-") for path in DRIVERS.values())
        self.fill({MODULES + "/modules.builtin": names, MODULES + "/modules.dep": ""})
        self.good("kernel")
        self.good("dvd")
        self.gone(INITRAMFS)
        self.good("initramfs", "built into the kernel")

    def test_configuration(self) -> None:
        """A kernel without modules is only described by its configuration."""
        self.gone(MODULES)
        config = "CONFIG_BLK_DEV_NVME=y\nCONFIG_PCI_HYPERV=y\n"
        config += "CONFIG_HYPERV=y\nCONFIG_HYPERV_NET=y\nCONFIG_HYPERV_STORAGE=y\nCONFIG_HYPERV_UTILS=y\n"
        config += "CONFIG_BLK_DEV_SD=y\n"
        self.fill({"/boot/config-" + KERNEL: config + "CONFIG_BLK_DEV_SR=y\n# CONFIG_UDF_FS is not set\n"})
        self.good("kernel")
        self.assertRegex(self.findings("dvd")[0].message, r"cannot use udf \(CONFIG_UDF_FS\)")
        self.fill({"/boot/config-" + KERNEL: config.replace("HYPERV_NET=y", "HYPERV_NET=n")})
        self.assertEqual([one.level for one in self.findings("kernel")], ["error"])

    def test_configuration_is_no_proof_of_a_module(self) -> None:
        """`=m` says what was built. The packages with those modules may not be in the image."""
        config = "".join(option + "=m\n" for option in (*CONFIG.values(), "CONFIG_HYPERV"))
        self.fill({"/boot/config-" + KERNEL: config})
        self.good("kernel")
        for name in ("hv_netvsc", "udf"):
            self.gone(file_of(name))
        self.assertRegex(self.findings("kernel")[0].message, "6.1.0-2 lacks hv_netvsc")
        self.assertRegex(self.findings("dvd")[0].message, "cannot use udf")
        self.gone(MODULES)
        (found,) = self.findings("kernel")
        self.assertEqual(found.level, "warning")
        self.assertRegex(
            found.message, "no modules.dep .*6.1.0-2: it cannot be determined whether hv_vmbus, hv_netvsc, "
        )
        (found,) = self.findings("dvd")
        self.assertEqual(found.level, "warning")
        self.assertRegex(found.message, "cannot be determined whether sr_mod, udf can be loaded")
        self.assertEqual([one.level for one in self.findings("clock")], ["warning"])
        self.good("initramfs")

    def test_no_kernel(self) -> None:
        self.gone(MODULES)
        for name in ("kernel", "dvd"):
            found = self.findings(name)
            self.assertEqual([one.level for one in found], ["warning"], found)
            self.assertIn("no kernel in the image: it cannot be determined", found[0].message)

    def test_newest_bootable_kernel_is_checked(self) -> None:
        self.fill({"/usr/lib/modules/6.10.0/modules.dep": ""})  # /boot has no image of it
        self.good("kernel", "6.1.0-2")
        self.fill({"/boot/vmlinuz-6.10.0": ""})
        self.assertRegex(self.findings("kernel")[0].message, "6.10.0 lacks hv_vmbus")
        self.fill({"/usr/lib/modules/5.9.0/modules.dep": "", "/boot/vmlinuz-5.9.0": ""})
        self.assertRegex(self.findings("kernel")[0].message, "6.10.0 lacks hv_vmbus")
        self.assertEqual(sorted(["5.10", "5.9", "5.9-x", "x"], key=natural), ["5.9", "5.9-x", "5.10", "x"])

    def test_blacklisted_modules(self) -> None:
        path = "/etc/modprobe.d/hard.conf"
        remedy = self.bad("kernel", "error", "`blacklist hv_netvsc` in /etc/modprobe.d/hard.conf keeps hv_netvsc from",
                          {path: "blacklist hv_netvsc\n"})  # fmt: skip
        self.assertRegex(remedy, "^sed -i .*hv\\[-_\\]netvsc.* %s%s$" % (self.root, path))
        for text in ("install udf /bin/true\n", "install udf /usr/bin/false\n", "blacklist udf\n", "blacklist udf # x",
                     "blacklist \\\n udf\n"):  # fmt: skip
            self.bad("dvd", "warning", "`.* udf.*` in /etc/modprobe.d/hard.conf keeps udf from being", {path: text})
        self.bad("dvd", "warning", "sr_mod", {path: "blacklist sr-mod\n"})
        self.bad("kernel", "warning", "nvme from being loaded: VM sizes of", {path: "blacklist nvme\n"})
        self.bad("kernel", "warning", "hv_utils", {path: "blacklist hv_utils\n"})
        self.start()
        self.fill({path: "# install udf /bin/true\n#blacklist udf\ninstall squashfs /bin/true\nblacklist udfx\n"})
        self.good("dvd")
        self.good("kernel")

    def test_lines_that_block_a_module(self) -> None:
        """As kmod reads them: what an `install` runs, patterns, and the alias by which the kernel mounts a DVD."""
        path = "/etc/modprobe.d/x.conf"
        for line in (
            "install udf exit 0",
            "install udf true",
            "install udf :",
            "install udf /bin/sh -c :",
            "install udf /bin/sh -c 'exit 0'",
            'install udf /usr/bin/bash -c "/bin/true"',
            "install udf /bin/echo no; /bin/false",
            "install udf /dev/null",
            "install ud? /bin/false",
            "install u* /bin/false",
            "alias fs-udf off",
            "alias fs_udf off",
            "alias fs-u* off",
        ):
            with self.subTest(line):
                remedy = self.bad("dvd", "warning", "`%s` in %s keeps udf from" % (re.escape(line), path),
                                  {path: "# kept\n%s\noptions udf x\n" % line})  # fmt: skip
                self.assertEqual(call(["sh", "-c", remedy]).code, 0)
                self.assertEqual(self.system.read_text(path), "# kept\noptions udf x\n")
                self.good("dvd")
        self.start()
        self.fill({path: "blacklist u*\nalias udf off\nalias fs-ext4 off\nalias fs-udf udf\nalias off fs-udf\n"
                   "install udf /sbin/modprobe --ignore-install udf\ninstall udf /bin/true\ninstall sr-mod\n"
                   "install sr_mod /bin/true && /sbin/modprobe -i sr_mod\ninstall isofs /bin/sh -c\n"})  # fmt: skip
        self.good("dvd")
        self.good("kernel")

    def test_line_whose_effect_is_unknown(self) -> None:
        """Another program may load the module or not: that of the list of security-misc does not."""
        path, program = "/etc/modprobe.d/x.conf", "/usr/bin/disabled-filesys-by-security-misc"
        line = "`install %s " + program + "` in " + path + " lets %s be loaded"
        for name, check in (("udf", "dvd"), ("hv_netvsc", "kernel")):
            text = "install %s %s\n" % (name, program)
            remedy = self.bad(check, "warning", "cannot be determined whether " + line % (name, name), {path: text})
            self.assertEqual(call(["sh", "-c", remedy]).code, 0)
            self.good(check)
        text = "install udf %s\ninstall udf /bin/true\ninstall ud* /bin/false\n" % program
        self.bad("dvd", "warning", "`install ud\\* /bin/false` in .* keeps", {path: text})  # which is sure

    def test_blacklist_of_dracut(self) -> None:
        """It is for the initramfs, and a driver may be loaded by name there."""
        files = {"/boot/grub/grub.cfg": GRUB.replace("ro ", "ro rd.driver.blacklist=hv_storvsc,hv_netvsc ")}
        self.fill(files)
        self.good("kernel")
        files["/usr/bin/dracut"] = ""
        self.bad(
            "kernel", "warning", "cannot be .* `rd.driver.blacklist=hv_storvsc` in .* lets hv_storvsc be loaded", files
        )

    def test_line_that_blocks_what_a_module_needs(self) -> None:
        path, dep = "/etc/modprobe.d/x.conf", MODULES + "/modules.dep"
        lines = self.system.read_text(dep) or ""
        for name in ("hv_storvsc", "sd_mod", "sr_mod"):
            lines = lines.replace("/%s.ko.xz: " % name, "/%s.ko.xz: kernel/cdrom.ko.xz kernel/scsi-mod.ko.xz " % name)
        for line in ("install scsi_mod /bin/false", "install scsi-mod /bin/false", "install sc* /bin/true"):
            self.start()
            self.fill({dep: lines, path: line + "\n"})
            found = self.findings("kernel")
            self.assertEqual([one.level for one in found], ["error", "error"])
            self.assertEqual(found[0].message, "`%s` in %s keeps hv_storvsc from being loaded" % (line, path))
            self.assertEqual(call(["sh", "-c", found[0].remedy]).code, 0)
            self.good("kernel")
        self.fill({path: "install cdrom /bin/false\n"})
        self.assertRegex(self.findings("dvd")[0].message, "`install cdrom /bin/false` in .* keeps sr_mod from")
        self.fill({path: "blacklist cdrom\nblacklist scsi_mod\nalias scsi_mod off\n"})  # is only for itself
        self.good("dvd")
        self.good("kernel")
        grub = "/boot/grub/grub.cfg"
        self.fill({grub: GRUB.replace("ro ", "ro modprobe.blacklist=scsi_mod ")})
        self.good("kernel")
        self.fill({grub: GRUB.replace("ro ", "ro module_blacklist=scsi_mod ")})
        self.assertRegex(self.findings("kernel")[0].message, "`module_blacklist=scsi_mod` in .* keeps hv_storvsc")

    def test_line_that_sed_cannot_find(self) -> None:
        for text in ("install \\\n udf /bin/true\n", "install ud[f] /bin/true\n"):
            path = "/etc/modprobe.d/x.conf"
            remedy = self.bad("dvd", "warning", "`install ud.* /bin/true` in", {path: text})
            self.assertEqual(remedy, "vi %s%s" % (self.root, path))

    def test_blacklist_of_a_rescue(self) -> None:
        """Only what is on every command line for everyday use counts."""
        grub, entries = "/boot/grub/grub.cfg", "/boot/loader/entries/"
        barred = GRUB.replace("ro ", "ro modprobe.blacklist=hv_netvsc ")
        for text in (GRUB + barred, barred + GRUB, GRUB + barred.replace("ro ", "ro single ")):
            self.fill({grub: text})
            self.good("kernel")
        for text in (barred + barred, barred + GRUB.replace("ro ", "ro single "), barred.replace("ro ", "ro single ")):
            self.fill({grub: text})
            self.assertRegex(self.findings("kernel")[0].message, "`modprobe.blacklist=hv_netvsc` in " + grub)
        self.start()
        usual, odd = "options root=UUID=0 ro\n", "options root=UUID=0 ro modprobe.blacklist=hv_netvsc\n"
        self.fill({entries + "a.conf": usual, entries + "b.conf": odd})
        self.good("kernel")
        self.fill({entries + "a.conf": odd, entries + "0-rescue.conf": usual})
        self.assertRegex(self.findings("kernel")[0].message, "in %sa.conf keeps" % entries)

    def test_blacklist_next_to_a_test_of_the_memory(self) -> None:
        grub, entry = "/boot/grub/grub.cfg", "/boot/loader/entries/a.conf"
        barred = GRUB.replace("ro ", "ro module_blacklist=hv_netvsc ")
        self.fill({grub: barred + "menuentry 'm' {\n\tlinux16 /boot/memtest86+.bin\n}\n"})
        self.assertRegex(self.findings("kernel")[0].message, "`module_blacklist=hv_netvsc` in " + grub)
        self.gone(grub)  # lines of one entry are joined
        self.fill({entry: "options root=UUID=0\noptions module_blacklist=hv_netvsc\n"})
        self.assertRegex(self.findings("kernel")[0].message, "`module_blacklist=hv_netvsc` in " + entry)

    def test_overridden_blacklists_do_not_count(self) -> None:
        """A file hides others of its name in later folders, and the boot loader may also block a module."""
        self.bad("dvd", "warning", "udf", {"/usr/lib/modprobe.d/x.conf": "blacklist udf\n"})
        self.fill({"/etc/modprobe.d/x.conf": "-> /dev/null"})
        self.good("dvd")
        grub = "/boot/grub/grub.cfg"
        for words in ("modprobe.blacklist=floppy,udf", "module_blacklist=udf"):
            self.bad("dvd", "warning", "blacklist=udf` in " + grub, {grub: GRUB.replace("ro ", "ro %s " % words)})
        self.fill({MODULES + "/modules.builtin": "kernel/fs/udf/udf.ko\n", MODULES + "/modules.dep": ""})
        self.assertNotRegex(str(self.findings("dvd")), "blacklist")  # blacklist does not affect a built-in driver

    def test_remedy_removes_only_the_blacklist_line(self) -> None:
        path, kept = "/etc/modprobe.d/hard.conf", "# by a person\nblacklist pcspkr\nblacklist udfx\noptions udf x=1\n"
        other = "/usr/lib/modprobe.d/dist.conf"
        self.fill({path: kept + "blacklist udf\n  install\tudf /bin/false\n", other: "install udf /bin/true\n"})
        (found,) = self.findings("dvd")
        self.assertEqual(call(["sh", "-c", found.remedy]).code, 0)
        self.good("dvd")
        self.assertEqual(self.system.read_text(path), kept)

    def test_dvd(self) -> None:
        self.bad("dvd", "warning", "cannot use udf", self.lacking("udf"))
        self.bad("dvd", "warning", "cannot use sr_mod", self.lacking("sr_mod"))
        self.bad("dvd", "warning", "no mount program", gone=["/usr/bin/mount"])
        self.start()
        self.fill(self.lacking("isofs"))
        self.good("dvd")

    def test_dvd_driver_is_optional_if_unused(self) -> None:
        """A hardened image may lack the file system of the DVD."""
        self.bad("dvd", "warning", "cannot use udf", {**self.lacking("udf"), OPTIONS: "password = no\n"})
        self.bad("dvd", "warning", "cannot use udf", {**self.lacking("udf"), OPTIONS: "custom_data = no\n"})
        self.fill({OPTIONS: "password = no\ncustom_data = no\n"})
        self.assertEqual(self.findings("dvd"), [])


class InitramfsTest(CheckTest):
    def put(self, data: bytes) -> None:
        self.system.write(INITRAMFS, data)

    def test_forms(self) -> None:
        plain = cpio("init", *ALL)
        for data in (plain, gzip.compress(plain), lzma.compress(plain), bz2.compress(plain),
                     lzma.compress(plain, lzma.FORMAT_ALONE)):  # fmt: skip
            self.put(data)
            self.good("initramfs", "has the disk's driver")
            self.put(cpio("kernel/x86/microcode/GenuineIntel.bin") + b"\0" * 512 + data)
            self.good("initramfs", "has the disk's driver")
            self.put(cpio("kernel/x86/microcode/GenuineIntel.bin") + b"\0" * 2 + data + b"\0" * 100)
            self.good("initramfs", "has the disk's driver")

    def test_several_archives(self) -> None:
        self.put(gzip.compress(cpio("init") + b"\0" * 64 + cpio(*ALL)))
        self.good("initramfs")
        self.put(gzip.compress(cpio("init", *ALL[:2])) + gzip.compress(cpio(*ALL[2:])))
        self.good("initramfs")
        self.put(gzip.compress(cpio("init", *ALL[:2])) + b"some signature")  # where the kernel stops too
        self.assertRegex(self.findings("initramfs")[0].message, "lacks sd_mod: the")

    def test_modules_of_another_kernel(self) -> None:
        """modprobe only looks in the folder of the running kernel; a script may load files from elsewhere by path."""
        self.put(cpio("init", *(path.replace(KERNEL, "6.1.0-1") for path in ALL)))
        (found,) = self.findings("initramfs")
        self.assertEqual(found.level, "error")
        self.assertEqual(
            found.message,
            INITRAMFS + " lacks hv_vmbus and hv_storvsc and sd_mod: the root disk is not found"
            " (its modules are of the kernel 6.1.0-1)",
        )
        self.put(cpio("init", "lib/modules/6.1.0-1/x.ko", *ALL))
        self.good("initramfs")
        for folder in ("lib/modules/", "usr/lib/modules/", "", "modules/"):
            self.put(cpio("init", *(folder + os.path.basename(path) for path in ALL)))
            self.good("initramfs")
        self.put(cpio("init", *(path.replace(KERNEL, "6.1.0-1") for path in ALL)))
        self.fill({"/usr/lib/modules/6.1.0-1/modules.dep": ""})
        os.rename(self.root + INITRAMFS, self.root + "/boot/initrd.gz")
        (found,) = self.findings("initramfs")  # the kernel that boots may be the other one
        self.assertEqual(found.level, "warning")
        self.assertIn(
            "cannot be determined whether /boot/initrd.gz, whose modules are of the kernel 6.1.0-1, ", found.message
        )

    def test_module_that_another_needs(self) -> None:
        dep = "".join("kernel/%s.ko.xz:%s\n" % (path, {
            "hv_storvsc": " kernel/scsi-mod.ko.xz", "nvme": " kernel/nvme-core.ko"}.get(name, ""))
            for name, path in DRIVERS.items())  # fmt: skip
        self.fill({MODULES + "/modules.dep": dep + "kernel/scsi-mod.ko.xz:\nkernel/nvme-core.ko:\n"})
        others = ["usr/lib/modules/%s/kernel/%s" % (KERNEL, name) for name in ("nvme-core.ko", "scsi-mod.ko.xz")]
        self.put(cpio("init", *ALL, *others))
        self.good("initramfs")
        self.put(cpio("init", *ALL, *others[:1]))
        (found,) = self.findings("initramfs")
        self.assertEqual(found.level, "error")
        self.assertRegex(found.message, "lacks scsi_mod .for hv_storvsc.: the root disk is not found$")
        self.put(cpio("init", *ALL, *others[1:]))
        (found,) = self.findings("initramfs")
        self.assertEqual(found.level, "warning")
        self.assertIn("lacks nvme_core (for nvme): VM sizes of", found.message)

    def test_missing_driver(self) -> None:
        for data in (cpio("init", *modules("udf")), gzip.compress(cpio(*modules("hv_vmbus", "udf")))):
            self.put(data)
            found = self.findings("initramfs")
            self.assertEqual([one.level for one in found], ["error"])
            self.assertRegex(found[0].message, "lacks .*hv_storvsc")
        self.put(cpio("init"))
        self.assertRegex(self.findings("initramfs")[0].message, "has no modules, and")

    def test_no_initramfs(self) -> None:
        self.bad("initramfs", "error", "no initramfs in /boot", gone=[INITRAMFS])
        self.bad(
            "initramfs",
            "warning",
            "no initramfs in /boot: it cannot be determined",
            gone=[INITRAMFS, "/boot/vmlinuz-" + KERNEL],
        )

    def test_unified_kernel_image(self) -> None:
        """The initramfs may be in one file with the kernel."""
        for folder in ("/efi", "/boot", "/boot/efi"):
            self.bad(
                "initramfs",
                "warning",
                "cannot be determined whether the initramfs in %s/EFI/Linux/x.efi has hv_storvsc and sd_mod$" % folder,
                {folder + "/EFI/Linux/x.efi": "MZ"},
                gone=[INITRAMFS],
            )
        self.bad("initramfs", "error", "no initramfs in /boot", {"/efi/EFI/Linux/x.txt": ""}, gone=[INITRAMFS])

    def test_name_without_a_version(self) -> None:
        os.rename(self.root + INITRAMFS, self.root + "/boot/initramfs-lts")
        self.good("initramfs", "/boot/initramfs-lts")

    def test_folder_of_mkinitrd(self) -> None:
        """Slackware's tool leaves the folder that it packs."""
        os.rename(self.root + INITRAMFS, self.root + "/boot/initrd.gz")
        os.mkdir(self.root + "/boot/initrd-tree")
        self.good("initramfs", "/boot/initrd.gz")
        self.system.write("/boot/initrd.gz", gzip.compress(cpio("init")))
        self.assertRegex(self.findings("initramfs")[0].message, "/boot/initrd.gz has no modules")

    def test_several_without_a_version(self) -> None:
        """On Arch the folder of the modules has the name; else the one with modules of this kernel is its own."""
        os.rename(self.root + INITRAMFS, self.root + "/boot/initramfs-linux.img")
        self.fill({"/boot/initramfs-linux-fallback.img": "none"})
        for data in (cpio("init"), cpio("init", "lib/modules/6.0/x.ko")):
            self.system.write("/boot/initramfs-linux-lts.img", data)
            self.good("initramfs", "/boot/initramfs-linux.img")
        self.fill({MODULES + "/pkgbase": "linux-lts\n"})
        self.assertRegex(self.findings("initramfs")[0].message, "/boot/initramfs-linux-lts.img lacks hv_vmbus")
        self.fill({MODULES + "/pkgbase": "linux\n", "/boot/initramfs-linux-lts.img": "none"})
        self.good("initramfs", "/boot/initramfs-linux.img")

    def test_name_by_flavour(self) -> None:
        """Alpine's kernels are only named by flavour; the initramfs of another flavour is ignored."""
        os.rename(self.root + MODULES, self.root + "/usr/lib/modules/6.6.58-0-lts")
        self.put(cpio("init", *(path.replace(KERNEL, "6.6.58-0-lts") for path in ALL)))
        for before, after in ((INITRAMFS, "initramfs-lts"), ("/boot/vmlinuz-" + KERNEL, "vmlinuz-lts")):
            os.rename(self.root + before, self.root + "/boot/" + after)
        self.fill({"/usr/lib/modules/6.12.1-0-edge/modules.dep": "", "/boot/initramfs-edge": "none"})
        self.good("kernel", "6.6.58-0-lts")
        self.good("initramfs", "/boot/initramfs-lts")

    def test_mkinitfs(self) -> None:
        """A feature only counts if it is selected; the configuration is a shell script."""
        conf, feature = "/etc/mkinitfs/mkinitfs.conf", "/etc/mkinitfs/features.d/hyperv.modules"
        self.put(cpio("init"))
        self.fill({conf: "features='ata base\n ext4'\n", "/sbin/mkinitfs": "", "/etc/mkinitfs/features.d/a.files": ""})
        files, tool = self.findings("initramfs")[0].remedy.rsplit(" && ", 1)
        self.assertEqual(tool, "chroot %s mkinitfs %s" % (self.root, KERNEL))
        self.assertEqual(call(["sh", "-c", files]).code, 0)
        chosen = call(["sh", "-c", '. "$0" && echo $features', self.root + conf])
        self.assertEqual(chosen.out.split(), ["ata", "base", "ext4", "hyperv"])
        place = self.root + MODULES
        for name in DISK:
            os.makedirs(os.path.dirname(place + "/kernel/" + DRIVERS[name]), exist_ok=True)
        listed = call(["sh", "-c", 'cd "$1" && for one in $(cat "$0"); do find $one -type f; done',
                       self.root + feature, place])  # fmt: skip
        self.assertEqual({os.path.basename(line).split(".")[0].replace("-", "_") for line in listed.out.split()},
                         {*DISK, "hv_utils"})  # fmt: skip

    def test_contents_cannot_be_determined(self) -> None:
        for data, why in (
            (b"\x28\xb5\x2f\xfd....", "zstd"),
            (b"\x02\x21\x4c\x18....", "lz4"),
            (b"something", "its format is unknown"),
            (gzip.compress(cpio("init", *ALL))[:60], "damaged"),
            (cpio("init", *ALL)[:250], "damaged"),
        ):
            self.put(data)
            found = self.findings("initramfs")
            self.assertEqual([one.level for one in found], ["warning"], why)
            self.assertRegex(found[0].message, "it cannot be determined whether .*" + why)

    def test_remedies(self) -> None:
        self.put(cpio("init"))
        for tool, words in (
            ("update-initramfs", r">>%s/etc/initramfs-tools/modules && chroot %s update-initramfs -u -k 6.1.0-2$"),
            ("dracut", r"chroot %s dracut --force"),
            ("mkinitcpio", r">%s/etc/mkinitcpio.conf.d/hyperv.conf && chroot %s mkinitcpio -P$"),
            ("mkinitfs", r">>%s/etc/mkinitfs/mkinitfs.conf && chroot %s mkinitfs 6.1.0-2$"),
        ):
            self.fill({"/usr/sbin/" + tool: ""})
            remedy = self.findings("initramfs")[0].remedy
            self.assertRegex(remedy, words % ((self.root,) * words.count("%s")))
            self.assertRegex(remedy, r"\bhv_storvsc(\.ko\*'?)? \S*\bsd_mod\b")
            self.gone("/usr/sbin/" + tool)

    def test_dracut_has_an_update_initramfs(self) -> None:
        """Debian's, which reads nothing of initramfs-tools; with that package both are there."""
        self.put(cpio("init"))
        self.fill({"/usr/sbin/update-initramfs": "", "/usr/bin/dracut": ""})
        self.assertIn("dracut --force", self.findings("initramfs")[0].remedy)
        self.fill({"/usr/sbin/mkinitramfs": ""})
        self.assertIn("update-initramfs -u", self.findings("initramfs")[0].remedy)


class ArchiveTest(unittest.TestCase):
    """A file of this name is input: its content may be anything."""

    def test_names(self) -> None:
        self.assertEqual(names(cpio("a", "b/c")), ["a", "b/c"])
        self.assertEqual(names(b""), [])
        self.assertEqual(names(b"\0" * 100), [])

    def test_several(self) -> None:
        """Plain and packed ones in any order."""
        forms: "List[Callable[[bytes], bytes]]" = [bytes, gzip.compress, lzma.compress, bz2.compress]
        for form, other in itertools.product(forms, forms):
            for gap in (b"", b"\0" * 7):
                data = form(cpio("a", "b")) + gap + other(cpio("c")) + gap + form(cpio("d"))
                self.assertEqual(names(data), ["a", "b", "c", "d"])
        spent: "List[int]" = []
        self.assertEqual(list(file_names(gzip.compress(b"") * 9, lambda files, size: spent.append(size))), [])
        self.assertGreater(sum(spent), 9 << 17)  # work that has no output counts too

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
        """A file that claims gigabytes is read in pieces, up to the limit."""
        before = initramfs.SIZE_LIMIT
        initramfs.SIZE_LIMIT = 8 << 20
        self.addCleanup(setattr, initramfs, "SIZE_LIMIT", before)
        head = cpio("a")[:54] + b"%08X" % (64 << 20) + cpio("a")[62:112]
        for pack in (gzip.compress, lzma.compress, bz2.compress):
            with self.assertRaisesRegex(UnreadableError, "too large"):
                names(pack(head + b"\0" * (16 << 20)))
