"""`check`: consoles, disks, the clock, options, other provisioning agents, and data of one machine."""

import io
import os

from azure_provisioning.console import Console
from azure_provisioning.guest.boot_loader import kernel_lines
from azure_provisioning.image import diskless
from azure_provisioning.image.check import check, packages
from azure_provisioning.image.generalize.agent import plan_agents
from azure_provisioning.image.generalize.plan import Plan
from azure_provisioning.image.rehearse.fake_azure import VM_ID
from azure_provisioning.story.state import PATH as STATE
from tests.images import call, cli
from tests.sound import GRUB, CheckTest

OPTIONS = "/etc/azure-provisioning.conf"
GRUB_CFG = "/boot/grub/grub.cfg"
FSTAB = "/etc/fstab"


class ConsoleTest(CheckTest):
    def test_command_line(self) -> None:
        self.good("serial-console", "console=ttyS0 is in /boot/grub/grub.cfg")
        self.bad(
            "serial-console", "warning", "grub.cfg has no console=ttyS0", {GRUB_CFG: GRUB.replace("ttyS0", "ttyS1")}
        )
        self.bad(
            "serial-console", "warning", "no boot loader that is known .*: it cannot be determined", gone=[GRUB_CFG]
        )
        default = {"/etc/default/grub": 'GRUB_CMDLINE_LINUX="quiet"\n', "/usr/sbin/update-grub": ""}
        remedy = self.bad("serial-console", "warning", "/etc/default/grub has no", default, gone=[GRUB_CFG])
        self.assertRegex(remedy, r">>%s/etc/default/grub$" % self.root)
        self.fill({"/etc/default/grub": 'GRUB_CMDLINE_LINUX="quiet console=ttyS0,115200"\n'})
        self.good("serial-console", "/etc/default/grub")
        # The boot uses the files that the loader reads, not the files they are generated from.
        self.fill({GRUB_CFG: GRUB.replace("console=ttyS0", "")})
        self.assertEqual([one.level for one in self.findings("serial-console")], ["warning"])

    def arm(self) -> None:
        """The image is for ARM64: the ELF header of a program for such a machine."""
        head = b"\x7fELF\2\1\1" + bytes(9) + b"\3\0\xb7\0" + bytes(44)
        self.system.write("/bin/sh", head, 0o755)

    def test_arm(self) -> None:
        """On ARM64 the port has another name, and the name of x86 has no effect."""
        self.arm()
        (found,) = self.findings("serial-console")
        self.assertRegex(found.message, "grub.cfg has no console=ttyAMA0")
        self.assertRegex(self.findings("serial-getty")[0].message, "no login on ttyAMA0")
        self.assertIn("serial-getty@ttyAMA0.service", self.findings("serial-getty")[0].remedy)
        self.fill({"/etc/default/grub": 'GRUB_CMDLINE_LINUX="quiet console=ttyS0"\n', "/usr/sbin/update-grub": ""})
        self.assertIn("console=ttyAMA0", self.findings("serial-console")[0].remedy)
        self.fill({GRUB_CFG: GRUB.replace("ttyS0", "ttyAMA0")})
        self.good("serial-console", "console=ttyAMA0 is in")
        self.good("serial-getty", "a login on ttyAMA0: systemd-getty-generator")
        self.system.write("/bin/sh", b"\x7fELF\2\1\1" + bytes(9) + b"\3\0\x3e\0", 0o755)
        self.assertRegex(self.findings("serial-console")[0].message, "no console=ttyS0")
        self.empty()
        self.image("buildroot")
        self.arm()
        self.assertIn("ttyAMA0::respawn:", self.findings("serial-getty")[0].remedy)
        self.fill({"/etc/inittab": "ttyS0::respawn:/sbin/getty -L ttyS0 115200 vt100\n::sysinit:/etc/init.d/rcS\n"})
        self.assertEqual([one.level for one in self.findings("serial-getty")], ["warning"])

    def test_remedies(self) -> None:
        """Our remedies are run, and the finding is gone."""
        for path, text, tool in (
            ("/etc/update-extlinux.conf", "default_kernel_opts=quiet\n", "update-extlinux"),
            ("/etc/default/grub", "GRUB_CMDLINE_LINUX='quiet'\n", "update-grub"),
        ):
            self.start()
            self.gone(GRUB_CFG)
            self.fill({path: text, "/usr/sbin/" + tool: ""})
            self.assertEqual(call(["sh", "-c", self.findings("serial-console")[0].remedy]).code, 0)
            self.good("serial-console", path)
            value = call(["sh", "-c", '. "$0"; echo $GRUB_CMDLINE_LINUX $default_kernel_opts', self.root + path])
            self.assertEqual(value.out, "quiet console=ttyS0\n")
        for name in ("insserv", "buildroot"):
            self.empty()
            self.image(name)
            self.assertEqual(call(["sh", "-c", self.findings("serial-getty")[0].remedy]).code, 0)
            self.good("serial-getty", "/etc/inittab")
        self.start()
        self.fill({GRUB_CFG: GRUB.replace("console=ttyS0", ""), "/boot/loader/entries/a.conf": "options quiet\n",
                   "/usr/sbin/grubby": ""})  # fmt: skip
        self.assertIn("grubby --update-kernel=ALL --args=console=ttyS0", self.findings("serial-console")[0].remedy)

    def test_remedy_edits_the_generated_file(self) -> None:
        """The file itself is changed: in an image without /dev no tool can generate it. An existing source stays."""
        silent, source = GRUB.replace(" console=ttyS0,115200", ""), "/etc/default/grub"
        efi = silent.replace("linux ", "linuxefi\t")
        for path, text, sources in (
            (GRUB_CFG, silent, {source: "GRUB_CMDLINE_LINUX='quiet'\n", "/usr/sbin/update-grub": ""}),
            (GRUB_CFG, silent, {source: "GRUB_CMDLINE_LINUX='console=ttyS0'\n", "/usr/sbin/update-grub": ""}),
            (GRUB_CFG, silent, {}),
            ("/boot/grub2/grub.cfg", efi, {source: "GRUB_CMDLINE_LINUX=\n"}),
            ("/boot/loader/entries/x.conf", "title x\noptions root=UUID=0\n", {}),
            ("/boot/limine.conf", "/x\n  kernel_cmdline: root=UUID=0\n", {}),
            ("/boot/efi/limine.cfg", ":x\nCMDLINE=root=UUID=0\n", {}),
            ("/boot/extlinux.conf", "LABEL x\n  APPEND root=UUID=0\n", {"/etc/update-extlinux.conf": "x=y\n"}),
        ):
            with self.subTest(path=path, sources=sources):
                self.start()
                self.gone(GRUB_CFG)
                self.fill({path: text, **sources})
                (found,) = self.findings("serial-console")
                self.assertEqual(found.level, "warning")
                result = call(["sh", "-c", found.remedy])
                self.assertEqual((result.code, bool(found.remedy)), (0, True), result)
                self.good("serial-console", path)
                after = self.text(path) or ""
                self.assertEqual(after.replace(" console=ttyS0\n", "\n"), text)
                self.assertEqual(after.count("console=ttyS0"), 1)
                for name in set(sources) & {source}:
                    self.assertEqual((self.text(name) or "").count("console=ttyS0"), 1)
        self.start()
        self.gone(GRUB_CFG)  # lilo.conf has no such remedy, and no loader reads GRUB's configuration
        self.fill({"/etc/lilo.conf": 'append = "quiet"\n', source: "GRUB_CMDLINE_LINUX=\n"})
        self.assertEqual([one.remedy for one in self.findings("serial-console")], [""])

    def test_other_loaders(self) -> None:
        for path, text in (
            ("/boot/loader/entries/x.conf", "title x\noptions root=UUID=0 %s\n"),
            ("/boot/extlinux.conf", "LABEL x\n  KERNEL vmlinuz\n  APPEND root=UUID=0 %s\n"),
            ("/boot/syslinux/syslinux.cfg", "label x\n append root=UUID=0 %s\n"),
            ("/boot/cmdline.txt", "root=UUID=0 %s\n"),
            ("/boot/grub2/grubenv", "# GRUB Environment Block\nkernelopts=root=UUID=0 %s\n"),
            ("/etc/lilo.conf", 'append = "%s"\n'),
            (
                "/etc/lilo.conf",
                'append="%s"\nimage = /boot/vmlinuz\n root = /dev/sda1\nother = /dev/sda2\n label = x\n',
            ),
            ("/boot/efi/EFI/Slackware/elilo.conf", 'image=vmlinuz\n label=x\n append="root=/dev/sda2 %s ro"\n'),
            ("/boot/limine.conf", "/Void\n  protocol: linux\n  cmdline: root=UUID=1 %s\n"),
            ("/boot/efi/limine.cfg", ":Arch\n  PROTOCOL=linux\n  KERNEL_CMDLINE=root=UUID=1 %s\n"),
            ("/boot/startup.nsh", "# of UEFI's shell\nfs0:\n\\bzImage root=PARTUUID=0 %s\n"),
            ("/boot/efi/startup.nsh", "Image root=UUID=0 initrd=\\initrd %s\n"),
        ):
            self.start()
            self.gone(GRUB_CFG)
            self.fill({path: text % "console=ttyS0"})
            self.good("serial-console", path)
            self.fill({path: text % "quiet"})
            self.assertRegex(self.findings("serial-console")[0].message, path + " has no")

    def test_large_lilo_conf(self) -> None:
        """Each image has the lines that are for all, which many of both would multiply."""
        self.gone(GRUB_CFG)
        self.fill({"/etc/lilo.conf": 'append="console=ttyS0"\n' * 40 + "image=x\n" * 4000})
        self.good("serial-console", "lilo.conf")
        self.assertEqual(len(kernel_lines(self.system)), 27)

    def test_entries_without_it(self) -> None:
        """That of a recovery does not count, and which of several boots cannot be determined."""
        silent, entries = GRUB.replace(" console=ttyS0,115200", ""), "/boot/loader/entries/"
        self.fill({GRUB_CFG: silent + GRUB.replace("ro ", "ro single ")})
        self.assertRegex(self.findings("serial-console")[0].message, GRUB_CFG + " has no console=ttyS0")
        self.assertRegex(self.findings("serial-getty")[0].message, "no login on ttyS0")
        self.fill({GRUB_CFG: GRUB + silent.replace("ro ", "ro single ")})
        self.good("serial-console", GRUB_CFG)
        self.good("serial-getty")
        for files in (
            {GRUB_CFG: silent + GRUB},
            {
                entries + "a.conf": "options root=UUID=0\n",
                entries + "b.conf": "options root=UUID=0\noptions console=ttyS0\n",
            },
        ):
            self.start()
            self.gone(GRUB_CFG)
            self.fill(files)
            (found,) = self.findings("serial-console")
            self.assertRegex(found.message, "only some entries .*: it cannot be determined")
            self.assertEqual(call(["sh", "-c", found.remedy]).code, 0)
            self.good("serial-console")

    def test_getty(self) -> None:
        self.good("serial-getty", "systemd-getty-generator")
        silent = {GRUB_CFG: GRUB.replace("ttyS0", "ttyS1")}
        remedy = self.bad("serial-getty", "warning", "no login on ttyS0", silent)
        self.assertEqual(remedy, "chroot %s systemctl enable serial-getty@ttyS0.service" % self.root)
        link = "/etc/systemd/system/getty.target.wants/serial-getty@ttyS0.service"
        masked = {"/etc/systemd/system-generators/systemd-getty-generator": "-> /dev/null"}
        self.bad("serial-getty", "warning", "no login on ttyS0", masked)
        self.fill({link: "-> /usr/lib/systemd/system/serial-getty@.service"})
        self.good("serial-getty", "serial-getty@ttyS0")

    def test_getty_of_other_init_systems(self) -> None:
        for name, line, remedy in (
            ("insserv", "T0:23:respawn:/sbin/getty -L ttyS0 115200 vt100\n", "S0:2345:respawn:"),
            ("buildroot", "ttyS0::respawn:/sbin/getty -L ttyS0 115200 vt100\n", "ttyS0::respawn:"),
            ("buildroot", "console::respawn:/sbin/getty -L console 0 vt100\n", "ttyS0::respawn:"),
            ("yocto", "S0:12345:respawn:/bin/start_getty 115200 ttyS0 vt102\n", "S0:2345:respawn:"),
        ):
            with self.subTest(line):
                self.empty()
                self.image(name)
                found = self.findings("serial-getty")
                self.assertEqual([one.level for one in found], ["warning"])
                self.assertIn("echo '" + remedy, found[0].remedy)
                inittab = self.text("/etc/inittab") or ""
                self.fill({"/etc/inittab": inittab + "#" + line})
                self.assertEqual([one.level for one in self.findings("serial-getty")], ["warning"])
                self.fill({"/etc/inittab": inittab + line})
                self.good("serial-getty", "/etc/inittab")
        self.empty()
        self.image("finit of debian")
        self.fill({"/etc/finit.d/getty.conf": "tty [12345] /dev/tty1 linux\n# tty [2345] /dev/ttyS0\n"})
        self.assertEqual([one.level for one in self.findings("serial-getty")], ["warning"])
        self.fill({"/etc/finit.d/getty.conf": "tty [12345] /dev/ttyS0 115200 vt100\n"})
        self.good("serial-getty", "/etc/finit.d/getty.conf")
        self.empty()
        self.image("openrc-init")
        self.fill({"/etc/init.d/agetty": "#!/sbin/openrc-run\n"})
        self.assertIn("rc-update add agetty.ttyS0 default", self.findings("serial-getty")[0].remedy)
        self.fill({"/etc/runlevels/default/agetty.ttyS0": "-> /etc/init.d/agetty"})
        self.good("serial-getty", "agetty.ttyS0")


