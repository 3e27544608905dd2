"""`check`: can the Python of the image run us? Files decide for an image; on this machine Python is run."""

import ast
import os
import stat
import struct
import sys
import zipfile
from typing import Dict, List, Set, Tuple

from azure_provisioning.door.system import System
from azure_provisioning.image.check import elf, interpreter
from azure_provisioning.image.check.subject import Image
from azure_provisioning.image.command import Command, own
from azure_provisioning.image.install.install import install
from azure_provisioning.init import manifest
from tests import TOP
from tests.images import call, cli
from tests.minimal import MINIMAL
from tests.sound import LIBRARY, CheckTest
from tests.test_house import imports, modules


def elf_file(library: str, folder: str = "", *, wide: bool = True, order: str = "<") -> bytes:
    """A minimal shared object that needs a library: ELF header, two program headers, names, dynamic section."""
    names = b"\0" + library.encode() + b"\0" + folder.encode() + b"\0"
    head, step, word = (64, 56, "Q") if wide else (52, 32, "I")
    base, table = 0x1000, head + 2 * step
    pairs = [(1, 1), (5, base + table)] + ([(29, len(library) + 2)] if folder else []) + [(0, 0)]
    dynamic = b"".join(struct.pack(order + 2 * word, *pair) for pair in pairs)
    place = table + len(names)
    size = place + len(dynamic)

    def header(kind: int, offset: int, length: int) -> bytes:
        rest = (offset, base + offset, 0, length, length)
        if wide:
            return struct.pack(order + "IIQQQQQQ", kind, 4, *rest, 8)
        return struct.pack(order + "IIIIIIII", kind, *rest, 4, 8)

    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    tail = (head, 0, 0, head, step, 2, 0, 0, 0)
    start = ident + struct.pack(order + "HHI" + 3 * word + "IHHHHHH", 3, 62, 1, 0, *tail)
    return start + header(1, 0, size) + header(2, place, len(dynamic)) + names + dynamic


class NeededTest(CheckTest):
    def test_needed_lists_the_imports_of_a_boot(self) -> None:
        """Every module outside image/ may be part of a boot, except the modules of the command line."""
        wanted: "Set[str]" = set()
        for path, tree in modules():
            if path.split("/")[0] in (
                "image",
                "usage.py",
                "verbs.py",
                "completion.py",
                "manual.py",
                "topics.py",
            ) or path in (
                "compiled/keep.py",
                "story/status.py",
                "story/timeline.py",
            ):
                continue
            for node in ast.walk(tree):
                if isinstance(node, (ast.Import, ast.ImportFrom)) and getattr(node, "level", 0) == 0:
                    names = [node.module] if isinstance(node, ast.ImportFrom) else [name.name for name in node.names]
                    wanted |= {str(name).split(".")[0] for name in names}
        self.assertIn("azure_provisioning", wanted)
        # Both are optional: traceback shows a bug, and zlib unpacks gzip in customData.
        self.assertEqual(wanted - set(interpreter.NEEDED), {"azure_provisioning", "traceback", "zlib"})
        self.assertTrue(imports("x.py", ast.parse("import re")))

    def test_this_python_has_all_needed_modules(self) -> None:
        code = "import sys\nfor name in sys.argv[1:]: __import__(name)"
        self.assertEqual(call([sys.executable, "-I", "-S", "-c", code] + list(interpreter.NEEDED)).code, 0)

    def test_debian_minimal_has_all_needed_modules(self) -> None:
        """The python3-minimal of four releases has everything that a boot loads: no step needs the shell."""
        for release, (files, built_in) in MINIMAL.items():
            with self.subTest(release):
                there = set(files.split()) | set(built_in.split()) | set(interpreter.ALWAYS)
                self.assertEqual(set(interpreter.NEEDED) - there, set())
                self.assertNotIn("xml", there)

    def test_all_modules_are_loaded_before_the_first_write(self) -> None:
        """A missing module is found before the first step, and the shell runs the whole boot."""
        code = "import importlib, sys; sys.path.insert(0, sys.argv[1])\nfrom azure_provisioning import cli\n"
        code += "from azure_provisioning.story import run\nfor name in run.LIBRARY: importlib.import_module(name)\n"
        code += "print(*[name for name in sys.argv[2:] if name not in sys.modules])"
        done = call([sys.executable, "-I", "-S", "-c", code, os.path.join(TOP, "src"), *interpreter.NEEDED])
        self.assertEqual((done.code, done.out), (0, "\n"), done)


