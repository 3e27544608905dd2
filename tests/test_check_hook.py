"""`check`: is the boot hook installed, and would the init system of this image start it?"""

import os
from typing import Dict

from azure_provisioning.image.check import check
from azure_provisioning.image.check.subject import Image
from azure_provisioning.init import table
from azure_provisioning.init.table import disable
from tests import images
from tests.images import SUPPORTED, cli
from tests.s6_database import resolve_cdb
from tests.sound import GRUB, CheckTest

WANTS = "/etc/systemd/system/multi-user.target.wants/azure-provisioning.service"
UNIT = "/etc/systemd/system/azure-provisioning.service"
PRESET = "/etc/systemd/system-preset/10-azure-provisioning.preset"
SCRIPT = "/etc/init.d/azure-provisioning"
UNORDERED = ("runit", "s6", "slackware", "upstart of ubuntu")  # no order that we may write delays sshd
OPENRC_INITTAB = """id:%s:initdefault:
si::sysinit:/sbin/openrc sysinit
rc::bootwait:/sbin/openrc boot
l1:1:wait:/sbin/openrc single
%sl3:3:wait:/sbin/openrc default
"""
OPENRC_LINE = "l2:2:wait:/sbin/openrc default\n"
FULL_DEPEND: Dict[str, str] = {
    "/etc/init.d/.depend.boot": "TARGETS = x\n",
    "/etc/init.d/.depend.stop": "TARGETS = x\n",
    "/usr/bin/startpar": "",
}


class HookTest(CheckTest):
    def test_installed_and_enabled(self) -> None:
        self.good("hook", "^systemd starts it: " + WANTS)
        remedy = self.bad("hook", "error", "nothing starts it", gone=[WANTS])
        self.assertEqual(remedy, "azure-provisioning install --root " + self.root)
        self.start()
        self.uninstall()
        self.assertRegex(self.findings("hook")[0].message, "not installed")
        self.assertEqual(self.findings("program"), [])  # already reported

    def test_openrc_is_missing(self) -> None:
        """busybox follows Alpine's inittab, but OpenRC is a separate package."""
        self.empty()
        self.image("busybox alone")
        self.fill({"/etc/inittab": images.ALPINE_INITTAB, "/sbin/apk": ""})
        found = self.findings("init")
        self.assertEqual([one.level for one in found], ["ok", "warning"])
        self.assertRegex(found[1].message, "/etc/inittab calls /sbin/openrc, which is missing")
        self.assertEqual(found[1].remedy, "chroot %s apk add openrc" % self.root)
        self.fill({"/sbin/openrc": ""})
        self.assertEqual([one.level for one in self.findings("init")], ["ok"])
        self.empty()
        self.image("openrc on busybox")
        self.good("init", "openrc")

    def test_program(self) -> None:
        path = "/usr/local/sbin/azure-provisioning"
        self.bad("program", "error", "is missing", gone=[path])
        self.bad("program", "error", "is damaged", {path: "#!/usr/bin/env python3\nPK\x03\x04"})
        self.bad("program", "error", "cannot be read", {path + "/x": ""}, gone=[path])

    def test_init(self) -> None:
        self.good("init", "systemd")
        self.bad("init", "error", "no init system", gone=["/usr/sbin/init"])
        self.bad("hook", "error", "is for systemd, but the image boots with openrc", {
            "/usr/sbin/init": "-> openrc-init",
            "/usr/sbin/openrc-init": "",
            "/usr/sbin/openrc-run": "",
            "/etc/runlevels/default/x": "",
        })  # fmt: skip


