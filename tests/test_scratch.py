"""The scratch copy of an image: files that are read equal the image's, and no others are copied."""

import os
import shutil
import stat
import tempfile
from typing import List

from azure_provisioning.door.folder import Owner, open_folder
from azure_provisioning.door.tree import Tree
from azure_provisioning.errors import GuestError
from azure_provisioning.image.rehearse.difference import show_changes
from azure_provisioning.image.rehearse.scratch import Scratch
from tests.guests import GuestTest


class ScratchTest(GuestTest):
    def setUp(self) -> None:
        super().setUp()
        place = tempfile.mkdtemp(prefix="azure-provisioning-test-")
        self.addCleanup(shutil.rmtree, place, ignore_errors=True)
        self.scratch = Scratch(Tree(self.root), place)

    def copied(self, path: str) -> bool:
        """Was a file of this name copied?"""
        return os.path.lexists(self.scratch.root + path)

    def changed(self) -> "List[str]":
        return [path for path, _, _ in self.scratch.changes()]

    def test_only_accessed_files_are_copied(self) -> None:
        self.fill({"/etc/a": "one\n", "/etc/b": "two\n", "/usr/bin/tool": "#!/bin/sh\n", "/srv/x/y": ""})
        self.assertEqual(self.scratch.read("/etc/a"), b"one\n")
        self.assertFalse(self.copied("/etc/b") or self.copied("/usr") or self.copied("/srv"))
        self.assertTrue(self.scratch.is_program("/usr/bin/tool"))
        self.assertEqual(self.scratch.list("/srv"), ["x"])
        self.assertFalse(self.copied("/srv/x/y"))
        self.assertEqual(self.changed(), [])

    def test_names_without_content(self) -> None:
        self.fill({"/etc/a": "one\n"})
        self.assertEqual(self.scratch.list("/etc"), ["a"])
        with open(self.scratch.root + "/etc/a", "rb") as file:
            self.assertEqual(file.read(), b"\0\0\0\0")
        self.assertEqual(self.scratch.read("/etc/a"), b"one\n")
        seen, here = os.stat(self.root + "/etc/a"), os.stat(self.scratch.root + "/etc/a")
        self.assertEqual((here.st_mode, here.st_mtime_ns), (seen.st_mode, seen.st_mtime_ns))

    def test_removed_file_stays_removed(self) -> None:
        self.fill({"/etc/a": "one\n", "/etc/b": "two\n"})
        self.assertTrue(self.scratch.unlink("/etc/a"))
        self.assertIsNone(self.scratch.read("/etc/a"))
        self.assertEqual(self.scratch.list("/etc"), ["b"])
        self.assertEqual(list(show_changes(self.scratch))[0], "removed file /etc/a")
        self.scratch.write("/etc/a", "one\n")
        self.assertEqual(self.changed(), [])

    def test_unread_folder_is_not_empty(self) -> None:
        self.fill({"/srv/x": ""})
        self.assertFalse(self.scratch.remove_dir("/srv"))
        self.assertTrue(self.scratch.exists("/srv/x"))

    def test_amend(self) -> None:
        self.fill({"/var/pool": "one"})
        self.assertTrue(self.scratch.amend("/var/pool", lambda old: old + b" two"))
        self.assertEqual(self.scratch.read("/var/pool"), b"one two")
        self.assertEqual(self.changed(), ["/var/pool"])

    def test_links(self) -> None:
        self.fill({"/etc/real": "one\n", "/etc/link": "-> /etc/real", "/var/run": "-> /run", "/run/x": "host's"})
        self.assertEqual(self.scratch.read("/etc/link"), b"one\n")
        self.assertEqual(self.scratch.readlink("/etc/link"), "/etc/real")
        self.assertIsNone(self.scratch.read("/var/run/x"))
        self.scratch.write("/etc/link", "two\n")
        self.assertEqual(self.changed(), ["/etc/real"])

    def test_walk_by_descriptor(self) -> None:
        self.fill({"/home/me/.ssh/keys": "old\n", "/home/me/deep/er/x": ""})
        with open_folder(self.scratch, "/home/me") as home:
            self.assertEqual(home.list(), [".ssh", "deep"])
            with home.enter(".ssh") as ssh:
                self.assertEqual(ssh.read("keys"), b"old\n")
                ssh.write("keys", b"old\nnew\n", 0o600, Owner(os.geteuid(), os.getegid()))
        self.assertFalse(self.copied("/home/me/deep/er"))
        self.assertEqual(self.changed(), ["/home/me/.ssh/keys"])

    def test_special_files(self) -> None:
        os.mkdir(self.root + "/etc")
        os.mkfifo(self.root + "/etc/fifo")
        os.symlink("loop", self.root + "/etc/loop")
        with open(self.root + "/etc/setuid", "w"):
            pass
        os.chmod(self.root + "/etc/setuid", 0o4755)
        self.assertEqual(self.scratch.list("/etc"), ["fifo", "loop", "setuid"])
        for path in ("/etc/fifo", "/etc/loop"):
            with self.assertRaises(GuestError):
                self.scratch.read(path)
        self.assertEqual(stat.S_IMODE(os.stat(self.scratch.root + "/etc/setuid").st_mode), 0o755)
        self.assertEqual(self.changed(), [])

    def test_roll_back(self) -> None:
        self.fill({"/etc/a": "one\n"})
        self.scratch.begin()
        self.scratch.write("/etc/a", "two\n")
        self.scratch.write("/opt/x/y", "")
        self.scratch.roll_back()
        self.assertEqual(self.changed(), [])
        self.assertEqual(self.scratch.read("/etc/a"), b"one\n")

    def test_modes_and_folders(self) -> None:
        self.fill({"/etc/a": "one\n", "/etc/bin": "\0\1"})
        self.scratch.write("/etc/a", "one\n", mode=0o600)
        self.scratch.write("/etc/bin", b"\0\1\2")
        self.scratch.make_dirs("/opt")
        lines = list(show_changes(self.scratch))
        self.assertRegex(lines[0], r"\Achanged file /etc/a, mode 0600[^;]*; it was mode 0644")
        self.assertEqual(lines[1:3], ["--- /etc/bin", "+++ /etc/bin"])
        self.assertIn("+(binary, 3 bytes)", lines)
        self.assertRegex(lines[-1], r"\Anew folder /opt, mode 0755")
