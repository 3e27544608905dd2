"""runit: a service directory, a link among the enabled ones, the file `down`; with a real runsvdir if installed."""

import os
import shutil
import signal
import subprocess
import time
from typing import Callable, List

from azure_provisioning.door.system import System
from azure_provisioning.init.systems import runit
from azure_provisioning.init.table import disable
from azure_provisioning.records import Hook
from tests.images import ImageTest, call, listing

NAME = "azure-provisioning"
VOID, ARTIX = "/etc/sv/" + NAME, "/etc/runit/sv/" + NAME
DEFAULT = "/etc/runit/runsvdir/default/" + NAME


class RunitTest(ImageTest):
    def test_files(self) -> None:
        for image, home in (("runit of void", VOID), ("runit of artix", ARTIX), ("runit of debian, native", VOID)):
            with self.subTest(image):
                self.empty()
                self.image(image)
                before = listing(self.root)
                self.install()
                self.assertEqual(self.system.readlink(DEFAULT), home)
                self.assertEqual(self.mode_at(home + "/run"), 0o755)
                self.assertTrue(self.system.is_program(DEFAULT + "/run"))
                text = self.text(home + "/run") or ""
                self.assertIn("\nPYTHON=/usr/bin/python3\nPROGRAM=/usr/local/sbin/azure-provisioning\n", text)
                etc = {path for path in listing(self.root) if path not in before and path.startswith("/etc/")}
                self.assertEqual(etc, {home, home + "/run", DEFAULT})

    def test_disable(self) -> None:
        """With `down`: if the link went, runsvdir would end the running service."""
        self.image("runit of void")
        self.install()
        self.assertEqual(self.hook(), ("runit", [DEFAULT]))
        self.assertEqual(disable(self.system), [VOID + "/down"])
        self.assertEqual(self.hook(), ("runit", []))
        self.assertTrue(self.system.is_link(DEFAULT))
        self.install()
        self.assertEqual(self.hook(), ("runit", [DEFAULT]))
        self.assertFalse(self.system.exists(VOID + "/down"))

    def test_down_file_or_missing_link(self) -> None:
        self.image("runit of void")
        self.install()
        self.fill({VOID + "/down": ""})
        self.assertEqual(self.hook(), ("runit", []))
        self.system.unlink(VOID + "/down")
        self.system.unlink(DEFAULT)
        self.assertEqual(self.hook(), ("runit", []))
        self.assertEqual(disable(self.system), [])

    def test_uninstall_removes_the_supervise_folder(self) -> None:
        self.image("runit of void")
        before = listing(self.root)
        self.install()
        supervise = self.system.path(VOID) + "/supervise"
        os.mkdir(supervise)
        for name in ("ok", "control"):
            os.mkfifo(os.path.join(supervise, name))
        for name in ("lock", "pid", "stat", "status"):
            with open(os.path.join(supervise, name), "w"):
                pass
        self.uninstall()
        self.assertEqual(listing(self.root), before)

    def test_supervise_link_target_is_kept(self) -> None:
        """As in Void's packages for a read-only root: the link's target is not ours."""
        self.image("runit of void")
        self.install()
        self.fill({VOID + "/supervise": "-> /run/runit/x", "/run/runit/x/other": "mine"})
        self.uninstall()
        self.assertEqual(self.text("/run/runit/x/other"), "mine")

    def test_selected_runsvdir(self) -> None:
        """Debian: a set other than `default` can be selected for the next boot."""
        self.image("runit of debian, native")
        self.fill({"/etc/runit/default.runsvdir": "solo\n", "/etc/runit/runsvdir/solo/.keep": ""})
        self.install()
        self.assertEqual(self.hook()[1], ["/etc/runit/runsvdir/solo/" + NAME])

    def test_flat(self) -> None:
        """runit's own layout: one folder, and no sets."""
        self.image("runit of void")
        shutil.rmtree(self.root + "/etc/runit/runsvdir")
        os.unlink(self.root + "/var/service")
        os.mkdir(self.root + "/var/service")
        self.install()
        self.assertEqual(self.hook()[1], ["/var/service/" + NAME])

    def test_debian_lsb_script_or_service_directory(self) -> None:
        """One hook at a time: Debian skips the script of a service that also has a directory."""
        self.image("runit of debian")
        before = listing(self.root)
        self.install()
        self.assertEqual(self.hook()[0], "sysvinit")
        self.assertFalse(self.system.exists(VOID))
        self.install("--init", "runit")
        self.assertEqual(self.hook(), ("runit", [DEFAULT]))
        self.assertFalse(self.system.exists("/etc/init.d/" + NAME))
        self.install()
        self.assertEqual(self.hook()[0], "sysvinit")
        self.assertFalse(self.system.exists(VOID))
        self.uninstall()
        self.assertEqual(listing(self.root), before)


