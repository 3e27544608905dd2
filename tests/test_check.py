"""`check` as a whole, on an image that would boot: its output, its readers, and its exit code."""

import fcntl
import json
import os
import pty
import shutil
import struct
import sys
import tempfile
import termios
import time
from unittest import mock

from azure_provisioning.config import PATH as OPTIONS
from azure_provisioning.image.check import check
from azure_provisioning.image.check.finding import Finding
from azure_provisioning.image.command import Command
from tests.images import built_file, cli, listing
from tests.sound import GRUB, INITRAMFS, KERNEL, MODULES, CheckTest, checks_for


class WholeTest(CheckTest):
    def test_complete_image_has_no_findings(self) -> None:
        found = check.check(self.system)
        self.assertEqual([finding for finding in found if finding.level != "ok"], [])
        self.assertFalse(check.would_fail(found))
        ids = {finding.id for finding in found}
        self.assertLessEqual({name for name, _ in check.CHECKS} - {"ready-gates"}, ids)

    def test_good_image(self) -> None:
        before = listing(self.root)
        done = cli("check", "--root", self.root)
        self.assertEqual(done.code, 0, done)
        self.assertEqual(
            done.err,
            "azure-provisioning: 0 errors, 0 warnings: a VM from this image would reach Ready and let its user in\n",
        )
        self.assertRegex(done.out, r"\A[0-9]+ things are fine \(--all lists them\)\n\Z")
        everything = cli("check", "--root", self.root, "--all").out.splitlines()
        for line in everything:
            self.assertRegex(line, r"^ok       [a-z-]+: \S")
        self.assertEqual(done.out.split()[0], str(len(everything)))
        self.assertEqual(cli("check", "--root", self.root, "-v").out.splitlines(), everything)
        self.assertEqual(cli("check", "--root", self.root, "-q"), (0, done.out, ""))
        self.assertEqual(listing(self.root), before)  # it changes nothing

    def test_error(self) -> None:
        self.gone("/usr/sbin/sshd")
        done = cli("check", "--root", self.root)
        self.assertEqual(done.code, 1)
        remedy = (
            "         > chroot %s sh -c 'apt-get update && apt-get install -y --no-install-recommends openssh-server'\n"
            % self.root
        )
        self.assertIn("error    sshd: no SSH server is in the image: nobody can log in\n" + remedy, done.out)
        self.assertRegex(done.err, r"1 error, 0 warnings: .* would let nobody in\n$")

    def test_invalid_option_is_an_error(self) -> None:
        """A boot continues with the default: the VM boots, and `check` reports so."""
        self.fill({OPTIONS: "account = perhaps\n"})
        done = cli("check", "--root", self.root)
        self.assertEqual(done.code, 1)
        self.assertRegex(done.err, r"1 error, 0 warnings: .* set up with a default where an option has a mistake\n$")
        self.gone("/usr/sbin/sshd")
        self.assertRegex(cli("check", "--root", self.root).err, r"2 errors, 0 warnings: .* would let nobody in\n$")

    def test_warning_does_not_fail(self) -> None:
        self.gone("/usr/bin/sudo")
        done = cli("check", "--root", self.root)
        self.assertEqual(done.code, 0)
        self.assertIn("warning  privilege: ", done.out)
        self.assertIn("0 errors, 1 warning:", done.err)

    def test_verdict_names_the_warning_that_contradicts_it(self) -> None:
        """The verdict promises nothing that a warning contradicts, and names that warning."""
        ready = "a VM from this image would reach Ready and let its user in"
        self.gone("/usr/bin/sudo", "/boot/grub/grub.cfg")  # no root rights, and no known console: a login works
        self.assertTrue(cli("check", "--root", self.root).err.endswith(ready + "\n"))
        self.fill({"/etc/ssh/sshd_config": "AllowUsers ann\n"})
        said = cli("check", "--root", self.root)
        self.assertTrue(said.err.endswith(ready + ", if this warning does not prevent it: sshd-config\n"), said.err)
        self.assertEqual(said.code, 0)
        self.gone("/boot/vmlinuz-" + KERNEL, MODULES, INITRAMFS)
        said = cli("check", "--root", self.root)
        self.assertRegex(said.err, ready + r", if these warnings do not prevent it: .*\bkernel, sshd-config\n\Z")
        self.gone("/usr/sbin/sshd")
        self.assertTrue(cli("check", "--root", self.root).err.endswith(" would let nobody in\n"))

    def test_json(self) -> None:
        self.gone("/usr/sbin/sshd")
        done = cli("check", "--root", self.root, "--json")
        self.assertEqual(done.code, 1)
        found = json.loads(done.out)
        self.assertEqual({tuple(sorted(finding)) for finding in found}, {("id", "level", "message", "remedy")})
        wrong = [finding for finding in found if finding["level"] == "error"]
        message = "no SSH server is in the image: nobody can log in"
        remedy = (
            "chroot %s sh -c 'apt-get update && apt-get install -y --no-install-recommends openssh-server'" % self.root
        )
        self.assertEqual(wrong, [{"level": "error", "id": "sshd", "message": message, "remedy": remedy}])
        self.assertEqual({finding["remedy"] for finding in found if finding["level"] == "ok"}, {None})

    def test_no_root(self) -> None:
        self.empty()
        done = cli("check", "--root", self.root)
        self.assertEqual((done.code, done.out), (2, ""))
        self.assertIn("is not the root of a Linux system", done.err)

    def test_nearly_empty_image(self) -> None:
        """An image with hardly any files gives findings, not a traceback."""
        self.empty()
        self.fill({"/etc/hostname": "x\n", "/usr/bin/env": ""})
        done = cli("check", "--root", self.root)
        self.assertEqual(done.code, 1)
        for name in ("init", "hook", "python", "dhcp", "account", "sshd"):
            self.assertRegex(done.out, "(?m)^error    %s: " % name)
        self.assertNotIn("Traceback", done.err)

    def test_unreadable_files_are_warnings(self) -> None:
        self.gone("/etc/fstab", "/etc/group")
        os.mkdir(self.root + "/etc/group")
        self.fill({"/boot/grub/grub.cfg": GRUB.replace(" ro ", " rw ")})  # without fstab the root stays as it is
        found = [finding for finding in check.check(self.system) if finding.level != "ok"]
        self.assertEqual({finding.level for finding in found}, {"warning"}, found)
        self.assertIn(
            "cannot be determined: not a regular file (path=/etc/group)", [finding.message for finding in found]
        )

    def test_links_stay_inside_the_image(self) -> None:
        """Absolute links stay inside the root; a link that climbs out of it ends at the root."""
        outside = tempfile.mkdtemp(prefix="azure-provisioning-test-")
        self.addCleanup(shutil.rmtree, outside)
        with open(outside + "/passwd", "w") as file:
            file.write("root::0:0::/root:/bin/sh\n")
        self.fill({"/etc/passwd": "-> " + outside + "/passwd"})
        self.assertIn("error", [finding.level for finding in self.findings("account")])
        self.fill({"/etc/passwd": "-> ../../../../../../.." + outside + "/passwd"})
        self.assertIn("error", [finding.level for finding in self.findings("account")])


