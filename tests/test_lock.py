"""The lock: real processes that compete for one machine, and which of them waits."""

import os
import re
import signal
import stat
import subprocess
import sys
import threading
from typing import Optional

from azure_provisioning.door import lock
from azure_provisioning.errors import ProvisionError
from azure_provisioning.image.rehearse.fake_azure import VM_ID, FakeAzure
from tests import TOP
from tests.guests import AZURE_VM, HOOK, STATE, FastSystem, GuestTest, start_story, wait_until
from tests.test_provision import runs

MANIFEST = "/var/lib/azure-provisioning/install"
PROGRAM = "/usr/local/sbin/azure-provisioning"

# A command for which the scratch root is the running machine. Never `run`: it would change this machine's name.
COMMAND = """
import sys
sys.path.insert(0, %(top)r)
import tests
from azure_provisioning.door import system
from tests.guests import FastSystem


class Here(FastSystem):
    live = True

    def __init__(self, root="/"):
        assert root in ("/", %(root)r), root
        super().__init__(%(root)r, %(speed)r)

    def sync(self):
        pass


system.System = Here  # before anything of ours takes it from there
from azure_provisioning import cli, verbs
from azure_provisioning.image import root

assert verbs.System is root.System is Here
verbs.own_file = lambda: b"the program"
sys.exit(cli.main(%(argv)r))
"""


class LiveSystem(FastSystem):
    """The scratch root as the running machine."""

    live = True