class SystemdTest(CheckTest):
    def test_masked(self) -> None:
        """By a link to /dev/null, which everybody may write to, and by an empty file. `install` repairs both."""
        for files in ({UNIT: "-> /dev/null"}, {UNIT: ""}, {WANTS: "-> /dev/null"}):
            remedy = self.bad("hook", "error", "is masked", dict(files))
            self.assertEqual(remedy, "azure-provisioning install --root " + self.root)
            self.make_device("/dev/null")
            found = [one for one in self.findings("hook") + self.findings("program") if one.level != "ok"]
            self.assertEqual([one.remedy for one in found], [remedy])
            self.install()
            self.good("hook")

    def test_no_unit(self) -> None:
        self.bad("hook", "error", "no unit behind", gone=[UNIT])

    def test_command_line(self) -> None:
        """kernel-command-line(7). What only one of several entries has may not be in effect."""
        grub = "/boot/grub/grub.cfg"
        for words, message in (
            ("systemd.unit=rescue.target", "asks for rescue.target, which starts no services"),
            ("single", "asks for rescue.target"),
            ("3 emergency", "asks for emergency.target"),
            ("systemd.mask=azure-provisioning", "masks the hook"),
        ):
            line = GRUB.replace("ro ", "ro %s " % words)
            self.bad("hook", "error", "the kernel's command line " + message, {grub: line})
            self.fill({grub: line + GRUB})
            self.good("hook")
        self.fill({grub: GRUB.replace("ro ", "ro single 3 ")})
        self.good("hook")

    def test_services_that_do_not_start(self) -> None:
        """They do not count: those that the command line masks, of a target above, or with a condition."""
        grub, name = "/boot/grub/grub.cfg", "systemd-networkd.service"
        wants = "/etc/systemd/system/%s.target.wants/" + name
        drop_in = "/etc/systemd/system/%s.d/x.conf" % name
        link = {wants % "graphical": "-> /lib/systemd/system/" + name}
        self.assertIn(name[:-8], Image(self.system).services or {})
        for files, started in (
            ({grub: GRUB.replace("ro ", "ro systemd.mask=%s " % name)}, False),
            ({grub: GRUB.replace("ro ", "ro systemd.mask=%s " % name) + GRUB}, True),
            ({drop_in: "[Unit]\nConditionVirtualization=!vm\n"}, False),
            ({drop_in: "[Unit]\nConditionVirtualization=kvm\n"}, False),
            ({drop_in: "[Unit]\nConditionVirtualization=!container\nConditionVirtualization=yes\n"}, True),
            ({drop_in: "[Unit]\nConditionVirtualization=!vm\nConditionVirtualization=\n"}, True),
            ({drop_in: "[Unit]\nConditionVirtualization=|!microsoft\nConditionPathExists=|/etc/x\n"}, True),
            ({drop_in: "[Unit]\nConditionVirtualization=|no\nConditionVirtualization=|%x\n"}, True),
            ({drop_in: "[Unit]\nConditionVirtualization=|no\nConditionPathExists=| !/usr/bin/sudo\n"}, False),
            ({drop_in: "[Unit]\nConditionPathExists=!/usr/bin/sudo\n"}, False),
            ({drop_in: "[Unit]\nConditionPathExists=!/etc/fstab\n"}, True),  # a boot may remove it
            ({drop_in: "[Unit]\nConditionPathExists=/usr/bin/nosuch\n"}, False),
            ({drop_in: "[Unit]\nConditionPathExists=/etc/made-in-a-boot\nConditionPathExists=!/run/x\n"}, True),
            (link, False),
            ({**link, "/etc/systemd/system/default.target": "-> /usr/lib/systemd/system/graphical.target"}, True),
            ({**link, grub: GRUB.replace("ro ", "ro 5 ")}, True),
        ):
            with self.subTest(files):
                self.start()
                if files.keys() & link.keys():
                    self.gone(wants % "multi-user")
                self.fill(files)
                self.assertEqual(name[:-8] in (Image(self.system).services or {}), started)

    def test_target(self) -> None:
        default = "/etc/systemd/system/default.target"
        remedy = self.bad(
            "hook", "error", "boots to rescue.target", {default: "-> /usr/lib/systemd/system/rescue.target"}
        )
        self.assertEqual(remedy, "chroot %s systemctl set-default multi-user.target" % self.root)
        self.fill({default: "-> /usr/lib/systemd/system/graphical.target"})
        self.good("hook")
        self.fill({default: "-> /etc/systemd/system/mine.target"})
        self.assertRegex(self.findings("hook")[0].message, "mine.target: it cannot be determined")
        self.fill({"/etc/systemd/system/mine.target": "[Unit]\nRequires=multi-user.target\n"})
        self.good("hook")
        self.bad("hook", "error", "only graphical.target wants the hook, and the image boots to multi-user.target", {
            "/etc/systemd/system/graphical.target.wants/azure-provisioning.service": "-> " + UNIT,
        }, gone=[WANTS])  # fmt: skip
        self.bad("hook", "error", "only graphics.target wants", {
            "/etc/systemd/system/graphics.target.wants/azure-provisioning.service": "-> " + UNIT,
        }, gone=[WANTS])  # fmt: skip

    def test_socket(self) -> None:
        """Our unit cannot be ordered before a server that each connection starts, but the unit that makes its keys can
        wait."""
        wanted = {
            "/usr/lib/systemd/system/sshd.socket": "[Socket]\nListenStream=22\nAccept = yes\n",
            "/etc/systemd/system/sockets.target.wants/sshd.socket": "-> /usr/lib/systemd/system/sshd.socket",
        }
        template = "/usr/lib/systemd/system/sshd@.service"
        self.bad("hook", "warning", "sshd@.service .*host keys of the image", dict(wanted, **{template: "[Unit]\n"}))
        self.fill({template: "[Unit]\nWants=sshd-keygen.target\nAfter=sshd-keygen.target\n"})  # Fedora's
        self.good("hook")
        self.fill({template: "[Unit]\n", "/usr/lib/systemd/system/sshd.socket": "[Socket]\nListenStream=22\n"})
        self.good("hook")

    def test_unit_without_order_before_ssh(self) -> None:
        """The unit is from an older install, or was edited."""
        unit = (self.text(UNIT) or "").replace("Before=ssh.service", "Before=")
        remedy = self.bad("hook", "warning", "starts ssh in parallel", {UNIT: unit})
        self.assertEqual(remedy, "azure-provisioning install --root " + self.root)

    def test_preset(self) -> None:
        vendor = {"/usr/lib/systemd/system-preset/99-default.preset": "# none\ndisable *\n"}
        self.fill(vendor)
        self.good("hook")  # ours comes first
        self.bad("hook", "warning", "99-default.preset disables the hook", vendor, gone=[PRESET])
        first = dict(vendor, **{"/etc/machine-id": "uninitialized\n"})  # which applies it depends on systemd's build
        self.bad("hook", "warning", "99-default.preset disables the hook", first, gone=[PRESET])
        self.fill({"/etc/systemd/system-preset/99-default.preset": "enable azure-*\n"})  # hides the vendor's file
        self.good("hook")