class FindingsTest(CheckTest):
    """Tests of one finding run only some checks: see `checks_for` in tests/sound.py."""

    def test_checks_left_out_are_noticed(self) -> None:
        names = {finding.id for finding in check.check(self.system)}
        self.assertGreater(len(names), 20)
        for name in names:
            self.compared = False
            with mock.patch("tests.sound.checks_for", lambda _: ()), self.assertRaises(AssertionError, msg=name):
                self.findings(name)

    def test_some_are_left_out(self) -> None:
        for name in ("clock", "dhcp", "initramfs", "hook"):
            self.assertLess(len(checks_for(name)), len(check.CHECKS) * 0.6, name)


class HostileTest(CheckTest):
    """An image may try to keep its reader busy, or to lead the reader out of the image."""

    FILES = (
        "/etc/fstab",
        "/etc/inittab",
        "/etc/default/grub",
        "/etc/default/rcS",
        "/etc/modprobe.d/x.conf",
        "/etc/netplan/x.yaml",
        "/etc/network/interfaces",
        "/etc/nologin",
        "/etc/passwd",
        "/etc/shadow",
        "/etc/ssh/sshd_config",
        "/etc/systemd/network/50-dhcp.network",
        "/etc/systemd/system-preset/00-x.preset",
        "/etc/systemd/system/azure-provisioning.service",
        "/etc/udev/rules.d/70-persistent-net.rules",
        "/etc/waagent.conf",
        "/boot/grub/grub.cfg",
        "/boot/startup.nsh",
        "/etc/NetworkManager/conf.d/x.conf",
        "/etc/dhcpcd.conf",
        "/etc/selinux/config",
        "/usr/lib/modules/6.1.0-2/modules.dep",
        "/usr/lib/systemd/system/ssh.service",
        "/var/lib/azure-provisioning/state",
    )
    SIZE = 256 << 10  # bytes; quadratic time would be minutes
    SECONDS = 30.0  # of processor time, for one look at all of them

    def test_large_files_are_read_in_time(self) -> None:
        words = ("dropbear ", "root=/dev/", "MACAddress ", "blacklist hv_a ", "\t iface eth0\n", "enable *?*?*?*\n")
        for text in words + ("\n", " ", "/", "2:", "x=", "*", "a*?", "AllowGroups *a*a*a*a*a*a*a*b\n"):
            self.start()
            self.fill(dict.fromkeys(self.FILES, text * (self.SIZE // len(text))))
            started = time.process_time()
            check.check(self.system)
            self.assertLess(time.process_time() - started, self.SECONDS, repr(text))

    def test_pipes_folders_and_loops(self) -> None:
        """Pipes and folders in place of files, and loops of links."""
        for path in self.FILES:
            self.start()
            self.gone(*[path for path in (path,) if self.system.exists(path)])
            os.makedirs(os.path.dirname(self.system.path(path)), exist_ok=True)
            os.mkfifo(self.system.path(path))
            check.check(self.system)
            os.unlink(self.system.path(path))
            os.symlink(os.path.basename(path), self.system.path(path))
            check.check(self.system)


class TextTest(CheckTest):
    def test_eighty_columns(self) -> None:
        found = [
            Finding("warning", "x", "a word " * 40, Command(*["a command that is long"] * 10)),
            Finding("error", "y", "/a/path/that/is/longer/than/the/screen" * 4),
            Finding("ok", "z", "a line\nand\x1b[31m another"),
        ]
        lines = check.as_text(found, 80, everything=True)
        self.assertEqual([line.split()[0] for line in lines if line[0] != " "], ["error", "warning", "ok"])
        self.assertEqual(check.as_text(found)[-1], "1 thing is fine (--all lists it)")
        self.assertIn(("warning  x: " + "a word " * 40).rstrip(), [line.rstrip() for line in check.as_text(found)])
        self.assertLessEqual(max(len(line) for line in lines if ">" not in line and "/a/path" not in line), 80)
        self.assertEqual([line for line in lines if ">" in line], ["         > " + found[0].remedy])
        self.assertIn("".join(line.strip() for line in lines if "/a/path" in line), found[1].message)
        self.assertNotIn("\x1b", "".join(lines))

    def test_columns_of_real_findings(self) -> None:
        self.gone("/usr/sbin/sshd", "/etc/systemd/network/50-dhcp.network", "/boot/grub/grub.cfg", INITRAMFS)
        shown = self.on_terminal(columns=60).decode("ascii").splitlines()
        long = [line for line in shown if len(line) > 60 and not line.startswith("         > ")]
        self.assertEqual(long, [])
        self.assertGreater(len(shown), len(cli("check", "--root", self.root).out.splitlines()))  # it is not wrapped

    def on_terminal(self, columns: int = 80, **environment: str) -> bytes:
        """The output of the built file on a terminal."""
        master, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        child = os.fork()
        if child == 0:
            os.dup2(terminal, 1)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            argv = [sys.executable, "-I", built_file(), "check", "--root", self.root]
            os.execve(sys.executable, argv, dict({"PATH": "/usr/bin:/bin"}, **environment))
        os.close(terminal)
        seen = b""
        try:
            while True:
                piece = os.read(master, 65536)
                if not piece:
                    break
                seen += piece
        except OSError:
            pass  # a terminal reports in this way that no process has it open
        os.waitpid(child, 0)
        os.close(master)
        return seen

    def test_colour(self) -> None:
        self.gone("/usr/bin/sudo")
        self.assertIn(b"\x1b[33mwarning\x1b[0m  privilege", self.on_terminal(TERM="xterm"))
        self.assertIn(b"\x1b[33mwarning\x1b[0m  privilege", self.on_terminal(TERM="xterm", NO_COLOR=""))
        for seen in (self.on_terminal(TERM="xterm", NO_COLOR="1"), self.on_terminal(TERM="dumb"), self.on_terminal()):
            self.assertIn(b"warning  privilege", seen)
            self.assertNotIn(b"\x1b", seen)
        self.assertNotIn("\x1b", cli("check", "--root", self.root).out)
