"""The work that hostile images and large honest ones take. Counted, not timed, so a busy machine does not matter."""

import gzip
import lzma
import os
import random
import subprocess
import sys
import tempfile
import time
import unittest
from fnmatch import fnmatchcase
from typing import Callable, Dict, List, Tuple

from azure_provisioning.azure.endpoint import find_endpoint
from azure_provisioning.console import Console
from azure_provisioning.door.budget import USUAL, Budget, Limits, limited
from azure_provisioning.door.pattern import matches
from azure_provisioning.door.system import System
from azure_provisioning.door.tree import Tree
from azure_provisioning.errors import GuestError
from azure_provisioning.guest import sshd_access, sshd_config
from azure_provisioning.guest.accounts import Account
from azure_provisioning.guest.authorized_keys import key_file
from azure_provisioning.guest.home import ensure_home
from azure_provisioning.guest.hosts import resolve_own_name
from azure_provisioning.image.check import check
from azure_provisioning.image.check.finding import Finding
from azure_provisioning.image.generalize.generalize import make_plan
from azure_provisioning.image.rehearse.difference import compare
from azure_provisioning.image.rehearse.scratch import DEPTH_LIMIT, Scratch
from azure_provisioning.init.systems import sysvinit
from tests.guests import GuestTest
from tests.images import built_file
from tests.sound import DISK, INITRAMFS, KERNEL, LIBRARY, MODULES, CheckTest, cpio, modules

HASH = "$6$salt$" + "x" * 86
WANTS = "/etc/systemd/system/multi-user.target.wants"
SECONDS = 600  # for a verb on a hostile image, on the slowest machine that runs these tests


class Counted(System):
    """A guest that records its largest piece of work."""

    steps = size = 0

    def spend(self, path: str, steps: int = 1, size: int = 0) -> None:
        super().spend(path, steps, size)
        if self.budget is not None:
            self.steps, self.size = max(self.steps, self.budget.steps), max(self.size, self.budget.size)


def accounts(count: int, home: str = "/home/u%d") -> "Dict[str, str]":
    """Tables with this many accounts, each with a password and in a large group."""
    names = ["u%d" % number for number in range(count)]
    homes = [home % number if "%" in home else home for number in range(count)]
    ids = range(1000, 1000 + count)
    return {
        "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n"
        + "".join("%s:x:%d:%d::%s:/bin/sh\n" % line for line in zip(names, ids, ids, homes)),
        "/etc/shadow": "root:*:::::::\n" + "".join("%s:%s:::::::\n" % (name, HASH[:12]) for name in names),
        "/etc/group": "root:x:0:\nsudo:x:27:%s\n" % ",".join(names),
    }


class BudgetTest(GuestTest):
    def test_limits(self) -> None:
        budget = Budget(Limits(10, 100, 60.0))
        budget.spend("/a", 10, 100)
        with self.assertRaisesRegex(GuestError, "too much work .*/b"):
            budget.spend("/b")
        with self.assertRaisesRegex(GuestError, "too much work .*/b"):
            budget.settle()  # also after a caller has ignored the error
        with self.assertRaisesRegex(GuestError, "too much work"):
            Budget(Limits(10, 100, 60.0)).spend("/a", 0, 101)
        with self.assertRaisesRegex(GuestError, "too much work"):
            Budget(Limits(10, 100, -1.0)).spend("/a")

    def test_seconds(self) -> None:
        budget = Budget(Limits(sys.maxsize, sys.maxsize, 0.3))
        started = time.process_time()
        with self.assertRaisesRegex(GuestError, "too much work"):
            while time.process_time() < started + 10:
                budget.spend("/a")
        self.assertGreater(time.process_time(), started + 0.2)  # and not before its time

    def test_every_read_is_counted(self) -> None:
        self.fill({"/etc/a": "x" * 100, "/etc/b": "", "/etc/c": "-> a"})
        looks: "List[Tuple[Callable[[], object], int, int]]" = [
            (lambda: self.system.exists("/etc/a"), 2, 0),
            (lambda: self.system.list("/etc"), 4, 0),
            (lambda: self.system.read("/etc/c"), 3, 100),
        ]
        for look, steps, size in looks:
            with limited(self.system) as budget:
                look()
            self.assertGreaterEqual((budget.steps, budget.size), (steps, size))
            self.assertIsNone(self.system.budget)

    def test_nested_limits(self) -> None:
        with limited(self.system, Limits(3, 0, 60.0)) as outer:
            with limited(self.system):
                for _ in range(10):
                    self.system.exists("/etc")
            outer.settle()
            with self.assertRaises(GuestError):
                for _ in range(10):
                    self.system.exists("/etc")

    def test_transaction_is_rolled_back(self) -> None:
        self.fill({"/etc/a": "old"})
        with self.assertRaises(GuestError), limited(self.system, Limits(100, 1000, 60.0)):
            self.system.begin()
            try:
                self.system.write("/etc/a", "new")
                while True:
                    self.system.exists("/etc/a")
            finally:
                self.system.roll_back()
        self.assertEqual(self.text("/etc/a"), "old")


