"""`--root`: anything but an image root is a usage error of each verb, with its own message. Nothing is changed."""

import io
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import redirect_stderr
from typing import Dict, List, Sequence, Tuple

from azure_provisioning import usage
from azure_provisioning.errors import ProvisionError, UsageError
from azure_provisioning.image.root import open_root
from tests.images import ImageTest, Result, built_file, call, cli, listing

VERBS: "Dict[str, Sequence[str]]" = {
    "install": (),
    "uninstall": (),
    "generalize": ("--yes",),
    "check": (),
    "rehearse": (),
    "status": (),
}


class RootTest(ImageTest):
    def setUp(self) -> None:
        super().setUp()
        self.image("systemd")
        self.top = tempfile.mkdtemp(prefix="azure-provisioning-test-")
        self.addCleanup(shutil.rmtree, self.top)
        self.program = built_file()

    def verb(self, name: str, root: str, *more: str, cwd: str = "") -> Result:
        """One verb of the built file with this --root, optionally in a folder."""
        if not cwd:
            return cli(name, "--root", root, *VERBS[name], *more)
        done = subprocess.run(
            [sys.executable, "-I", "-S", self.program, name, "--root", root, *VERBS[name], *more],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            cwd=cwd,
        )
        self.assertNotIn("Traceback", done.stderr)
        return Result(done.returncode, done.stdout, done.stderr)

    def refused_by_all(self, root: str, message: str, code: int = 2) -> None:
        """Every verb reports it in one line. The folder is unchanged."""
        before = listing(self.top), listing(self.root)
        for name in VERBS:
            with self.subTest(verb=name, root=root):
                done = self.verb(name, root)
                self.assertNotIn("Traceback", done.err)
                self.assertEqual((done.code, done.out), (code, ""), done.err)
                self.assertRegex(done.err, r"(?m)\Aazure-provisioning: [^\n]*%s[^\n]*\n\Z" % message)
        self.assertEqual((listing(self.top), listing(self.root)), before)


class RefusedTest(RootTest):
    def test_empty_word(self) -> None:
        """An unset variable in a script; also from within an image."""
        before = listing(self.root)
        for name in VERBS:
            for root in ("", " ", "\t\n"):
                done = self.verb(name, root, cwd=self.root)
                self.assertEqual((done.code, done.out), (2, ""), done.err)
                self.assertRegex(done.err, r"error: argument --root: expected one argument, and it is empty\n\Z")
        for argv in (
            ["install", "--prefix", ""],
            ["install", "--prefix", "opt"],
            ["install", "--python", ""],
            ["install", "--init", ""],
            ["generalize", "--yes", "--user", ""],
            ["rehearse", "--fault", ""],
            ["report", "failure", "--reason", " "],
        ):
            if argv[0] not in ("report", "rehearse"):
                argv += ["--root", self.root]
            done = call([sys.executable, "-I", "-S", self.program, *argv])
            self.assertEqual((done.code, done.out), (2, ""), (argv, done.err))
        self.assertEqual(listing(self.root), before)

    def test_no_such_folder(self) -> None:
        os.symlink("nowhere", self.top + "/dangling")
        os.symlink("loop", self.top + "/loop")
        for name in ("no", "no/such", "x" * 300, "no\nlines"):
            self.refused_by_all(self.top + "/" + name, "there is no such folder")
        for name in ("dangling", "loop"):
            self.refused_by_all(self.top + "/" + name, "a dangling symlink")

    def test_file(self) -> None:
        """Usually a disk image: the message says how to mount it."""
        for name in ("disk.img", "it's $(a) disk"):
            with open(os.path.join(self.top, name), "w") as file:
                file.write("x")
        self.refused_by_all(self.top + "/disk.img", "this is a file, not a folder")
        self.refused_by_all(self.top + "/disk.img", r"losetup --find --show --partscan /[^ ]*/disk\.img prints")
        self.refused_by_all(self.top + "/it's $(a) disk", "--partscan '/.*\"'\"'s .*disk' prints")
        self.refused_by_all(self.top + "/disk.img/", "there is no such folder")  # the kernel's own message
        os.mkfifo(self.top + "/pipe")
        self.refused_by_all(self.top + "/pipe", "this is a file, not a folder")
        with socket.socket(socket.AF_UNIX) as peer:
            peer.bind(self.top + "/socket")
            self.refused_by_all(self.top + "/socket", "this is a file, not a folder")

    def test_no_linux_system(self) -> None:
        for folders in ((), ("/etc",), ("/usr", "/bin")):
            for folder in folders:
                os.mkdir(self.top + folder)
            self.refused_by_all(self.top, "is not the root of a Linux system")
            for folder in folders:
                os.rmdir(self.top + folder)

    def test_closed_folder(self) -> None:
        if os.geteuid() != 0:
            self.skipTest("only root can play another user: a folder that is closed was not seen")
        os.chmod(self.top, 0o755)
        os.makedirs(self.top + "/closed/etc")
        os.makedirs(self.top + "/closed/usr")
        os.chmod(self.top + "/closed", 0o700)
        shutil.copy(self.program, self.top + "/program")
        for name in VERBS:
            for path in ("/closed", "/closed/etc"):
                argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-I", "-S"]
                done = call([*argv, self.top + "/program", name, "--root", self.top + path, *VERBS[name]])
                self.assertEqual((done.code, done.out), (1, ""), done.err)
                self.assertRegex(done.err, r"cannot be read \(error=Permission denied\): call this as root")

    def test_nul(self) -> None:
        with redirect_stderr(io.StringIO()), self.assertRaises(SystemExit) as ended:
            usage.parse(["status", "--root", "/a\0b"])
        self.assertEqual(ended.exception.code, 2)