class DiskTest(CheckTest):
    def fstab(self, name: str, level: str, pattern: str, line: str) -> None:
        root = "" if " / " in line else "UUID=0 / ext4 defaults 0 1\n"
        self.bad(name, level, pattern, {FSTAB: root + line + "\n"})

    def test_root(self) -> None:
        self.fstab("root-filesystem", "error", "/ read-only", "UUID=0 / ext4 ro,noatime 0 1")
        own = "/var/lib/azure-provisioning"
        upper = "overlay %s overlay lowerdir=%s,upperdir=/%s/upper,workdir=/%s/work 0 0"
        for level, pattern, lines in (
            ("error", "/etc is on a tmpfs.* nobody can log in", ["tmpfs /etc tmpfs defaults 0 0"]),
            ("error", "/home is on a ramfs.* nobody can log in", ["none /home/ ramfs"]),
            ("error", "/etc and %s are on a tmpfs" % own, ["tmpfs / tmpfs rw"]),
            ("error", "/etc is on a tmpfs", ["tmpfs / tmpfs rw", "/dev/disk/azure/x /var ext4"]),
            ("error", "/etc is on a tmpfs", [upper % ("/etc", "/etc", "run/etc", "run/etc")]),
            (
                "error",
                "/etc is on a tmpfs",
                ["t /vol tmpfs", upper % ("/etc", "", "vol/e", "")],
            ),
            (
                "error",
                "/home is on a tmpfs",
                ["t /v tmpfs", "o /o overlay upperdir=/v/u", upper % ("/home", "", "o", "")],
            ),
            ("error", "/etc is on a tmpfs", ["/run/etc /etc none bind"]),
            ("error", "/home is on a tmpfs", ["t /v tmpfs", "/v/x/ /y none rbind", "/y/home /home none bind,rw"]),
            ("warning", "%s is on a tmpfs.* what is set up stays" % own, ["tmpfs /var/lib/ tmpfs defaults 0 0"]),
            ("warning", "%s is on a tmpfs" % own, [upper % ("/var", "/var", "run/var", "run/var")]),
        ):
            self.fstab("root-filesystem", level, pattern, "\n".join(lines))
        self.bad("root-filesystem", "error", "ROOTFS_READ_ONLY", {"/etc/default/rcS": "ROOTFS_READ_ONLY=yes\n"})
        self.bad("root-filesystem", "error", "overlayroot", {"/etc/overlayroot.conf": 'overlayroot="tmpfs"\n'})
        local, memory = "/etc/overlayroot.local.conf", "overlayroot keeps every change in memory"
        self.bad("root-filesystem", "error", memory, {local: "overlayroot=tmpfs:recurse=0\n"})
        for words in ("systemd.volatile=yes", "overlaytmpfs=yes", "overlaytmpfs"):
            files = {GRUB_CFG: GRUB.replace("ro ", "ro %s " % words)}
            self.bad("root-filesystem", "error", "in memory", files)
        for files in (
            {"/etc/overlayroot.conf": 'overlayroot="tmpfs"\n', local: 'overlayroot="disabled"\n'},
            {local: "overlayroot=tmpfs\n", GRUB_CFG: GRUB.replace("ro ", "ro overlayroot=disabled ")},
            {GRUB_CFG: GRUB.replace("ro ", "ro overlaytmpfs=no overlaytmpfsflags=size=1G ")},
        ):
            self.start()
            self.fill(files)
            self.good("root-filesystem")
        self.start()
        self.fill({FSTAB: "# tmpfs / tmpfs\ntmpfs /tmp tmpfs\nUUID=0 / ext4 errors=remount-ro 0 1\n"})
        self.good("root-filesystem")
        for lines in (
            [upper % ("/etc", "/etc", "data/etc", "data/etc"), "UUID=1 /data ext4"],
            ["tmpfs /etc tmpfs noauto"],
            ["/data/etc /etc none bind", "/etc /home none bind", "/x /data ext4"],
            ["/etc /home none bind", "/home /etc none bind"],
            [upper % ("/", "/", "etc", "etc")],
            ["o /etc overlay upperdir=/home/x", "o /home overlay upperdir=/etc/x"],
            ["overlay / overlay", "overlay /etc overlay upperdir=", "overlay /home overlay upperdir=/home/x"],
            ["/x / ext4 ro", upper % ("/etc", "/etc", "data/e", "w"), "/y /data ext4", "/y /home ext4", "/y /var ext4"],
        ):
            self.fill({FSTAB: "\n".join(lines) + "\n", GRUB_CFG: GRUB.replace(" ro ", " rw ")})
            self.good("root-filesystem")

    def test_settings_of_the_everyday_entry(self) -> None:
        """An entry for a rescue or a test of the memory has no such setting."""
        other = "menuentry 'm' {\n\tlinux16 /boot/memtest86+.bin\n}\n" + GRUB.replace("ro ", "ro single ")
        for words in ("systemd.volatile=yes", "overlayroot=tmpfs"):
            files = {GRUB_CFG: GRUB.replace("ro ", "ro %s " % words) + other}
            self.bad("root-filesystem", "error", "in memory", files)
        self.fill({GRUB_CFG: GRUB + GRUB.replace("ro ", "ro single systemd.volatile=yes ")})
        self.good("root-filesystem")
        self.gone(GRUB_CFG)
        self.fill({"/boot/loader/entries/a.conf": "options root=UUID=0\noptions systemd.volatile=yes\n"})
        self.assertEqual([one.level for one in self.findings("root-filesystem")], ["error"])

    def test_root_without_a_line_in_fstab(self) -> None:
        """systemd and finit then leave it as the kernel mounts it; the scripts of other init systems do not."""
        nothing, rw = {FSTAB: "# nothing\n"}, GRUB.replace(" ro ", " ro rw ")
        remedy = self.bad(
            "root-filesystem", "error", "`ro`, and /etc/fstab has no line for /, with which systemd", nothing
        )
        self.assertEqual(call(["sh", "-c", remedy]).code, 0)
        self.assertEqual(self.text(FSTAB), "# nothing\nUUID=0 / auto defaults 0 1\n")
        self.good("root-filesystem")
        service = "/usr/lib/systemd/system/systemd-remount-fs.service"
        drop_in = {service: "[Service]\n", service + ".d/x.conf": "[Service]\nEnvironment=SYSTEMD_REMOUNT_ROOT_RW=1\n"}
        other = "/etc/systemd/system/local-fs.target.wants/remount-rw.service"
        for files in (
            {GRUB_CFG: rw},
            {GRUB_CFG: rw + GRUB},
            {GRUB_CFG: GRUB.replace(" ro ", " ")},
            {GRUB_CFG: GRUB.replace("root=UUID=0 ", "")},
            {GRUB_CFG: GRUB.replace(" ro ", " ro ostree=/x ")},
            {GRUB_CFG: GRUB.replace("UUID=0", "ZFS=rpool/ROOT/x")},
            {GRUB_CFG: GRUB.replace("root=", "cryptroot=")},
            {GRUB_CFG: GRUB.replace(" ro ", " ro overlayroot=UUID=1 ")},
            drop_in,
            {
                other: "-> /usr/lib/systemd/system/remount-rw.service",
                service.replace("systemd-remount-fs", "remount-rw"): "x",
            },
            {FSTAB: "/x /etc ext4\n/y /home ext4\n"},
        ):
            self.start()
            self.fill({**nothing, **files})
            self.good("root-filesystem")
        for name, levels in (("finit of debian", {"error"}), ("buildroot", {"ok"})):
            self.empty()
            self.image(name)
            self.fill({GRUB_CFG: GRUB, **nothing})
            self.assertEqual({one.level for one in self.findings("root-filesystem")}, levels)

    def test_root_that_is_always_read_only(self) -> None:
        self.fstab("root-filesystem", "warning", "squashfs, which is .*: it cannot be", "/dev/root / squashfs defaults")
        files = {GRUB_CFG: GRUB.replace("ro ", "rootfstype=erofs ")}
        self.bad("root-filesystem", "warning", "erofs, which is read-only: it cannot be", files)
        self.fill({FSTAB: "", GRUB_CFG: GRUB.replace("ro ", "ro rootfstype=erofs ")})
        self.assertEqual([one.level for one in self.findings("root-filesystem")], ["warning"])
        self.start()
        self.fill({GRUB_CFG: GRUB.replace("ro ", "rootfstype=erofs,ext4 ")})
        self.good("root-filesystem")
        self.fill({FSTAB: "/dev/root / squashfs\n/x /etc ext4\n/y /home ext4\n"})
        self.good("root-filesystem")

    def test_root_with_mount_units(self) -> None:
        """systemd prefers them to lines of fstab."""
        folder, wants = "/usr/lib/systemd/system/", "/etc/systemd/system/local-fs.target.wants/"
        home = "[Mount]\nWhat=%s\nWhere=/home\nType=%s\n"
        files = {folder + "home.mount": home % ("tmpfs", "tmpfs"), wants + "home.mount": "-> %shome.mount" % folder}
        remedy = self.bad("root-filesystem", "error", "by .*/home.mount /home is on a tmpfs.*nobody can log in", files)
        self.assertEqual(remedy, "vi %s%shome.mount" % (self.root, folder))
        self.fill({FSTAB: "UUID=0 / ext4\ntmpfs /home tmpfs\n", folder + "home.mount": home % ("/dev/x", "ext4")})
        self.good("root-filesystem")
        self.fill({FSTAB: "UUID=0 / ext4 ro\n", folder + "etc.mount": home.replace("home", "etc") % ("/dev/y", "ext4")})
        self.fill({wants + "etc.mount": "-> %setc.mount" % folder})
        self.good("root-filesystem")
        self.fill({folder + "home.mount": home % ("tmpfs", "tmpfs")})
        self.gone(wants + "home.mount")
        (found,) = self.findings("root-filesystem")  # /home is a folder of the root again
        self.assertRegex(found.message, "/etc/fstab has / read-only")

    def test_diskless(self) -> None:
        """On Alpine the root is a tmpfs, and `lbu` writes the archive from which the next boot builds it."""

        class Diskless(type(self.system)):  # type: ignore[misc] # the class of the house's tests
            live = True

            def volatile(self, path: str) -> str:
                return "tmpfs"

        system = Diskless(self.root)
        self.assertEqual(diskless.first(system), "")
        (found,) = [one for one in check.check(system) if one.id == "root-filesystem"]
        self.assertEqual((found.level, found.remedy), ("error", ""))
        self.fill({"/sbin/lbu": ""})
        words = "lbu include /usr/local/sbin/azure-provisioning /var/lib/azure-provisioning && lbu commit"
        self.assertEqual(diskless.keep(system), words)
        self.assertEqual(diskless.first(system), "this system runs from memory: `%s`, then " % words)
        self.assertEqual(diskless.keep(self.system), "")  # this image is on a disk and has the tool
        (found,) = [one for one in check.check(system) if one.id == "root-filesystem"]
        self.assertEqual((found.level, found.remedy), ("error", words))

    def test_names(self) -> None:
        self.fstab("fstab", "error", "/dev/vda1 for /: Azure has no such disk", "/dev/vda1 / ext4 defaults 0 1")
        self.fstab("fstab", "error", "/dev/xvdb for /data", "/dev/xvdb /data ext4")
        files = {"/etc/lilo.conf": "image = /boot/vmlinuz\n\troot = /dev/vda2\n"}
        self.bad("fstab", "error", "root=/dev/vda2 in /etc/lilo.conf", files)
        for name in ("by-id/virtio-abcd", "by-path/virtio-pci-0000:00:07.0-part1", "by-id/scsi-0QEMU_QEMU_HARDDISK_x"):
            self.fstab("fstab", "error", "Azure has no such disk", "/dev/disk/%s /var ext4" % name)
        self.fstab("fstab", "warning", "the order of Azure's disks changes", "/dev/sda1 / ext4 defaults 0 1")
        self.fstab("fstab", "warning", "the order", "/dev/nvme0n1p1 /boot ext4 defaults 0 1")
        self.bad("fstab", "error", "root=/dev/vda1 in /boot/grub", {GRUB_CFG: GRUB.replace("UUID=0", "/dev/vda1")})
        self.bad("fstab", "warning", "root=/dev/sda2 in", {GRUB_CFG: GRUB.replace("UUID=0", "/dev/sda2")})
        self.start()
        lines = (
            "/dev/vdb /data ext4 defaults,nofail 0 0\n/dev/disk/by-uuid/0 / ext4\nLABEL=x /x ext4\n#/dev/vda1 / ext4\n"
        )
        self.fill({FSTAB: lines + "/dev/mapper/vg-root / ext4\n/dev/disk/by-id/scsi-36 /y ext4\n"})
        self.good("fstab")

    def test_swap(self) -> None:
        self.fstab("swap", "warning", "/swapfile is on the OS disk", "/swapfile none swap sw 0 0")
        self.start()
        self.fill({FSTAB: "/dev/zram0 none swap sw 0 0\n"})
        self.good("swap")