class PatternTest(unittest.TestCase):
    def test_same_as_fnmatch(self) -> None:
        random.seed(1)
        for _ in range(20000):
            pattern = "".join(random.choice("ab*?[]!") for _ in range(random.randint(0, 8)))
            name = "".join(random.choice("abc]![") for _ in range(random.randint(0, 6)))
            self.assertEqual(matches(name, pattern), fnmatchcase(name, pattern), (name, pattern))
        for name, pattern, expected in (("b", "[a-c]", True), ("-", "[a-]", True), ("b", "[c-a]", False)):
            self.assertEqual(matches(name, pattern), expected, pattern)
        self.assertFalse(matches("a", "[a]", sets=False))

    def test_matching_is_fast(self) -> None:
        for pattern in ("*a" * 500 + "b", ("*" + "a" * 30) * 8 + "b", "[" * 1000, "*" * 1024, "*" * 100000):
            self.assertFalse(matches("a" * 255, pattern + "b"))


class SshdTest(GuestTest):
    """Files that `run` reads too."""

    def test_include_through_links_to_themselves(self) -> None:
        self.fill({"/etc/ssh/l/%s" % name: "-> ." for name in "abc"})
        self.fill({"/etc/ssh/sshd_config": "Include /etc/ssh/l%s\n" % ("/*" * 16)})
        with self.assertRaises(GuestError), limited(self.system):
            sshd_config.settings(self.system)
        with self.assertRaisesRegex(GuestError, "too many files"):
            sshd_config.matching(self.system, "/etc/ssh/l" + "/*" * 16)

    def test_long_files(self) -> None:
        self.fill({"/etc/ssh/sshd_config": "Port 22\n" * 60000 + "Include sshd_config\n"})
        with self.assertRaisesRegex(GuestError, "too many files"):
            sshd_config.settings(self.system)
        text = "".join("AllowUsers %s\n" % ("x" * 40) for _ in range(15000))
        self.fill({"/etc/ssh/sshd_config": text})
        self.assertEqual(len(sshd_config.settings(self.system)["allowusers"]), 15000 * 41 - 1)

    def test_nested_includes(self) -> None:
        self.fill({"/etc/ssh/%d" % number: "Include %d\n" % (number + 1) for number in range(20)})
        self.fill({"/etc/ssh/sshd_config": "Include 0\n"})
        with self.assertRaisesRegex(GuestError, "too many files"):
            sshd_config.settings(self.system)

    def test_access_lists(self) -> None:
        self.assertFalse(sshd_access.is_denied(["*a" * 30 + "b"], ["a" * 64], users=True))
        self.assertTrue(sshd_access.is_denied(["u%d" % number for number in range(100000)], ["u99999"], users=True))
        with self.assertRaisesRegex(GuestError, "too long"):
            sshd_access.is_denied(["*u%d" % number for number in range(100000)], ["a", "b"], users=True)

    def test_very_deep_folders(self) -> None:
        account = Account("ann", "x", 1000, 1000, "", "/home/ann", "/bin/sh")
        with self.assertRaisesRegex(GuestError, "no usable path"):
            key_file(account, {"authorizedkeysfile": "/keys" + "/k" * 2000})
        self.fill({"/etc/passwd": "ann:x:1000:1000::/home/ann:/bin/sh\n"})
        os.makedirs(self.root + "/etc/skel" + "/d" * 400)
        with self.assertRaisesRegex(GuestError, "too large"):
            ensure_home(self.system, account)