class SysvinitTest(CheckTest):
    def make(self) -> None:
        self.image("insserv")
        self.fill(FULL_DEPEND)
        self.install()

    def test_good(self) -> None:
        self.good("hook", "sysvinit starts it: /etc/rc2.d/S")

    def test_startpar(self) -> None:
        path = "/etc/init.d/.depend.start"
        self.bad("hook", "error", "startpar starts nothing else", {path: images.DEPEND_START})
        for other in ("/etc/init.d/.legacy-bootordering",):
            self.fill({other: ""})
            self.good("hook")
        self.bad("hook", "error", "startpar starts nothing else", {path: images.DEPEND_START})
        self.gone("/usr/bin/startpar")
        self.good("hook")

    def test_startpar_without_order(self) -> None:
        """Services that startpar starts at the same time have no order, whatever their numbers are."""
        path = "/etc/init.d/.depend.start"
        text = self.text(path) or ""
        without = text.replace("dbus azure-provisioning\n", "dbus\n")
        self.assertNotEqual(without, text)
        remedy = self.bad("hook", "warning", "startpar starts ssh in parallel", {path: without})
        self.assertEqual(remedy, "azure-provisioning install --root " + self.root)
        self.install()
        self.good("hook")
        self.fill({path: without.replace("dbus: rsyslog", "dbus: azure-provisioning")})
        self.good("hook")  # ssh waits for a service that waits for us

    def test_runlevel(self) -> None:
        inittab = "id:2:initdefault:\nsi::sysinit:/etc/init.d/rcS\n"
        self.bad("hook", "error", "nothing in /etc/inittab runs the scripts", {"/etc/inittab": inittab})
        self.bad(
            "hook", "error", "nothing in /etc/inittab", {"/etc/inittab": inittab + "#l2:2:wait:/etc/init.d/rc 2\n"}
        )
        self.fill({"/etc/inittab": inittab + "l2:23:wait:/etc/init.d/rc 2\n"})
        self.good("hook")

    def test_remedies_of_inittab(self) -> None:
        """The remedies are executed, for the hook and for sshd, which a single-user runlevel does not start either."""
        lines = "si::sysinit:/etc/init.d/rcS\nl1:1:wait:/etc/init.d/rc 1\n"
        run = "l2:2:wait:/etc/init.d/rc 2\n"
        for inittab, pattern in (
            ("id:1:initdefault:\n" + lines + run, "boots to runlevel 1, which starts no services"),
            ("id:S:initdefault:\n" + lines + run, "boots to runlevel S, which starts no services"),
            (" # x\nid:s:initdefault:\n" + lines + run, "boots to runlevel s"),
            ("id:0:initdefault:\n" + lines + run, "boots to runlevel 0"),
            ("id:6:initdefault:\n" + lines + run, "boots to runlevel 6"),
            ("id::initdefault:\n" + lines + run, "the console is asked for one"),
            ("id:2:initdefault:\n" + lines, "nothing in /etc/inittab runs the scripts of runlevel 2"),
        ):
            with self.subTest(inittab):
                remedy = self.bad("hook", "error", pattern, {"/etc/inittab": inittab, "/usr/sbin/sshd": ""})
                for found in self.findings("sshd"):
                    if found.level == "error":
                        self.assertEqual(found.remedy, remedy)
                self.assertEqual(images.call(["sh", "-c", remedy]).code, 0, remedy)
                self.good("hook")
                self.good("sshd")
                self.assertIn("initdefault", self.text("/etc/inittab") or "")

    def test_script(self) -> None:
        self.start()
        os.chmod(self.system.path(SCRIPT), 0o644)
        self.assertRegex(self.findings("hook")[0].message, "leads to no executable file")

    def test_order(self) -> None:
        """If only numbers order the services, an sshd that starts before us uses the image's host keys."""
        self.gone("/usr/bin/startpar")
        link = self.hook()[1][0]
        self.good("hook")
        os.rename(self.system.path(link, follow=False), self.root + "/etc/rc2.d/S50azure-provisioning")
        found = self.findings("hook")
        self.assertEqual([finding.level for finding in found], ["warning", "ok"])
        self.assertRegex(found[0].message, "S03ssh is started before the hook")


