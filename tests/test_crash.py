"""A boot that is interrupted at any point: before and after each change of the disk and each message to Azure.

The next boot must have the same result as one undisturbed boot.
"""

import io
import os
import re
import socket
import warnings
from typing import Any, Callable, Dict, List, Tuple
from unittest import mock

from azure_provisioning.console import Console
from azure_provisioning.story.boot import begin
from azure_provisioning.story.provision import provision
from tests.guests import AZURE_VM, HOOK, STATE, FastSystem, GuestTest, snapshot

CUT = 99  # the exit code of a boot that was cut off
OPENED_TO_CHANGE = os.O_CREAT | os.O_WRONLY | os.O_RDWR | os.O_TRUNC
CALLS = ("rename", "replace", "unlink", "rmdir", "mkdir", "symlink", "link", "chmod", "fchmod", "fchown", "fsync")
WORDS = ("connect", "sendall", "recv")


class PowerCut:
    """Ends this process at point number `point`. There is one point before and one after each call that changes the
    disk or talks to Azure."""

    def __init__(self, point: int) -> None:
        self.left = point
        self.count = 0

    def chance(self) -> None:
        self.count += 1
        if self.count == self.left:
            os._exit(CUT)

    def around(self, call: "Callable[..., Any]") -> "Callable[..., Any]":
        """The call, with a point before and after it."""

        def cut(*args: Any, **keywords: Any) -> Any:
            self.chance()
            result = call(*args, **keywords)
            self.chance()
            return result

        return cut

    def arm(self) -> None:
        """Arm it from now on. Only for a child process: it is never disarmed."""
        for name in CALLS:
            setattr(os, name, self.around(getattr(os, name)))
        look, change = os.open, self.around(os.open)
        os.open = lambda path, flags, *rest, **keywords: (change if flags & OPENED_TO_CHANGE else look)(
            path, flags, *rest, **keywords
        )
        for name in WORDS:
            setattr(socket.socket, name, self.around(getattr(socket.socket, name)))


class CrashTest(GuestTest):
    def prepare(self) -> None:
        """A fresh guest."""
        super().setUp()
        self.fill(AZURE_VM)
        self.install_hook()

    def setUp(self) -> None:
        self.prepare()

    def in_child(self, work: "Callable[[], int]") -> int:
        """Run it in a child process that may end early; returns its exit code."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about forks beside the threads of the fake Azure: the child has none
            pid = os.fork()
        if pid == 0:
            code = 98
            try:
                code = work()
            finally:
                os._exit(code)
        return os.WEXITSTATUS(os.waitpid(pid, 0)[1])

    def boot_until(self, point: int) -> int:
        """A boot that ends at a point; its output is dropped."""

        def work() -> int:
            boot = begin(FastSystem(self.root), Console(io.StringIO()))
            PowerCut(point).arm()
            return provision(boot) if boot else 0

        return self.in_child(work)

    def end(self) -> "Dict[str, Tuple[str, int, bytes]]":
        """Everything in the root, except times and durations."""
        found = snapshot(self.root)
        if STATE in found:
            kind, mode, content = found[STATE]
            content = re.sub(rb"(?m)^(\w+_at)=.*$", rb"\1=then", content)
            content = re.sub(rb"(?m)^(at\.\w+)=.*$", rb"\1=then", content)
            found[STATE] = kind, mode, re.sub(rb"(?m)^(step\.\w+=\w+) .*$", rb"\1 1.0", content)
        del found["/etc/azure-provisioning.conf"]
        return found

    def check_between(self, reports: int, where: str) -> None:
        """True at any moment of a power cut: no step is recorded before it is done."""
        facts, hooked = self.facts(), self.system.is_link(HOOK)
        self.assertTrue(hooked or "ready_at" in facts, "%s: the hook went before Ready was remembered" % where)
        self.assertTrue(reports or "ready_at" not in facts, "%s: Ready was remembered and never accepted" % where)
        self.assertTrue("configured_at" in facts or not reports, "%s: Ready was reported and nothing done" % where)
        if "configured_at" in facts:
            self.assertEqual(self.text("/etc/hostname"), "rehearsal\n", where)
        self.assertIn(self.text("/etc/hostname"), ("image\n", "rehearsal\n"), where)
        self.assertTrue((self.text("/etc/hosts") or "").startswith("127.0.0.1\tlocalhost\n127.0.1.1\t"), where)

    def sweep(self, expected: "Dict[str, Tuple[str, int, bytes]]") -> "List[int]":
        """Interrupt a boot at every point in turn, then boot undisturbed; returns the reports of each."""
        azure = self.azure()
        options = self.text("/etc/azure-provisioning.conf") or ""
        counts: "List[int]" = []
        code = CUT
        while code == CUT:
            self.prepare()
            self.fill({"/etc/azure-provisioning.conf": options})
            del azure.reports[:]
            where = "cut off at point %d" % (len(counts) + 1)
            code = self.boot_until(len(counts) + 1)
            self.check_between(len(azure.reports), where)
            self.assertEqual(self.boot(), 0, self.story)
            self.assertEqual(self.end(), expected, where)
            self.assertTrue(1 <= len(azure.reports) <= 2, where)
            counts.append(len(azure.reports))
        self.assertEqual(code, 0)
        return counts

    def undisturbed(self) -> "Dict[str, Tuple[str, int, bytes]]":
        """The result of one undisturbed boot."""
        self.azure()
        self.assertEqual(self.boot(), 0, self.story)
        return self.end()

    def test_power_cut_at_every_point(self) -> None:
        expected = self.undisturbed()
        self.assertNotIn(HOOK, expected)
        counts = self.sweep(expected)
        self.assertGreater(len(counts), 60, "too few points: does the power cut see the calls?")
        self.assertIn(2, counts, "no cut came between the report and its being remembered")
        self.assertEqual(counts[0], 1)
        self.assertEqual(counts[-1], 1)

    def test_partial_temporary_file_is_replaced(self) -> None:
        """A temporary file of a killed run does no harm, whatever its content and mode; the next run replaces it."""
        expected = self.undisturbed()
        self.prepare()
        for path in ("/etc/.hostname", "/etc/.hosts", "/var/lib/azure-provisioning/.state"):
            self.fill({path + ".azure-provisioning": "half of someth"})
            os.chmod(self.system.path(path + ".azure-provisioning"), 0)
        self.azure()
        self.assertEqual(self.boot(), 0, self.story)
        self.assertEqual(self.end(), expected)

    def test_power_cut_stops_before_the_change(self) -> None:
        """The instrument itself: without a point it never cuts; at the first point it cuts before any change."""
        self.azure()
        before = snapshot(self.root)
        self.assertEqual(self.boot_until(1), CUT)
        self.assertEqual(snapshot(self.root), before)
        self.assertEqual(self.boot_until(0), 0)
        with mock.patch.object(os, "_exit") as ended:
            cut = PowerCut(3)
            for _ in range(4):
                cut.chance()
        ended.assert_called_once_with(CUT)