class ClockTest(CheckTest):
    def test_clock(self) -> None:
        self.good("clock", "Azure sets it, by hv_utils")
        self.bad("clock", "warning", "local time", {"/etc/adjtime": "0.0 0 0.0\n0\nLOCAL\n"})
        self.bad("clock", "warning", "local time", {"/etc/conf.d/hwclock": 'clock="local"\n'})
        modules = "/usr/lib/modules"
        remedy = self.bad("clock", "warning", "no service that sets it", gone=[modules])
        self.assertIn("chrony", remedy)
        unit = "/usr/lib/systemd/system/chrony.service"
        self.fill({unit: "[Service]\n", "/etc/systemd/system/multi-user.target.wants/chrony.service": "-> " + unit})
        self.good("clock", "chrony sets it$")

    def test_clock_of_the_host(self) -> None:
        """A hint if chrony is configured without it; the remedy is run."""
        unit, conf = "/usr/lib/systemd/system/chrony.service", "/etc/chrony/chrony.conf"
        self.fill({unit: "[Service]\n", "/etc/systemd/system/multi-user.target.wants/chrony.service": "-> " + unit})
        for rules, device in (("", "ptp0"), ('ATTR{clock_name}=="hyperv", SYMLINK += "ptp_hyperv"\n', "ptp_hyperv")):
            self.fill({conf: "pool x\n#refclock PHC /dev/ptp0", "/usr/lib/udev/rules.d/50-x.rules": rules})
            self.good("clock", "with a line `refclock PHC` it would use the host's clock, /dev/ptp_hyperv$")
            self.assertEqual(call(["sh", "-c", self.findings("clock")[0].remedy]).code, 0)
            self.assertIn("\nrefclock PHC /dev/%s poll" % device, self.system.read_text(conf) or "")
            self.good("clock", "chrony sets it$")
            self.assertEqual(self.findings("clock")[0].remedy, "")
        self.fill({"/usr/lib/udev/rules.d/50-x.rules": "", "/etc/udev/rules.d/1-x.rules": ""})
        (found,) = self.findings("clock")  # chronyd exits
        self.assertEqual(found.level, "warning")
        self.assertRegex(found.message, "chrony would exit without /dev/ptp_hyperv, and no udev rule")
        self.assertEqual(call(["sh", "-c", found.remedy]).code, 0)
        self.good("clock", "chrony sets it$")
        self.fill({"/boot/config-6.1.0-2": "# CONFIG_PTP_1588_CLOCK is not set\n"})
        self.assertRegex(self.findings("clock")[0].message, "would exit: its configuration has /dev/ptp_hyperv")
        self.fill({conf: "pool x\n"})
        self.good("clock", "chrony sets it$")
        self.assertEqual(self.findings("clock")[0].remedy, "")