class OpenrcTest(CheckTest):
    def make(self) -> None:
        self.image("openrc on busybox")
        self.install()

    def test_openrc(self) -> None:
        self.good("hook", "openrc starts it: /etc/runlevels/default/azure-provisioning")
        self.bad("hook", "error", "leads to no executable file", gone=[SCRIPT])
        inittab = "::sysinit:/sbin/openrc sysinit\n# ::wait:/sbin/openrc default\n"
        remedy = self.bad("hook", "error", "no boot goes to the runlevel default", {"/etc/inittab": inittab})
        self.assertEqual(images.call(["sh", "-c", remedy]).code, 0, remedy)
        self.good("hook")
        self.bad("hook", "error", "is for /usr/bin/openrc-run, which is missing", {SCRIPT: "#!/usr/bin/openrc-run\n"})

    def test_ssh_in_an_earlier_runlevel(self) -> None:
        link = "/etc/runlevels/boot/sshd"
        self.bad("hook", "warning", link + " is started before the hook", {link: "-> /etc/init.d/sshd"})


class OpenrcOnSysvinitTest(CheckTest):
    """Debian's and Gentoo's inittab: its runlevel selects the one of OpenRC."""

    def make(self) -> None:
        self.image("openrc on sysvinit")
        self.fill({"/etc/inittab": OPENRC_INITTAB % ("2", OPENRC_LINE)})
        self.install()

    def test_runlevel(self) -> None:
        self.good("hook")
        for level in "1Ss06":
            remedy = self.bad("hook", "error", "the image boots to runlevel %s, which starts no services" % level, {
                "/etc/inittab": OPENRC_INITTAB % (level, OPENRC_LINE),
            })  # fmt: skip
            self.assertEqual(images.call(["sh", "-c", remedy]).code, 0, remedy)
            self.good("hook")

    def test_line(self) -> None:
        pattern = "no boot goes to the runlevel default, where the hook is"
        for line in ("", "#" + OPENRC_LINE, OPENRC_LINE.replace("2:2:", "2:3:")):
            remedy = self.bad("hook", "error", pattern, {"/etc/inittab": OPENRC_INITTAB % ("2", line)})
            self.assertEqual(images.call(["sh", "-c", remedy]).code, 0, remedy)
            self.good("hook")


