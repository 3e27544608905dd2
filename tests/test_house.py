"""The rules of the source: allowed imports, allowed access to the machine, and how little a settled boot loads."""

import ast
import os
import subprocess
import sys
import unittest
from typing import Dict, Iterator, List, Set, Tuple

from azure_provisioning.azure.identity import DMI
from azure_provisioning.image.rehearse.fake_azure import VM_ID
from tests import TOP
from tests.guests import HOOK, STATE, BuiltTest, GuestTest

SOURCE = os.path.join(TOP, "src", "azure_provisioning")
WINGS = ("azure", "guest", "init")

# Which package may use which, from the top down; a package may use itself and every package after it.
FLOORS = (
    "__main__",
    "breakdown",
    "cli",
    "verbs",
    "completion",
    "manual",
    "usage",
    "topics",
    "image",
    "compiled",
    "story",
    "agents",
    "azure",
    "guest",
    "init",
)

# The modules and functions by which a module accesses files, programs or the network itself.
DOORS = {"subprocess", "tempfile", "shutil", "glob", "pathlib", "fileinput", "ctypes", "fcntl"}
FILE_CALLS = {
    "open",
    "mkdir",
    "makedirs",
    "rename",
    "replace",
    "unlink",
    "remove",
    "rmdir",
    "symlink",
    "chmod",
    "chown",
}

# The rehearsal creates its own scratch root and its own Azure; these are no files of a guest.
OWN_FILES = {
    "door/attributes.py",
    "door/files.py",
    "door/flags.py",
    "door/folder.py",
    "door/journal.py",
    "door/programs.py",
    "door/system.py",
    "door/tree.py",
    "console.py",
    "compiled/use.py",
    "image/rehearse/rehearse.py",
    "image/rehearse/scratch.py",
    "verbs.py",
    "output.py",
    "init/unit.py",
}


def modules() -> "Iterator[Tuple[str, ast.Module]]":
    """(path inside the package, syntax tree) of every module."""
    for folder, _, names in os.walk(SOURCE):
        for name in names:
            if name.endswith(".py"):
                path = os.path.join(folder, name)
                with open(path, encoding="utf-8") as file:
                    yield os.path.relpath(path, SOURCE).replace(os.sep, "/"), ast.parse(file.read())


def imports(path: str, tree: ast.AST) -> "Set[str]":
    """The imports of a module, anywhere in it; our own modules are named `azure_provisioning.x.y`."""
    package = ["azure_provisioning"] + path.split("/")[:-1]
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join(base + (node.module.split(".") if node.module else []))
            found |= {"%s.%s" % (name, alias.name) for alias in node.names} | {name}
    return found


def ours(names: "Set[str]") -> "Set[str]":
    """The first part of the path of each of our own modules among the names: `azure`, `system`, `cli`."""
    return {name.split(".")[1] for name in names if name.startswith("azure_provisioning.")}


# Within the story, from the top down.
STAGES = (*"status provision fetch report patience steps verify boot settled lasting state timeline".split(),)  # noqa: SIM905