class ImageTest(CheckTest):
    def test_interpreter(self) -> None:
        self.good("python", "/usr/bin/python3 is Python 3.11 and has all modules")
        remedy = self.bad("python", "error", "is not a program of the image", gone=["/usr/bin/python3.11"])
        self.assertEqual(
            remedy, "chroot %s sh -c 'apt-get update && apt-get install -y --no-install-recommends python3'" % self.root
        )
        self.bad("python", "error", "too old", {"/usr/bin/python3": "-> python3.5", "/usr/bin/python3.5": ""})

    def test_python_removed_after_install(self) -> None:
        """A second `install` chooses an existing program: the remedy of each finding. Otherwise a Python is added."""
        self.gone("/usr/bin/python3", "/usr/bin/python3.11")
        names = ("python", "account", "host-keys")
        found = [self.findings(name)[0] for name in names]
        remedy = "chroot %s sh -c 'apt-get update && apt-get install -y --no-install-recommends python3'" % self.root
        self.assertEqual({finding.remedy for finding in found}, {remedy})
        self.fill({"/bin/wget": "x"})
        found = [self.findings(name)[0] for name in names]
        self.assertEqual([finding.level for finding in found], ["error"] * 3)
        self.assertEqual({finding.remedy for finding in found}, {own("install", "--root", self.root)}, found)
        self.assertNotIn("shell", found[1].message)
        done = cli("rehearse", "--root", self.root)
        self.assertEqual((done.code, done.out), (1, ""))
        self.assertIn("the hook's Python is not a program of the image", done.err)
        self.assertIn("`install` again", done.err)
        self.install()
        self.assertEqual([self.findings(name)[0].level for name in names], ["warning", "ok", "ok"])

    def test_no_python(self) -> None:
        """The shell runs the file: a warning, or an error if the options need more."""
        self.gone("/usr/bin/python3", "/usr/bin/python3.11")
        self.fill({"/bin/sh": "x", "/bin/wget": "x"})
        self.install()
        (found,) = self.findings("python")
        self.assertEqual(found.level, "warning")
        self.assertRegex(found.message, "^there is no Python .* in the shell, which sets no password, .*$")
        self.fill({"/etc/azure-provisioning.conf": "account = yes\nssh_keys = yes\nsudo = yes\nhost_keys = new\n"})
        self.assertEqual(self.findings("python")[0].level, "warning")
        self.fill({"/etc/azure-provisioning.conf": "password = yes\ncustom_data = run\n"})
        (found,) = self.findings("python")
        self.assertEqual(found.level, "error")
        self.assertRegex(found.message, "these options need Python: custom_data password$")
        self.gone("/bin/wget")
        self.assertEqual([finding.level for finding in self.findings("python")], ["error", "error"])

    def test_commands_of_the_shell(self) -> None:
        """They may also be in busybox: it runs some without links, and a boot may make those."""
        self.gone("/usr/bin/python3", "/usr/bin/python3.11", "/usr/bin/sed", "/usr/bin/tr")
        self.fill({"/bin/sh": "x", "/bin/wget": "x"})
        self.install()
        self.assertRegex(self.findings("python")[1].message, "the shell implementation needs sed tr$")
        self.fill({"/bin/busybox": "\0seq\0sed\0"})
        self.make_program("/bin/busybox")
        self.assertRegex(self.findings("python")[1].message, "the shell implementation needs tr$")

    def test_incomplete_library(self) -> None:
        """The shell continues if Python lacks a module; it needs an HTTP client."""
        wget = {"/bin/wget": "x"}
        socket = LIBRARY + "/socket.py"
        self.bad("python", "warning", r"\(3.11\) lacks: socket: .* in the shell", wget, gone=[socket])
        self.bad("python", "warning", "lacks: socket subprocess: ", wget, gone=[socket, LIBRARY + "/subprocess.py"])
        self.bad("python", "warning", "lacks: fcntl: ", wget, gone=[LIBRARY + "/lib-dynload/fcntl.cpython-311.so"])
        self.start()
        self.gone(socket)
        self.assertEqual([finding.level for finding in self.findings("python")], ["warning", "error"])

    def test_modules(self) -> None:
        elf = "\x7fELF PyInit__socket\0PyInit_select\0PyInit_binascii\0PyInit_pyexpat_not\0"
        self.bad("python", "warning", "lacks: pyexpat: ", {"/usr/bin/python3.11": elf, "/bin/wget": "x"})
        self.bad("python", "error", "library of /usr/bin/python3 is missing", gone=[LIBRARY])

    def test_modules_without_their_libraries(self) -> None:
        """A C module exists, but the shared library that it needs does not: Alpine without libexpat."""
        place, lib = LIBRARY + "/lib-dynload/pyexpat.cpython-311-x86_64-linux-musl.so", "/usr/lib/libexpat.so.1"
        for wide, order in ((True, "<"), (False, "<"), (True, ">")):
            self.start()
            self.system.write(place, elf_file("libexpat.so.1", wide=wide, order=order))
            self.assertRegex(self.findings("python")[0].message, r"lacks: pyexpat \(without libexpat.so.1\)$")
            self.assertEqual(self.findings("python")[0].level, "error")
            self.system.write(lib, elf_file("libc.so.6", wide=wide, order=order))
            self.assertRegex(self.findings("python")[0].message, r"lacks: pyexpat \(without libc.so.6\)$")
            self.fill({"/usr/lib/x86_64-linux-gnu/libc.so.6": ""})
            self.good("python")
            self.gone(lib)
            install(self.system, self.console, b"x")
            self.assertEqual(manifest.values(self.system, "lacks"), ["pyexpat"])
        for conf, folder in (("/etc/ld.so.conf.d/x.conf", "/opt/lib"), ("/etc/ld-musl-x86_64.path", "/opt/lib")):
            self.fill({folder + "/libexpat.so.1": "", conf: "# the folders:\n/usr/lib:/opt/lib\n"})
            self.good("python")
            self.gone(conf, "/opt")
        self.system.write(place, elf_file("libexpat.so.1", folder="$ORIGIN/../own"))
        self.fill({LIBRARY + "/own/libexpat.so.1": ""})
        self.good("python")
        for data in (b"\x7fELF", elf_file("x")[:200], b"\x7fELF\2\1" + b"\xff" * 99, b"\x7fELF\2\1" + bytes(99)):
            self.system.write(place, data)
            self.good("python")  # it cannot be determined from here

    def test_interpreter_without_its_libraries(self) -> None:
        self.system.write("/usr/bin/python3.11", elf_file("libpython3.11.so.1.0"), 0o755)
        (found,) = self.findings("python")
        self.assertRegex(found.message, "/usr/bin/python3 cannot be loaded without libpython3.11.so.1.0$")
        self.assertEqual(found.level, "error")

    def test_libraries_of_this_machine(self) -> None:
        """Real files for a real loader."""
        here, real = System("/"), os.path.realpath(sys.executable)
        self.assertEqual(elf.missing_libraries(here, real), [])
        with open(real, "rb") as file:
            wants = elf.read_wants(file.read()).libraries
        self.system.write("/python", b"")
        with open(real, "rb") as source, open(self.root + "/python", "wb") as target:
            target.write(source.read())
        self.assertEqual(sorted(elf.missing_libraries(self.system, "/python")), sorted(wants))

    def test_account_finding_names_the_program(self) -> None:
        """The findings on the account and the host keys are about the program that the hook runs."""
        self.assertEqual(self.findings("account")[0].message, "made by editing the files, with /bin/sh")
        self.start()
        self.gone(LIBRARY + "/socket.py")
        for name in ("account", "host-keys"):
            (found,) = self.findings(name)
            self.assertEqual(found.level, "ok")
            self.assertIn(" in the shell", found.message)
        self.start()
        self.gone("/usr/bin/python3", "/usr/bin/python3.11", "/bin/sh")
        self.assertEqual([self.findings(name)[0].level for name in ("python", "account", "host-keys")], ["error"] * 3)

    def test_install_records_missing_modules(self) -> None:
        """For a boot: if a module existed at install and fails now, Python is not minimal."""
        fcntl, socket = LIBRARY + "/lib-dynload/fcntl.cpython-311.so", LIBRARY + "/socket.py"
        unknown = {"/usr/bin/python3.11": "\x7fELF"}  # its built-in modules are unknown
        cases: "List[Tuple[List[str], Dict[str, str], List[str]]]" = [
            ([], {}, ["nothing"]),
            ([socket], {"/bin/wget": "x"}, ["socket"]),
            ([fcntl, socket], {"/bin/wget": "x"}, ["fcntl socket"]),
            ([], unknown, []),
            ([socket], dict(unknown, **{"/bin/wget": "x"}), ["socket"]),
            ([LIBRARY], {}, []),
            (["/usr/bin/python3", "/usr/bin/python3.11"], {"/bin/sh": "x", "/bin/wget": "x"}, ["python"]),
        ]
        for gone, files, done in cases:
            with self.subTest(gone=gone, files=files):
                self.start()
                self.gone(*gone)
                self.fill(files)
                install(self.system, self.console, b"x")
                self.assertEqual(manifest.values(self.system, "lacks"), done)
        here, sh = System("/"), pretend(self.root, "echo 3.9 hashlib pyexpat\n")
        self.assertEqual(interpreter.missing_modules(here, sh), ["hashlib", "pyexpat"])
        self.assertEqual(interpreter.missing_modules(here, sys.executable), [])
        self.assertIsNone(interpreter.missing_modules(here, pretend(self.root, "exit 1\n")))
        self.assertIsNone(interpreter.missing_modules(here, pretend(self.root, "exit 0\n")))  # no answer

    def test_library_of_compiled_modules_only(self) -> None:
        """Buildroot removes the sources."""
        os.rename(self.root + LIBRARY + "/socket.py", self.root + LIBRARY + "/socket.pyc")
        os.rename(self.root + LIBRARY + "/importlib.py", self.root + LIBRARY + "/importlib.pyc")
        self.good("python")

    def test_library_in_a_zip(self) -> None:
        self.gone(LIBRARY + "/importlib.py", LIBRARY + "/socket.py")
        place = self.root + "/usr/lib/python311.zip"
        with zipfile.ZipFile(place, "w") as archive:
            archive.writestr("importlib/__init__.pyc", "")
            archive.writestr("socket.pyc", "")
        self.good("python")
        with open(place, "r+b") as file:
            file.truncate(10)
        self.assertRegex(self.findings("python")[0].message, "lacks: importlib socket")

    def test_shared_library(self) -> None:
        text = self.text("/usr/bin/python3.11") or ""
        self.fill({"/usr/bin/python3.11": "\x7fELF", "/usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0": text})
        self.good("python")

    def test_builtin_modules_cannot_be_determined(self) -> None:
        message = (
            "it cannot be determined whether these are built into /usr/bin/python3: _socket binascii pyexpat select"
        )
        self.bad("python", "warning", message, {"/usr/bin/python3.11": "\x7fELF"})

    def test_version_from_the_library(self) -> None:
        self.gone("/usr/bin/python3")
        os.rename(self.root + "/usr/bin/python3.11", self.root + "/usr/bin/python3")
        self.good("python", "is Python 3.11")
        self.fill({"/usr/lib/python3.9/os.py": ""})
        self.assertRegex(self.findings("python")[0].message, "the version of .* is unknown")

    def test_other_prefix(self) -> None:
        os.makedirs(self.root + "/opt/p/bin")
        os.makedirs(self.root + "/opt/p/lib64")
        os.rename(self.root + LIBRARY, self.root + "/opt/p/lib64/python3.11")
        os.rename(self.root + "/usr/bin/python3.11", self.root + "/opt/p/bin/python3.11")
        self.fill({"/usr/bin/python3": "-> /opt/p/bin/python3.11"})
        self.good("python", "3.11")


