"""The files in `units/`: valid for the tools that read them, with a boot's exact command lines."""

import os
import re
import shutil
import subprocess
import unittest
from typing import Dict, List

from azure_provisioning import BOOT_HOOK
from azure_provisioning.init.declared import TEXTS
from azure_provisioning.init.table import NAMES
from azure_provisioning.init.unit import DEFAULT, SHELL, unit
from azure_provisioning.records import Hook
from tests import TOP
from tests.guests import GuestTest
from tests.images import Result, call

UNITS = os.path.join(TOP, "units")
PROGRAM = "/usr/local/sbin/azure-provisioning"
OPENRC = "openrc/azure-provisioning"
SYSVINIT = "sysvinit/azure-provisioning"
SYSTEMD = "systemd/azure-provisioning.service"
RUNIT = "runit/azure-provisioning"
SLACKWARE = "slackware/rc.azure-provisioning"
SCRIPTS = (OPENRC, SYSVINIT, RUNIT, SLACKWARE)
# Files that name no interpreter: text for a declaration, and files that only enable us.
WITHOUT_PATHS = (
    "nixos/azure-provisioning.nix",
    "guix/azure-provisioning.scm",
    "systemd/10-azure-provisioning.preset",
    "slackware/azure-provisioning.rc.local",
)


def shipped(name: str) -> str:
    """A file of `units/` as it is in the checkout."""
    with open(os.path.join(UNITS, *name.split("/")), encoding="utf-8") as file:
        return file.read()


def names() -> "List[str]":
    """Every file in `units/` that the built file contains: not the recipes (tests/test_recipes.py)."""
    folders = [folder for folder in os.listdir(UNITS) if folder != "recipes"]
    return ["%s/%s" % (folder, name) for folder in folders for name in os.listdir(os.path.join(UNITS, folder))]


def active(text: str) -> str:
    """The text without its comments."""
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))


class EveryUnitTest(unittest.TestCase):
    def test_every_init_system_has_units(self) -> None:
        self.assertLessEqual({SYSTEMD}.union(SCRIPTS, WITHOUT_PATHS), set(names()))
        folders = set(NAMES) | set(TEXTS)
        self.assertEqual({name.split("/")[0] for name in names()}, folders - {"buildroot"})

    def test_no_unit_waits_for_the_network(self) -> None:
        for name in names():
            self.assertNotRegex(active(shipped(name)), r"network-online|net-online|wait-online", name)

    def test_each_is_plain_text(self) -> None:
        for name in names():
            text = shipped(name)
            self.assertTrue(text.endswith("\n") and "\r" not in text and text.isprintable() is False, name)
            self.assertEqual(text, text.encode("ascii", "replace").decode("ascii"), name)

    def test_install_replaces_all_shipped_paths(self) -> None:
        """A packager ships them unchanged. `install` replaces all paths with the image's."""
        hook = Hook("/opt/python3.9", "/opt/sbin/azure")
        for name in set(names()) - set(WITHOUT_PATHS):
            self.assertEqual(unit(name, DEFAULT), shipped(name))
            text = active(unit(name, hook))
            self.assertNotIn(DEFAULT.python, text)
            self.assertNotIn(DEFAULT.program, text)
            self.assertEqual((text.count(hook.python), text.count(hook.program)), (1, 1), name)

    def test_arguments_of_a_boot(self) -> None:
        """The words after the program identify a boot, here and in the shell."""
        called = []
        for name in set(names()) - {"systemd/10-azure-provisioning.preset", "slackware/azure-provisioning.rc.local"}:
            text = re.sub(r"(?m)^\s*#[ !].*", "", shipped(name)).replace('"', "")  # Guix has lines that begin `#$(`
            (words,) = re.findall(r"(?:-provisioning[)}]*|PROGRAM) (run(?: --\w+)*)", text)
            self.assertIn(words.split(), BOOT_HOOK, name)
            called.append(words.split())
        self.assertTrue(all(words in called for words in BOOT_HOOK), called)
        with open(os.path.join(TOP, "src", "essential.sh"), encoding="utf-8") as file:
            cases = ["%d:%s:%s" % (len(words), words[0], "".join(words[1:])) for words in BOOT_HOOK]
            self.assertIn("\n%s) ;;\n" % " | ".join(cases), file.read())

    def test_without_python(self) -> None:
        """The shell runs the file, without Python's options."""
        for name in set(names()) - set(WITHOUT_PATHS):
            text = active(unit(name, Hook(SHELL, PROGRAM)))
            self.assertNotRegex(text, r"python\d|-I|-S\b", name)
            self.assertIn(SHELL, text, name)
        self.assertIn("ExecStart=/bin/sh %s run\n" % PROGRAM, unit(SYSTEMD, Hook(SHELL, PROGRAM)))

    def test_units_have_no_conditions(self) -> None:
        """Only the program decides whether a VM is set up, because it knows the VM's id."""
        for name in names():
            self.assertNotRegex(active(shipped(name)), r"Condition|/var/lib|\[ -[ef] ", name)