class SlackwareTest(CheckTest):
    def make(self) -> None:
        self.image("slackware")
        self.install()

    def test_runlevel(self) -> None:
        self.start()
        self.fill({"/etc/inittab": "id:1:initdefault:\nrc:2345:wait:/etc/rc.d/rc.M\n"})
        (found,) = [one for one in self.findings("hook") if one.level == "error"]
        self.assertRegex(found.message, "runlevel 1, which starts no services")
        self.assertEqual(images.call(["sh", "-c", found.remedy]).code, 0, found.remedy)
        self.assertNotIn("error", [one.level for one in self.findings("hook")])


class BuildrootTest(CheckTest):
    def make(self) -> None:
        self.image("buildroot")
        self.install()

    def test_buildroot(self) -> None:
        self.good("hook", "S45azure-provisioning")
        self.bad("hook", "error", "leads to no executable file", gone=[SCRIPT])
        self.bad("hook", "error", "nothing in /etc/inittab runs", {"/etc/inittab": "::sysinit:/etc/rc\n"})
        self.bad("hook", "warning", "S10sshd is started before", {"/etc/init.d/S10sshd": images.SCRIPT})
        self.start()
        os.chmod(self.system.path("/etc/init.d/rcS"), 0o644)
        found = [finding for finding in self.findings("hook") if finding.level == "error"]
        self.assertEqual(found[0].message, "/etc/init.d/rcS is not executable")
        self.assertEqual(found[0].remedy, "chmod +x %s/etc/init.d/rcS" % self.root)