class OptionsTest(CheckTest):
    def test_options(self) -> None:
        self.good("options", "the defaults")
        self.bad("options", "error", "line 1, deadlin: unknown key", {OPTIONS: "deadlin = 900\n"})
        self.bad("options", "error", "host_keys", {OPTIONS: "host_keys = never\n"})
        self.start()
        self.fill({OPTIONS: "# mine\ndeadline = 600\n"})
        self.good("options", "no mistake in")
        self.fill({OPTIONS: "deadline = 1200\n"})
        self.assertEqual([one.level for one in self.findings("options")], ["warning", "ok"])

    def test_gates(self) -> None:
        self.assertEqual(self.findings("ready-gates"), [])
        gate = "/etc/azure-provisioning/ready.d/10-x"
        self.fill({gate: "#!/bin/sh\n", gate + "~": ""})
        found = self.findings("ready-gates")
        self.assertEqual([(one.level, one.remedy) for one in found], [("warning", "chmod +x %s%s" % (self.root, gate))])
        os.chmod(self.root + gate, 0o755)
        self.good("ready-gates", "before Ready: 10-x")

    def test_gates_that_cannot_be_started(self) -> None:
        """The kernel starts an ELF file, or a script by the program in its first line: execve(2)."""
        gate = "/etc/azure-provisioning/ready.d/10-x"
        for text, problem in (
            ("#!/bin/sh\n", ""),
            ("#! /bin/sh -e\nexit 0\n", ""),
            ("#!/usr/bin/env python3\n", ""),
            ("#!/usr/bin/env -S python3 -u\n", ""),
            ("#!/usr/bin/env -S -u FOO sh\n", ""),
            ("#!/bin/perl -w\r\n", ""),
            ("#!/run/current-system/sw/bin/bash\n", ""),  # there from some point of the boot on
            ("\x7fELF\2\1\1\0", ""),
            ("\xcb\r\r\n\0\0", ""),  # perhaps registered with binfmt_misc
            ("#!/usr/bin/nosuch\n", "there is no /usr/bin/nosuch"),
            ("#!/bin/sh\r\necho x\r\n", "its lines end with CRLF"),
            ("#!/usr/bin/env python3\r\n", "its lines end with CRLF"),
            ("#!/usr/bin/env nosuch\n", "there is no nosuch"),
            ("#!/etc/hostname\n", "there is no /etc/hostname that may be executed"),
            ("#!\n/bin/sh\n", "its first line names no program"),
            ("echo ready\n", "it does not begin with #!"),
            ("\ufeff#!/bin/sh\n", "it does not begin with #!"),
            ("", "it is empty"),
        ):
            with self.subTest(text):
                self.start()
                self.fill({gate: text, "/etc/hostname": "x\n", "/usr/bin/env": "", "/bin/perl": ""})
                os.chmod(self.root + gate, 0o755)
                if not problem:
                    self.good("ready-gates", "before Ready: 10-x")
                    continue
                (found,) = self.findings("ready-gates")
                self.assertEqual(found.level, "error")
                self.assertIn("%s cannot be started, and Ready would not be reported: %s" % (gate, problem),
                              found.message)  # fmt: skip
                if "CRLF" in problem:
                    self.assertEqual(call(["sh", "-c", found.remedy]).code, 0)
                    self.good("ready-gates", "before Ready: 10-x")
                else:
                    self.assertEqual(found.remedy, "vi %s%s" % (self.root, gate))