class AskTest(CheckTest):
    """On the running system the interpreter itself is run."""

    def test_this_python(self) -> None:
        (found,) = interpreter.ask(Image(System("/")), sys.executable, Command())
        self.assertEqual((found.level, found.id), ("ok", "python"), found)
        self.assertIn("is Python %d.%d" % sys.version_info[:2], found.message)

    def test_missing_modules(self) -> None:
        here = Image(System("/"))
        (found,) = interpreter.ask(here, pretend(self.root, "echo 3.9 hashlib pyexpat\n"), Command("add", "it"))
        self.assertEqual((found.level, found.remedy), ("warning", "add it"))
        self.assertRegex(found.message, "lacks: hashlib pyexpat: ")
        (found,) = interpreter.ask(here, pretend(self.root, "exit 1\n"), Command())
        self.assertEqual(found.level, "error")
        self.assertIn("does not run", found.message)

    def test_nothing_in_an_image_is_executed(self) -> None:
        place = pretend(self.root, "touch %s/ran\n" % self.root)
        os.replace(place, self.root + "/usr/bin/python3.11")
        Image(self.system)
        self.findings("python")
        self.assertFalse(os.path.exists(self.root + "/ran"))


def pretend(folder: str, script: str) -> str:
    """A program outside the image that this machine can run."""
    place = folder + "/python"
    with open(place, "w") as file:
        file.write("#!/bin/sh\n" + script)
    os.chmod(place, stat.S_IRWXU)
    return place