class ImportsTest(GuestTest):
    def setUp(self) -> None:
        super().setUp()
        self.imports: "Dict[str, Set[str]]" = {path: imports(path, tree) for path, tree in modules()}

    def test_imports_are_found(self) -> None:
        self.assertGreater(len(self.imports), 30)
        self.assertIn("azure_provisioning.azure.transport", self.imports["azure/goal_state.py"])
        self.assertIn("subprocess", self.imports["door/programs.py"])

    def test_wings_do_not_import_one_another(self) -> None:
        for path, names in self.imports.items():
            wing = path.split("/")[0]
            if wing in WINGS:
                others = set(WINGS) - {wing}
                self.assertEqual(
                    ours(names) & (others | {"story", "cli", "image", "usage", "compiled", "agents"}), set(), path
                )

    def test_imports_point_down(self) -> None:
        for path, names in self.imports.items():
            here = path.split("/")[0].replace(".py", "")
            if here in FLOORS:
                above = set(FLOORS[: FLOORS.index(here)])
                self.assertEqual(ours(names) & above, set(), path)
            else:
                self.assertEqual(ours(names) & set(FLOORS), set(), "%s lies below all floors" % path)

    def test_imports_of_the_story_point_down(self) -> None:
        for place, stage in enumerate(STAGES):
            names = {name.split(".")[2] for name in self.imports["story/%s.py" % stage] if ".story." in name}
            self.assertLessEqual(names, set(STAGES[place + 1 :]), stage)

    def test_one_module_reads_the_keys_of_the_state(self) -> None:
        for path, tree in modules():
            if path != "story/state.py":
                names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
                self.assertNotIn("facts", names, path)

    def test_one_module_runs_programs(self) -> None:
        users = [path for path, names in self.imports.items() if "subprocess" in names]
        self.assertEqual(users, ["door/programs.py"])

    def test_two_modules_use_the_network(self) -> None:
        calls = {path: calls_of(tree) for path, tree in modules()}
        connecting = {path for path, found in calls.items() if "connect" in found}
        self.assertEqual(connecting, {"door/system.py", "azure/transport.py", "init/notify.py"})  # the last: AF_UNIX
        for name in ("http.client", "urllib.request", "urllib", "ssl", "requests", "asyncio"):
            self.assertEqual([path for path, names in self.imports.items() if name in names], [])

    def test_files_are_opened_in_door_only(self) -> None:
        for path, tree in modules():
            if path in OWN_FILES:
                continue
            self.assertEqual(self.imports[path] & DOORS, set(), path)
            self.assertEqual({call for call in os_calls(tree) if call in FILE_CALLS}, set(), path)

    def test_only_a_newline_ends_a_line(self) -> None:
        """`splitlines` accepts nine more line ends: part of a comment would become a line that counts."""
        for path, tree in modules():
            self.assertNotIn("splitlines", calls_of(tree), path)

    def test_broad_excepts(self) -> None:
        found: "List[str]" = []
        for path, tree in modules():
            for node in ast.walk(tree):
                if isinstance(node, ast.ExceptHandler):
                    kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
                    names = {getattr(kind, "id", None) for kind in kinds}
                    if names & {None, "Exception", "BaseException"} and not any(
                        isinstance(kind, ast.Attribute) for kind in kinds
                    ):
                        found.append(path)
        self.assertLessEqual(set(found), {"story/provision.py", "__main__.py"})
        self.assertIn("story/provision.py", found)
        self.assertEqual(len(found), len(set(found)))

    def test_digits_are_ascii(self) -> None:
        """`int` refuses some characters that these accept, such as a superscript two: see `config.is_digits`."""
        for path, tree in modules():
            self.assertEqual(calls_of(tree) & {"isdigit", "isdecimal", "isnumeric"}, set(), path)

    @unittest.skipUnless(sys.version_info >= (3, 10), "only Pythons from 3.10 on know what their standard library has")
    def test_only_the_standard_library_is_imported(self) -> None:
        known = set(getattr(sys, "stdlib_module_names", ())) | {"azure_provisioning"}
        for path, names in self.imports.items():
            self.assertLessEqual({name.split(".")[0] for name in names}, known, path)

    def test_no_environment_variable_is_obeyed(self) -> None:
        users = set()
        for path, tree in modules():
            for node in ast.walk(tree):
                if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "environb"):
                    users.add(path)
        # systemd's NOTIFY_SOCKET, and NO_COLOR, by which a user disables colours.
        self.assertEqual(users, {"init/notify.py", "story/settled.py", "console.py"})


def calls_of(tree: ast.AST) -> "Set[str]":
    """The names of all methods and functions that a module calls."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute):
                found.add(node.func.attr)
            elif isinstance(node.func, ast.Name):
                found.add(node.func.id)
    return found


def os_calls(tree: ast.AST) -> "Set[str]":
    """The built-in `open`, and the functions of `os`, that a module calls."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id == "open":
                found.add("open")
            elif (
                isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "os"
            ):
                found.add(node.func.attr)
    return found