class AgentsTest(CheckTest):
    def test_other_agent(self) -> None:
        unit = "/etc/systemd/system/multi-user.target.wants/waagent.service"
        files = {"/usr/sbin/waagent": "", "/usr/lib/systemd/system/waagent.service": "[Service]\n", unit: "-> /lib/x"}
        remedy = self.bad("other-agent", "error", "waagent would provision too", files)
        self.assertEqual(remedy, "azure-provisioning generalize --remove-agent --root " + self.root)
        self.fill({"/etc/waagent.conf": "Provisioning.Agent=disabled\n"})
        (found,) = self.findings("other-agent")
        self.assertEqual((found.level, found.remedy), ("warning", remedy))
        self.assertIn("waagent would report Ready at once", found.message)

    def test_no_finding_after_removal(self) -> None:
        """Files that --remove-agent leaves in an image without a running package manager are not reported again."""
        for name, service, kept in (
            ("waagent", "waagent", "/var/lib/waagent/x"),
            ("cloud-init", "cloud-init", "/var/lib/cloud/data/x"),
            ("tiny-cloud", "tiny-cloud-main", "/var/lib/cloud/user-data"),
            ("azure-init", "azure-init", "/var/lib/azure-init/x"),
            ("afterburn", "afterburn-checkin", "/etc/hostname"),
        ):
            with self.subTest(name):
                self.start()
                unit = "/usr/lib/systemd/system/%s.service" % service
                wants = "/etc/systemd/system/multi-user.target.wants/%s.service" % service
                self.fill({"/usr/sbin/" + name: "", unit: "[Service]\n", wants: "-> " + unit, kept: "x\n"})
                self.fill({"/etc/tiny-cloud.conf": "CLOUD=azure\n"} if name == "tiny-cloud" else {})
                found = self.findings("other-agent")
                self.assertEqual([one.level for one in found], ["error"])
                self.assertIn(name + " would provision too", found[0].message)
                plan = Plan(self.system)
                plan_agents(plan, take_out=True)
                self.assertEqual(plan.carry_out(Console(io.StringIO())), 0)
                self.good("other-agent")
                self.assertIsNone(self.system.stat(wants, follow=False))

    def test_files_of_a_removed_agent(self) -> None:
        self.start()
        self.fill({"/var/lib/cloud/data/x": ""})
        found = self.findings("other-agent")
        self.assertRegex(found[0].message, "cloud-init stays, with /var/lib/cloud:")