class SystemdUnitTest(GuestTest):
    def directives(self) -> "Dict[str, List[str]]":
        """`Section.Key` to the words of all its lines."""
        found: Dict[str, List[str]] = {}
        section = ""
        for line in active(shipped(SYSTEMD)).splitlines():
            if line.startswith("["):
                section = line.strip("[]")
            elif line:
                key, _, value = line.partition("=")
                found.setdefault(section + "." + key, []).extend(value.split())
        return found

    def test_order(self) -> None:
        found = self.directives()
        for server in ("ssh", "sshd", "dropbear"):
            self.assertIn(server + ".service", found["Unit.Before"])
        self.assertNotIn("Unit.Wants", found)
        self.assertNotIn("Unit.Requires", found)
        self.assertFalse(set(found["Unit.After"]) & set(found["Unit.Before"]))

    def test_boot_waits_only_for_ready_1(self) -> None:
        found = self.directives()
        self.assertEqual(found["Service.Type"], ["notify"])
        self.assertEqual(found["Service.RemainAfterExit"], ["yes"])
        self.assertLessEqual(int(found["Service.TimeoutStartSec"][0]), 300)
        argv = ["/usr/bin/python3", "-I", "-S", PROGRAM, "run"]
        self.assertEqual(found["Service.ExecStart"], argv)

    def test_systemd_analyze(self) -> None:
        analyze = shutil.which("systemd-analyze")
        if analyze is None:
            self.skipTest("no systemd-analyze: the unit was not checked by systemd itself")
        for path in ("/usr/bin/python3", PROGRAM):
            self.system.write(path, "#!/bin/sh\n", mode=0o755)
        hook = Hook(self.system.path("/usr/bin/python3"), self.system.path(PROGRAM))
        folder = self.system.path("/etc/systemd/system")
        os.makedirs(folder)
        for line, good in (("", True), ("NoSuchDirective=1\n", False)):
            place = os.path.join(folder, "azure-provisioning.service")
            with open(place, "w") as file:
                file.write(unit(SYSTEMD, hook).replace("[Install]\n", line + "[Install]\n"))
            result = call([analyze, "verify", "--man=no", place])
            said = [text for text in (result.out + result.err).splitlines() if "azure-provisioning" in text]
            self.assertEqual(said == [], good, said)


