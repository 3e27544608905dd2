"""Open folders: what lies in them is reached although somebody swaps what led there, and never through a symlink."""

import os
import stat

from azure_provisioning.errors import GuestError
from azure_provisioning.folder import Owner, open_folder
from tests.guests import GuestTest

ME = Owner(os.geteuid(), os.getegid())


class FolderTest(GuestTest):
    def test_swapped_while_we_work(self) -> None:
        """The folder is replaced by a link to root's after it was opened: root's stays as it is."""
        self.fill({"/home/ann/.ssh/keys": "old\n", "/root/.ssh/keys": "root's\n"})
        with open_folder(self.system, "/home/ann/.ssh") as folder:
            os.rename(self.root + "/home/ann/.ssh", self.root + "/home/ann/away")
            os.symlink("/root/.ssh", self.root + "/home/ann/.ssh")
            self.assertEqual(folder.read("keys"), b"old\n")
            folder.write("keys", b"new\n", 0o600, ME)
            folder.own(0o700, ME)
        self.assertEqual(self.text("/root/.ssh/keys"), "root's\n")
        self.assertEqual(self.text("/home/ann/away/keys"), "new\n")

    def test_write(self) -> None:
        self.system.make_dirs("/home")
        with open_folder(self.system, "/home") as folder:
            self.assertTrue(folder.write("file", b"one", 0o640, ME))
            self.assertFalse(folder.write("file", b"one", 0o640, ME))
            self.assertTrue(folder.write("file", b"one", 0o600, ME))
            self.assertTrue(folder.write("file", b"two", 0o600, ME))
            self.assertEqual(folder.list(), ["file"])
        self.assertEqual(stat.S_IMODE(os.stat(self.root + "/home/file").st_mode), 0o600)

    def test_what_a_killed_run_left(self) -> None:
        self.fill({"/home/.file.azure-provisioning": "half", "/home/.dir.azure-provisioning/a/b": "half"})
        with open_folder(self.system, "/home") as folder:
            folder.write("file", b"whole", 0o600, ME)
            folder.remove(".dir.azure-provisioning")
            folder.remove("nothing")
            self.assertEqual(folder.list(), ["file"])

    def test_remove_follows_no_link(self) -> None:
        self.fill({"/etc/passwd": "x", "/home/ann/etc": "-> /etc", "/home/ann/passwd": "-> ../../etc/passwd"})
        with open_folder(self.system, "/home") as folder:
            folder.remove("ann")
        self.assertEqual(self.text("/etc/passwd"), "x")

    def test_names(self) -> None:
        with open_folder(self.system, "/") as folder:
            for name in ("", ".", "..", "a/b", "/", "a\0b"):
                with self.subTest(name=name), self.assertRaises(GuestError):
                    folder.write(name, b"", 0o600, ME)
            with self.assertRaises(GuestError):
                folder.enter("missing")

    def test_links_stay_inside_the_root(self) -> None:
        self.fill({"/data/ann/x": "", "/home": "-> ../../../data", "/a": "-> /b", "/b": "-> /a"})
        with open_folder(self.system, "/home/ann") as folder:
            self.assertEqual(folder.list(), ["x"])
        with open_folder(self.system, "/home/../../data/./ann") as folder:
            self.assertEqual(folder.list(), ["x"])
        with self.assertRaisesRegex(GuestError, "symlink is in the way"):
            open_folder(self.system, "/a/x")

    def test_no_descriptor_is_left(self) -> None:
        def opened() -> int:
            return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0

        before = opened()
        self.test_links_stay_inside_the_root()
        self.test_names()
        self.assertEqual(opened(), before)