class LockTest(GuestTest):
    def setUp(self) -> None:
        super().setUp()
        self.fill(AZURE_VM)
        self.fill({"/usr/lib/systemd/systemd": "", "/sbin/init": "-> /usr/lib/systemd/systemd"})
        self.fill({"/usr/bin/python3": "-> python3.9", "/usr/bin/python3.9": ""})
        self.said = ""

    def command(self, *argv: str, speed: float = 20.0) -> "subprocess.Popen[str]":
        """Start a command in a separate process."""
        assert "run" not in argv
        code = COMMAND % {"top": TOP, "root": self.root, "speed": speed, "argv": list(argv)}
        pipe = subprocess.PIPE
        story = subprocess.Popen([sys.executable, "-c", code], stdout=pipe, stderr=pipe, universal_newlines=True)
        self.addCleanup(self.end, story)
        return story

    def run_story(self, *argv: str, speed: float = 20.0) -> "subprocess.Popen[str]":
        """Start a boot in a separate process."""
        story = start_story(self.root, "run", *argv, speed=speed)
        self.addCleanup(self.end, story)
        return story

    def end(self, story: "subprocess.Popen[str]") -> None:
        if story.poll() is None:
            story.kill()
            story.communicate()

    def first_line(self, story: "subprocess.Popen[str]", pattern: str) -> None:
        """The next line on a process's stderr."""
        assert story.stderr is not None
        self.assertRegex(story.stderr.readline(), pattern)

    def at_work(self) -> "subprocess.Popen[str]":
        """A boot that holds the lock until `self.fake` answers."""
        self.install_hook()
        self.fill({MANIFEST: "init=systemd\nprogram=%s\nlink=%s\n" % (PROGRAM, HOOK)})
        self.fake: FakeAzure = self.azure(*["imds-throttled"] * 2000)
        story = self.run_story(speed=2.0)  # it tries for five of its minutes
        self.assertTrue(wait_until(lambda: self.fake.requests, 30))
        return story

    def go_on(self) -> None:
        self.fake.troubles["imds"] = []

    # -- waiting ----------------------------------------------------------------------------------------------------

    def test_install_during_a_boot(self) -> None:
        """The boot ends and disables its hook. Then `install` writes the hook for the next boot, which stays."""
        boot = self.at_work()
        install = self.command("install", speed=0.5)
        self.first_line(install, r"`run` \(process %d\) is running: waiting for it$" % boot.pid)
        self.go_on()
        err = boot.communicate()[1]
        self.assertEqual(boot.returncode, 0, err)
        self.assertIn("the hook is off", err)
        out, err = install.communicate()
        self.assertEqual(install.returncode, 0, err)
        self.assertIn("Installed for ", err)
        self.assertIn(HOOK, out.split())
        self.assertTrue(self.system.is_link(HOOK))
        self.assertIn("ready_at", self.facts())

    def test_boot_does_not_end(self) -> None:
        """Each command reports the holder of the lock, and does nothing."""
        boot = self.at_work()
        before = self.text(STATE)
        for argv in (
            ["install"],
            ["uninstall"],
            ["report", "ready"],
            ["report", "failure", "--reason", "x"],
        ):
            command = self.command(*argv)
            out, err = command.communicate()
            self.assertEqual((command.returncode, out), (1, ""), err)
            self.assertRegex(
                err,
                r"(?s)is running: waiting for it\n.*nothing was done: `run` \(process %d\) is running here: [^\n]+\n\Z"
                % boot.pid,
            )
            self.assertNotIn("Traceback", err)
        self.assertIsNone(self.text(PROGRAM))
        self.assertEqual(self.text(STATE), before)
        self.assertEqual(self.fake.reports, [])

    def test_generalize_during_a_boot(self) -> None:
        self.at_work()
        before = self.text(STATE)
        command = self.command("generalize", "--yes")
        out, err = command.communicate()
        self.assertEqual((command.returncode, out), (1, ""), err)
        self.assertRegex(err, r"nothing was done: `run` \(process \d+\) is running here" if os.geteuid() == 0 else ".")
        self.assertEqual(self.text(STATE), before)

    def test_uninstall_during_a_boot(self) -> None:
        """It waits for the boot, then removes the state that the boot wrote. A second boot writes none."""
        boot = self.at_work()
        second = self.run_story()
        self.first_line(second, "another run is running: waiting for it$")
        uninstall = self.command("uninstall", speed=0.5)
        self.first_line(uninstall, "is running: waiting for it")
        second.send_signal(signal.SIGSTOP)
        self.go_on()
        self.assertEqual(boot.wait(60), 0)
        out, err = uninstall.communicate()
        self.assertEqual(uninstall.returncode, 0, err)
        self.assertIn(STATE, out.split())
        second.send_signal(signal.SIGCONT)
        err = second.communicate()[1]
        self.assertEqual(second.returncode, 0, err)
        self.assertIn("`uninstall` ran meanwhile: the machine stays as it left it", err)
        self.assertEqual(self.system.list("/var/lib/azure-provisioning"), [])
        self.assertEqual(len(self.fake.reports), 1)

    def held(self, verb: str) -> int:
        """The lock, held by this process for a command; its descriptor."""
        turn = lock.take(self.system, verb)
        assert turn is not None
        return turn.descriptor

    def wait_for(self, verb: str) -> str:
        """The output of a boot that waits until such a command ends."""
        self.azure()
        self.install_hook()
        self.fill({MANIFEST: "init=systemd\nlink=%s\n" % HOOK})
        self.held(verb)
        story = self.run_story()
        self.first_line(story, "another `%s` is running: waiting for it$" % verb)
        self.system.release_locks()
        err = story.communicate()[1]
        self.assertEqual(story.returncode, 0, err)
        return err

    def test_boot_during_an_install(self) -> None:
        """The VM becomes Ready. The hook for the next boot stays."""
        err = self.wait_for("install")
        self.assertIn("accepted Ready", err)
        self.assertTrue(self.system.is_link(HOOK))
        self.assertIn("ready_at", self.facts())

    def test_boot_during_a_report(self) -> None:
        err = self.wait_for("report")
        self.assertIn("the hook is off", err)
        self.assertFalse(self.system.is_link(HOOK))

    def test_boot_during_generalize(self) -> None:
        err = self.wait_for("generalize")
        self.assertIn("`generalize` ran meanwhile", err)
        self.assertTrue(self.system.is_link(HOOK))
        self.assertEqual(self.system.list("/var/lib/azure-provisioning"), ["install"])

    def test_leftover_hook_during_an_install(self) -> None:
        """A Ready VM does not disable a hook while a command writes it."""
        self.fill({STATE: "vm_id=%s\nready_at=x\n" % VM_ID})
        self.install_hook()
        self.held("install")
        self.assertEqual(self.run_story().wait(60), 0)
        self.assertTrue(self.system.is_link(HOOK))
        self.system.release_locks()
        self.assertEqual(self.run_story().wait(60), 0)
        self.assertFalse(self.system.is_link(HOOK))

    def test_detached(self) -> None:
        """The message names the child, which continues."""
        self.install_hook()
        fake = self.azure(*["imds-silent"] * 200)
        story = self.run_story("--detach")
        story.communicate()
        children = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if runs(pid, self.root)]
        self.assertEqual(len(children), 1)
        self.assertTrue(wait_until(lambda: self.holder() == lock.Holder(children[0], "run")), self.holder())
        fake.troubles["imds"] = []
        self.assertTrue(wait_until(lambda: not runs(children[0], self.root), 60))

    # -- messages ---------------------------------------------------------------------------------------------------

    def holder(self) -> "Optional[lock.Holder]":
        return lock.find_holder(self.system)

    def test_signature(self) -> None:
        self.assertIsNone(self.holder())
        self.held("install")
        self.assertEqual(self.holder(), lock.Holder(os.getpid(), "install"))
        self.assertEqual(stat.S_IMODE(os.stat(self.root + lock.PATH).st_mode), 0o600)
        self.assertIsNone(lock.take(FastSystem(self.root), "run"))
        self.assertEqual(self.holder(), lock.Holder(os.getpid(), "install"))
        self.system.release_locks()
        turn = lock.take(self.system, "run")
        assert turn is not None
        self.assertEqual(turn.before, lock.Holder(os.getpid(), "install"))
        self.assertEqual(self.text(lock.PATH), "%d run\n" % os.getpid())

    def test_invalid_content_is_not_shown(self) -> None:
        """The content is only for a message. Text of another form is not shown."""
        forms = ["", "x", "0 run\n", "-1 run\n", "1 fly\n", "12345678901 run\n", "1 run", "1 run\n1 run\n"]
        for text in [*forms, "\0" * 9, "1 run\n\x1b[2J", "\u0661 run\n", "9" * 5000]:
            self.system.write(lock.PATH, text, mode=0o600)
            self.assertIsNone(self.holder(), text)
            self.held("run")
            with self.assertRaisesRegex(ProvisionError, r"`run` \(process %d\) is running" % os.getpid()):
                lock.wait_for_turn(LiveSystem(self.root, 200.0), "install", self.console.say)
            self.system.release_locks()
        self.held("run")
        with open(self.root + lock.PATH, "w"):
            pass
        with self.assertRaisesRegex(ProvisionError, "another process is running here"):
            lock.wait_for_turn(LiveSystem(self.root, 200.0), "install", self.console.say)

    def test_image_has_no_lock(self) -> None:
        self.held("run")
        lock.wait_for_turn(self.system, "install", self.console.say)
        self.assertEqual(self.story, "")

    def test_ten_seconds(self) -> None:
        self.held("run")
        system = LiveSystem(self.root, 1000.0)
        started = system.monotonic()
        with self.assertRaises(ProvisionError):
            lock.wait_for_turn(system, "install", self.console.say)
        self.assertGreaterEqual(system.monotonic() - started, 10)
        self.assertEqual(len(re.findall("waiting for it", self.story)), 1)
        timer = threading.Timer(0.05, self.system.release_locks)
        timer.start()
        lock.wait_for_turn(LiveSystem(self.root, 1.0), "install", self.console.say)
        timer.join()