class EveryInitTest(CheckTest):
    def start(self) -> None:
        pass

    def test_hook_is_reached_after_install(self) -> None:
        for name in SUPPORTED:
            with self.subTest(name):
                self.empty()
                self.image(name)
                self.install()
                if SUPPORTED[name] == "s6":
                    found = self.findings("hook")
                    words = "s6 repository sync && s6 set enable" if "frontend" in name else "compile the database"
                    self.assertRegex(found[0].message, words)
                    self.assertEqual([finding.level for finding in found if finding.level != "warning"], ["error"])
                    path = "/etc/s6-rc/compiled/current" if "author" in name else "/etc/s6/rc/compiled"
                    names = ("sshd", "azure-provisioning")
                    self.fill({path + "/resolve.cdb": resolve_cdb(names, {"default": names})})
                    if "frontend" in name:
                        self.fill({"/etc/s6/repo/sources/current/active/azure-provisioning": "-> ../../.atomics/x"})
                self.reached(name)
                self.good("program")
                disable(self.system)
                self.assertEqual([finding.level for finding in self.findings("hook")], ["error"])

    def test_links_to_dev_null(self) -> None:
        """Each file of the hook is a link to /dev/null: an error that `install` repairs. No finding asks for a change
        of the mode of the device, which may be the host's."""
        for name in ("insserv", "chkconfig", "buildroot", "openrc on busybox", "runit of void", "finit of debian"):
            self.start_with(name)
            for path in (path for path in table.load(SUPPORTED[name]).files(self.system) if ".depend" not in path):
                with self.subTest(name, path=path):
                    self.start_with(name)
                    self.make_device("/dev/null")
                    self.fill({path: "-> /dev/null"})
                    found = check.check(self.system)
                    self.assertEqual([one for one in found if "/dev/null" in one.remedy], [])
                    unread = [one for one in found if one.id in ("hook", "program") and "determined" in one.message]
                    self.assertEqual(unread, [])
                    if "/rc" not in path:  # such a link may be for another runlevel
                        levels = {(one.level, one.remedy) for one in found if one.id == "hook"}
                        self.assertIn(("error", "azure-provisioning install --root " + self.root), levels)
                    self.install()
                    self.reached(name)
                    self.assertTrue(all(map(self.system.exists, self.hook()[1])))
                    self.assertNotIn("/dev/null", map(self.system.readlink, self.hook()[1]))

    def reached(self, name: str) -> None:
        """The boot reaches the hook. If nothing orders sshd after it, `check` warns."""
        found = self.findings("hook")
        late = [finding for finding in found if finding.level == "warning"]
        self.assertEqual([finding.level for finding in found], ["warning"] * len(late) + ["ok"], found)
        self.assertEqual(len(late), 1 if {name, SUPPORTED.get(name)} & set(UNORDERED) else 0, found)
        for finding in late:
            self.assertRegex(finding.message, "host keys of the image")

    def test_runit_chosen_with_init(self) -> None:
        """Debian's runit runs LSB scripts as well as service directories."""
        self.empty()
        self.image("runit of debian")
        self.install("--init", "runit")
        self.reached("runit")

    def test_declarative_distro(self) -> None:
        """`check` cannot judge a system by its files if it is not built from them."""
        self.fill({"/etc/NIXOS": "", "/usr/bin/env": ""})
        done = cli("check", "--root", self.root)
        self.assertEqual(done.code, 0)
        self.assertRegex(done.out, r"\Awarning  init: this system is made from a declaration")
        self.assertRegex(done.out, r"> \S*azure-provisioning install --root")

    def start_with(self, name: str) -> None:
        self.empty()
        self.image(name)
        self.install()
        self.reached(name)

    def error(self, pattern: str) -> None:
        found = [finding for finding in self.findings("hook") if finding.level != "warning"]
        self.assertEqual([finding.level for finding in found], ["error"], found)
        self.assertRegex(found[0].message, pattern)

    def test_runit(self) -> None:
        link = "/etc/runit/runsvdir/default/azure-provisioning"
        self.start_with("runit of void")
        self.fill({"/etc/sv/azure-provisioning/down": ""})
        self.error("its file `down` keeps it from being started")
        self.gone("/etc/sv/azure-provisioning/down")
        os.chmod(self.system.path("/etc/sv/azure-provisioning/run"), 0o644)
        self.error("run is not executable")
        self.start_with("runit of void")
        os.rename(self.system.path(link, follow=False), self.root + "/etc/runit/runsvdir/single/azure-provisioning")
        self.error("not in the set of services that boots")

    def test_dinit_and_finit(self) -> None:
        self.start_with("dinit of artix")
        self.gone("/etc/dinit.d/azure-provisioning")
        self.error("leads nowhere")
        self.start_with("finit of debian")
        self.gone("/etc/finit.d/available/azure-provisioning.conf")
        self.error("leads nowhere")

    def test_finit(self) -> None:
        """A task of runlevel S is over before the others begin; a service that also runs in S runs beside it."""
        for path, line in (
            ("/etc/finit.d/available/sshd.conf", "service [S12345] /usr/sbin/sshd -D\n"),
            ("/etc/finit.conf", "service [S2345] env:-/etc/x <pid/x> name:other @root /usr/sbin/dropbear -F\n"),
            ("/etc/finit.d/mine.conf", "service notify:none :2 [!06] dropbear -F -- [2345] sshd\n"),
        ):
            with self.subTest(line):
                self.start_with("finit of debian")
                self.fill({path: line})
                server = "dropbear" if "dropbear" in line else "sshd"
                self.assertRegex(self.findings("hook")[0].message, "finit starts %s in parallel" % server)
                self.assertEqual([finding.level for finding in self.findings("hook")], ["warning", "ok"])
        self.start_with("finit of debian")
        path = "/etc/finit.d/available/azure-provisioning.conf"  # of an older install
        self.fill({path: (self.text(path) or "").replace("[S]", "[2345]")})
        self.assertEqual(self.findings("hook")[0].remedy, "azure-provisioning install --root " + self.root)
        self.fill({"/etc/finit.conf": "# service /usr/sbin/dropbear\n"})
        self.assertEqual(len(self.findings("hook")), 2)

    def test_scripts(self) -> None:
        """`check` cannot know what a script starts. If there is a server that it could start, `check` reports that."""
        for name in ("busybox alone", "sysvinit alone", "bsd rc"):
            with self.subTest(name):
                self.start_with(name)
                self.fill({"/usr/sbin/dropbear": ""})
                found = self.findings("hook")
                self.assertEqual([finding.level for finding in found], ["warning", "ok"], found)
                self.assertRegex(found[0].message, "if a script starts dropbear, it has the host keys of the image")

    def test_rc_local_without_a_caller(self) -> None:
        self.start_with("bsd rc")
        self.fill({"/etc/rc.multi": "#!/bin/sh\n"})
        self.assertEqual([finding.level for finding in self.findings("hook")], ["warning", "ok"])