class AcceptedTest(RootTest):
    def spellings(self) -> "List[Tuple[str, str]]":
        """(the argument, the current folder) for the image."""
        above, name = os.path.split(self.root)
        os.symlink(self.root, self.top + "/link")
        return [
            (self.root, ""),
            (self.root + "/", ""),
            (self.root + "//.", ""),
            (name, above),
            ("./" + name + "/../" + name, above),
            (".", self.root),
            ("..", self.root + "/etc"),
            (self.top + "/link", ""),
            (self.top + "/link/", ""),
            ("link", self.top),
        ]

    def test_every_spelling_of_a_folder(self) -> None:
        for word, folder in self.spellings():
            with self.subTest(word=word):
                done = self.verb("install", word, cwd=folder)
                self.assertEqual(done.code, 0, done.err)
                self.assertTrue(self.system.exists("/usr/local/sbin/azure-provisioning"))
                done = self.verb("status", word, "--json", cwd=folder)
                self.assertEqual((done.code, done.err), (0, ""))
                self.assertIn('"enabled": true', done.out)
                done = self.verb("uninstall", word, cwd=folder)
                self.assertEqual(done.code, 0, done.err)
                self.assertFalse(self.system.exists("/usr/local/sbin/azure-provisioning"))

    def test_running_machine(self) -> None:
        """`--root /`, in any spelling, is the default."""
        os.symlink("/", self.top + "/slash")
        for word in ("/", "//", "///", "/.", "/..", "/etc/..", self.top + "/slash"):
            self.assertEqual(open_root(word).root, "/", word)

    def test_nearly_empty_image(self) -> None:
        """`status` reports what it finds there."""
        self.empty()
        self.fill({"/etc/hostname": "x\n", "/usr/bin/x": ""})
        done = self.verb("status", self.root)
        self.assertEqual((done.code, done.err), (0, ""))
        self.assertIn("boot hook   off\n", done.out)
        self.assertIn("VM          unknown: no VM was set up from this image\n", done.out)


class KindTest(RootTest):
    def test_type_of_the_error(self) -> None:
        self.assertRaises(UsageError, open_root, self.top + "/no")
        self.assertRaises(UsageError, open_root, self.top)
        self.assertRaises(UsageError, open_root, "/dev/null")
        self.assertTrue(issubclass(UsageError, ProvisionError))
