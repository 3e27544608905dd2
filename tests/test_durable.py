"""What a power cut would lose, by the system calls of whole boots: in Python and in a shell, on each init system."""

import json
import os
import platform
import shutil
import sys
import tempfile
import unittest
import warnings
from typing import Callable, List, Tuple

from azure_provisioning.init import manifest
from tests import TOP
from tests.crash.durable import Durability
from tests.crash.room import HOOK, STATE
from tests.crash.tracer import MACHINE, arm, trace
from tests.guests import AZURE_VM, STORY
from tests.images import ImageTest, open_and_read
from tests.shells import INSIDE, PROGRAM, SPACES, EssentialTest

SECONDS = 120.0  # for one boot that stops at each call
INITS = (  # an image of each init system: they disable the hook in different ways
    "systemd",
    "insserv",
    "buildroot",
    "openrc on sysvinit",
    "runit of void",
    "s6 of artix",
    "dinit of chimera",
    "finit of debian",
    "busybox alone",
    "slackware",
    "sysvinit alone",
)


def why_blind() -> str:
    """Why nothing can be traced here; empty if it can."""
    if platform.machine() != MACHINE:
        return "system calls are known of %s only: durability was not looked at" % MACHINE
    try:
        code = trace(lambda: child(lambda: 0), Durability(), SECONDS)
    except OSError as error:
        return "no process can be traced here (%s): durability was not looked at" % error
    return "" if code == 0 else "no process can be held here (exit code %d): durability was not looked at" % code


def child(work: "Callable[[], int]") -> int:
    """Run it in a process that is traced; returns its exit code."""
    pid = os.fork()
    if pid == 0:
        code = 97
        try:
            arm()
            code = work()
        finally:
            os._exit(code)
    return os.WEXITSTATUS(os.waitpid(pid, 0)[1])


