"""The command line of the built file: exit codes, output streams, and a real `run` in a sealed room."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from typing import Dict, List, Optional, Tuple

from azure_provisioning import __version__
from azure_provisioning.azure.identity import AZURE_ASSET_TAG, DMI, EFI
from azure_provisioning.image.rehearse.fake_azure import VM_ID
from azure_provisioning.image.rehearse.faults import FAULTS
from azure_provisioning.reasons import LOG
from azure_provisioning.story.state import swap
from tests import TOP
from tests.guests import HOOK, OTHER_VM_ID, STATE, BuiltTest, heed_signals, snapshot
from tests.images import call

GENERATION_2 = {EFI + "/fw_platform_size": "64\n"}
KEYS = [
    "state", "version", "azure", "vm_id", "hook", "configured", "configured_at", "ready", "ready_at", "steps",
    "last_error",
]  # fmt: skip


class CommandTest(BuiltTest):
    def command(self, *argv: str, environment: "Optional[Dict[str, str]]" = None) -> "subprocess.CompletedProcess[str]":
        """Run the built file. Never with `run`, which would affect this machine."""
        assert "run" not in argv
        command = [sys.executable, "-I", "-S", self.program] + list(argv)
        done = call(command, 60.0, **(environment or {}))
        return subprocess.CompletedProcess(command, *done)


class UsageTest(CommandTest):
    def test_usage_errors_are_2(self) -> None:
        for argv in (
            [],
            ["--no-such"],
            ["fly"],
            ["ru"],
            ["install", "extra"],
            ["install", "--no-such"],
            ["install", "--roo", "/x"],
            ["install", "--init", "launchd"],
            ["install", "--root"],
            ["status", "--jso"],
            ["check", "--init", "systemd"],
            ["report"],
            ["report", "perhaps"],
            ["report", "failure"],
            ["report", "failure", "--reason"],
            ["rehearse", "--fault"],
            ["rehearse", "--fault", "no-such-fault"],
            [""],
        ):
            with self.subTest(argv):
                done = self.command(*argv)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertEqual(done.stdout, "")
                self.assertNotEqual(done.stderr, "")
                self.assertNotIn("Traceback", done.stderr)

    def test_version_and_help(self) -> None:
        done = self.command("--version")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "azure-provisioning %s\n" % __version__, ""))
        done = self.command("--help")
        self.assertEqual(done.returncode, 0)
        for verb in ("run", "install", "uninstall", "status", "check", "report", "rehearse"):
            self.assertRegex(done.stdout, r"(?m)^    %s\b" % verb)
        for verb in ("install", "status", "check", "report", "rehearse"):
            self.assertEqual(self.command(verb, "--help").returncode, 0)

    def test_expected_failures_are_1(self) -> None:
        self.fill({"/etc/hostname": "x\n", "/usr/bin/x": ""})
        for argv in (
            ["install", "--root", self.root],
            ["install", "--root", self.root, "--python", "/usr/bin/no"],
        ):
            with self.subTest(argv):
                done = self.command(*argv)
                self.assertEqual((done.returncode, done.stdout), (1, ""))
                self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
                self.assertTrue(done.stderr.startswith("azure-provisioning: "), done.stderr)
        self.assertEqual(sorted(self.system.list("/etc")), ["hostname"])

    def test_argument_does_not_drive_the_terminal(self) -> None:
        for argv in (["\x1b]0;x\x07"], ["status", "\x1b[2J\nforged: line\u202e"], ["install", "--init", "\x9b2J"]):
            done = self.command(*argv, environment={"LC_ALL": "C.UTF-8"})
            self.assertEqual(done.returncode, 2)
            self.assertEqual([char for char in done.stderr.replace("\n", "") if not char.isprintable()], [])
            self.assertNotIn("\nforged", done.stderr)

    def test_missing_module_is_named(self) -> None:
        code = (
            "import runpy, sys\n"
            "sys.modules[%r] = None\n"
            "sys.argv = [%r, 'status', '--root', %r]\n"
            "runpy.run_path(sys.argv[0], run_name='__main__')\n"
        )
        for module in ("argparse", "subprocess", "typing"):
            done = subprocess.run(
                [sys.executable, "-I", "-S", "-c", code % (module, self.program, self.root)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                universal_newlines=True,
            )
            if "runpy" in done.stderr:
                continue  # runpy of this Python needs it
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn("the module %r is missing from the standard library" % module, done.stderr)
            self.assertNotIn("Traceback", done.stderr)

    def test_bug_is_3(self) -> None:
        code = (
            "import runpy, sys\n"
            "sys.modules['azure_provisioning.usage'] = None\n"
            "sys.argv = [%r, 'status', '--root', %r]\n"
            "runpy.run_path(sys.argv[0], run_name='__main__')\n" % (self.program, self.root)
        )
        done = subprocess.run(
            [sys.executable, "-I", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True
        )
        self.assertEqual((done.returncode, done.stdout), (3, ""))
        self.assertIn("Traceback", done.stderr)

    def test_old_python_is_reported(self) -> None:
        code = (
            "import runpy, sys\n"
            "sys.version_info = (3, 5, 9)\n"
            "sys.argv = [%r, 'status']\n"
            "runpy.run_path(sys.argv[0], run_name='__main__')\n" % self.program
        )
        done = subprocess.run(
            [sys.executable, "-I", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True
        )
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"^azure-provisioning: Python 3\.6 or newer is needed, and .* is 3\.5\.9\n$")

    def test_locale_does_not_matter(self) -> None:
        self.fill({STATE: "vm_id=a\nerror_reason=m\xfcller\nerror_at=x\n", "/etc/hostname": "", "/usr/bin/x": ""})
        for locale in ("C", "POSIX", "C.UTF-8", "de_DE.ISO-8859-1"):
            done = self.command("status", "--root", self.root, environment={"LC_ALL": locale})
            self.assertEqual(done.returncode, 0, done.stderr)
            done = self.command("status", "--json", "--root", self.root, environment={"LC_ALL": locale})
            self.assertEqual(json.loads(done.stdout)["last_error"]["reason"], "m\xfcller")


class StatusTest(CommandTest):
    def setUp(self) -> None:
        super().setUp()
        self.fill({"/etc/hostname": "image\n", "/usr/bin/x": ""})

    def status(self) -> "Dict[str, object]":
        done = self.command("status", "--json", "--root", self.root)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        found: "Dict[str, object]" = json.loads(done.stdout)
        self.assertEqual(sorted(found), sorted(KEYS))
        self.assertEqual(self.command("status", "--root", self.root).returncode, 0)
        return found

    def test_almost_empty_root(self) -> None:
        found = self.status()
        self.assertIsNone(found["azure"])
        self.assertEqual((found["configured"], found["ready"], found["steps"]), (False, False, []))
        self.assertEqual(found["hook"], {"enabled": False, "mechanism": None, "path": None})
        self.assertIsNone(found["last_error"])

    def test_ready(self) -> None:
        self.fill({DMI + "/chassis_asset_tag": AZURE_ASSET_TAG, DMI + "/product_uuid": VM_ID, **GENERATION_2})
        self.fill({STATE: "vm_id=%s\nconfigured_at=x\nready_at=y\nstep.hostname=ok 0.5\n" % VM_ID})
        self.install_hook()
        found = self.status()
        self.assertIs(found["azure"], True)
        self.assertEqual(found["vm_id"], VM_ID)
        self.assertEqual((found["configured"], found["ready"]), (True, True))
        self.assertEqual((found["configured_at"], found["ready_at"]), ("x", "y"))
        self.assertEqual(found["steps"], [{"name": "hostname", "result": "ok", "seconds": 0.5}])
        self.assertEqual(found["hook"], {"enabled": True, "mechanism": "systemd", "path": HOOK})

    def test_state_of_another_vm_is_ignored(self) -> None:
        self.fill({DMI + "/product_uuid": VM_ID, STATE: "vm_id=%s\nready_at=y\n" % OTHER_VM_ID, **GENERATION_2})
        found = self.status()
        self.assertEqual((found["vm_id"], found["ready"], found["ready_at"]), (VM_ID, False, None))

    def test_error(self) -> None:
        self.fill({STATE: "error_reason=a reason\nerror_at=then\nerror.path=/x\n"})
        expected = {"reason": "a reason", "details": {"path": "/x"}, "at": "then"}
        self.assertEqual(self.status()["last_error"], dict(expected, remedy="See the log (%s)" % LOG))

    def test_status_changes_nothing(self) -> None:
        self.fill({STATE: "corrupt", DMI + "/chassis_asset_tag": AZURE_ASSET_TAG})
        before = snapshot(self.root)
        self.assertEqual((self.status()["configured"], self.status()["ready"]), (False, False))
        self.assertEqual(snapshot(self.root), before)

    def test_closed_or_full_stdout(self) -> None:
        """A reader that has ended, such as `head`, is not a failure. A full disk is a failure. Neither is a bug."""
        argv = [sys.executable, "-I", self.program, "status", "--root", self.root]
        reader, writer = os.pipe()
        os.close(reader)
        with open("/dev/full", "w") as full, os.fdopen(writer, "w") as gone:
            for stdout, code, pattern in ((gone, 0, "^$"), (full, 1, "^azure-provisioning: stdout cannot be[^\n]*\n$")):
                done = subprocess.run(argv, stdout=stdout, stderr=subprocess.PIPE, universal_newlines=True)
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertRegex(done.stderr, pattern)


class RehearseTest(CommandTest):
    def test_rehearse(self) -> None:
        done = self.command("rehearse")
        self.assertEqual(done.returncode, 0, done.stderr)
        for line in (
            "GET /metadata/instance?api-version=2021-08-01&extended=true -> 200",
            "GET /machine?comp=goalstate -> 200",
            "POST /machine?comp=health -> 200",
            "-image",
            "+rehearsal",
            "+++ " + STATE,
        ):
            self.assertIn("\n%s\n" % line, done.stdout)
        for line in done.stderr.splitlines():
            self.assertTrue(line.startswith("azure-provisioning: "), line)
        self.assertIn("Azure accepted Ready", done.stderr)

    def test_fault(self) -> None:
        done = self.command("rehearse", "--fault", "report-stale", "--fault", "goal-state-empty")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("POST /machine?comp=health -> 410\n", done.stdout)

    def test_list(self) -> None:
        done = self.command("rehearse", "--fault", "list")
        self.assertEqual(
            (done.returncode, re.findall(r"(?m)^[a-z0-9-]+", done.stdout), done.stderr), (0, sorted(FAULTS), "")
        )

    def test_interrupted(self) -> None:
        story = subprocess.Popen(
            [sys.executable, "-I", self.program, "rehearse", "--fault", "imds-silent"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            preexec_fn=heed_signals,
        )
        assert story.stderr is not None
        while "first boot" not in story.stderr.readline():
            self.assertIsNone(story.poll())
        time.sleep(0.2)
        story.send_signal(signal.SIGINT)
        out, err = story.communicate()
        self.assertEqual((story.returncode, out), (130, ""))
        self.assertNotIn("Traceback", err)
        self.assertTrue(err.endswith("azure-provisioning: interrupted\n"), err)


# Turns the scratch root into a machine: its files over this one's, which become read-only; no network but loopback.
ROOM = """
set -e
mount --rbind / {room}
mount --make-rprivate {room} 2>/dev/null || :
for place in etc var run; do mount --bind {root}/$place {room}/$place; done
mount -t tmpfs none {room}/sys
mount -o remount,bind,ro,nosuid,nodev {room}
mkdir -p {room}{dmi}
cp {root}{dmi}/* {room}{dmi}/
exec chroot {room} {python} -I {root}/inside.py
"""

# Runs inside: an Azure on loopback, then each command line of the list; prints the results as JSON.
INSIDE = """
import fcntl, json, os, socket, struct, subprocess, sys, time
sys.path.insert(0, {top!r})
import tests
from azure_provisioning.image.rehearse.fake_azure import FakeAzure
from tests.guests import asked
with socket.socket() as any_socket:  # loopback up
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 1))
found = []
for argv, faults, *how in {commands!r}:
    with FakeAzure(tuple(faults)) as azure:
        with open("/etc/azure-provisioning.conf", "w") as options:
            options.write("imds = %s\\nwireserver = %s\\n" % (azure.endpoint, azure.endpoint))
            options.write("".join(key + " = no\\n" for key in {left_out!r}))
        started = time.monotonic()
        call = [sys.executable, "-I", "-S", {program!r}] + argv
        done = subprocess.run(["/bin/sh", "-c", *how, "sh", *call] if how else call, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
        took = time.monotonic() - started
        while "--detach" in argv and time.monotonic() < started + 10 and not azure.reports:
            time.sleep(0.02)
        time.sleep(0.1 if "--detach" in argv else 0)
        found.append([done.returncode, done.stdout, done.stderr, took, list(asked(azure)), os.uname().nodename])
print(json.dumps(found))
"""


# The room has one user, and the kernel and the disk of this machine: options that need more are left out.
LEFT_OUT = ["account", "password", "ssh_keys", "sudo", "password_login", "entropy", "grow_root", "publish_name"]


class SealedTest(BuiltTest):
    """The root of a separate machine: namespaces isolate it from this one."""

    def run_sealed(self, *commands: "Tuple[object, ...]") -> "List[List[object]]":
        """Run the command lines one after another in the room: [code, stdout, stderr, seconds, asked, hostname].

        Each is (argv, faults), or (argv, faults, script): a shell script that gets the command line as its "$@".
        """
        for folder in ("etc", "var/log", "var/tmp", "run", "room"):
            os.makedirs(os.path.join(self.root, folder), exist_ok=True)
        commanded = [list(command) for command in commands]
        inside = INSIDE.format(top=TOP, commands=commanded, program=self.program, left_out=LEFT_OUT)
        self.fill({"/inside.py": inside})
        script = ROOM.format(room=self.root + "/room", root=self.root, dmi=DMI, python=sys.executable)
        spaces = ["--user", "--map-root-user", "--mount", "--net", "--uts", "--pid", "--ipc", "--fork"]
        try:
            done = subprocess.run(
                ["unshare"] + spaces + ["sh", "-c", script],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                universal_newlines=True,
                timeout=60,
            )
        except OSError as error:
            self.skipTest("no unshare here, so the built file's `run` was not run: %s" % error)
        if not done.stdout:
            self.skipTest("no sealed room here, so the built file's `run` was not run: %s" % done.stderr.strip()[-200:])
        found: "List[List[object]]" = json.loads(done.stdout)
        return found

    def setUp(self) -> None:
        super().setUp()
        self.fill({DMI + "/chassis_asset_tag": AZURE_ASSET_TAG + "\n", DMI + "/product_uuid": VM_ID + "\n"})
        self.fill({"/etc/hostname": "image\n", "/etc/hosts": "127.0.0.1\tlocalhost\n"})
        self.install_hook()


class SealedRunTest(SealedTest):
    """`run` itself."""

    def test_first_and_second_boot(self) -> None:
        before = os.uname().nodename
        first, second = self.run_sealed((["run"], []), (["run"], []))
        self.assertEqual(first[0], 0, first)
        self.assertEqual(first[1], "")
        self.assertIn("Azure accepted Ready", str(first[2]))
        self.assertEqual(first[4], ["imds 200", "goalstate 200", "health 200"])
        self.assertEqual(self.text("/etc/hostname"), "rehearsal\n")
        self.assertFalse(self.system.is_link(HOOK))
        self.assertIn("Azure accepted Ready", self.text("/var/log/azure-provisioning.log") or "")
        heading = r"\A\S+Z ---- %s, VM %s ----\n" % (re.escape(__version__), swap(VM_ID))  # no EFI: generation 1
        self.assertRegex(self.text("/var/log/azure-provisioning.log") or "", heading)
        self.assertEqual(second[:3], [0, "", ""])
        self.assertEqual(second[4], [])
        self.assertEqual(os.uname().nodename, before)

    def test_detach_returns_at_once(self) -> None:
        (done,) = self.run_sealed((["run", "--detach"], ["imds-throttled"] * 3))
        self.assertEqual(done[0], 0, done)
        self.assertLess(float(str(done[3])), 3.0)  # the child waits more than three seconds
        self.assertEqual(done[4], ["imds 429"] * 3 + ["imds 200", "goalstate 200", "health 200"])
        self.assertIn("ready_at=", self.text(STATE) or "")

    def test_not_on_azure(self) -> None:
        self.fill({DMI + "/chassis_asset_tag": "none\n"})
        before = self.text("/etc/hostname")
        done, forced = self.run_sealed((["run"], []), (["run", "--force"], []))
        self.assertEqual((done[0], done[1], done[4]), (0, "", []))
        self.assertIn("not on Azure, nothing to do", str(done[2]))
        self.assertEqual((forced[0], forced[4]), (0, ["imds 200", "goalstate 200", "health 200"]))
        self.assertNotEqual(self.text("/etc/hostname"), before)

    def test_report(self) -> None:
        ready, failure, done = self.run_sealed(
            (["report", "failure", "--reason", "a <b> | 'c'"], []), (["report", "ready"], []), (["run"], [])
        )
        self.assertEqual((ready[0], ready[4]), (0, ["goalstate 200", "health 200"]))
        self.assertEqual((failure[0], failure[4]), (0, ["goalstate 200", "health 200"]))
        self.assertEqual(done[0], 0)
        self.assertEqual(done[4], [])
        self.assertIn("ready_at=", self.text(STATE) or "")
        self.assertNotIn("configured_at=", self.text(STATE) or "")

    def test_passing_io_error(self) -> None:
        """A single system call fails, at any point: the boot is Ready only if every step is done; otherwise the hook
        stays."""
        if shutil.which("strace") is None:
            self.skipTest("no strace here: boots with a passing I/O error were not tried")
        # A fault on the options file leads the boot to Azure's own addresses, which do not answer in the room.
        fail = 'exec timeout 30 strace -f -o /run/calls -e trace=%s -e inject=%s:error=EIO:when=%d "$@"'
        faults = [(name, number) for name in ("newfstatat", "openat", "read") for number in range(61, 241, 30)]
        for name, number in faults:
            with self.subTest(call=name, number=number):
                shutil.rmtree(self.root + "/var/lib/azure-provisioning", ignore_errors=True)
                self.install_hook()
                (done,) = self.run_sealed((["run"], [], fail % (name, name, number)))
                if "strace: " in str(done[2]):
                    self.skipTest("strace may not trace here: %s" % done[2])
                if done[0] == 0 and "not on Azure" not in str(done[2]):
                    self.assertEqual(done[4], ["imds 200", "goalstate 200", "health 200"], done)
                    self.assertIn("Response: 200", str(done[2]))
                    self.assertEqual(done[5], "rehearsal")
                    self.assertIn("ready_at=", self.text(STATE) or "")
                else:
                    self.assertTrue(self.system.is_link(HOOK), done)
                    self.assertNotIn("ready_at=", self.text(STATE) or "")
                self.assertNotIn("going on without Python", str(done[2]))

    def test_nothing_is_loaded_after_the_report(self) -> None:
        """A module that cannot be read then would make a boot that Azure accepted a failed one."""
        for recorded in (True, False):
            with self.subTest(recorded=recorded):
                if not recorded:  # a package's hook
                    shutil.rmtree(self.root + "/var/lib/azure-provisioning", ignore_errors=True)
                (done,) = self.run_sealed((["run"], [], 'python=$1; shift; exec "$python" -v "$@"'))
                before, accepted, after = str(done[2]).partition("Response: 200")
                self.assertEqual((done[0], bool(accepted)), (0, True), done)
                loaded = r"(?m)^import '?(azure_provisioning[\w.]+)"  # before 3.10 without quotes
                self.assertIn("azure_provisioning.init.systems.systemd", re.findall(loaded, before))
                self.assertEqual(re.findall(loaded, after), [])
                self.install_hook()

    def gate(self, text: str, mode: int = 0o755) -> str:
        """Put a gate into the room."""
        if os.geteuid() != 0:
            self.skipTest("as a plain user the room's / belongs to nobody, and no gate is run: none was tried")
        path = "/etc/azure-provisioning/ready.d/10-x"
        self.fill({path: text})
        os.chmod(self.root + path, mode)
        return path

    def test_gate_output_is_only_in_the_log(self) -> None:
        """State, Azure and `status` get the name and result of the failed gate. Only the log, which only root can read,
        gets its last line."""
        self.gate("#!/bin/sh\necho first\necho the-token-is-hunter2\nexit 3\n")
        failed, status = self.run_sealed((["run"], []), (["status", "--json"], []))
        self.assertEqual((failed[0], status[0]), (1, 0), failed)
        last_error = json.loads(str(status[1]))["last_error"]
        self.assertEqual(
            (last_error["reason"], last_error["details"]), ("ready gate failed", {"gate": "10-x", "code": "3"})
        )
        gate = [step for step in json.loads(str(status[1]))["steps"] if step["name"] == "gate-10-x"]
        self.assertEqual(
            [(step["result"], step["message"]) for step in gate], [("failed", "ready gate failed (gate=10-x, code=3)")]
        )
        self.assertIn("ready gate failed (gate=10-x, code=3): the-token-is-hunter2", str(failed[2]))
        log = "/var/log/azure-provisioning.log"
        self.assertIn("hunter2", self.text(log) or "")
        self.assertEqual(os.stat(self.root + log).st_mode & 0o7777, 0o600)
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = os.path.join(folder, name)[len(self.root) :]
                found = os.lstat(self.root + path)
                if found.st_mode & 0o004 and os.path.isfile(self.root + path) and "ready.d" not in path:
                    self.assertNotIn("hunter2", self.text(path) or "", path)

    def test_gate_writable_by_others_is_not_run(self) -> None:
        """The gate is not run, and is reported to Azure as failed."""
        path = self.gate("#!/bin/sh\ntouch /run/ran\n", mode=0o777)
        failed, again = self.run_sealed((["run"], []), (["run"], []))
        for done in (failed, again):
            self.assertEqual((done[0], done[4][-2:]), (1, ["goalstate 200", "health 200"]))  # type: ignore[index]
            self.assertIn("problem=not run: everybody may write to %s)" % path, str(done[2]))
        self.assertFalse(self.system.exists("/run/ran"))
        self.assertIn("error.problem=not run: everybody may write to %s\n" % path, self.text(STATE) or "")
        os.chmod(self.root + path, 0o755)
        (done,) = self.run_sealed((["run"], []))
        self.assertEqual(done[0], 0, done)
        self.assertTrue(self.system.exists("/run/ran"))

    def test_gates(self) -> None:
        """A failed gate prevents Ready, and is reported; the next boot runs the gate again, and configures nothing."""
        again = "[ -e /var/tmp/seen ]\ncode=$?\n"
        self.gate("#!/bin/sh\n%secho $AZURE_VM_ID $AZURE_HOSTNAME >>/var/tmp/seen\nexit $code\n" % again)
        failed, passed = self.run_sealed((["run"], []), (["run"], []))
        self.assertEqual((failed[0], failed[4]), (1, ["imds 200", "goalstate 200", "health 200"]), failed)
        self.assertIn("FAILED: ready gate failed (gate=10-x, code=1", str(failed[2]))
        self.assertEqual((passed[0], passed[4]), (0, ["goalstate 200", "health 200"]), passed)
        self.assertEqual(self.text("/var/tmp/seen"), "%s rehearsal\n" % VM_ID * 2)

    def test_proxies_are_not_used(self) -> None:
        """The proxies do not exist: any use of one would fail."""
        url = "http://127.0.0.1:9"
        old = dict(os.environ)
        self.addCleanup(os.environ.update, old)
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
            self.addCleanup(os.environ.pop, name, None)
            os.environ[name] = url
        (done,) = self.run_sealed((["run"], []))
        self.assertEqual(done[0], 0, done)
