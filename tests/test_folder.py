"""Open folders: their files are reached even if the path is replaced, and never through a symlink."""

import os
import stat
import subprocess
import sys

from azure_provisioning.door.folder import Owner, open_folder
from azure_provisioning.errors import GuestError
from tests import TOP
from tests.guests import GuestTest

ME = Owner(os.geteuid(), os.getegid())


class FolderTest(GuestTest):
    def test_folder_replaced_while_open(self) -> None:
        """The folder is replaced by a link to root's folder after it was opened: root's folder is not touched."""
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

    def test_leftovers_of_a_killed_run(self) -> None:
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

    def test_mounted_file_systems_are_kept(self) -> None:
        """Nothing on another file system is removed, such as on a disk that is still mounted in an image."""
        self.system.make_dirs("/home/ann/disk")
        code = (
            "import sys; sys.path.insert(0, sys.argv[1])\n"
            "from azure_provisioning.door.folder import open_folder\n"
            "from azure_provisioning.door.system import System\n"
            "with open_folder(System(sys.argv[2]), '/home') as folder:\n"
            "    folder.remove('ann')\n"
        )
        script = 'mount -t tmpfs none "$1/home/ann/disk" && touch "$1/home/ann/disk/file" && echo mounted || exit\n'
        script += '"$2" -c "$3" "$4" "$1"; ls "$1/home/ann/disk"\n'
        argv = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", self.root]
        argv += [sys.executable, code, os.path.join(TOP, "src")]
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
        if not done.stdout:
            self.skipTest("nothing can be mounted here, so it was not seen what happens to it: " + done.stderr[-100:])
        self.assertIn("something is mounted here (path=/home/ann/disk)", done.stderr)
        self.assertEqual(done.stdout, "mounted\nfile\n")

    def test_remove_returns_whether_it_existed(self) -> None:
        self.fill({"/home/ann/deep/file": "x"})
        with open_folder(self.system, "/home") as folder:
            self.assertTrue(folder.remove("ann"))
            self.assertFalse(folder.remove("ann"))

    def test_empty(self) -> None:
        """An emptied file keeps its inode. Of several names only one is removed. Other types are refused."""
        self.fill({"/log/file": "old\n", "/log/none": "", "/etc/shadow": "x\n", "/log/link": "-> /etc/shadow"})
        os.link(self.root + "/etc/shadow", self.root + "/log/shadow")
        os.mkfifo(self.root + "/log/pipe")
        number = os.stat(self.root + "/log/file").st_ino
        with open_folder(self.system, "/log") as folder:
            self.assertTrue(folder.empty("file"))
            self.assertTrue(folder.empty("shadow"))
            for name in ("none", "missing", "file", "shadow", "pipe"):
                self.assertFalse(folder.empty(name))
            with self.assertRaisesRegex(GuestError, "not a plain file"):
                folder.empty("link")
            self.assertEqual(folder.list(), ["file", "link", "none", "pipe"])
        self.assertEqual(os.stat(self.root + "/log/file").st_ino, number)
        self.assertEqual((self.text("/log/file"), self.text("/etc/shadow")), ("", "x\n"))

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

    def test_no_descriptor_leaks(self) -> None:
        def opened() -> int:
            return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0

        self.system.exists("/")  # the root is opened once and stays open
        before = opened()
        self.test_links_stay_inside_the_root()
        self.test_names()
        self.assertEqual(opened(), before)