class LeftoversTest(CheckTest):
    def generalize(self, name: str, pattern: str, path: str, text: str) -> None:
        """A warning whose remedy is `generalize`."""
        remedy = self.bad(name, "warning", pattern, {path: text})
        self.assertEqual(remedy, "azure-provisioning generalize --root " + self.root)

    def test_machine_id(self) -> None:
        self.generalize("machine-id", "/etc/machine-id", "/etc/machine-id", "0" * 32 + "\n")
        self.generalize("machine-id", "dbus", "/var/lib/dbus/machine-id", "0123456789abcdef" * 2)
        for text in ("", "uninitialized\n"):
            self.start()
            self.fill({"/etc/machine-id": text, "/var/lib/dbus/machine-id": "-> /etc/machine-id"})
            self.good("machine-id")
        self.gone("/etc/machine-id")
        self.good("machine-id")

    def test_leases(self) -> None:
        for path in (
            "/var/lib/dhcp/dhclient.eth0.leases",
            "/var/lib/dhclient/dhclient--eth0.lease",
            "/var/lib/NetworkManager/internal-0-eth0.lease",
            "/var/lib/dhcpcd/eth0.lease",
            "/var/lib/dhcpcd/duid",
            "/var/lib/wicked/lease-eth0-dhcp-ipv4.xml",
            "/etc/dhcpcd.duid",
        ):
            self.generalize("leases", path, path, "x")
        self.start()
        self.fill({"/var/lib/dhcp/README": "", "/var/lib/NetworkManager/timestamps": "", "/etc/dhcpcd.conf": ""})
        self.good("leases")

    def test_network(self) -> None:
        for path, text in (
            ("/etc/udev/rules.d/70-persistent-net.rules", 'ATTR{address}=="00:0d:3a:00:00:00", NAME="eth0"\n'),
            ("/etc/sysconfig/network-scripts/ifcfg-eth0", "HWADDR=00:0D:3A:00:00:00\n"),
            (
                "/etc/netplan/50-cloud-init.yaml",
                "network:\n  ethernets:\n    eth0:\n      match:\n        macaddress: 00:0d:3a:00:00:00\n",
            ),
            (
                "/etc/systemd/network/10-x.network",
                "[Match]\nPermanentMACAddress=00:0d:3a:00:00:00\n[Network]\nDHCP=yes\n",
            ),
            ("/etc/systemd/network/10-x.link", "[Match]\nMACAddress=00:0d:3a:00:00:00\n"),
            ("/etc/NetworkManager/system-connections/x.nmconnection", "[ethernet]\nmac-address=00:0D:3A:00:00:00\n"),
        ):
            remedy = self.bad("network-pinned", "warning", path, {path: text})
            ours = "udev" in path or "ifcfg" in path
            generalize = "azure-provisioning generalize --root " + self.root
            self.assertEqual(remedy, generalize if ours else "rm " + self.root + path)
            self.fill({path: "" if "udev" in path else "#" + text.replace("\n", "\n#")})
            self.good("network-pinned")

    def test_addresses_that_cards_are_given(self) -> None:
        """They are for every VM: MACAddress= in [Link], and the `macaddress` of a netplan definition itself."""
        netplan = "network:\n  %s:\n    x0:\n      dhcp4: true\n      macaddress: 02:00:00:00:00:01\n"
        for path, text in (
            ("/etc/systemd/network/10-x.network", "[Match]\nName=eth0\n[Link]\nMACAddress=02:00:00:00:00:01\n"),
            ("/etc/systemd/network/10-x.link", "[Match]\nName=eth0\n[Link]\nMACAddress=02:00:00:00:00:01\n"),
            ("/etc/netplan/x.yaml", netplan % "ethernets"),
            ("/etc/netplan/x.yaml", netplan % "bridges"),
            ("/etc/NetworkManager/system-connections/x", "[bridge]\nmac-address=02:00:00:00:00:01\n"),
            ("/etc/NetworkManager/system-connections/x", "[ethernet]\ncloned-mac-address=02:00:00:00:00:01\n"),
        ):
            self.start()
            self.fill({path: text})
            self.good("network-pinned")

    def test_seed(self) -> None:
        self.generalize("random-seed", "random-seed", "/var/lib/systemd/random-seed", "x" * 512)
        self.generalize("random-seed", "seed.credit", "/var/lib/seedrng/seed.credit", "x" * 32)

    def test_files_of_people(self) -> None:
        self.generalize("histories", "/root/.bash_history", "/root/.bash_history", "x")
        self.generalize("histories", "/home/user/.ash_history", "/home/user/.ash_history", "x")
        path = "/home/user/.ssh/authorized_keys"
        remedy = self.bad("authorized-keys", "warning", "the key of user", {path: "ssh-ed25519 AAAA x\n"})
        self.assertEqual(remedy, "rm " + self.root + path)
        self.fill({path: "\n"})
        self.good("authorized-keys")

    def test_keys_elsewhere(self) -> None:
        """Where sshd looks for them, also those of an account that is gone; and what a new home gets."""
        key, setting = "ssh-ed25519 AAAA x\n", "AuthorizedKeysFile /etc/ssh/keys/%u %h/.keys\n"
        for path, pattern in (
            ("/etc/ssh/keys/user", "the key of user"),
            ("/home/user/.keys", "the key of user"),
            ("/etc/ssh/keys/gone", "a key of /etc/ssh/keys/gone can log in to every VM whose administrator has"),
            ("/etc/skel/.keys", "a key of /etc/skel/.keys can log in to every VM: a new home is a copy"),
        ):
            remedy = self.bad(
                "authorized-keys", "warning", pattern, {"/etc/ssh/sshd_config.d/x.conf": setting, path: key}
            )
            self.assertEqual(remedy, "rm " + self.root + path)
        for path, pattern in (
            ("/home/user/.ssh/authorized_keys2", "the key of user"),
            ("/etc/skel/.ssh/authorized_keys", "a new home"),
        ):
            self.bad("authorized-keys", "warning", pattern, {path: key})
        self.start()
        unread = ("/home/user/.ssh/authorized_keys", "/etc/skel/.ssh/authorized_keys", "/etc/ssh/keys/sub/x")
        self.fill({"/etc/ssh/sshd_config.d/x.conf": setting, **dict.fromkeys(unread, key)})
        self.good("authorized-keys")

    def test_state(self) -> None:
        self.generalize("state", "was set up is left", STATE, "vm_id=%s\nready_at=x\n" % VM_ID)
        self.generalize("state", "userData", "/var/lib/azure-provisioning/userData", "x")

    def test_generalize_removes_every_leftover(self) -> None:
        files = {
            "/etc/machine-id": "0" * 32,
            "/var/lib/dhcp/dhclient.eth0.leases": "x",
            "/etc/udev/rules.d/70-persistent-net.rules": 'ATTR{address}=="00:0d:3a:00:00:00", NAME="eth0"\n',
            "/var/lib/systemd/random-seed": "x",
            "/root/.bash_history": "x",
            STATE: "vm_id=%s\nready_at=x\n" % VM_ID,
            "/etc/ssh/ssh_host_rsa_key": "x",
        }
        self.start()
        self.fill(files)
        self.system.unlink("/etc/systemd/system/multi-user.target.wants/azure-provisioning.service")
        found = {finding.id for finding in check.check(self.system) if finding.level != "ok"}
        kinds = {"hook", "machine-id", "leases", "network-pinned", "random-seed", "histories", "state"}
        self.assertEqual(found, kinds)
        done = cli("generalize", "--yes", "--root", self.root)
        self.assertEqual(done.code, 0, done)
        self.assertEqual([finding for finding in check.check(self.system) if finding.level != "ok"], [])


class RemedyTest(CheckTest):
    def test_package_managers(self) -> None:
        self.gone("/usr/bin/apt-get")
        self.assertEqual(packages.command(self.system, "sudo"), "")
        for tool, expected in (
            ("apt-get", "apt-get update && apt-get install -y --no-install-recommends sudo"),
            ("apk", "apk add doas"),
            ("xbps-install", "xbps-install -Sy sudo"),
            ("emerge", "emerge app-admin/sudo"),
            ("pacman", "pacman -Sy --noconfirm sudo"),
            ("dnf", "dnf install -y sudo"),
            ("zypper", "zypper install -y sudo"),
            ("opkg", "opkg update && opkg install sudo"),
        ):
            self.fill({"/usr/bin/" + tool: ""})
            self.assertEqual(packages.command(self.system, "sudo"), expected)
            self.gone("/usr/bin/" + tool)
        for what, (usual, others) in packages.NAMES.items():
            self.assertLessEqual(set(others), {tool for tool, _ in packages.MANAGERS}, what)
            self.assertTrue(usual)