class LiveSystem(System):
    """The scratch root as the running machine, with a runsvdir."""

    live = True


class RunsvdirTest(ImageTest):
    """A real runsvdir on the image's `/etc`, in its own mount namespace."""

    def setUp(self) -> None:
        super().setUp()
        if not shutil.which("runsvdir"):
            self.skipTest("no runsvdir (package runit): the service directory was not run by the real one")
        self.unshare = ["unshare", "--mount"] + ([] if os.geteuid() == 0 else ["--map-root-user"])
        able = call(self.unshare + ["mount", "--bind", self.root, "/etc"])
        if able.code:
            self.skipTest("no mount namespace (%s): runsvdir was not run" % able.err.strip())
        self.image("runit of void")
        for path in ("/etc/runit/runsvdir/default/sshd", "/etc/runit/runsvdir/single/sulogin"):
            self.system.unlink(path)
        self.note = self.root + "/note"
        self.hook_of_stub = Hook(self.root + "/python3", "/usr/local/sbin/azure-provisioning")
        self.ends_by("exit 0")

    def ends_by(self, command: str) -> None:
        """A stand-in for Python, which records its start and ends with this command."""
        script = '#!/bin/sh\necho "$*" >>"%s"\n%s\n' % (self.note, command)
        self.system.write("/python3", script, mode=0o755)

    def starts(self) -> "List[str]":
        """The arguments of each start."""
        if not os.path.exists(self.note):
            return []
        with open(self.note) as file:
            return file.read().splitlines()

    def start_manager(self) -> "subprocess.Popen[bytes]":
        """Let runsvdir start the enabled services, until the test or `shut_down` ends it."""
        script = 'mount --bind "$1/etc" /etc && exec runsvdir -P /etc/runit/runsvdir/default'
        manager = subprocess.Popen(self.unshare + ["sh", "-c", script, "sh", self.root], stderr=subprocess.DEVNULL)
        self.addCleanup(self.shut_down, manager)
        return manager

    def shut_down(self, manager: "subprocess.Popen[bytes]") -> None:
        """End runsvdir and everything that it supervises."""
        if manager.poll() is None:
            manager.send_signal(signal.SIGHUP)
            manager.wait(10)
            self.until(lambda: "run:" not in (self.text(VOID + "/supervise/stat") or ""))

    def until_started(self, times: int) -> None:
        """Wait until it has started this many times."""
        self.until(lambda: len(self.starts()) == times)

    def until(self, condition: "Callable[[], bool]", seconds: float = 10.0) -> None:
        """Wait for it."""
        ends = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), ends, "too late: %s" % self.starts())
            time.sleep(0.05)

    def test_runs_once_a_boot(self) -> None:
        runit.enable(self.system, self.hook_of_stub)
        expected = "-I -S /usr/local/sbin/azure-provisioning run"
        for number, command in enumerate(("exit 0", "exit 1", "kill -KILL $$"), 1):
            self.ends_by(command)
            manager = self.start_manager()
            self.until_started(number)
            time.sleep(2.5)  # runsv would start it again after one second
            self.assertEqual(self.starts(), [expected] * number)
            self.shut_down(manager)

    def test_disabled_while_running(self) -> None:
        """It continues to its end. No later boot starts it."""
        runit.enable(self.system, self.hook_of_stub)
        self.ends_by('trap \'echo ended >>"%s"; exit\' TERM; sleep 7 & wait; echo done >>"%s"' % ((self.note,) * 2))
        manager = self.start_manager()
        self.until_started(1)
        self.assertEqual(disable(self.system), [VOID + "/down"])
        self.until(lambda: self.starts()[1:] == ["done"], 15)
        self.shut_down(manager)
        self.start_manager()
        self.until(lambda: os.path.exists(self.system.path(VOID + "/supervise/ok")))
        time.sleep(1)
        self.assertEqual(len(self.starts()), 2)

    def test_install_on_the_running_machine(self) -> None:
        """runsvdir finds the link at once, but must not start a service for the next boot."""
        manager = self.start_manager()
        time.sleep(0.5)
        runit.enable(LiveSystem(self.root), self.hook_of_stub)
        self.assertTrue(self.system.exists(VOID + "/supervise/ok"))
        self.assertEqual(self.hook(), ("runit", [DEFAULT]))
        time.sleep(2)
        self.assertEqual(self.starts(), [])
        self.shut_down(manager)
        self.start_manager()
        self.until_started(1)