def program(argv: "List[str]", story: str, given: str = os.devnull) -> "Callable[[], int]":
    """Starts a program with the file `story` as its output and `given` as its input."""

    def become() -> int:
        os.dup2(os.open(given, os.O_RDONLY), 0)
        target = os.open(story, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(target, 1)
        os.dup2(target, 2)
        os.execvp(argv[0], argv)

    return lambda: child(become)


class TracedTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        why = why_blind()
        if why:
            raise unittest.SkipTest(why)


class InstrumentTest(TracedTest):
    """It detects each of the faults that it is made for."""

    def setUp(self) -> None:
        self.root = tempfile.mkdtemp(prefix="azure-provisioning-test-", dir="/var/tmp")
        self.addCleanup(shutil.rmtree, self.root)
        os.makedirs(self.root + os.path.dirname(STATE))
        os.makedirs(self.root + "/etc")

    def look(self, work: "Callable[[str], object]") -> "List[str]":
        """The faults of one piece of work in the root."""

        def inside(path: str) -> str:
            return path[len(self.root) :] if path.startswith(self.root) else ""

        watch = Durability(inside, ours=lambda program: True, hooks=("/etc/hook",))
        self.assertEqual(trace(lambda: child(lambda: int(bool(work(self.root)))), watch, SECONDS), 0)
        return watch.end()

    def test_synced_changes_have_no_faults(self) -> None:
        def work(root: str) -> None:
            open(root + "/etc/hook", "w").close()
            write(root + "/etc/name", b"x")
            write(root + STATE, b"ready_at=now\n")
            os.unlink(root + "/etc/hook")
            sync(root + "/etc")

        self.assertEqual(self.look(work), [])

    def test_unsynced_file(self) -> None:
        faults = self.look(lambda root: write(root + "/etc/name", b"x", file=False))
        self.assertEqual(faults, ["/etc/name took its place before the disk had it"])

    def test_unsynced_empty_file(self) -> None:
        faults = self.look(lambda root: write(root + "/etc/name", b"", file=False))
        self.assertEqual(faults, ["/etc/name took its place before the disk had it"])

    def test_file_changed_after_sync(self) -> None:
        faults = self.look(lambda root: write(root + "/etc/name", b"x", change=lambda spare: os.chmod(spare, 0o600)))
        self.assertEqual(faults, ["/etc/name took its place before the disk had it"])

    def test_unsynced_folder(self) -> None:
        faults = self.look(lambda root: write(root + "/etc/name", b"x", folder=False))
        self.assertEqual(faults, ["the disk may not have the name /etc/name before: the end"])

    def test_folder_synced_too_late(self) -> None:
        def work(root: str) -> None:
            write(root + "/etc/one", b"x", folder=False)
            write(root + "/etc/two", b"x")

        self.assertEqual(self.look(work), ["the disk may not have the name /etc/one before: rename /etc/two"])

    def test_hook_removed_too_early(self) -> None:
        def work(root: str) -> None:
            open(root + "/etc/hook", "w").close()
            write(root + STATE, b"vm_id=x\n")
            os.unlink(root + "/etc/hook")
            sync(root + "/etc")

        self.assertEqual(self.look(work), ["/etc/hook went before the disk knew of Ready"])

    def test_unsynced_removal_of_the_hook(self) -> None:
        def work(root: str) -> None:
            open(root + "/etc/hook", "w").close()
            sync(root + "/etc")
            write(root + STATE, b"ready_at=now\n")
            os.unlink(root + "/etc/hook")

        self.assertEqual(self.look(work), ["the disk may not have the name /etc/hook before: the end"])

    def test_state_written_before_a_sync(self) -> None:
        """Also for files that another tool wrote: these need a `sync`."""

        def work(root: str) -> None:
            with open(root + "/etc/passwd", "w") as file:
                file.write("x")
            write(root + STATE, b"configured_at=now\n")

        self.assertEqual(self.look(work), ["the state speaks of /etc/passwd, which the disk may not have"])

    def test_sync_is_counted_but_not_executed(self) -> None:
        def work(root: str) -> None:
            with open(root + "/etc/passwd", "w") as file:
                file.write("x")
            os.sync()
            write(root + STATE, b"configured_at=now\n")

        self.assertEqual(self.look(work), [])


class PythonTest(ImageTest, TracedTest):
    def boot_watched(self, hooks: "Tuple[str, ...]") -> Durability:
        """A first boot of the image, watched."""
        folder = tempfile.mkdtemp(prefix="azure-provisioning-test-")
        self.addCleanup(shutil.rmtree, folder)
        story = os.path.join(folder, "story")
        self.azure()

        def inside(path: str) -> str:
            return path[len(self.root) :] or "/" if (path + "/").startswith(self.root + "/") else ""

        watch = Durability(inside, hooks=hooks)
        code = STORY % {"top": TOP, "root": self.root, "speed": self.speed, "argv": ["run"]}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about forks beside the threads of the fake Azure: the child has none
            ended = trace(program([sys.executable, "-c", code], story), watch, SECONDS)
        self.assertEqual(ended, 0, open_and_read(story))
        return watch

    def test_every_end_of_a_boot(self) -> None:
        for name in INITS:
            with self.subTest(name):
                self.empty()
                self.image(name)
                self.fill(AZURE_VM)
                self.install()
                links = [self.system.path(link, follow=False) for link in manifest.values(self.system, "link")]
                hooks = [link[len(self.root) :] for link in links]
                hooks.append("/etc/sv/azure-provisioning/down")  # runit disables it by this file
                watch = self.boot_watched(tuple(hooks))
                self.assertEqual(watch.end(), [])
                self.assertGreaterEqual(set(watch.renamed), {"/etc/hostname", "/etc/hosts", STATE, "/etc/passwd"})
                self.assertTrue(watch.hooks_gone, "the hook was not seen to go")


class ShellTest(EssentialTest, TracedTest):
    def test_every_end_of_a_boot(self) -> None:
        os.unlink(self.root + "/bin/sync")
        os.symlink("busybox", self.root + "/bin/sync")  # the real one: it is traced, not executed
        block = "# >>> azure-provisioning >>>\nx\n# <<< azure-provisioning <<<\n"
        for hook, text in ((HOOK, "a link, but for the tests\n"), ("/etc/inittab", block)):
            with self.subTest(hook):
                self.add(files={"/var/lib/azure-provisioning/install": "init=systemd\nlink=%s\n" % hook, hook: text})
                watch = Durability(hooks=(hook,), ours=lambda program: True, begins=PROGRAM)
                printed = self.watched(watch)
                self.assertIn("Azure accepted Ready", printed)
                self.assertEqual(watch.end(), [])
                self.assertEqual(watch.hooks_gone, [hook])
                self.assertGreaterEqual(set(watch.renamed), {"/etc/hostname", STATE})

    def watched(self, watch: Durability) -> str:
        """Run the program under the tracer; returns its output."""
        given, story = os.path.join(self.root, "cases"), os.path.join(self.root, "story")
        with open(given, "w") as file:
            json.dump(self.cases, file)
        self.cases = []
        argv = ["unshare", *SPACES, sys.executable, "-I", "-c", INSIDE, TOP, self.root, *self.places]
        code = trace(program(argv, story, given), watch, SECONDS)
        printed = open_and_read(story)
        if code and "unshare" in printed:
            self.skipTest("no sealed room here, so the shell's durability was not looked at: %s" % printed[-200:])
        self.assertEqual(code, 0, printed)
        return printed


def write(
    path: str, data: bytes, file: bool = True, folder: bool = True, change: "Callable[[str], object]" = str
) -> None:
    """Rename a file into place, with or without each `fsync`; `change` runs in between."""
    spare = "%s/.%s.azure-provisioning" % os.path.split(path)
    with open(spare, "wb") as opened:
        opened.write(data)
        opened.flush()
        if file:
            os.fsync(opened.fileno())
    change(spare)
    os.rename(spare, path)
    if folder:
        sync(os.path.dirname(path))


def sync(folder: str) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
