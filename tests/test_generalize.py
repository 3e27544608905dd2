"""`generalize`: no data of the machine is left, no file outside is touched, and the next boot is a first boot."""

import io
import os
import pty
import re
import select
import signal
import stat
import subprocess
import sys
import time
from fnmatch import fnmatchcase
from typing import Dict, List, Tuple

from azure_provisioning.azure.endpoint import SOURCES
from azure_provisioning.azure.identity import DMI
from azure_provisioning.console import Console
from azure_provisioning.door.marks import BEGIN, END
from azure_provisioning.door.system import System
from azure_provisioning.errors import GuestError
from azure_provisioning.guest.privilege import SUDO_RULE
from azure_provisioning.image.generalize import leases
from azure_provisioning.image.generalize.former_rules import without_doas_rules, without_rules
from azure_provisioning.image.generalize.generalize import generalize
from azure_provisioning.image.rehearse.fake_azure import VM_ID
from tests import TOP
from tests.guests import AZURE_VM, HOOK, OTHER_VM_ID, STATE, asked
from tests.images import SUPPORTED, ImageTest, Result, built_file, listing, open_and_read
from tests.tools import ToolSystem

ID = "0123456789abcdef0123456789abcdef\n"

# Data of a machine that has run, which an image must not contain: path to content.
REMOVED = {
    "/var/lib/dhcp/dhclient.eth0.leases": "lease {}\n",
    "/var/lib/dhclient/dhclient-1-eth0.lease": "lease {}\n",
    "/var/lib/dhcpcd/eth0.lease": "\1",
    "/var/lib/dhcpcd/duid": "00:01\n",
    "/etc/dhcpcd.duid": "00:01\n",
    "/var/db/dhcpcd/eth0.lease6": "\1",
    "/var/lib/NetworkManager/internal-1-eth0.lease": "ADDRESS=10.0.0.4\n",
    "/var/lib/NetworkManager/secret_key": "x",
    "/var/lib/connman/ethernet_000d3a_cable/settings": "[x]\n",
    "/var/lib/wicked/lease-eth0-dhcp-ipv4.xml": "<lease/>",
    "/etc/resolv.conf": "search abc.bx.internal.cloudapp.net\nnameserver 168.63.129.16\n",
    "/etc/udev/rules.d/70-persistent-net.rules": "SUBSYSTEM==net\n",
    "/var/lib/systemd/random-seed": "x",
    "/var/lib/systemd/credential.secret": "x",
    "/var/lib/random-seed": "x",
    "/var/lib/misc/random-seed": "x",
    "/var/lib/urandom/random-seed": "x",
    "/var/lib/seedrng/seed.credit": "x",
    "/etc/random-seed": "x",
    "/var/db/runit/random-seed": "x",
    "/var/lib/udhcpc/eth0.lease": "x",
    "/var/lib/systemd/network/eth0.lease": "x",
    "/var/lib/dbus/machine-id": ID,
    "/etc/ssh/ssh_host_rsa_key": "typed\n",
    "/etc/ssh/ssh_host_rsa_key.pub": "public\n",
    "/etc/dropbear/dropbear_rsa_host_key": "secret",
    "/var/log/syslog.1": "old\n",
    "/var/log/syslog.2.gz": "old",
    "/var/log/messages-20260101": "old\n",
    "/var/log/sysstat/sa01": "x",
    "/var/log/journal/0123456789abcdef0123456789abcdef/system.journal": "x",
    "/var/log/azure-provisioning.log": "x\n",
    "/var/lib/systemd/coredump/core.1": "x",
    "/root/.bash_history": "typed\n",
    "/home/ann/.ash_history": "typed\n",
    "/home/ann/.python_history": "typed\n",
    "/home/ann/.local/share/fish/fish_history": "typed\n",
    "/var/lib/azure-provisioning/customData": "typed\n",
    "/var/lib/azure-provisioning/state": "vm_id=%s\nready_at=x\nuser=ann\n" % VM_ID,
}
EMPTIED = {
    "/etc/machine-id": ID,
    "/var/log/syslog": "new\n",
    "/var/log/wtmp": "x",
    "/var/log/lastlog": "x",
    "/var/log/apt/history.log": "x",
    "/var/lib/hyperv/.kvp_pool_1": "x",
}
CHANGED = {
    "/etc/hostname": ("image\n", "localhost\n"),
    "/etc/HOSTNAME": ("image\n", "localhost\n"),
    "/etc/conf.d/hostname": ('# name\nhostname="image"\n', '# name\nhostname="localhost"\n'),
    "/etc/hosts": ("127.0.0.1\tlocalhost\n127.0.1.1\timage\n10.1.1.1 db\n", "127.0.0.1\tlocalhost\n10.1.1.1 db\n"),
    "/etc/dhcp/dhclient.conf": ('send host-name "image";\nrequest x;\n', "request x;\n"),
    "/etc/sysconfig/network-scripts/ifcfg-eth0": ("DEVICE=eth0\nHWADDR=00:0d\nDHCP_HOSTNAME=image\n", "DEVICE=eth0\n"),
}
KEPT = {
    "/run/systemd/netif/leases/2": "ADDRESS=10.0.0.4\n",  # usually of the machine that works on the image
    "/var/lib/dhcp/dhcpd.leases": "the server's\n",
    "/var/log/packages/bash-5": "what Slackware has installed\n",
    "/var/log/socklog/all/config": "s100000\n",
    "/etc/udev/rules.d/70-own.rules": "x\n",
    "/etc/udev/rules.d/71-persistent-net.rules": "",  # prevents udev from writing one
    "/home/ann/.zsh_history": "-> /dev/null",
    "/home/ann/.profile": "x\n",
    "/home/ann/.ssh/authorized_keys": "ssh-rsa x\n",
    "/etc/azure-provisioning.conf": "deadline = 600\n",
    "/var/lib/waagent/ovf-env.xml": "x\n",  # only --remove-agent removes it
    "/var/tmp/file": "x\n",
}
ACCOUNTS = {
    "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n"
    "bob:x:1001:1001::/home/bob:/bin/sh\ndaemon:x:2:2::/var/lib/daemon:/bin/sh\n",
    "/etc/group": "root:x:0:\nsudo:x:27:ann,bob\nann:x:1000:\nbob:x:1001:\n",
    "/etc/gshadow": "root:*::\nsudo:*:ann:bob,ann\nann:!::\n",
    "/etc/shadow": "root:*:19000:0:99999:7:::\nann:$6$x:19000:0:99999:7:::\nbob:*:19000:0:99999:7:::\n",
    "/etc/shadow-": "root:*:19000:0:99999:7:::\nann:$6$old:19000:0:99999:7:::\n",
    "/etc/subuid": "ann:100000:65536\nbob:165536:65536\n",
    "/etc/subgid": "ann:100000:65536\n",
}


def used(files: "Dict[str, Tuple[str, str]]") -> "Dict[str, str]":
    """The first of each pair: the state before."""
    return {path: pair[0] for path, pair in files.items()}