class BootTest(GuestTest):
    """Other files that `run` reads."""

    def test_leases(self) -> None:
        self.fill({"/var/lib/dhcp/dhclient.leases": "lease { option unknown-245 a8:3f:81:10; }\n"})
        self.assertEqual(find_endpoint(self.system), "168.63.129.16")
        folder = self.root + "/var/lib/dhcpcd"
        os.makedirs(folder)
        for number in range(5000):
            os.symlink("x", "%s/%d.lease" % (folder, number))
        system = Counted(self.root)
        self.assertIsNone(find_endpoint(system))
        self.assertLess(system.steps, 40000)

    def test_hosts(self) -> None:
        self.fill({"/etc/hosts": "".join("10.0.0.1 h%d\n" % number for number in range(60000))})
        self.assertIn("written", resolve_own_name(self.system, "vm", "image"))
        self.assertTrue((self.text("/etc/hosts") or "").endswith("h59999\n127.0.1.1\tvm\n"))

    def test_startpar(self) -> None:
        words = " ".join("w%d" % number for number in range(100000))
        self.fill({sysvinit.DEPEND: "TARGETS = ssh %s\nssh: %s\n" % (words[:1000], words)})
        sysvinit.order_before_ssh(self.system)
        text = (self.system.read(sysvinit.DEPEND, limit=4 << 20) or b"").decode()
        self.assertIn("\nazure-provisioning: w0 w1 ", text)


class DifferenceTest(GuestTest):
    def show(self, before: "List[str]", after: "List[str]") -> "List[str]":
        return list(compare(before, after, ("a", "b")))

    def test_numbers_of_lines(self) -> None:
        """Like difflib, without the equal lines at both ends."""
        import difflib

        random.seed(2)
        for _ in range(300):
            before = ["%d\n" % number for number in range(random.randrange(40))]
            after = list(before)
            for number in range(random.randrange(3)):
                place = random.randrange(len(after) + 1)
                del after[place : place + random.randrange(3)]
                after.insert(random.randrange(len(after) + 1), "new %d\n" % number)
            self.assertEqual(self.show(before, after), list(difflib.unified_diff(before, after, "a", "b")))

    def test_equal_lines(self) -> None:
        text = ["%d\n" % (number % 150) for number in range(200000)]
        shown = self.show(text, text[:100000] + ["new\n"] + text[100000:])
        self.assertEqual([line for line in shown if line[0] == "+"], ["+++ b\n", "+new\n"])
        self.assertIn("@@ -99998,6 +99998,7 @@\n", shown)
        shown = self.show(text, ["first\n"] + text[5:] + ["last\n"])
        self.assertEqual(shown[3:], ["-%d\n" % number for number in range(5)] + ["+first\n", "+last\n"])

    def test_deep_copy(self) -> None:
        os.makedirs(self.root + "/image" + "/d" * 500)
        os.mkdir(self.root + "/copy")
        scratch = Scratch(Tree(self.root + "/image"), self.root + "/copy")
        scratch.list("/d" * (DEPTH_LIMIT - 1))
        with self.assertRaisesRegex(GuestError, "too many nested folders"):
            scratch.list("/d" * 500)
        depth = sys.getrecursionlimit()
        sys.setrecursionlimit(400)
        try:
            self.assertEqual(list(scratch.changes()), [])
        finally:
            sys.setrecursionlimit(depth)


