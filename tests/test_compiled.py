"""What `install` compiles for the boots: used by the Python and the file that it was made for, and by no other."""

import importlib.util
import os
import sys
from typing import List

import build_zipapp
from tests.guests import BuiltTest, snapshot
from tests.images import call
from tests.test_zipapp import digest, pythons

FOLDER = "/var/lib/azure-provisioning"
VERSION = "%d.%d" % sys.version_info[:2]

# Where the modules of a boot come from, without a boot: its entry, for which the root is elsewhere.
WHERE = """
import runpy, sys
program, root = sys.argv[1:]
sys.path.insert(0, program)
import azure_provisioning
place = azure_provisioning.compiled
azure_provisioning.compiled = lambda digest, magic: root + place(digest, magic)
runpy.run_path(program, run_name="entry")["use_compiled"]()
from azure_provisioning import settled
from azure_provisioning.azure import wireserver
from azure_provisioning.image import check
for module in settled, wireserver, check:
    print(module.__file__)
"""


class CompiledTest(BuiltTest):
    def image(self, version: str) -> None:
        """A tree of systemd with a Python of this version, as far as names tell it."""
        self.fill(
            {
                "/etc/hostname": "image\n",
                "/usr/lib/systemd/systemd": "",
                "/sbin/init": "-> /usr/lib/systemd/systemd",
                "/usr/bin/python3": "-> python" + version,
                "/usr/bin/python" + version: "",
            }
        )

    def install(self, python: str = sys.executable) -> None:
        result = call([python, "-I", "-S", self.program, "install", "--root", self.root])
        self.assertEqual(result.code, 0, result)

    def kept(self) -> "List[str]":
        """The names of what was compiled."""
        return [name for name in self.system.list(FOLDER) if name not in ("install", "state")]

    def modules(self, python: str, program: str) -> "List[str]":
        """Where a boot by this Python of this file finds three modules: inside what."""
        result = call([python, "-I", "-S", "-W", "error", "-c", WHERE, program, self.root])
        self.assertEqual((result.code, result.err), (0, ""))
        return [line.partition("/azure_provisioning/")[0] for line in result.out.splitlines()]

    def test_on_every_python(self) -> None:
        for version, python in sorted(pythons().items()):
            with self.subTest(version):
                name = "%d.%d" % version[:2]
                self.image(name)
                self.install(python)
                (kept,) = self.kept()
                place = "%s%s/%s" % (self.root, FOLDER, kept)
                self.assertEqual(self.modules(python, self.program), [place, place, self.program])
                self.system.unlink("/usr/bin/python" + name)

    def test_only_what_a_boot_loads(self) -> None:
        """And none of it readable as source, or writable by others."""
        self.image(VERSION)
        self.install()
        path = FOLDER + "/" + self.kept()[0]
        data = self.system.read(path) or b""
        self.assertNotIn(b"azure_provisioning/image/", data)
        self.assertNotIn(b".py\0", data)
        self.assertGreater(data.count(importlib.util.MAGIC_NUMBER), 40)
        self.assertEqual(os.stat(self.root + path).st_mode & 0o777, 0o644)

    def test_another_python(self) -> None:
        """One that has another byte code finds nothing that was made for it, and loads the source."""
        others = [python for version, python in pythons().items() if version[:2] != sys.version_info[:2]]
        if not others:
            self.skipTest("there is one Python: that another one does not take its byte code was not tried")
        self.image(VERSION)
        self.install()
        for python in others:
            self.assertEqual(self.modules(python, self.program), [self.program] * 3)

    def test_another_file(self) -> None:
        """A newer release that was copied over the old one loads nothing of the old one."""
        self.image(VERSION)
        self.install()
        newer = self.program + "-newer"
        with open(self.program, "rb") as file:
            data = file.read()
        own = digest(data).encode("ascii")
        build_zipapp.write(newer, data.replace(own, own[::-1]))
        self.assertEqual(self.modules(sys.executable, newer), [newer] * 3)
        self.assertNotEqual(self.modules(sys.executable, self.program), [self.program] * 3)

    def test_image_with_another_python(self) -> None:
        """Byte code of the build machine would be of no use there, and what an older install left goes."""
        self.image("3.99")
        self.fill({FOLDER + "/boot-0123456789abcdef-a70d.zip": "old"})
        self.install()
        self.assertEqual(self.kept(), [])

    def test_cannot_be_written(self) -> None:
        """It is what a boot can do without: all the rest is in, and it is said."""
        self.image(VERSION)
        self.install()
        path = FOLDER + "/" + self.kept()[0]
        self.system.unlink(path)
        self.system.make_dirs(path)
        result = call([sys.executable, "-I", "-S", self.program, "install", "--root", self.root])
        self.assertEqual(result.code, 0, result)
        self.assertIn("each boot will compile our modules: ", result.err)
        self.assertEqual(self.modules(sys.executable, self.program), [self.program] * 3)

    def test_half_written(self) -> None:
        """What is no archive is passed over."""
        self.image(VERSION)
        self.install()
        path = FOLDER + "/" + self.kept()[0]
        for data in (b"", (self.system.read(path) or b"")[:-1000]):
            self.system.write(path, data)
            self.assertEqual(self.modules(sys.executable, self.program), [self.program] * 3)

    def test_gone_with_the_rest(self) -> None:
        self.image(VERSION)
        before = snapshot(self.root)
        self.install()
        self.install()
        result = call([sys.executable, "-I", "-S", self.program, "uninstall", "--root", self.root])
        self.assertEqual(result.code, 0, result)
        self.assertEqual(snapshot(self.root), before)