class ScriptTest(GuestTest):
    """The shell scripts, run by the installed shells, with a stand-in for Python that records its arguments."""

    def setUp(self) -> None:
        super().setUp()
        self.stub = self.system.path("/python3")
        self.note = self.system.path("/note")
        self.exit_with(0)
        self.shells = [shell for shell in ("sh", "dash", "bash", "ksh", "mksh") if shutil.which(shell)]
        if shutil.which("busybox"):
            self.shells.append("busybox sh")

    def exit_with(self, code: int) -> None:
        """Let the stand-in record its argv, stdin, umask and PATH, and exit."""
        script = '#!/bin/sh\n{ echo "$#:$*"; readlink -f /proc/self/fd/0; umask; echo "$PATH"; } >"%s"\nexit %d\n'
        self.system.write("/python3", script % (self.note, code), mode=0o755)

    def script(self, name: str) -> str:
        """A script of `units/`, installed for the stand-in."""
        self.system.write("/script", unit(name, Hook(self.stub, PROGRAM)), mode=0o755)
        return self.system.path("/script")

    def run_shell(self, shell: str, *arguments: str) -> Result:
        """Run a shell with an open, terminal-like stdin, a poor PATH and a bad umask."""
        if os.path.exists(self.note):
            os.unlink(self.note)
        child = subprocess.Popen(
            ["/bin/sh", "-c", "umask 077; exec " + shell + ' "$@"', "sh"] + list(arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": "/bin:/usr/bin"},
            universal_newlines=True,
        )
        out, err = child.communicate(timeout=30)
        return Result(child.returncode, out, err)

    def noted(self) -> "List[str]":
        """argv, stdin, umask and PATH that the stand-in saw."""
        with open(self.note) as file:
            return file.read().splitlines()

    def test_parsed_by_every_shell(self) -> None:
        for name in SCRIPTS:
            for shell in self.shells:
                with self.subTest(name=name, shell=shell):
                    result = self.run_shell(shell, "-n", self.script(name))
                    self.assertEqual(result, Result(0, "", ""))

    def test_sysvinit_start(self) -> None:
        script = self.script(SYSVINIT)
        for shell in self.shells:
            with self.subTest(shell):
                self.assertEqual(self.run_shell(shell, script, "start"), Result(0, "", ""))
                argv, stdin, umask, path = self.noted()
                self.assertEqual(argv, "5:-I -S %s run --detach" % PROGRAM)
                self.assertEqual(stdin, "/dev/null")
                self.assertEqual(umask[-3:], "022")
                folders = {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}
                self.assertEqual(set(path.split(":")), folders)

    def test_sysvinit_reports_a_failure(self) -> None:
        self.exit_with(1)
        self.assertEqual(self.run_shell("sh", self.script(SYSVINIT), "start").code, 1)

    def test_sysvinit_other_verbs(self) -> None:
        script = self.script(SYSVINIT)
        for verb in ("stop", "restart", "reload", "force-reload", "condrestart", "try-restart"):
            self.assertEqual(self.run_shell("sh", script, verb), Result(0, "", ""))
            self.assertFalse(os.path.exists(self.note), verb)
        self.assertEqual(self.run_shell("sh", script, "status").code, 0)
        self.assertEqual(self.noted()[0], "4:-I -S %s status" % PROGRAM)
        for arguments in ([], ["nonsense"]):
            result = self.run_shell("sh", script, *arguments)
            self.assertEqual(result.code, 2)
            self.assertIn("Usage:", result.err)

    def test_sysvinit_header(self) -> None:
        """As in the LSB: one block, `# Key: value` on each line, no unknown key; and chkconfig's two lines."""
        lines = shipped(SYSVINIT).splitlines()
        self.assertEqual(lines[0], "#!/bin/sh")
        block = lines[lines.index("### BEGIN INIT INFO") + 1 : lines.index("### END INIT INFO")]
        found = {}
        for line in block:
            match = re.match(r"# ([A-Z][A-Za-z-]+):(?:\s+(.*))?$", line)
            if match is None:
                self.assertRegex(line, r"^#(  |\t)\s*\S", "neither a key nor a continuation")
                continue
            found[match.group(1)] = (match.group(2) or "").split()
        self.assertEqual(found["Provides"], ["azure-provisioning"])
        self.assertEqual(found["Required-Start"], ["$local_fs", "$remote_fs", "$network"])
        self.assertEqual(found["X-Start-Before"], ["ssh", "sshd", "dropbear"])
        self.assertEqual(found["Default-Start"], ["2", "3", "4", "5"])
        self.assertEqual((found["Default-Stop"], found["Required-Stop"]), ([], []))
        self.assertLessEqual({"Short-Description", "Description"}, set(found))
        self.assertIn("# chkconfig: 2345 50 50", lines)
        self.assertTrue(any(line.startswith("# description: ") for line in lines))

    def test_slackware(self) -> None:
        script = self.script(SLACKWARE)
        for shell in self.shells:
            with self.subTest(shell):
                self.assertEqual(self.run_shell(shell, script, "start"), Result(0, "", ""))
                argv, stdin, umask, path = self.noted()
                self.assertEqual(argv, "5:-I -S %s run --detach" % PROGRAM)
                self.assertEqual((stdin, umask[-3:]), ("/dev/null", "022"))
                self.assertLessEqual({"/usr/sbin", "/sbin", "/bin"}, set(path.split(":")))
        for verb in ("stop", "restart"):
            self.assertEqual(self.run_shell("sh", script, verb), Result(0, "", ""))
            self.assertFalse(os.path.exists(self.note), verb)
        self.assertEqual(self.run_shell("sh", script, "status").code, 0)
        self.assertEqual(self.noted()[0], "4:-I -S %s status" % PROGRAM)
        self.assertEqual(self.run_shell("sh", script).code, 2)

    def test_runit(self) -> None:
        """In a folder that runsv supervises. It is set to run once before anything can fail."""
        script = self.script(RUNIT)
        os.mkdir(self.system.path("/supervise"))
        for shell in self.shells:
            for code in (0, 1):
                with self.subTest(shell):
                    self.exit_with(code)
                    inside = 'cd "%s" && exec %s "%s"' % (self.system.path("/"), shell, script)
                    self.assertEqual(self.run_shell("sh", "-c", inside), Result(code, "", ""))
                    argv, stdin, umask, path = self.noted()
                    self.assertEqual(argv, "4:-I -S %s run" % PROGRAM)
                    self.assertEqual((stdin, umask[-3:]), ("/dev/null", "022"))
                    self.assertLessEqual({"/usr/sbin", "/sbin", "/bin"}, set(path.split(":")))
                    self.assertEqual(self.text("/supervise/control"), "o")

    def openrc(self, shell: str, function: str) -> Result:
        """Call a function of OpenRC's script like openrc-run: sourced, with its helpers and its verbs recorded."""
        helpers = "need() { :; }; ebegin() { echo begin; }; eend() { echo end; return $1; }; "
        for word in ("need", "use", "after", "before", "keyword", "provide", "want"):
            helpers += '%s() { echo %s "$*"; }; ' % (word, word)
        return self.run_shell(shell, "-c", helpers + ". %s && %s" % (self.script(OPENRC), function))

    def test_openrc_start(self) -> None:
        for shell in self.shells:
            with self.subTest(shell):
                self.assertEqual(self.openrc(shell, "start"), Result(0, "begin\nend\n", ""))
                argv, stdin, umask, _ = self.noted()
                self.assertEqual(argv, "5:-I -S %s run --detach" % PROGRAM)
                self.assertEqual((stdin, umask[-3:]), ("/dev/null", "022"))
        self.exit_with(1)
        self.assertEqual(self.openrc("sh", "start").code, 1)

    def test_openrc_dependencies(self) -> None:
        said = dict(line.split(" ", 1) for line in self.openrc("sh", "depend").out.splitlines())
        self.assertEqual(set(said), {"use", "after", "before", "keyword"})  # a service needed by name may not exist
        self.assertLessEqual({"sshd", "dropbear"}, set(said["before"].split()))
        self.assertLessEqual({"localmount", "mountall", "networking"}, set(said["after"].split()))
        self.assertIn("-timeout", said["keyword"].split())

    def test_openrc_script_has_no_lsb_header(self) -> None:
        """Debian's OpenRC never calls start() of a script that has an LSB header."""
        self.assertNotIn("INIT INFO", shipped(OPENRC))
        self.assertEqual(shipped(OPENRC).splitlines()[0], "#!/sbin/openrc-run")