class SettledBootTest(BuiltTest):
    """The modules that the built file loads in a settled boot: every boot of every VM pays for them."""

    CODE = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from azure_provisioning.door import tree\n"
        "from azure_provisioning.story import settled\n"
        "found = settled.is_settled(tree.Tree(sys.argv[2]))\n"
        "settled.release_boot()\n"
        "print(found)\n"
        "print(' '.join(sorted(set(sys.modules) - before)))\n"
    )
    HEAVY = set(
        """
        typing re socket json subprocess argparse tempfile signal threading http urllib email ssl xml pyexpat
        collections functools enum shutil random hashlib zlib logging traceback contextlib datetime struct select fcntl
        """.split()  # noqa: SIM905
    )

    def look(self) -> "Tuple[str, Set[str]]":
        """(is it settled, the modules that were loaded for the decision)."""
        printed = subprocess.check_output(
            [sys.executable, "-I", "-S", "-c", self.CODE, self.program, self.root], universal_newlines=True
        ).splitlines()
        return printed[0], set(printed[1].split())

    def make_ready(self) -> None:
        self.fill({DMI + "/product_uuid": VM_ID, STATE: "vm_id=%s\nconfigured_at=x\nready_at=y\n" % VM_ID})

    def test_ready(self) -> None:
        self.make_ready()
        settled, loaded = self.look()
        self.assertEqual(settled, "True")
        # Modules that zipimport itself needs (struct, and re on old Pythons) are loaded before our first line.
        own = subprocess.check_output(
            [
                sys.executable,
                "-I",
                "-S",
                "-c",
                "import sys; b = set(sys.modules); sys.path.insert(0, sys.argv[1]); import azure_provisioning;"
                "print(' '.join(set(sys.modules) - b))",
                self.program,
            ],
            universal_newlines=True,
        ).split()
        loaded -= set(own)
        self.assertEqual(loaded & self.HEAVY, set())
        few = "door door.tree errors story story.settled story.state azure azure.identity init init.manifest"
        mine = {name for name in loaded if name.startswith("azure_provisioning.")}
        self.assertLessEqual(mine, {"azure_provisioning." + name for name in few.split()})
        self.assertLess(len(loaded), 20, sorted(loaded))

    def test_manager_cannot_be_notified(self) -> None:
        """A socket without a reader costs a line, but not the boot of a working VM."""
        self.make_ready()
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", self.CODE, self.program, self.root],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"NOTIFY_SOCKET": self.root + "/nobody"},
        )
        self.assertEqual((done.returncode, done.stdout.split()[0]), (0, b"True"))
        self.assertRegex(done.stderr, b"^azure-provisioning: warning: systemd cannot be notified[^\n]*\n$")

    def test_not_ready(self) -> None:
        self.make_ready()
        for files in (
            {STATE: "vm_id=%s\nconfigured_at=x\n" % VM_ID},
            {STATE: ""},
            {STATE: "nonsense"},
            {STATE: "vm_id=aaaaaaaa-9f02-4cfe-b1f4-a4da7ebac2cf\nready_at=y\n"},
        ):
            self.make_ready()
            self.assertEqual(self.look()[0], "True")
            self.fill(files)
            self.assertEqual(self.look()[0], "False", files)
        self.make_ready()
        self.fill({DMI + "/product_uuid": "none"})
        self.assertEqual(self.look()[0], "False")

    def test_leftover_hook(self) -> None:
        self.make_ready()
        self.install_hook()
        self.fill({"/var/lib/azure-provisioning/install": "init=systemd\nlink=%s\n" % HOOK})
        self.assertEqual(self.look()[0], "False")  # not settled: the hook must be removed
        self.options(every_boot="yes")
        self.assertEqual(self.look()[0], "True")