class CheckBudgetTest(CheckTest):
    """`check`, `generalize` and `rehearse` of an image in which one operation would never end."""

    def links(self, folder: str, count: int, target: str = "x", form: str = "s%d.service") -> None:
        """A folder with this many links."""
        os.makedirs(self.root + folder, exist_ok=True)
        for number in range(count):
            os.symlink(target, "%s%s/%s" % (self.root, folder, form % number))

    def counted(self) -> "Tuple[List[Finding], Counted]":
        """The findings of `check`: it reports on every subject, even if only that it was too much work."""
        system = Counted(self.root)
        found = check.check(system)
        self.assertLessEqual({name for name, _ in check.CHECKS} - {"state", "ready-gates"}, {one.id for one in found})
        return found, system

    def undetermined(self) -> "List[str]":
        """The findings that exceeded the limit."""
        return sorted({one.id for one in self.counted()[0] if "too much work" in one.message})

    def plan(self) -> "List[str]":
        """The problems in a plan of `generalize`."""
        try:
            with limited(self.system):
                return make_plan(self.system, Console(self.stream), ["u1"], remove_agent=True).problems
        except GuestError as problem:
            return [str(problem)]

    # -- honest ---------------------------------------------------------------------------------------------------

    def test_large_image(self) -> None:
        """Thousands of accounts with homes, a full kernel, all firmware in the initramfs, and years of logs."""
        self.fill(accounts(5000))
        for number in range(5000):
            os.makedirs("%s/home/u%d/.ssh" % (self.root, number))
            if number % 10 == 0:
                self.fill({"/home/u%d/.ssh/authorized_keys" % number: "ssh-ed25519 AAAA x\n" * 20})
                self.fill({"/home/u%d/.bash_history" % number: "ls\n"})
        names = ["kernel/drivers/net/m%d.ko.xz" % number for number in range(6000)]
        with open(self.root + MODULES + "/modules.dep", "a", encoding="ascii") as file:
            file.writelines("%s: kernel/a.ko.xz kernel/b.ko.xz\n" % name for name in names)
        head, firmware = cpio("lib/firmware/x")[:54], 300 << 20
        archive = head + b"%08X" % firmware + cpio("lib/firmware/x")[62:128] + bytes(firmware)
        self.system.write(INITRAMFS, gzip.compress(archive + cpio(*modules(*DISK)), 1))
        for number in range(3000):
            self.fill({"/var/log/app%d/%d.log" % (number % 30, number): "x", "/usr/bin/tool%d" % number: ""})
            self.fill({"/usr/lib/systemd/system/s%d.service" % number: "[Service]\n"})
        self.links(WANTS, 300, "/usr/lib/systemd/system/s1.service")
        found, system = self.counted()
        self.assertEqual([one for one in found if one.level == "error" or "too much" in one.message], [])
        self.assertLess(system.steps, USUAL.steps / 3)
        said = [one.message for one in found if one.id == "initramfs"]
        self.assertEqual(said, [INITRAMFS + " has the disk's driver"])
        self.assertEqual([one.id for one in found].count("passwords"), 33)
        self.assertEqual(self.plan(), [])
        with limited(self.system) as budget:
            make_plan(self.system, Console(self.stream), ["u1"], remove_agent=True)
        self.assertLess(budget.steps, USUAL.steps)

    # -- hostile --------------------------------------------------------------------------------------------------

    def test_includes(self) -> None:
        for name in "abc":
            os.makedirs(self.root + "/etc/ssh/l", exist_ok=True)
            os.symlink(".", self.root + "/etc/ssh/l/" + name)
        self.fill({"/etc/ssh/sshd_config": "Include /etc/ssh/l%s\n" % ("/*" * 16)})
        found, _ = self.counted()
        said = [one for one in found if one.id == "sshd-config"]
        self.assertEqual([one.level for one in said], ["warning"])
        self.assertRegex(said[0].message, "too m")
        self.assertIn("ok", [one.level for one in found if one.id == "dhcp"])

    def test_accounts(self) -> None:
        self.fill(accounts(26000, "/h/%d"))
        found, system = self.counted()
        self.assertEqual(self.undetermined(), [])
        self.assertLess(system.size, 8 << 20)
        self.assertEqual([one.id for one in found].count("passwords"), 33)
        self.assertEqual(self.plan(), [])
        os.makedirs(self.root + "/h")
        self.links("/crowd", 3000, form=".%d_history")
        for number in range(26000):
            os.symlink("../crowd", "%s/h/%d" % (self.root, number))
        self.counted()
        self.assertRegex(" ".join(self.plan()), "too much work")

    def test_lists(self) -> None:
        words = " ".join("g%d" % number for number in range(100000))
        self.fill({"/etc/ssh/sshd_config": "AllowGroups %s\n" % words})
        self.fill({"/etc/group": "".join("g%d:x:%d:\n" % (number, number) for number in range(60000))})
        self.counted()

    def test_initramfs(self) -> None:
        zeros = bytes(64 << 20)
        packer = lzma.LZMACompressor(preset=0)
        padded = b"".join([packer.compress(cpio("a"))] + [packer.compress(zeros) for _ in range(18)] + [packer.flush()])
        claims = b"070701" + b"0" * 48 + b"FFFFFFFF" + b"0" * 24 + b"00000001" + b"0" * 8
        for data in (
            padded,
            gzip.compress(cpio() * 600000, 1),
            cpio() * 600000,
            gzip.compress((claims + b"x\0\0\0") + zeros),
            (b"070701" + b"0" * 88 + b"00001000" + b"0" * 8 + b"n" * 4096) * 20000,
        ):
            with open(self.root + INITRAMFS, "wb") as file:
                file.write(data)
            found, _ = self.counted()
            levels = [one.level for one in found if one.id == "initramfs"]
            self.assertIn(levels, (["warning"], ["error"]))
            self.assertIn("ok", [one.level for one in found if one.id == "kernel"])

    def test_names(self) -> None:
        """Folders with very many names."""
        self.links(WANTS, 20000)
        self.links("/etc/azure-provisioning/ready.d", 8000)
        self.links("/etc/modprobe.d", 8000, "/etc/ssh/sshd_config", "%d.conf")
        self.links("/etc/netplan", 8000, form="%d.yaml")
        self.links("/boot/loader/entries", 8000, form="%d.conf")
        self.links("/usr/lib/modules", 8000)
        self.links(LIBRARY, 8000, ".")
        self.links("/var/log", 8000, form="%d.log")
        self.counted()
        self.plan()

    def test_texts(self) -> None:
        """Files with very many lines and words, and with texts on which a regular expression could backtrack without
        end."""
        blank, lines = " " * 500000, "\n" * 500000
        dep = MODULES + "/modules.dep"
        with open(self.root + dep, "wb") as file:
            file.write(b"\n" * (4 << 20))
        for path in ("/etc/systemd/network/a.network", "/etc/netplan/a.yaml", "/etc/NetworkManager/conf.d/a.conf"):
            self.fill({path: "MACAddress" + blank + "\nDHCP=yes" + blank + "x\nName=" + blank})
        self.fill({"/etc/modprobe.d/a.conf": "blacklist" + lines + "install x" + lines})
        self.fill({"/boot/grub/grub.cfg": "linux\n" * 100000 + "linux" + blank})
        self.fill({"/usr/lib/systemd/system-preset/1.preset": ("enable %s\n" % ("*a" * 60)) * 8000})
        self.fill({"/etc/fstab": "/dev/sda1 / ext4 x\n" * 50000})
        self.fill({"/etc/inittab": ":" * 500000 + lines})
        self.fill({"/etc/dhcp/dhclient.conf": 'send host-name "image.' * 40000, "/etc/hostname": "image\n"})
        found, _ = self.counted()
        self.assertIn("ok", [one.level for one in found if one.id == "privilege"])
        self.plan()

    def test_sparse(self) -> None:
        """A sparse terabyte in place of every file."""
        for path in ("/etc/passwd", "/etc/shadow", "/etc/group", "/etc/fstab", "/etc/ssh/sshd_config", INITRAMFS,
                     "/usr/bin/python3.11", "/boot/grub/grub.cfg", "/root/.bash_history", "/etc/hosts",
                     "/boot/config-" + KERNEL, MODULES + "/modules.dep", "/usr/lib/python311.zip"):  # fmt: skip
            os.makedirs(os.path.dirname(self.root + path), exist_ok=True)
            with open(self.system.path(path), "ab") as file:
                file.truncate(1 << 40)
        _, system = self.counted()
        self.assertLess(system.size, 400 << 20)
        self.plan()

    def test_library_of_many_files(self) -> None:
        entry = b"PK\1\2" + bytes(24) + b"\1\0" + bytes(16) + b"a"
        data = entry * 1200000
        end = b"PK\5\6" + bytes(8) + len(data).to_bytes(4, "little") + bytes(6)
        with open(self.root + "/usr/lib/python311.zip", "wb") as file:
            file.write(data + end)
        self.assertEqual(self.undetermined(), ["account", "python"])  # the account depends on Python

    def test_deep_folders(self) -> None:
        for path in ("/var/log", "/etc/skel", "/var/lib/waagent"):
            os.makedirs(self.root + path + "/d" * 300)
        self.counted()
        self.plan()

    def test_every_verb_ends_in_time(self) -> None:
        """All of it at once, with the built file, and with a time limit that no machine should reach."""
        for name in "abc":
            os.makedirs(self.root + "/etc/ssh/l", exist_ok=True)
            os.symlink(".", self.root + "/etc/ssh/l/" + name)
        self.fill({"/etc/ssh/sshd_config": "Include /etc/ssh/l%s\n" % ("/*" * 16)})
        self.fill(accounts(26000, "/h/%d"))
        self.links(WANTS, 20000)
        self.links("/var/log", 8000, form="%d.log")
        self.fill({"/etc/hosts": "".join("10.0.0.1 h%d\n" % number for number in range(60000))})
        for words in ("check", "check --json", "status", "rehearse", "install", "generalize --yes --user u1"):
            argv = [sys.executable, "-I", "-S", built_file(), *words.split(), "--root", self.root]
            with tempfile.TemporaryFile() as printed:
                code = subprocess.run(argv, stdout=printed, stderr=printed, timeout=SECONDS).returncode
                printed.seek(0)
                output = printed.read().decode("utf-8", "replace")
            self.assertIn(code, (0, 1), output[-2000:])
            self.assertNotIn("Traceback", output)