class GeneralizeTest(ImageTest):
    def setUp(self) -> None:
        super().setUp()
        self.use("systemd")

    def use(self, image: str) -> None:
        """An image with an installation that has since run as a VM: its hook is disabled."""
        self.empty()
        self.image(image)
        self.fill(ACCOUNTS)
        self.install()
        for link in self.hook()[1]:
            self.system.unlink(link)
        for files in (REMOVED, EMPTIED, used(CHANGED), KEPT):
            self.fill(files)
        if os.geteuid() == 0:
            os.chown(self.root + "/home/ann", 1000, 1000)

    def assert_same(self, before: "Dict[str, Tuple[str, int, bytes]]") -> None:
        """The image has not changed."""
        now = listing(self.root)
        self.assertEqual([path for path in sorted(set(before) | set(now)) if before.get(path) != now.get(path)], [])

    def generalize(self, *arguments: str, code: int = 0) -> Result:
        result = self.refused_or_not("generalize", "--yes", *arguments)
        self.assertEqual(result.code, code, result.err)
        return result

    def assert_general(self, *, systemd: bool = True) -> None:
        """No data of the machine is left, and the next boot is the first boot of another VM."""
        for path in REMOVED:
            self.assertIsNone(self.system.stat(path, follow=False), path)
        for path in EMPTIED:
            if path != "/etc/machine-id" or systemd:
                self.assertEqual(self.bytes_at(path), b"", path)
            else:
                self.assertIsNone(self.bytes_at(path), path)
        for path, (_, after) in CHANGED.items():
            self.assertEqual(self.text(path), after, path)
        for path, text in KEPT.items():
            if text.startswith("-> "):
                self.assertEqual(self.system.readlink(path), text[3:])
            else:
                self.assertEqual(self.text(path), text, path)
        self.assertTrue(self.hook()[1])

    # -- what it does ---------------------------------------------------------------------------------------------

    def test_leases_read_by_a_boot_are_removed(self) -> None:
        """The paths in which option 245 is searched, and the paths that are removed: two lists, because a client leaves
        more than leases."""
        for source in SOURCES:
            name = source.name
            for pattern, text in ((r"[0-9]+", "2"), (".*", "eth0"), ("s?", "s"), (r"\.", ".")):
                name = name.replace(pattern, text)
            self.assertRegex(name, r"\A%s\Z" % source.name)
            removed = [patterns for folder, patterns in leases.KEPT if folder == source.folder]
            self.assertTrue(any(fnmatchcase(name, pattern) for each in removed for pattern in each), source)

    def test_everything_is_generalized(self) -> None:
        before = listing(self.root)
        result = self.generalize()
        self.assert_general()
        after = listing(self.root)
        changed = {path for path in before if before[path] != after.get(path) and before[path][0] != "folder"}
        changed |= set(after) - set(before) - {"/etc/.pwd.lock"}
        printed = result.out.splitlines()
        self.assertEqual(len(printed), len(set(printed)))
        for path in changed:  # each of them, or the removed folder that contained it
            self.assertTrue(any((path + "/").startswith(line + "/") for line in printed), path)
        self.assertLessEqual(set(printed) - changed, set(before), "a folder")
        self.assertIn("generalized: the next boot is a first boot. Next: unmount %s" % self.root, result.err)
        self.assertIn("waagent stays, with /var/lib/waagent: --remove-agent removes it", result.err)
        self.assertIn("the account ann stays", result.err)
        self.assertNotIn("typed\n", result.err + result.out)

    def test_changes_are_announced(self) -> None:
        """Each changed path was announced, and in the same order."""
        result = self.generalize()
        said = [line.split()[-1] for line in result.err.splitlines() if ": will " in line]
        printed = result.out.splitlines()
        self.assertEqual([path for path in said if path in printed], [path for path in printed if path in said])
        self.assertEqual(set(printed) - set(said) - {HOOK, "/var/lib/azure-provisioning/install"}, set())

    def test_order(self) -> None:
        """Host keys and accounts go last, when a reboot is already a first boot: a login works at any point."""
        said = self.generalize("--user", "ann").err
        last = ("enable the boot hook", STATE, "ssh_host_rsa_key", "remove /home/ann\n", "remove the account ann")
        self.assertEqual(sorted(last, key=said.index), list(last))
        self.assertGreater(said.index("enable the boot hook"), said.index("will remove /root/.bash_history"))

    def test_dry_run(self) -> None:
        """The plan lists each path once, and changes nothing; a real run then makes exactly these changes."""
        before = listing(self.root)
        result = self.refused_or_not("generalize", "--dry-run", "--user", "bob")
        self.assertEqual(result.code, 0, result.err)
        self.assert_same(before)
        would = result.out.splitlines()
        self.assertEqual(len(would), len(set(would)))
        paths = [line.split()[-1] for line in would if line.split()[-1].startswith("/")]
        self.assertEqual(len(paths), len(set(paths)))
        self.assertIn("nothing was done: %d changes would be made" % len(would), result.err)
        self.assertIn("the account ann stays", result.err)
        said = self.generalize("--user", "bob").err.splitlines()
        self.assertEqual([line.partition(": ")[2] for line in said if ": will " in line], would)

    def test_failed_changes_are_not_listed(self) -> None:
        """Only changes are listed, not changes that failed for lack of space or permission."""
        if os.geteuid() != 0:
            self.skipTest("as a plain user no file can be made immutable: one that cannot be written was not seen")
        path = self.root + "/etc/conf.d"
        if subprocess.call(["chattr", "+i", path], stderr=subprocess.DEVNULL) != 0:
            self.skipTest("this file system knows no immutable files: a write that fails was not seen")
        try:
            result = self.generalize(code=1)
        finally:
            subprocess.check_call(["chattr", "-i", path])
        self.assertIn("could not change /etc/conf.d/hostname", result.err)
        self.assertNotIn("/etc/conf.d/hostname", result.out.splitlines())
        self.assertIn("/etc/hostname", result.out.splitlines())

    def test_modes_are_kept(self) -> None:
        os.chmod(self.root + "/var/log/wtmp", 0o664)
        os.chmod(self.root + "/etc/machine-id", 0o444)
        number = os.stat(self.root + "/var/log/wtmp").st_ino
        self.generalize()
        self.assertEqual((self.mode_at("/var/log/wtmp"), self.mode_at("/etc/machine-id")), (0o664, 0o444))
        self.assertEqual(os.stat(self.root + "/var/log/wtmp").st_ino, number)  # a process has it open for writing

    def test_every_init_system(self) -> None:
        for module, image in {module: image for image, module in SUPPORTED.items()}.items():
            with self.subTest(image):
                self.use(image)
                self.install()
                links = self.hook()
                for link in links[1]:
                    self.system.unlink(link)
                self.generalize()
                self.assert_general(systemd=module == "systemd")
                self.assertEqual(self.hook(), links)

    def test_second_run_changes_nothing(self) -> None:
        self.generalize()
        before = listing(self.root)
        again = self.generalize()
        self.assertEqual(again.out, "")
        self.assertNotIn("will ", again.err)
        self.assert_same(before)

    def test_uninitialized_machine_id_is_kept(self) -> None:
        self.fill({"/etc/machine-id": "uninitialized\n", "/var/lib/dbus/machine-id": "-> /etc/machine-id"})
        os.unlink(self.root + "/var/lib/dbus/machine-id")
        os.symlink("/etc/machine-id", self.root + "/var/lib/dbus/machine-id")
        self.generalize()
        self.assertEqual(self.text("/etc/machine-id"), "uninitialized\n")
        self.assertTrue(self.system.is_link("/var/lib/dbus/machine-id"))

    def test_own_resolv_conf_is_kept(self) -> None:
        for text in ("nameserver 168.63.129.16\n", "search corp.example\nnameserver 10.0.0.1\n"):
            self.fill({"/etc/resolv.conf": text})
            self.generalize()
            self.assertEqual(self.text("/etc/resolv.conf"), text)
        self.fill({"/etc/resolv.conf": "# Generated by NetworkManager\nnameserver 10.0.0.1\n"})
        self.generalize()
        self.assertIsNone(self.text("/etc/resolv.conf"))

    def test_host_keys_option_keep(self) -> None:
        self.fill({"/etc/azure-provisioning.conf": "host_keys = keep\n"})
        self.generalize()
        self.assertEqual(self.text("/etc/ssh/ssh_host_rsa_key"), "typed\n")

    def test_host_keys_elsewhere(self) -> None:
        """The keys that sshd serves are removed; a line that names another file removes nothing."""
        private = "-----BEGIN OPENSSH PRIVATE KEY-----\n"
        lines = "HostKey /etc/myapp/key\nHostKey /etc/shadow\nHostKey /home\n"
        self.fill({"/etc/myapp/key": private, "/etc/ssh/sshd_config": lines, "/home/x": "x"})
        self.fill({"/etc/myapp/key.pub": "ssh-rsa x\n", "/etc/shadow.pub": "x\n"})
        shadow = self.text("/etc/shadow")
        self.generalize()
        self.assertIsNone(self.text("/etc/myapp/key"))
        self.assertEqual((self.text("/etc/myapp/key.pub"), self.text("/etc/shadow.pub")), (None, "x\n"))
        self.assertEqual((self.text("/etc/shadow"), self.text("/home/x")), (shadow, "x"))

    def test_not_installed(self) -> None:
        self.uninstall()
        result = self.generalize()
        self.assertIn("nothing is installed here", result.err)
        self.assertIn("run `install`", result.err)
        self.assertNotIn("uses this up", result.err)
        self.assertEqual(self.hook(), (None, []))

    def test_invalid_root(self) -> None:
        self.empty()
        self.assertIn("is not the root of a Linux system", self.refused("generalize", "--yes", code=2))

    def test_program_is_missing(self) -> None:
        """The failure is reported, the rest is done, and the exit code says that this is not an image."""
        self.system.unlink("/usr/local/sbin/azure-provisioning")
        result = self.generalize(code=1)
        self.assertIn("the installed program is missing", result.err)
        self.assertIn("this is not an image yet", result.err)
        self.assertNotIn("capture now", result.err)
        self.assertIsNone(self.text("/etc/ssh/ssh_host_rsa_key"))
        self.assertIn("/etc/ssh/ssh_host_rsa_key", result.out)

    def test_python_has_changed(self) -> None:
        """The hook names the chosen Python, and after an upgrade the existing one."""
        self.install("--python", "/usr/bin/python3.11")
        for link in self.hook()[1]:
            self.system.unlink(link)
        self.generalize()
        unit = self.text("/etc/systemd/system/azure-provisioning.service") or ""
        self.assertIn("ExecStart=/usr/bin/python3.11 -I -S ", unit)
        for link in self.hook()[1]:
            self.system.unlink(link)
        os.rename(self.root + "/usr/bin/python3.11", self.root + "/usr/bin/python3.12")
        self.system.link("python3.12", "/usr/bin/python3")
        self.generalize()
        unit = self.text("/etc/systemd/system/azure-provisioning.service") or ""
        self.assertIn("ExecStart=/usr/bin/python3 -I -S ", unit)

    # -- asked ----------------------------------------------------------------------------------------------------

    def test_no_terminal(self) -> None:
        before = listing(self.root)
        result = self.refused_or_not("generalize")
        self.assertEqual((result.code, result.out), (1, ""))
        self.assertIn("will remove /etc/ssh/ssh_host_rsa_key", result.err)
        self.assertIn("there is no terminal to ask at: --yes goes on without asking", result.err)
        self.assert_same(before)

    def test_answer_no(self) -> None:
        for answer in (b"\n", b"n\n", b"never\n", b"\4"):  # the last: end of file
            before = listing(self.root)
            code, out, shown = self.answer(answer)
            self.assertEqual((code, out), (1, b""), shown)
            self.assertIn(b"? [y/N] ", shown)
            self.assertIn(b"nothing was done", shown)
            self.assert_same(before)

    def test_answer_yes(self) -> None:
        code, out, shown = self.answer(b"y\n")
        self.assertEqual(code, 0, shown)
        self.assertIn(b"/etc/ssh/ssh_host_rsa_key\n", out)
        self.assert_general()

    def answer(self, answer: bytes) -> "Tuple[int, bytes, bytes]":
        """Run it on a terminal and answer its question: (exit code, stdout, the terminal's output)."""
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        argv = [sys.executable, "-I", "-S", built_file(), "generalize", "--root", self.root]
        child = subprocess.Popen(argv, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, start_new_session=True)
        os.close(theirs)
        shown, ends = b"", time.monotonic() + 60
        while b"[y/N] " not in shown and time.monotonic() < ends:
            if select.select([ours], [], [], 1.0)[0]:
                shown += os.read(ours, 4096)
        os.write(ours, answer)
        while time.monotonic() < ends:
            if not select.select([ours], [], [], 0.1)[0] and child.poll() is not None:
                break
            try:
                shown += os.read(ours, 4096)
            except OSError:  # the other end is closed
                break
        out, _ = child.communicate(timeout=60)
        return child.returncode, out, shown

    # -- agents ---------------------------------------------------------------------------------------------------

    AGENT = {
        "/usr/sbin/waagent": "#!/usr/bin/python3\n",
        "/etc/waagent.conf": "Provisioning.Enabled=y\n",
        "/var/lib/waagent/Certificates.p7m": "x",
        "/var/log/waagent.log": "x\n",
        "/var/log/waagent.log.1.gz": "x\n",
        "/var/log/azure/custom/x.log": "x\n",
        "/lib/systemd/system/waagent.service": "[Service]\n",
        "/etc/systemd/system/multi-user.target.wants/waagent.service": "-> /lib/systemd/system/waagent.service",
        "/usr/bin/cloud-init": "#!/usr/bin/python3\n",
        "/var/lib/cloud/data/set-hostname": "x\n",
        "/etc/cloud/cloud.cfg": "x: 1\n",
        "/etc/cloud/cloud.cfg.d/90.cfg": "x: 1\n",
        "/var/log/cloud-init.log": "x\n",
        "/var/log/cloud-init-output.log": "x\n",
        "/etc/systemd/system/cloud-init.target.wants/cloud-final.service": "-> /lib/systemd/system/cloud-final.service",
        "/etc/netplan/50-cloud-init.yaml": "network: {}\n",
        "/etc/systemd/system/multi-user.target.wants/other.service": "-> /lib/systemd/system/other.service",
    }
    LEFT = ("/usr/", "/lib/", "/etc/netplan/", "/etc/systemd/system/multi-user.target.wants/other")

    def test_agents_are_named(self) -> None:
        self.fill(self.AGENT)
        result = self.generalize()
        for words in (
            "waagent stays, with ",
            "cloud-init stays, with ",
            " /var/lib/cloud",
            "--remove-agent removes it",
        ):
            self.assertIn(words, result.err)
        self.assertIn("waagent would provision too", result.err)
        self.assertEqual(self.text("/etc/waagent.conf"), "Provisioning.Enabled=y\n")
        self.assertEqual(self.text("/var/log/waagent.log"), "")

    def test_agents_are_removed(self) -> None:
        from azure_provisioning.agents import find_agents

        self.fill(self.AGENT)
        self.assertEqual(len(find_agents(self.system)), 1)
        result = self.generalize("--remove-agent")
        self.assertEqual(find_agents(self.system), [])
        for path in self.AGENT:
            there = self.system.stat(path, follow=False) is not None
            self.assertEqual(there, path.startswith(self.LEFT), path)
        self.assertIsNone(self.system.stat("/var/lib/waagent"))
        self.assertEqual(self.text("/etc/cloud/cloud-init.disabled"), "")
        self.assertIn("/etc/netplan/50-cloud-init.yaml is cloud-init's", result.err)
        self.assertNotIn("provision too", result.err)
        self.assertEqual(self.generalize("--remove-agent").out, "")

    def test_agents_of_other_init_systems(self) -> None:
        started = {
            "insserv": ("/etc/rc2.d/S03waagent", "-> ../init.d/waagent"),
            "chkconfig": ("/etc/rc.d/rc3.d/S55waagent", "-> ../init.d/waagent"),
            "openrc on busybox": ("/etc/runlevels/default/waagent", "-> /etc/init.d/waagent"),
        }
        for image, (path, target) in started.items():
            with self.subTest(image):
                self.use(image)
                self.fill({"/usr/sbin/waagent": "#!/bin/sh\n", "/etc/init.d/waagent": "#!/bin/sh\n", path: target})
                result = self.generalize("--remove-agent")
                self.assertIsNone(self.system.stat(path, follow=False))
                self.assertIsNotNone(self.system.stat("/etc/init.d/waagent"))
                self.assertIn(os.path.basename(path), result.out)

    # -- accounts -------------------------------------------------------------------------------------------------

    def test_user(self) -> None:
        kept = (
            "/var/mail/ann",
            "/var/spool/cron/crontabs/ann",
            "/var/lib/systemd/linger/ann",
            "/var/spool/fcron/ann",
            "/var/spool/fcron/ann.orig",
            "/var/spool/incron/ann",
            "/var/cron/tabs/ann",
            "/home/ann/deep/er/file",
        )
        self.fill(dict.fromkeys(kept, "x\n"))
        self.fill(
            {
                "/etc/sudoers": "root ALL=(ALL) ALL\n@includedir /etc/sudoers.d\n",
                "/etc/sudoers.d/90-azure-provisioning": "ann ALL=(ALL) NOPASSWD:ALL\n",
                "/etc/sudoers.d/waagent": "ann ALL = \\\n ALL\nbob ALL=ALL\nanna ALL=ALL\n",
                "/etc/doas.conf": "permit nopass bob\npermit nopass ann\n",
                "/etc/passwd-": "ann:x:1000:1000::/home/ann:/bin/sh\n",
            }
        )
        result = self.generalize("--user", "ann")
        self.assertIn("will remove the account ann (uid 1000)", result.err)
        self.assertNotIn("account ann stays", result.err)
        self.assertIn("account bob stays", result.err)
        for path in kept + ("/home/ann", "/etc/sudoers.d/90-azure-provisioning"):
            self.assertIsNone(self.system.stat(path, follow=False), path)
        self.assertEqual(self.text("/etc/sudoers"), "root ALL=(ALL) ALL\n@includedir /etc/sudoers.d\n")
        self.assertEqual(self.text("/etc/sudoers.d/waagent"), "bob ALL=ALL\nanna ALL=ALL\n")
        self.assertEqual(self.text("/etc/doas.conf"), "permit nopass bob\n")
        without = {path: re.sub(r"(?m)^ann:.*\n", "", text) for path, text in ACCOUNTS.items()}
        without["/etc/group"] = "root:x:0:\nsudo:x:27:bob\nbob:x:1001:\n"
        without["/etc/gshadow"] = "root:*::\nsudo:*::bob\n"
        without["/etc/passwd-"] = ""
        self.assertEqual({path: self.text(path) for path in without}, without)
        again = self.generalize("--user", "ann")
        self.assertEqual((again.out, "there is no account ann" in again.err), ("", True))

    def test_password_drop_in(self) -> None:
        path = "/etc/ssh/sshd_config.d/00-azure-provisioning.conf"
        self.fill({path: "PasswordAuthentication no\n"})
        self.generalize()
        self.assertIsNone(self.text(path))

    def test_own_blocks_are_removed(self) -> None:
        """Values that a boot wrote into files of the image apply to no other VM, with or without the account."""
        ours = BEGIN + "{}" + END + "\n"
        sudoers = "root ALL=(ALL) ALL\n%sudo ALL=(ALL) ALL\n"
        sshd = "Port 22\nPasswordAuthentication no\n"
        for words in ((), ("--user", "bob")):
            with self.subTest(words):
                rule = ours.format("bob ALL=(ALL) NOPASSWD:ALL\n")
                self.fill({"/etc/sudoers": sudoers + rule, "/etc/sudoers-rs": rule, "/usr/etc/sudoers": rule})
                paths = ("/etc/ssh/sshd_config", "/usr/etc/ssh/sshd_config", "/usr/local/etc/ssh/sshd_config")
                self.fill(dict.fromkeys(paths, ours.format("PasswordAuthentication yes\n") + sshd))
                os.chmod(self.root + "/etc/sudoers", 0o440)
                said = self.generalize(*words).err
                for path in (*paths, "/etc/sudoers", "/etc/sudoers-rs"):
                    self.assertIn("will change %s\n" % path, said)
                self.assertEqual([self.text(path) for path in paths], [sshd] * 3)
                self.assertEqual(self.text("/etc/sudoers"), sudoers)
                self.assertEqual([self.text("/etc/sudoers-rs"), self.text("/usr/etc/sudoers")], ["", ""])
                self.assertEqual(os.stat(self.root + "/etc/sudoers").st_mode & 0o777, 0o440)
                self.assertNotIn("sudoers", self.generalize().err)

    def test_running_machine(self) -> None:
        """Services that would write files again are stopped first; a power-off leaves them no time for that."""

        class Running(ToolSystem):
            live = True
            offs = 0

            def sync(self) -> None:
                pass

            def power_off(self) -> None:
                self.offs += 1

        system = Running(self.root)
        left: "List[bool]" = []

        def relinquish(argv: "List[str]", _stdin: bytes) -> "Tuple[int, str]":
            left.append(system.exists("/var/log/journal/" + ID.strip()) and argv[1:] == ["--relinquish-var"])
            return 0, ""

        def stop(argv: "List[str]", _stdin: bytes) -> "Tuple[int, str]":
            if argv[1:] == ["stop", "systemd-random-seed"]:
                system.write("/var/lib/systemd/random-seed", "as it is written at a power-off")
            return 0, ""

        system.add("journalctl", relinquish)
        system.add("systemctl", stop)
        console = Console(self.stream)
        generalize(system, console, lambda: None, poweroff=True)
        self.assertEqual(left, [True])
        self.assertIsNone(self.text("/var/lib/systemd/random-seed"))
        self.assertIn("the next boot is a first boot. Next: capture this machine", self.story)
        self.assertEqual(system.offs, 0)  # the command line does it, after its last message

    def test_power_off_needs_the_running_machine(self) -> None:
        self.assertIn(
            "only the running machine can be powered off", self.refused("generalize", "--yes", "--poweroff", code=2)
        )
        with self.assertRaises(GuestError):
            self.system.power_off()

    def test_container_is_not_powered_off(self) -> None:
        """The kernel would power off the host instead."""
        code = "from azure_provisioning.door import system; print(system.has_first_pids())"
        unshare = ["unshare", "--pid", "--fork"] + ([] if os.geteuid() == 0 else ["--user", "--map-root-user"])
        environment = dict(os.environ, PYTHONPATH=os.path.join(TOP, "src"))
        done = subprocess.run(
            unshare + [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, universal_newlines=True
        )
        self.assertEqual(done.stdout, "False\n")

    def test_rules_of_sudo(self) -> None:
        """Every rule that names the user, by name or uid, alone or in a list. An alias without other users goes too."""
        stays = (
            "# ann is a comment\n#1001 ALL=ALL\n%sudo ALL=ALL\nDefaults env_reset\nDefaults:bob !lecture\n"
            "Cmnd_Alias ANN = /bin/ann\nbob ALL=(ann) ALL\nAnn ALL=ALL\n#includedir /etc/sudoers.d\n"
        )
        files = {
            "/etc/sudoers": (
                stays + "ann, bob ALL=ALL\nbob,\\\n  ann ALL=(ALL) \\\n NOPASSWD: ALL\nDefaults:ann !requiretty\n"
                'Defaults:ann,bob targetpw\n"ann" ALL=ALL\n#1000 ALL=ALL\n!ann, bob ALL=ALL\n'
                "User_Alias ADMINS = ann, bob : ONLY = ann : OTHERS = bob\nUser_Alias AGAIN = ONLY\n"
                "ONLY ALL=ALL\nAGAIN, bob ALL=ALL\nADMINS ALL=ALL\n%ann ALL=ALL\n%#1000 ALL=ALL\nann ALL=ALL",
                stays + "bob ALL=ALL\nbob ALL=(ALL)   NOPASSWD: ALL\n"
                "Defaults:bob targetpw\nbob ALL=ALL\n"
                "User_Alias ADMINS = bob : OTHERS = bob\n"
                "bob ALL=ALL\nADMINS ALL=ALL\n",
            ),
            "/etc/sudoers.d/numbers": ("#1000 ALL=ALL\n#1001 ALL=ALL\n", "#1001 ALL=ALL\n"),
            "/etc/sudoers.d/ann": ("# of ann\nann ALL=ALL\n", None),
        }
        self.fill({path: before for path, (before, _) in files.items()})
        self.generalize("--user", "ann")
        for path, (_, after) in files.items():
            self.assertEqual(self.text(path), after, path)

    def test_rules_of_doas(self) -> None:
        stays = (
            "# permit ann\npermit :adm\npermit persist bob as ann cmd ann\ndeny bob\npermit nopass setenv { ann } bob\n"
        )
        taken = (
            "permit ann\ndeny ann\npermit nopass :ann\n  permit nopass keepenv ann as root\n"
            "permit setenv { -A B=c D } nopass ann cmd reboot\n"
            'permit "ann" # sure\npermit persist \\\n  ann\npermit nolog ann cmd vi args /etc/x'
        )
        self.fill({"/etc/doas.conf": stays + taken, "/etc/doas.d/a.conf": stays + taken, "/etc/doas.d/b.conf": taken})
        self.generalize("--user", "ann")
        self.assertEqual([self.text("/etc/doas.conf"), self.text("/etc/doas.d/a.conf")], [stays] * 2)
        self.assertIsNone(self.text("/etc/doas.d/b.conf"))

    def test_rules_in_other_places(self) -> None:
        """sudo-rs, an included file, which must stay, and the file of sudo.conf; doas also takes numbers."""
        rule, other = "ann ALL=(ALL) ALL\n", "bob ALL=(ALL) ALL\n"
        whole = ("/etc/sudoers-rs", "/usr/etc/sudoers", "/etc/more", "/opt/sudoers", "/opt/parts/other")
        alone = ("/usr/etc/sudoers.d/ann", "/opt/parts/ann")
        self.fill(dict.fromkeys(whole, rule + other))
        self.fill(dict.fromkeys(alone, rule))
        self.fill({"/etc/sudoers": "@include more\n@include only\n", "/etc/only": rule})
        self.fill({"/opt/sudoers": rule + other + "@includedir parts\n"})
        self.fill({"/etc/sudo.conf": "Plugin sudoers_policy sudoers.so sudoers_file=/opt/sudoers\n"})
        self.fill({"/etc/doas.conf": "permit nopass 1000\npermit nopass :1000\npermit 1001\npermit ann as 1000\n"})
        self.generalize("--user", "ann")
        for path in whole:
            self.assertEqual((self.text(path) or "").replace("@includedir parts\n", ""), other, path)
        self.assertEqual([self.text(path) for path in alone], [None, None])
        self.assertEqual((self.text("/etc/only"), self.text("/etc/doas.conf")), ("", "permit 1001\n"))

    def test_keys_outside_of_homes(self) -> None:
        """The next administrator of that name would share them. Those of others, and of everybody, stay."""
        folder, drop_in, key = "/etc/ssh/keys/", "/etc/ssh/sshd_config.d/20.conf", "ssh-ed25519 AAAA x\n"
        self.fill({"/etc/ssh/sshd_config": "Include /etc/ssh/sshd_config.d/*.conf\n"})
        self.fill(
            {drop_in: "AuthorizedKeysFile %s%%u /etc/ssh/all\nMatch User ann\nAuthorizedKeysFile /opt/%%U\n" % folder}
        )
        stay = (folder + "bob", folder + "eve", "/etc/ssh/all", "/opt/1001")
        gone = (folder + "ann", "/opt/1000")
        self.fill(dict.fromkeys((*stay, *gone), key))
        said = self.generalize("--user", "ann").err
        self.assertEqual([self.text(path) for path in stay], [key] * 4)
        self.assertEqual([self.text(path) for path in gone], [None] * 2)
        self.assertIn("the keys in /etc/ssh/all stay: it is not ann's alone\n", said)
        self.assertIn(
            "the keys in %seve stay, for new accounts: rm %s%seve removes" % (folder, self.root, folder), said
        )
        self.assertNotIn("the keys in %sbob" % folder, said)

    def test_keys_of_the_skeleton(self) -> None:
        path = "/etc/skel/.ssh/authorized_keys2"
        self.fill({path: "ssh-ed25519 AAAA x\n", "/etc/skel/.ssh/authorized_keys": "\n"})
        said = self.generalize().err
        self.assertIn("the keys in %s stay, for new accounts: rm %s%s removes them\n" % (path, self.root, path), said)
        self.assertNotIn("authorized_keys stay", said)

    def test_hostile_rules(self) -> None:
        for text in ("\\\n" * 50000 + "x", "a," * 50000, "!" * 100000, '"' * 99999, "permit {" * 9999, "a b\\" * 9999):
            started = time.monotonic()
            self.assertEqual(without_rules(text, "ann", 1000), text)
            self.assertEqual(without_doas_rules(text, "ann"), text)
            self.assertLess(time.monotonic() - started, 10)

    def test_ids_for_storage(self) -> None:
        """Each in the form for which its program generates a new one: libnvme from the firmware's id, open-iscsi as
        each distro configures it."""
        name, script = "/etc/iscsi/initiatorname.iscsi", "/lib/open-iscsi/startup-checks.sh"
        nvme = ("/etc/nvme/hostnqn", "/etc/nvme/hostid")
        old = "## DO NOT EDIT\nInitiatorName=iqn.1993-08.org.debian:01:abc\n"
        for files, after in (
            ({script: "#!/bin/sh\n"}, "GenerateName=yes\n"),
            ({"/usr/lib/systemd/system/iscsi-init.service": "[Unit]\n"}, None),
            ({}, old),
        ):
            self.use("systemd")
            self.fill(dict(files, **dict.fromkeys(nvme, "nqn.2014-08.org.nvmexpress:uuid:1\n"), **{name: old}))
            printed = self.generalize().err
            self.assertEqual(self.text(name), after)
            self.assertEqual([self.text(path) for path in nvme], [None, None])
            self.assertEqual("each VM needs a name of its own" in printed, not files)
            if files:
                self.assertEqual(self.generalize().out, "")

    def test_group_with_members_is_kept(self) -> None:
        """And so are its rules."""
        rules = "%ann ALL=ALL\n%#1000 ALL=ALL\n"
        self.fill({"/etc/group": "root:x:0:\nann:x:1000:bob\n", "/etc/sudoers": rules + "ann ALL=ALL\n"})
        self.fill({"/etc/doas.conf": "permit ann\npermit :ann\n"})
        self.generalize("--user", "ann")
        self.assertEqual(self.text("/etc/group"), "root:x:0:\nann:x:1000:bob\n")
        self.assertEqual((self.text("/etc/sudoers"), self.text("/etc/doas.conf")), (rules, "permit :ann\n"))

    def test_jobs_of_at(self) -> None:
        """They name the uid, which the next administrator will have. Those of others stay."""
        job = "#!/bin/sh\n# atrun uid=%d gid=1000\n# mail x 0\numask 22\n"
        for folder in ("/var/spool/cron/atjobs", "/var/spool/at", "/var/spool/atjobs"):
            kept = {
                folder + "/.SEQ": "0002a\n",
                folder + "/a0000201c6f2b2": job % 1001,
                folder + "/a0000301c6f2b3": job % 10001,
                folder + "/notes": "# atrun uid=1000 gid=1000\n",
            }
            self.use("systemd")
            self.fill(dict(kept, **{folder + "/a0000101c6f2b1": job % 1000, folder + "/=0000401c6f2b1": job % 1000}))
            self.generalize("--user", "ann")
            self.assertEqual(self.system.list(folder), sorted(path.rpartition("/")[2] for path in kept))
        self.use("systemd")  # a uid of two accounts
        self.fill({"/etc/passwd": ACCOUNTS["/etc/passwd"] + "eve:x:1000:1000::/home/eve:/bin/sh\n"})
        self.fill({"/var/spool/at/a0000101c6f2b1": job % 1000})
        self.generalize("--user", "ann")
        self.assertEqual(self.text("/var/spool/at/a0000101c6f2b1"), job % 1000)

    def test_files_that_start_something_as_the_account(self) -> None:
        """They are named, and stay: nobody knows what they are for."""
        named = {
            "/etc/cron.d/backup": "# x\nMAILTO=root\n*/5 * * * * ann /usr/bin/backup\n",
            "/etc/cron.d/daily": "@daily\tann\tls\n",
            "/etc/systemd/system/getty@tty1.service.d/auto.conf": "[Service]\nExecStart=-/sbin/agetty -a ann %I\n",
            "/etc/inittab": "1:2345:respawn:/sbin/agetty -a ann tty1 linux\n",
            "/etc/conf.d/agetty.tty1": 'agetty_options="--autologin ann"\n',
            "/etc/systemd/system/app.service": "[Service]\nUser=ann\nExecStart=/bin/true\n",
            "/usr/local/lib/systemd/system/app.service.d/x.conf": "[Service]\nUser = 1000\n",
            "/etc/init.d/app": '#!/sbin/openrc-run\ncommand_user="ann:ann"\n',
            "/etc/init.d/old": "start-stop-daemon --start --chuid ann --exec /bin/x\n",
            "/etc/rc.local": "su - ann -c /bin/x\n",
            "/etc/sv/app/run": "exec chpst -u ann:ann /bin/x\n",
            "/etc/s6/sv/app/run": "s6-setuidgid ann\n/bin/x\n",
            "/etc/dinit.d/app": "command = /bin/x\nrun-as = ann\n",
            "/etc/finit.d/app.conf": "service [2345] @ann:ann /bin/x -- App\n",
        }
        others = {
            "/etc/crontab": "17 * * * * root cd / && run-parts ann\n# 1 * * * * ann x\n",
            "/etc/cron.d/anna": "1 1 1 1 1 anna /usr/bin/ann x\n",
            "/etc/systemd/system/other.service": "  # User=ann\nUser=anna\nExecStart=/bin/true --user=ann\n",
            "/etc/init.d/other": " # su ann\ncommand_user=anna\nexec su anna\n",
            "/etc/systemd/system/getty@tty2.service.d/x.conf": "[Service]\n#ExecStart=-/sbin/agetty --autologin ann\n",
        }
        self.fill(dict(named, **others))
        said = self.generalize("--user", "ann").err
        for path, text in dict(named, **others).items():
            self.assertEqual("%s stays, and still names the account ann\n" % path in said, path in named, path)
            self.assertEqual(self.text(path), text)
        self.assertNotIn("still names", self.generalize("--user", "bob").err)

    def test_names_of_localhost(self) -> None:
        """The former name goes from the lines of localhost, whose own names stay."""
        for hostname, before, after in (
            ("image", "127.0.0.1 localhost image.corp image\n", "127.0.0.1 localhost\n"),
            ("image", "127.0.0.1\timage\tlocalhost # image\n", "127.0.0.1\tlocalhost # image\n"),
            ("image.corp", "::1 ip6-localhost IMAGE ip6-loopback\n", "::1 ip6-localhost ip6-loopback\n"),
            ("image", "127.0.1.1 image.corp\n127.0.0.1 image\n", ""),
            ("image", "127.0.0.1 localhost images my-image\n", "127.0.0.1 localhost images my-image\n"),
            ("image", "10.0.0.4 image\n# 127.0.0.1 image\n", "10.0.0.4 image\n# 127.0.0.1 image\n"),
            ("localhost.localdomain", "127.0.0.1 localhost localhost.localdomain\n::1 localhost\n", None),
            ("localhost4", "127.0.0.1 localhost localhost4\n", None),
        ):
            self.fill({"/etc/hostname": hostname + "\n", "/etc/hosts": before})
            self.generalize()
            self.assertEqual(self.text("/etc/hosts"), before if after is None else after)
        for hostname, before, after in (
            ("image", "image.corp\n", "localhost\n"),
            ("image", "corp\n", "corp\n"),
            ("localhost.localdomain", "localhost.localdomain\n", "localhost.localdomain\n"),
        ):
            self.fill({"/etc/hostname": hostname + "\n", "/etc/mailname": before})
            self.generalize()
            self.assertEqual(self.text("/etc/mailname"), after)

    def test_journal_of_a_namespace(self) -> None:
        own, other = "/var/log/journal/%s.app/system.journal" % ID.strip(), "/var/log/journal/remote/x.journal"
        self.fill({own: "x", other: "x"})
        self.generalize()
        self.assertEqual(self.system.list("/var/log/journal"), ["remote"])

    def test_hostid_is_named(self) -> None:
        self.fill({"/etc/hostid": "\0\1\2\3"})
        self.assertIn("/etc/hostid stays, because ZFS may need it", self.generalize().err)
        self.assertEqual(self.text("/etc/hostid"), "\0\1\2\3")

    def test_shared_primary_group_is_kept(self) -> None:
        self.fill({"/etc/passwd": (ACCOUNTS["/etc/passwd"]).replace("bob:x:1001:1001", "bob:x:1001:1000")})
        self.generalize("--user", "ann")
        self.assertIn("\nann:x:1000:\n", self.text("/etc/group") or "")

    def test_home_of_another_owner_is_kept(self) -> None:
        if os.geteuid() != 0:
            self.skipTest("only root can give a home to another: that it stays was not seen")
        for uid in (0, 1001):
            os.chown(self.root + "/home/ann", uid, uid)
            result = self.generalize("--user", "ann")
            self.assertIn("the home /home/ann stays: it belongs to uid %d" % uid, result.err)
            self.assertEqual(self.text("/home/ann/.profile"), "x\n")
            self.fill(ACCOUNTS)

    def test_system_accounts_are_refused(self) -> None:
        for name in ("root", "daemon"):
            self.assertIn(
                "a system account is not removed (name=%s" % name, self.refused("generalize", "--yes", "--user", name)
            )

    def test_unknown_accounts(self) -> None:
        """A misspelled account stays: the result is not an image yet, although everything else is done."""
        for name in ("carl", "../etc", "-r", "a/b", "an\nn"):
            self.use("systemd")
            printed = self.generalize("--user=" + name, code=1).err
            self.assertIn("there is no account " + ascii(name)[1:-1], printed)
            self.assertIn("this is not an image yet: 1 changes failed", printed)
        self.assertIsNone(self.text(STATE))
        self.assertEqual(self.text("/etc/passwd"), ACCOUNTS["/etc/passwd"])

    def test_shared_homes_are_kept(self) -> None:
        for home in ("/", "/home", "/home/bob", "/home/./bob/..", "/home/bob/", "/etc"):
            line = "ann:x:1000:1000::%s:/bin/sh\n" % home
            self.fill({"/etc/passwd": line + "bob:x:1001:1001::/home/bob/in:/bin/sh\n", "/home/bob/in/file": "bob's\n"})
            result = self.generalize("--user", "ann")
            self.assertIn(" stays: it is not ann's alone", result.err, home)
            self.assertEqual(self.text("/home/bob/in/file"), "bob's\n")
            self.assertNotIn("ann", self.text("/etc/passwd") or "")

    # -- an image that means harm ---------------------------------------------------------------------------------

    def test_links_to_outside(self) -> None:
        """If a path is a link to a file of the host, that file does not change."""
        outside = self.root + ".outside"
        os.mkdir(outside)
        self.addCleanup(subprocess.call, ["rm", "-rf", outside])
        for name in ("file", "folder/file", "folder/.bash_history", "dhclient.leases", "ann/file", "state", "syslog"):
            os.makedirs(os.path.dirname(os.path.join(outside, name)), exist_ok=True)
            with open(os.path.join(outside, name), "w") as file:
                file.write("outside\n")
        before = listing(outside)
        up = "../" * 12 + outside.lstrip("/")
        for target in (outside, up):
            for path in ("/var/lib/dhcp", "/var/log", "/home", "/var/lib/azure-provisioning", "/var/mail", "/etc/ssh"):
                self.replace(path, target)
            for path in ("/etc/machine-id", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/var/lib/random-seed"):
                self.replace(path, target + "/file")
            self.replace("/root", target + "/folder")
            self.replace("/var/lib/waagent", target + "/folder")
            result = self.refused_or_not("generalize", "--yes", "--user", "ann", "--remove-agent")
            self.assertNotIn("Traceback", result.err)
            self.assertEqual(listing(outside), before)
            self.use("systemd")

    def replace(self, path: str, target: str) -> None:
        """Replace a file by a link."""
        place = self.root + path
        subprocess.check_call(["rm", "-rf", place])
        os.symlink(target, place)

    def test_links_in_the_home_are_not_followed(self) -> None:
        """In a folder that a user may write to, no link is followed, not even to root's own files."""
        if os.geteuid() != 0:
            self.skipTest("only root can make another user's link: that it is not followed was not seen")
        os.lchown(self.root + "/home/ann", 1000, 1000)
        self.replace("/home/ann/.local/share", "/root")
        self.fill({"/root/fish/fish_history": "root's\n"})
        os.lchown(self.root + "/home/ann/.local/share", 1000, 1000)
        result = self.generalize()
        self.assertEqual(self.text("/root/fish/fish_history"), "root's\n")
        self.assertIn("a symlink is in the way", result.err)

    def test_pipes_folders_and_links(self) -> None:
        """Pipes and folders in place of files do not block, and links in place of logs stay."""
        for path in ("/var/log/syslog", "/etc/hostname", "/etc/machine-id", "/root/.bash_history", "/etc/sudoers.d/x"):
            with self.system_free(path):
                os.mkfifo(self.root + path)
        for path in ("/var/lib/dhcp/dhclient.eth0.leases", "/var/lib/random-seed", "/etc/ssh/ssh_host_rsa_key"):
            with self.system_free(path):
                os.mkdir(self.root + path)
        self.replace("/var/log/wtmp", "/etc/passwd")
        started = time.monotonic()
        result = self.generalize("--user", "ann", code=1)
        self.assertLess(time.monotonic() - started, 20)
        self.assertIn("not a regular file (path=/etc/machine-id)", result.err)
        self.assertIsNone(self.text("/etc/ssh/ssh_host_rsa_key.pub"))
        self.assertNotEqual(self.text("/etc/passwd"), "")
        self.assertTrue(stat.S_ISFIFO(os.lstat(self.root + "/var/log/syslog").st_mode))

    def system_free(self, path: str) -> "Free":
        return Free(self.root + path)

    def test_hard_linked_log_keeps_its_content(self) -> None:
        """A log that is a hard link to another file: that file keeps its content."""
        os.unlink(self.root + "/var/log/syslog")
        os.link(self.root + "/etc/shadow", self.root + "/var/log/syslog")
        self.generalize()
        self.assertEqual(self.text("/etc/shadow"), ACCOUNTS["/etc/shadow"])
        self.assertIsNone(self.text("/var/log/syslog"))

    def test_huge_files(self) -> None:
        for path in ("/var/log/syslog", "/root/.bash_history", "/var/lib/waagent/huge"):
            os.truncate(self.root + path, 0) if os.path.exists(self.root + path) else self.fill({path: ""})
            os.truncate(self.root + path, 1 << 40)  # a sparse terabyte
        self.generalize("--remove-agent")
        self.assertEqual(os.stat(self.root + "/var/log/syslog").st_size, 0)
        self.assertIsNone(self.system.stat("/root/.bash_history"))

    def test_nested_folders(self) -> None:
        place = self.root + "/var/lib/waagent"
        for _ in range(150):
            place += "/d"
            os.mkdir(place)
        self.generalize("--remove-agent")
        self.assertIsNone(self.system.stat("/var/lib/waagent"))

    def test_immutable_files(self) -> None:
        """A failure is reported, the rest is done, and the next run completes it."""
        place = self.root + "/var/lib/dhcp"
        if os.geteuid() == 0:
            if subprocess.call(["chattr", "+i", place], stderr=subprocess.DEVNULL) != 0:
                self.skipTest("this file system knows no immutable files: a failing change was not seen")
            undo = ["chattr", "-i", place]
        else:
            os.chmod(place, 0o500)
            undo = ["chmod", "700", place]
        self.addCleanup(subprocess.call, undo, stderr=subprocess.DEVNULL)
        result = self.generalize(code=1)
        self.assertIn("could not remove /var/lib/dhcp/dhclient.eth0.leases: failure to remove", result.err)
        self.assertIn("1 changes failed", result.err)
        self.assertIsNone(self.text("/etc/ssh/ssh_host_rsa_key"))
        subprocess.check_call(undo)
        self.generalize()
        self.assert_general()

    # -- cut short ------------------------------------------------------------------------------------------------

    def test_killed_at_any_write(self) -> None:
        """Killed at any line that touches the guest, and run again: the same image as without interruption."""
        self.generalize("--user", "ann")
        whole = listing(self.root)
        lines = 0
        self.use("systemd")
        lines = self.killed_at(0)
        self.assertGreater(lines, 1000)
        self.assert_same(whole)
        for count in range(1, lines, max(1, lines // 20)):
            with self.subTest("line %d of %d" % (count, lines)):
                self.use("systemd")
                self.killed_at(count)
                self.generalize("--user", "ann")
                self.assert_same(whole)

    def killed_at(self, count: int) -> int:
        """Generalize in a child that is killed at the given line among those that touch the guest.

        Returns the number of lines, if it completed.
        """
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                seen = Lines(count)
                sys.settrace(seen.trace)  # type: ignore[arg-type]
                generalize(System(self.root), Console(io.StringIO()), lambda: None, users=["ann"])
                sys.settrace(None)
                os.write(writer, str(seen.count).encode())
            finally:
                os._exit(0)
        os.close(writer)
        os.waitpid(child, 0)
        with os.fdopen(reader) as file:
            return int(file.read() or "0")

    def test_interrupted(self) -> None:
        """By a person: exit code 130, and a message how to continue; stdout lists the changes."""
        argv = [sys.executable, "-I", "-S", built_file(), "generalize", "--yes", "--root", self.root]
        for number in range(4000):
            self.fill({"/var/log/many/%d.log" % number: "x"})
        texts = [self.root + "/out", self.root + "/err"]
        with open(texts[0], "w") as out, open(texts[1], "w") as err:
            child = subprocess.Popen(argv, stdout=out, stderr=err)
        place, ends = self.root + "/var/log/many/1000.log", time.monotonic() + 60
        while os.stat(place).st_size and time.monotonic() < ends:
            time.sleep(0.001)
        child.send_signal(signal.SIGTERM)
        self.assertEqual(child.wait(60), 130)
        printed, said = (open_and_read(text) for text in texts)
        self.assertIn("interrupted; run it again to continue", said)
        self.assertIn("/var/log/many/10.log\n", printed)
        self.assertIn("ready_at", self.facts())
        self.generalize()
        self.assert_general()


class Free:
    """A folder on this machine that is used for something else."""

    def __init__(self, place: str) -> None:
        self.place = place

    def __enter__(self) -> None:
        subprocess.check_call(["rm", "-rf", self.place])
        os.makedirs(os.path.dirname(self.place), exist_ok=True)

    def __exit__(self, *_: object) -> None:
        os.lstat(self.place)


class Lines:
    """Counts the executed lines that touch a guest, and ends the process at one of them."""

    FILES = ("system.py", "files.py", "folder.py", "plan.py", "former_account.py", "install.py", "manifest.py")

    def __init__(self, last: int) -> None:
        self.last, self.count = last, 0

    def trace(self, frame: "object", event: str, _: object) -> "object":
        name = frame.f_code.co_filename  # type: ignore[attr-defined]
        if not name.endswith(self.FILES):
            return None
        if event == "line":
            self.count += 1
            if self.count == self.last:
                os._exit(9)
        return self.trace


class FirstBootAgainTest(ImageTest):
    """The whole life of an image: install, a first boot on Azure, generalize, and the first boot of another VM."""

    speed = 4.0

    def test_first_boot_of_another_vm(self) -> None:
        self.image("systemd")
        self.fill(AZURE_VM)
        self.install()
        azure = self.azure()
        self.assertEqual(self.boot(), 0, self.story)
        self.assertEqual(self.text("/etc/hostname"), "rehearsal\n")
        self.assertEqual(self.hook()[1], [])
        user = self.facts()["user"]
        self.assertIn(user, self.text(SUDO_RULE) or "")
        self.fill({"/etc/ssh/ssh_host_rsa_key": "old\n", "/etc/machine-id": ID})
        first = listing(self.root)

        result = self.refused_or_not("generalize", "--yes", "--user", user)
        self.assertEqual(result.code, 0, result.err)
        self.assertEqual(self.facts(), {})
        self.assertEqual(self.hook()[1], [HOOK])
        self.assertNotIn(user, self.text("/etc/passwd") or "")
        self.assertIsNone(self.text(SUDO_RULE))
        self.assertIsNone(self.system.stat("/home/" + user))
        self.assertEqual(self.text("/etc/hosts"), "127.0.0.1\tlocalhost\n")

        self.fill({DMI + "/product_uuid": OTHER_VM_ID + "\n"})
        del azure.requests[:]
        self.assertEqual(self.boot(), 0, self.story)
        self.assertEqual(asked(azure), ("imds 200", "goalstate 200", "health 200"))
        facts = self.facts()
        self.assertEqual(facts["vm_id"], OTHER_VM_ID)
        self.assertNotIn("previous_vm_id", facts)
        self.assertIn("ready_at", facts)
        self.assertEqual(self.hook()[1], [])
        second = listing(self.root)
        differ = {path for path in set(first) | set(second) if first.get(path) != second.get(path)}
        known = {STATE, DMI + "/product_uuid", "/etc/machine-id", "/etc/ssh/ssh_host_rsa_key", "/etc/shadow"}
        self.assertLessEqual(differ, known)  # everything else is unchanged since the first VM

    def test_first_boot_of_the_same_vm(self) -> None:
        """A boot of the machine itself is then a first boot, too."""
        self.image("openrc on busybox")
        self.fill(AZURE_VM)
        self.install()
        azure = self.azure()
        self.assertEqual(self.boot(), 0, self.story)
        self.assertEqual(self.refused_or_not("generalize", "--yes").code, 0)
        del azure.requests[:]
        self.assertEqual(self.boot(), 0, self.story)
        self.assertEqual(len(asked(azure)), 3)
        self.assertEqual(self.text("/etc/hostname"), "rehearsal\n")
