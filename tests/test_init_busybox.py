"""busybox init alone: one line in the administrator's inittab; with a real busybox if installed."""

import os
import shutil
import subprocess
import time
from typing import List

from azure_provisioning.init.systems.busybox import DEFAULT
from azure_provisioning.init.table import disable
from tests import images
from tests.images import ImageTest, call, listing

INITTAB = "/etc/inittab"
COMMAND = "/usr/bin/python3 -I -S /usr/local/sbin/azure-provisioning run </dev/null"


class InittabTest(ImageTest):
    def actions(self) -> "List[str]":
        """The lines that init reads."""
        return [line for line in (self.text(INITTAB) or "").splitlines() if line and not line.startswith("#")]

    def test_line(self) -> None:
        for image, entry in (("busybox alone", "::once:"), ("sysvinit alone", "az:12345:once:")):
            with self.subTest(image):
                self.empty()
                self.image(image)
                before, theirs = listing(self.root), self.actions()
                self.install()
                self.assertEqual(self.actions(), [entry + COMMAND] + theirs)
                etc = {path for path in listing(self.root) if path not in before and path.startswith("/etc/")}
                self.assertEqual(etc, set())
                self.assertEqual(self.hook(), ("busybox", [INITTAB]))
                self.assertEqual(disable(self.system), [INITTAB])
                self.assertEqual(listing(self.root)[INITTAB], before[INITTAB])

    def test_without_an_inittab(self) -> None:
        """The new file also has busybox's default lines. Uninstall removes it."""
        self.image("busybox without inittab")
        before = listing(self.root)
        self.install()
        self.assertEqual(self.actions(), ["::once:" + COMMAND] + DEFAULT.splitlines())
        self.install("--prefix", "/opt")
        self.assertEqual(len(self.actions()), len(DEFAULT.splitlines()) + 1)
        self.uninstall()
        self.assertEqual(listing(self.root), before)

    def test_added_lines_are_kept(self) -> None:
        self.image("busybox without inittab")
        self.install()
        self.fill({INITTAB: (self.text(INITTAB) or "") + "::respawn:/sbin/getty\n"})
        disable(self.system)
        self.assertEqual(self.text(INITTAB), "::respawn:/sbin/getty\n")

    def test_mode_is_kept(self) -> None:
        self.image("busybox alone")
        os.chmod(self.system.path(INITTAB), 0o600)
        self.install()
        self.assertEqual(self.mode_at(INITTAB), 0o600)
        self.uninstall()
        self.assertEqual(self.mode_at(INITTAB), 0o600)

    def test_disabled_and_enabled_again(self) -> None:
        self.image("busybox alone")
        self.install()
        installed = self.text(INITTAB)
        disable(self.system)
        self.assertEqual(self.hook(), (None, []))
        self.install()
        self.assertEqual(self.text(INITTAB), installed)

    def test_line_names_only_the_program(self) -> None:
        self.image("busybox alone")
        self.install("--prefix", "/opt", "--python", "/usr/bin/python3.11")
        (line,) = [line for line in self.actions() if ":once:" in line]
        self.assertEqual(line, "::once:/usr/bin/python3.11 -I -S /opt/sbin/azure-provisioning run </dev/null")

    def test_real_init(self) -> None:
        """busybox as PID 1 of a namespace: our line runs once, beside respawned ones, and not after its removal."""
        busybox = shutil.which("busybox")
        if busybox is None or "not a dynamic" not in call(["ldd", busybox]).err:
            self.skipTest("no static busybox (package busybox-static): the inittab was not read by the real init")
        seal = ["unshare", "--pid", "--fork", "--kill-child"] + ([] if os.geteuid() == 0 else ["--map-root-user"])
        able = call(seal + ["chroot", "/", "true"])
        if able.code:
            self.skipTest("no namespaces (%s): the inittab was not read by the real init" % able.err.strip())
        self.fill({"/etc/os-release": "", "/usr/bin/python3": '#!/bin/sh\necho "$*" >>/note\nread x || exit 1\n'})
        self.fill(images.IMAGES["busybox alone"])
        shutil.copy(busybox, self.root + "/bin/busybox")
        for name in ("sh", "mount", "sleep", "echo", "getty"):
            os.symlink("busybox", self.root + "/bin/" + name)
        self.fill({INITTAB: "::sysinit:/etc/rc\n::respawn:/bin/sleep 60\n"})
        self.fill({"/etc/rc": "#!/bin/sh\necho rc >>/note\n"})
        self.make_program("/etc/rc")
        os.mkdir(self.root + "/dev")
        with open(self.root + "/dev/null", "w"):
            pass
        self.install("--python", "/usr/bin/python3")
        expected = ["rc", "-I -S /usr/local/sbin/azure-provisioning run"]
        self.assertEqual(self.boot_once(seal, 2), expected)
        disable(self.system)
        self.assertEqual(self.boot_once(seal, 1), ["rc"])

    def boot_once(self, seal: "List[str]", lines: int) -> "List[str]":
        """What a boot records: waits for that many lines, then one second more."""
        self.system.unlink("/note")
        manager = subprocess.Popen(
            seal + ["chroot", self.root, "/sbin/init"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        try:
            ends = time.monotonic() + 20
            while len((self.text("/note") or "").splitlines()) < lines and time.monotonic() < ends:
                time.sleep(0.05)
            time.sleep(1)
            return (self.text("/note") or "").splitlines()
        finally:
            manager.kill()
            manager.wait()
