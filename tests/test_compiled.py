"""The byte code that `install` compiles for boots: only the same Python and the same file use it."""

import marshal
import os
import re
import shutil
import sys
import zipfile
from types import CodeType
from typing import List

import build_zipapp
from azure_provisioning.compiled import keep
from azure_provisioning.compiled import use as compiled
from tests.guests import BuiltTest, snapshot
from tests.images import call, call_anew
from tests.pythons import find_another
from tests.test_zipapp import digest, pythons

FOLDER = "/var/lib/azure-provisioning"
VERSION = "%d.%d" % sys.version_info[:2]

# A boot by the hook's own command, with another root; it ends like the boot of a Ready VM.
BOOT = """
import runpy, sys, types
program, root = sys.argv[1:]
sys.path.insert(0, program)
import azure_provisioning
from azure_provisioning.compiled import use as compiled
path_for = compiled.path_for
compiled.path_for = lambda magic: root + path_for(magic)

def tell(_tree):
    from azure_provisioning.azure import goal_state
    from azure_provisioning.init import table
    from azure_provisioning.image.check import check
    for module in goal_state, table.load("systemd"), check:
        print(getattr(module, "__file__", "kept"))
    return True

settled = types.ModuleType("azure_provisioning.story.settled")
settled.is_settled, settled.release_boot = tell, int
sys.modules["azure_provisioning.story.settled"] = settled
sys.argv = [program, "run"]
runpy.run_path(program, run_name="__main__")
"""
KEPT = "kept"


