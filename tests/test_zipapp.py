"""The single file: the same bytes from any Python and any checkout. It starts with every kind of Python."""

import io
import os
import re
import shutil
import sys
import tempfile
import unittest
import zipfile
from typing import Dict, List, Tuple
from unittest import mock

import build_zipapp
from tests import TOP
from tests.images import built_file, call
from tests.pythons import ask_version

VERBS = ("run", "install", "uninstall", "status", "check", "report", "rehearse")


def pythons() -> "Dict[Tuple[int, ...], str]":
    """The running interpreter and those in the variable PYTHONS, by version. Each has its own suite."""
    found: "Dict[Tuple[int, ...], str]" = {sys.version_info[:2]: sys.executable}
    for path in os.environ.get("PYTHONS", "").split():
        found.setdefault(ask_version(path)[:2], path)
    return found


class BuildTest(unittest.TestCase):
    def checkout(self) -> str:
        """A copy of the build's sources, elsewhere."""
        folder = tempfile.mkdtemp(prefix="azure-provisioning-test-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        for name in ("src", "units"):
            shutil.copytree(os.path.join(TOP, name), os.path.join(folder, name))
            for here, _, files in os.walk(os.path.join(folder, name)):
                for path in [here] + [os.path.join(here, file) for file in files]:
                    os.chmod(path, 0o755)  # the checkout may be read-only
        shutil.copy(os.path.join(TOP, "build_zipapp.py"), folder)
        return folder

    def build(self, folder: str, python: str = sys.executable, *options: str) -> bytes:
        result = call([python, "-I", "-S", os.path.join(folder, "build_zipapp.py"), *options])
        self.assertEqual(result.code, 0, result)
        with open(os.path.join(folder, "dist", "azure-provisioning"), "rb") as file:
            return file.read()

    def test_same_bytes_from_every_python(self) -> None:
        with open(built_file(), "rb") as file:
            expected = file.read()
        folder = self.checkout()
        for version, python in sorted(pythons().items()):
            with self.subTest(version):
                self.assertEqual(self.build(folder, python), expected)

    def test_same_bytes_from_another_checkout(self) -> None:
        """Other times, modes, order of creation and umask; with files that Python and editors leave."""
        folder = self.checkout()
        for here, folders, names in os.walk(folder):
            for name in names:
                os.chmod(os.path.join(here, name), 0o777)
                os.utime(os.path.join(here, name), (2e9, 2e9))
            for name in folders:
                os.chmod(os.path.join(here, name), 0o700)
        package = os.path.join(folder, "src", "azure_provisioning")
        os.makedirs(os.path.join(package, "__pycache__"), exist_ok=True)
        for name in ("__pycache__/cli.cpython-39.pyc", "cli.pyc", "cli.py.orig", "notes.txt"):
            with open(os.path.join(package, name), "w") as file:
                file.write("left over")
        old = os.umask(0o077)
        try:
            data = self.build(folder)
        finally:
            os.umask(old)
        with open(built_file(), "rb") as file:
            self.assertEqual(data, file.read())
        place = os.path.join(folder, "dist", "azure-provisioning")
        self.assertEqual(os.stat(place).st_mode & 0o777, 0o755)
        self.assertEqual(
            sorted(os.listdir(os.path.dirname(place))),
            ["azure-provisioning" + ending for ending in ("", ".8", ".bash", ".conf.5", ".fish", ".sha256", ".zsh")],
        )

    def test_leftover_files_in_a_checkout(self) -> None:
        """Files that editors, merges, Python and people leave do not change the bytes, in any locale."""
        folder = self.checkout()
        junk = b"""
            x.orig #a# a~ .a.swp .#cli.py cli.py.rej 4913 core __pycache__/x.py __pycache__/x.pyc Makefile cli.bak.py
            azure-provisioning.orig azure-provisioning.service.orig azure-provisioning.service.dpkg-old .DS_Store
            azure-provisioning.swp notes/azure-provisioning caf\xc3\xa9.py caf\xe9.py 1.py new/a.py ..py .py
        """.split()  # noqa: SIM905
        places = [os.fsencode(os.path.join(folder, "src", "azure_provisioning")), os.fsencode(folder + "/units")]
        places += [os.path.join(place, name) for place in places for name in os.listdir(place)]
        for place in [place for place in places if os.path.isdir(place)]:
            for name in junk:
                path = os.path.join(place, name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                if not os.path.lexists(path):
                    with open(path, "wb") as file:
                        file.write(b"left over\n")
            os.symlink(b"/etc/passwd", os.path.join(place, b"link"))
            os.symlink(b"/etc", os.path.join(place, b"etc"))
            os.symlink(b"/nowhere", os.path.join(place, b".#link.py"))
            os.mkfifo(os.path.join(place, b"pipe"))
        with open(built_file(), "rb") as file:
            expected = file.read()
        for locale in ("C", "C.UTF-8", "POSIX"):
            with mock.patch.dict(os.environ, {"LC_ALL": locale, "PYTHONCOERCECLOCALE": "0"}):
                self.assertEqual(self.build(folder), expected)

    def test_incomplete_checkout(self) -> None:
        """A link's target is not part of the checkout. A missing unit would show only at an install."""
        for name in ("src/azure_provisioning/cli.py", "src/head.sh", "units/dinit/azure-provisioning"):
            for kind in ("link", "pipe", "folder", "gone"):
                if kind == "gone" and name.endswith(".py"):
                    continue  # the tests of all other parts would fail
                with self.subTest(name=name, kind=kind):
                    folder = self.checkout()
                    path = os.path.join(folder, name)
                    os.rename(path, folder + "/away")
                    if kind == "link":
                        os.symlink(folder + "/away", path)
                    elif kind == "pipe":
                        os.mkfifo(path)
                    elif kind == "folder" and not name.endswith(".py"):
                        os.mkdir(path)
                    elif kind == "folder":
                        continue
                    answer = call([sys.executable, "-I", "-S", os.path.join(folder, "build_zipapp.py")])
                    self.assertEqual((answer.code, answer.out), (1, ""), answer)
                    self.assertRegex(answer.err, r"\Anothing was built: [^\n]*%s[^\n]*\n\Z" % re.escape(name))
                    self.assertFalse(os.path.exists(os.path.join(folder, "dist")))

    def test_every_unit_is_listed(self) -> None:
        git = call(["git", "-C", TOP, "ls-files", "units"])
        if git.code != 0 or not git.out:
            self.skipTest("no git, or no checkout of it: the units were not compared with what it has")
        tracked = [name[len("units/") :] for name in git.out.split("\n") if name]
        self.assertEqual(tuple(name for name in tracked if not name.startswith("recipes/")), build_zipapp.UNITS)

    def test_unknown_option(self) -> None:
        answer = call([sys.executable, os.path.join(TOP, "build_zipapp.py"), "--fast"])
        self.assertEqual((answer.code, answer.out), (2, ""))
        self.assertIn("reproducible build", answer.err)

    def test_sum(self) -> None:
        """In the format of `sha256sum -c`, and changed with the file."""
        folder = self.checkout()
        self.build(folder)
        tool = shutil.which("sha256sum")
        if tool is None:
            self.skipTest("no sha256sum: the sum was not checked by another program")
        place = os.path.join(folder, "dist")
        check = ["sh", "-c", 'cd "$0" && %s -c azure-provisioning.sha256' % tool, place]
        self.assertEqual(call(check).out, "azure-provisioning: OK\n")
        with open(os.path.join(place, "azure-provisioning"), "ab") as file:
            file.write(b"x")
        self.assertEqual(call(check).code, 1)

    def test_changed_source_changes_the_bytes(self) -> None:
        folder = self.checkout()
        with open(os.path.join(folder, "units", "systemd", "azure-provisioning.service"), "a") as file:
            file.write("# changed\n")
        with open(built_file(), "rb") as file:
            built = file.read()
        other = self.build(folder)
        self.assertNotEqual(other, built)
        self.assertNotEqual(digest(other), digest(built))


def digest(data: bytes) -> str:
    """The digest in the built file, of all its content."""
    (found,) = re.findall(rb'\nDIGEST = "([0-9a-f]{16})"', data)
    return str(found.decode("ascii"))


class ContentTest(unittest.TestCase):
    def setUp(self) -> None:
        with open(built_file(), "rb") as file:
            self.data = file.read()
        self.archive = zipfile.ZipFile(io.BytesIO(self.data))
        self.addCleanup(self.archive.close)

    def test_nothing_but_modules_and_units(self) -> None:
        names = self.archive.namelist()
        self.assertEqual(names, sorted(set(names)))
        for name in names:
            module = re.match(r"(azure_provisioning(/\w+)+|__main__)\.py$", name)
            unit = re.match(r"units/[\w-]+/[\w.-]*azure-provisioning[\w.-]*$", name)
            self.assertTrue(module or unit, name)
            with open(os.path.join(TOP, *self.source(name))) as file:
                content = self.archive.read(name).decode("utf-8")
                self.assertEqual(content.replace(digest(self.data), ""), file.read())

    def source(self, name: str) -> "List[str]":
        """The source of an entry in the checkout."""
        if name == "__main__.py":
            return ["src", "azure_provisioning", "__main__.py"]
        return ([] if name.startswith("units/") else ["src"]) + name.split("/")

    def test_all_modules_and_units(self) -> None:
        expected = set()
        for top, base in (("src/azure_provisioning", "src"), ("units", ".")):
            for folder, folders, names in os.walk(os.path.join(TOP, top)):
                folders[:] = [name for name in folders if name != "recipes"]  # they are for a build machine
                relative = os.path.relpath(folder, os.path.join(TOP, base))
                expected |= {os.path.join(relative, name) for name in names if top == "units" or name.endswith(".py")}
        expected.remove("azure_provisioning/__main__.py")
        expected -= {"azure_provisioning/completion.py", "azure_provisioning/manual.py"}  # made by the build
        self.assertEqual(set(self.archive.namelist()), expected | {"__main__.py"})

    def test_stored_without_machine_data(self) -> None:
        for entry in self.archive.infolist():
            self.assertEqual(entry.compress_type, zipfile.ZIP_STORED, entry.filename)
            self.assertEqual(entry.date_time, (1980, 1, 1, 0, 0, 0))
            self.assertEqual((entry.create_system, entry.external_attr >> 16), (3, 0o100644))
            self.assertEqual((entry.extra, entry.comment), (b"", b""))
        self.assertEqual(self.archive.comment, b"")  # 3.6 and 3.7 refuse a file that has one
        self.assertNotIn(os.fsencode(TOP), self.data)

    def test_whole(self) -> None:
        self.assertIsNone(self.archive.testzip())
        scripts = b""
        for name in ("head.sh", "essential.sh"):
            with open(os.path.join(TOP, "src", name), "rb") as file:
                scripts += file.read()
        self.assertTrue(scripts.startswith(b"#!/bin/sh\n"))
        self.assertTrue(scripts.endswith(b"\nexit 0\n"))  # no shell reads on into the archive
        self.assertTrue(self.data.startswith(scripts + b"PK\x03\x04"))
        for entry in self.archive.infolist():  # the offsets count the scripts, so `unzip -t` passes too
            self.assertEqual(self.data[entry.header_offset : entry.header_offset + 4], b"PK\x03\x04", entry.filename)

    def test_size(self) -> None:
        self.assertLess(len(self.data), 1280000)


class StartTest(unittest.TestCase):
    def test_on_every_python(self) -> None:
        """Without a warning, even one that a newer Python hides by default."""
        for version, python in sorted(pythons().items()):
            with self.subTest(version=version):
                result = call([python, "-W", "error", "-I", "-S", built_file(), "rehearse", "--fault", "list"])
                self.assertEqual((result.code, result.err), (0, ""))
                self.assertRegex(result.out, "(?m)^imds-silent .*; ends: Ready$")

    @unittest.skipIf(sys.version_info < (3, 8), "audit hooks take Python 3.8")
    def test_each_module_is_compiled_once(self) -> None:
        """Compiling is two thirds of a first boot in an image that was made from outside."""
        script = (
            "import runpy, sys; sys.argv.pop(0)\n"
            "sys.addaudithook(lambda event, data: event == 'compile' and print('compiled', data[1]))\n"
            "runpy.run_path(sys.argv[0], run_name='__main__')"
        )
        result = call([sys.executable, "-I", "-S", "-c", script, built_file(), "rehearse", "--fault", "list"])
        names = re.findall(r"(?m)^compiled \S+?/azure_provisioning/(\S+)$", result.out)
        self.assertIn("image/rehearse/fake_azure.py", names)
        package = ["__init__.py"]  # loaded before
        self.assertEqual(sorted(set(names)), sorted([name for name in names if name not in package] + package))

    def test_with_the_site_module(self) -> None:
        result = call([sys.executable, "-I", built_file(), "--version"])
        self.assertEqual((result.code, result.err), (0, ""))
        self.assertRegex(result.out, r"\Aazure-provisioning \d+\.\d+[^\n]*\n\Z")

    def test_executed_directly(self) -> None:
        result = call([built_file(), "--version"], PATH=os.path.dirname(sys.executable) + ":/usr/bin:/bin")
        self.assertEqual(result.code, 0, result)

    def test_usage(self) -> None:
        for arguments in (
            [],
            ["nonsense"],
            ["run", "now"],
            ["report"],
            ["report", "failure"],
            ["rehearse", "--fault", "x"],
        ):
            with self.subTest(arguments):
                result = call([sys.executable, "-I", "-S", built_file()] + arguments)
                self.assertEqual((result.code, result.out), (2, ""))
                self.assertNotIn("Traceback", result.err)
                self.assertNotEqual(result.err, "")

    def test_help_names_every_verb(self) -> None:
        result = call([sys.executable, "-I", "-S", built_file(), "--help"])
        self.assertEqual(result.code, 0)
        for verb in VERBS:
            self.assertIn(verb, result.out)

    def test_python_2(self) -> None:
        python = next((path for path in old_pythons() if os.access(path, os.X_OK)), None)
        if python is None:
            self.skipTest("no Python 2.7: what a Python that is too old says was not tried")
        result = call([python, built_file(), "status"])  # the shell continues `run`: see test_essential.py
        self.assertEqual((result.code, result.out), (1, ""), result)
        self.assertRegex(
            result.err, r"\Aazure-provisioning: Python 3\.6 or newer is needed, and [^\n]* is 2\.7[^\n]*\n\Z"
        )

    def test_main_is_parsed_by_old_pythons(self) -> None:
        """No f-string, annotation or keyword-only argument, even if no old Python is found."""
        for name in ("__init__.py", "__main__.py", "breakdown.py"):
            with open(os.path.join(TOP, "src", "azure_provisioning", name), encoding="utf-8") as file:
                text = re.sub(r"#.*", "", file.read())
            self.assertEqual(text, text.encode("ascii", "replace").decode("ascii"))
            self.assertIsNone(
                re.search(r"\bf['\"]|->|def \w+\([^)]*:|\*,|\bnonlocal\b|\bfrom None\b|\bprint\b", text), name
            )

    def test_missing_module(self) -> None:
        """A minimal Python: the message names the missing module that the verb needs."""
        needed = {
            "argparse": ["status"],
            "json": ["status", "--json"],
            "subprocess": ["install", "--root", "/nonexistent"],
            "socketserver": ["rehearse", "--fault", "list"],
        }
        hide = "import sys, runpy; name = sys.argv.pop(1); sys.modules[name] = None; sys.argv.pop(0); "
        for module, arguments in sorted(needed.items()):
            with self.subTest(module):
                script = hide + "runpy.run_path(sys.argv[0], run_name='__main__')"
                result = call([sys.executable, "-I", "-S", "-c", script, module, built_file()] + arguments)
                self.assertEqual((result.code, result.out), (1, ""), result)
                self.assertRegex(result.err, r"\Aazure-provisioning: the module '%s' is missing[^\n]*\n\Z" % module)

    def test_missing_own_module_is_a_bug(self) -> None:
        data = io.BytesIO()
        with zipfile.ZipFile(built_file()) as whole, zipfile.ZipFile(data, "w") as broken:
            for name in whole.namelist():
                if name != "azure_provisioning/story/status.py":
                    broken.writestr(name, whole.read(name))
        folder = tempfile.mkdtemp(prefix="azure-provisioning-test-")
        self.addCleanup(shutil.rmtree, folder)
        path = os.path.join(folder, "broken")
        build_zipapp.write(path, data.getvalue())
        result = call([sys.executable, "-I", "-S", path, "status"])
        self.assertEqual(result.code, 3)
        self.assertIn("Traceback", result.err)


def old_pythons() -> "List[str]":
    """Possible paths of a Python 2.7."""
    folders = os.environ.get("PATH", "").split(os.pathsep)
    versions = os.path.join(os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv")), "versions")
    if os.path.isdir(versions):
        folders = [
            os.path.join(versions, name, "bin") for name in os.listdir(versions) if name.startswith("2.7")
        ] + folders
    found = [os.path.join(folder, "python2.7") for folder in folders]
    return [path for path in found if os.path.exists(path) and call([path, "-c", "0"]).code == 0]