class CompiledTest(BuiltTest):
    def image(self, version: str) -> None:
        """A systemd tree with a Python of this version, found by file names."""
        self.fill(
            {
                "/etc/hostname": "image\n",
                "/usr/lib/systemd/systemd": "",
                "/sbin/init": "-> /usr/lib/systemd/systemd",
                "/usr/bin/python3": "-> python" + version,
                "/usr/bin/python" + version: "",
            }
        )

    def install(self, python: str = "") -> None:
        """In a process that has loaded nothing, if a Python is given."""
        how = call_anew if python else call
        result = how([python or sys.executable, "-I", "-S", self.program, "install", "--root", self.root])
        self.assertEqual(result.code, 0, result)

    def kept(self) -> "List[str]":
        """The names of the compiled files."""
        return [name for name in self.system.list(FOLDER) if name not in ("install", "state")]

    def modules(self, python: str, program: str) -> "List[str]":
        """The files from which a boot of this Python loads three modules: two that it needs, and one that it does not
        need."""
        result = call([python, "-I", "-S", "-W", "error", "-c", BOOT, program, self.root])
        self.assertEqual((result.code, result.err), (0, ""))
        return [line.partition("/azure_provisioning/")[0] for line in result.out.splitlines()]

    def test_on_every_python(self) -> None:
        """A boot uses them; their bytes are always the same; and a second install changes nothing."""
        for version, python in sorted(pythons().items()):
            with self.subTest(version):
                name = "%d.%d" % version[:2]
                self.image(name)
                self.install(python)
                (kept,) = self.kept()
                self.assertEqual(self.modules(python, self.program), [KEPT, KEPT, self.program])
                data = self.system.read(FOLDER + "/" + kept, limit=compiled.LIMIT)
                self.assertEqual(os.stat("%s%s/%s" % (self.root, FOLDER, kept)).st_mode & 0o777, 0o644)
                for _ in range(3):
                    result = call_anew([python, "-I", "-S", self.program, "install", "--root", self.root])
                    self.assertIn("installed for systemd already", result.err)
                self.system.unlink(FOLDER + "/" + kept)
                self.install(python)
                self.assertEqual(self.system.read(FOLDER + "/" + kept, limit=compiled.LIMIT), data)
                self.system.unlink("/usr/bin/python" + name)

    def test_no_sets_of_constants(self) -> None:
        """Python compiles a set of constants to a frozenset, and before 3.11 writes that in a random order."""
        with open(self.program, "rb") as file:
            codes = [marshal.loads(code) for code in keep.compile_modules(file.read()).values()]
        sets = []
        while codes:
            code = codes.pop()
            codes += [each for each in code.co_consts if isinstance(each, CodeType)]
            sets += [(code.co_filename, each) for each in code.co_consts if isinstance(each, frozenset)]
        self.assertEqual(sets, [])

    def test_only_modules_of_a_boot_are_kept(self) -> None:
        self.image(VERSION)
        self.install()
        data = self.system.read(FOLDER + "/" + self.kept()[0], limit=compiled.LIMIT) or b""
        with zipfile.ZipFile(self.program) as whole:
            names = [name[:-3].replace("/", ".") for name in whole.namelist() if re.match("azure.*py$", name)]
        expected = {name for name in names if not name.startswith("azure_provisioning.image.")}
        self.assertEqual(set(marshal.loads(data[8:])), expected)

    def test_another_python_ignores_it(self) -> None:
        """A Python with another byte code ignores it, and loads the source."""
        other = find_another()
        if other is None:
            self.skipTest("there is one Python: that another one does not take its byte code was not tried")
        self.image(VERSION)
        self.install()
        self.assertEqual(self.modules(other, self.program), [self.program] * 3)

    def test_another_file_ignores_it(self) -> None:
        """A newer release that replaces the file loads nothing of the old one."""
        self.image(VERSION)
        self.install()
        newer = self.program + "-newer"
        with open(self.program, "rb") as file:
            data = file.read()
        own = digest(data).encode("ascii")
        build_zipapp.write(newer, data.replace(own, own[::-1]))
        self.assertEqual(self.modules(sys.executable, newer), [newer] * 3)
        self.assertNotEqual(self.modules(sys.executable, self.program), [self.program] * 3)

    def test_not_written_for_another_python(self) -> None:
        """Byte code of the build machine would be useless there, and byte code of an older install is removed."""
        self.image("3.99")
        self.fill({FOLDER + "/boot-0123456789abcdef-a70d": "old"})
        self.install()
        self.assertEqual(self.kept(), [])

    def test_older_byte_code_is_removed(self) -> None:
        self.image(VERSION)
        self.fill({FOLDER + "/boot-0123456789abcdef-a70d": "old"})
        self.install()
        self.assertEqual(len(self.kept()), 1)
        self.assertEqual(self.modules(sys.executable, self.program), [KEPT, KEPT, self.program])

    def test_generalize_keeps_it(self) -> None:
        self.image(VERSION)
        self.install()
        kept = self.kept()
        result = call([sys.executable, "-I", "-S", self.program, "generalize", "--yes", "--root", self.root])
        self.assertEqual((result.code, self.kept()), (0, kept), result)
        self.assertEqual(len(kept), 1)

    def test_cannot_be_written(self) -> None:
        """A boot works without it: the rest is installed, and the failure is reported."""
        self.image(VERSION)
        self.install()
        path = FOLDER + "/" + self.kept()[0]
        self.system.unlink(path)
        self.system.make_dirs(path)
        result = call([sys.executable, "-I", "-S", self.program, "install", "--root", self.root])
        self.assertEqual(result.code, 0, result)
        self.assertIn("each boot will compile our modules: ", result.err)
        self.assertEqual(self.modules(sys.executable, self.program), [self.program] * 3)

    def test_cannot_be_removed(self) -> None:
        """The files of an older install may stay: no boot uses them, and the new files are installed."""
        if os.geteuid() != 0 or shutil.which("chattr") is None:
            self.skipTest("not root, or no chattr: a file that cannot be removed was not tried")
        self.image(VERSION)
        older = FOLDER + "/boot-0123456789abcdef-a70d"
        self.fill({older: "old"})
        if call([shutil.which("chattr") or "", "+i", self.root + older]).code:
            self.skipTest("this file system knows no immutable files: a file that cannot be removed was not tried")
        self.addCleanup(call, [shutil.which("chattr") or "", "-i", self.root + older])
        result = call([sys.executable, "-I", "-S", self.program, "install", "--root", self.root])
        self.assertEqual(result.code, 0, result)
        self.assertIn("compiled modules of an older install stay", result.err)
        self.assertEqual(len(self.kept()), 2)

    def test_damaged_byte_code_is_ignored(self) -> None:
        """However the disk has damaged it, a boot works as without it."""
        self.image(VERSION)
        self.install()
        path = FOLDER + "/" + self.kept()[0]
        whole = self.system.read(path, limit=compiled.LIMIT) or b""
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 4]) + whole[middle + 1 :]
        zeroed = whole[:middle] + bytes(4096) + whole[middle + 4096 :]
        for data in (b"", whole[:-1000], whole[:5], flipped, zeroed, b"00000000" + whole[8:], whole + b"x"):
            self.system.write(path, data)
            self.assertEqual(self.modules(sys.executable, self.program), [self.program] * 3)
        self.system.write(path, whole)
        self.assertEqual(self.modules(sys.executable, self.program), [KEPT, KEPT, self.program])

    def test_byte_code_writable_by_others_is_ignored(self) -> None:
        """Root runs its content: if others may write to the file or to its folder, the file is ignored."""
        self.image(VERSION)
        self.install()
        folder = self.root + FOLDER
        place = folder + "/" + self.kept()[0]
        changes = [(place, 0, 0o664), (place, 0, 0o646), (folder, 0, 0o777), (folder, 0, 0o1775)]
        if os.geteuid() == 0:
            changes += [(place, 1000, 0o644), (place, 1000, 0o400), (folder, 1000, 0o755)]
        for changed, uid, mode in changes:
            before = os.stat(changed)
            os.chmod(changed, mode)
            if uid:
                os.chown(changed, uid, uid)
            self.assertEqual(self.modules(sys.executable, self.program), [self.program] * 3, (changed, mode))
            os.chmod(changed, before.st_mode)
            os.chown(changed, before.st_uid, before.st_gid)
        self.assertEqual(self.modules(sys.executable, self.program), [KEPT, KEPT, self.program])

    def test_byte_code_must_be_a_regular_file(self) -> None:
        """A link, a pipe, a folder: never waited for, and never followed."""
        self.image(VERSION)
        self.install()
        place = self.root + FOLDER + "/" + self.kept()[0]
        os.rename(place, self.root + "/other")
        os.symlink(self.root + "/other", place)
        self.assertEqual(self.modules(sys.executable, self.program), [self.program] * 3)
        os.unlink(place)
        os.mkfifo(place)
        self.assertEqual(self.modules(sys.executable, self.program), [self.program] * 3)
        os.unlink(place)
        os.mkdir(place)
        self.assertEqual(self.modules(sys.executable, self.program), [self.program] * 3)
        os.rmdir(place)
        os.rename(self.root + "/other", place)
        os.rename(self.root + FOLDER, self.root + "/elsewhere")
        os.symlink(self.root + "/elsewhere", self.root + FOLDER)
        self.assertEqual(self.modules(sys.executable, self.program), [self.program] * 3)

    def test_generalize_removes_planted_byte_code(self) -> None:
        """Only byte code that the file itself compiles to stays: root would run planted code in each VM."""
        self.image(VERSION)
        self.install()
        (own,) = self.kept()
        path = FOLDER + "/" + own
        genuine = self.system.read(path, limit=compiled.LIMIT) or b""
        evil = compiled.pack({"azure_provisioning.story.settled": marshal.dumps(compile("import os", "x", "exec"))})
        generalize = [sys.executable, "-I", "-S", self.program, "generalize", "--yes", "--root", self.root]
        for other in ("boot-0123456789abcdef-a70d", own[:-4] + "ffff", "boot-x", "boot-" + "0" * 16 + own[21:]):
            self.system.write(path, evil)
            self.system.write(FOLDER + "/" + other, evil)
            result = call(generalize)
            self.assertEqual((result.code, self.kept()), (0, [own]), result)
            self.assertEqual(self.system.read(path, limit=compiled.LIMIT), genuine)
            self.assertIn("%s/%s\n" % (FOLDER, other), result.out)
        if os.geteuid() == 0:  # right bytes, wrong owner
            os.chown(self.root + path, 1000, 1000)
            self.assertEqual(call(generalize).code, 0)
            self.assertEqual(
                (os.stat(self.root + path).st_uid, self.system.read(path, limit=compiled.LIMIT)), (0, genuine)
            )
        before = os.stat(self.root + path)
        self.assertEqual(call(generalize).code, 0)
        self.assertEqual(os.stat(self.root + path).st_ino, before.st_ino)

    def test_generalize_removes_byte_code_of_another_python(self) -> None:
        """Byte code that this Python cannot compile may not be ours, and is removed. A boot works without it."""
        other = find_another()
        if other is None:
            self.skipTest("there is one Python: what another one compiled was not tried")
        self.image(VERSION)
        self.install()
        result = call([other, "-I", "-S", self.program, "generalize", "--yes", "--root", self.root])
        self.assertEqual((result.code, self.kept()), (0, []), result)

    def test_uninstall_removes_it(self) -> None:
        self.image(VERSION)
        before = snapshot(self.root)
        self.install()
        self.assertEqual(len(self.kept()), 1)
        result = call([sys.executable, "-I", "-S", self.program, "uninstall", "--root", self.root])
        self.assertEqual(result.code, 0, result)
        self.assertEqual(snapshot(self.root), before)
