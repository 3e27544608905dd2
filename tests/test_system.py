"""Access to the guest: paths stay inside the root, writes are complete or absent, programs end."""

import errno
import gc
import os
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import unittest
from contextlib import suppress
from types import CodeType, FrameType
from typing import Any, Callable, Dict, List, Optional, Set, Tuple
from unittest import mock

from azure_provisioning.door.folder import Owner, open_folder
from azure_provisioning.door.system import System
from azure_provisioning.errors import GuestError
from tests import TOP
from tests.guests import WITH_ATTRIBUTES, GuestTest, snapshot, wait_until


class InsideTest(GuestTest):
    """A hostile image: its links must not lead to this machine."""

    def setUp(self) -> None:
        super().setUp()
        self.outside = tempfile.mkdtemp(prefix="azure-provisioning-test-")
        self.addCleanup(os.rmdir, self.outside)
        for folder in ("etc", "real", "usr/lib"):
            os.makedirs(os.path.join(self.root, folder))

    def link(self, target: str, path: str) -> None:
        os.symlink(target, self.root + path)

    def test_paths(self) -> None:
        self.link("/", "/slash")
        self.link("../../../../..", "/up")
        self.link("/etc/../../../real", "/absolute")
        self.link("usr/lib", "/lib")
        self.link("/lib/loader", "/etc/chained")
        self.link("nowhere/at/all", "/etc/dangling")
        self.link(self.outside, "/etc/outside")
        self.link("//etc//.//x", "/etc/slashes")
        self.link(".", "/etc/here")
        self.link("./..", "/usr/lib/above")
        for path, expected in (
            ("/", ""),
            ("", ""),
            ("/etc", "/etc"),
            ("etc", "/etc"),
            ("/..", ""),
            ("/../../etc/../etc/./x", "/etc/x"),
            ("/slash/etc", "/etc"),
            ("/slash/slash/slash", ""),
            ("/up/up/etc", "/etc"),
            ("/absolute/x", "/real/x"),
            ("/lib/x", "/usr/lib/x"),
            ("/lib/../x", "/usr/x"),
            ("/etc/chained", "/usr/lib/loader"),
            ("/etc/dangling", "/etc/nowhere/at/all"),
            ("/etc/outside/x", self.outside + "/x"),
            ("/etc/slashes", "/etc/x"),
            ("/etc/here", "/etc"),
            ("/etc/here/here/x", "/etc/x"),
            ("/etc/here/.", "/etc"),
            ("/usr/lib/above", "/usr"),
            ("/usr/lib/above/x", "/usr/x"),
        ):
            with self.subTest(path):
                self.assertEqual(self.system.path(path), self.root + expected)
        self.assertEqual(self.system.path("/lib", follow=False), self.root + "/lib")
        self.assertEqual(self.system.path("/slash/etc/chained", follow=False), self.root + "/etc/chained")

    def test_loops_end(self) -> None:
        self.link("b", "/a")
        self.link("a", "/b")
        self.link("self/deeper", "/self")
        for path in ("/a", "/a/x", "/self"):
            for use in (self.system.read, self.system.exists, self.system.list):
                with self.subTest(path), self.assertRaises(GuestError):
                    use(path)
        with self.assertRaises(GuestError):
            self.system.write("/a", "x")
        self.assertEqual(len(self.system.chain("/a")), 41)

    def test_writes_stay_inside(self) -> None:
        self.link(self.outside, "/etc/evil")
        self.link(self.outside + "/file", "/etc/hostname")
        self.link("/../../.." + self.outside + "/file", "/etc/hosts")
        os.makedirs(self.root + self.outside)
        self.system.write("/etc/evil/a", "x")
        self.system.write("/etc/hostname", "x")
        self.system.write("/etc/hosts", "y")
        self.system.link("/x", "/etc/evil/link")
        self.system.make_dirs("/etc/evil/folder")
        self.system.unlink("/etc/evil/a")
        self.assertEqual(os.listdir(self.outside), [])
        inside = snapshot(self.root)
        self.assertEqual(inside[self.outside + "/file"][2], b"y")
        self.assertEqual(inside["/etc/hostname"][0], "link")

    def test_reads_stay_inside(self) -> None:
        self.link("/etc/passwd", "/etc/stolen")
        self.link("../../../../../../etc/passwd", "/etc/stolen2")
        for path in ("/etc/stolen", "/etc/stolen2", "/../../../etc/passwd"):
            self.assertIsNone(self.system.read(path))
            self.assertFalse(self.system.exists(path))
        self.assertEqual(self.system.list("/etc/passwd"), [])

    def test_reads_are_bounded(self) -> None:
        self.system.write("/etc/large", "x" * 101)
        self.assertEqual(self.system.read("/etc/large", limit=101), b"x" * 101)
        self.assertEqual(self.system.read("/etc/large", limit=100, head=True), b"x" * 100)
        with self.assertRaises(GuestError) as caught:
            self.system.read("/etc/large", limit=100)
        self.assertEqual(caught.exception.reason, "file too large")

    def test_root_through_a_link(self) -> None:
        alias = self.root + "-alias"
        os.symlink(self.root, alias)
        self.addCleanup(os.unlink, alias)
        system = System(alias + "/.")
        system.write("/etc/x", "y")
        self.assertEqual(self.text("/etc/x"), "y")

    def test_nothing_is_executed(self) -> None:
        self.fill({"/bin/sh": "#!/bin/sh\ntouch %s/file\n" % self.outside})
        with self.assertRaises(GuestError) as caught:
            self.system.run(["/bin/sh"])
        self.assertEqual(caught.exception.reason, "nothing in an image is executed")
        self.assertFalse(self.system.set_hostname("azure-provisioning-test"))
        self.assertNotEqual(os.uname().nodename, "azure-provisioning-test")
        self.assertFalse(self.system.live)

    def test_programs(self) -> None:
        self.fill({"/usr/bin/tool": "", "/usr/local/bin/tool": "", "/etc/tool": ""})
        os.chmod(self.root + "/usr/local/bin/tool", 0o644)
        self.link("/usr/bin/tool", "/usr/bin/alias")
        self.link("/usr/bin", "/bin")
        self.assertEqual(self.system.find_program("no-such", "tool"), "/usr/bin/tool")
        self.assertEqual(self.system.find_program("/bin/alias"), "/bin/alias")
        self.assertIsNone(self.system.find_program("/etc/tool", "no-such", "/usr/bin"))


class WriteTest(GuestTest):
    def test_dropped_system_closes_its_root(self) -> None:
        """At once, not at Python's next garbage collection: an image cannot be unmounted before."""
        before = set(os.listdir("/proc/self/fd"))
        guest = System(self.root)
        guest.write("/etc/x", "y")
        del guest
        self.assertLessEqual(set(os.listdir("/proc/self/fd")), before)

    def test_new_and_same(self) -> None:
        self.assertTrue(self.system.write("/a/b/c", "text"))
        self.assertFalse(self.system.write("/a/b/c", "text"))
        self.assertFalse(self.system.write("/a/b/c", b"text", mode=0o644))
        self.assertTrue(self.system.write("/a/b/c", "text", mode=0o600))
        self.assertTrue(self.system.write("/a/b/c", "texx"))
        self.assertEqual(self.text("/a/b/c"), "texx")
        self.assertEqual(snapshot(self.root)["/a/b/c"][1], 0o600)
        self.assertEqual(snapshot(self.root)["/a/b"][1], 0o755)

    def test_new_folder_has_its_mode_at_once(self) -> None:
        """A run killed after mkdir(2) must not leave a /home that only root can enter."""
        self.addCleanup(os.umask, os.umask(0o077))
        make, modes = os.mkdir, []

        def watched(name: str, mode: int, dir_fd: int) -> None:
            make(name, mode, dir_fd=dir_fd)
            modes.append(stat.S_IMODE(os.stat(name, dir_fd=dir_fd).st_mode))

        with mock.patch.object(os, "mkdir", watched):
            self.system.make_dirs("/a/b")
            self.system.make_dirs("/a/c", mode=0o700)
        self.assertEqual(modes, [0o755, 0o755, 0o700])
        self.assertEqual(os.umask(0o077), 0o077)

    def test_umask_does_not_matter(self) -> None:
        old = os.umask(0o077)
        self.addCleanup(os.umask, old)
        self.system.write("/a/b", "x")
        self.system.write("/a/c", "x", mode=0o666)
        found = snapshot(self.root)
        self.assertEqual([found[path][1] for path in ("/a", "/a/b", "/a/c")], [0o755, 0o644, 0o666])

    def test_mode_is_kept(self) -> None:
        for mode in (0o600, 0o640, 0o664, 0o444, 0o755, 0o4755, 0o000):
            if mode in (0, 0o4755) and os.getuid() != 0:
                continue  # a plain user cannot read the file to compare it, and a write would lose the bit
            self.fill({"/etc/file": "old %o" % mode})
            os.chmod(self.root + "/etc/file", mode)
            self.system.write("/etc/file", "new %o" % mode)
            self.assertEqual(oct(os.stat(self.root + "/etc/file").st_mode & 0o7777), oct(mode))

    @unittest.skipUnless(
        os.getuid() == 0, "only root can give files away: the suite as root tests that owners are kept"
    )
    def test_owner_is_kept(self) -> None:
        self.fill({"/etc/file": "old"})
        os.chown(self.root + "/etc/file", 12345, 54321)
        os.chmod(self.root + "/etc/file", 0o4750)  # chown clears the upper bits, so the order matters
        self.system.write("/etc/file", "new")
        found = os.stat(self.root + "/etc/file")
        self.assertEqual((found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)), (12345, 54321, 0o4750))

    @WITH_ATTRIBUTES
    def test_extended_attributes_are_kept(self) -> None:
        with tempfile.TemporaryDirectory(prefix="azure-provisioning-test-") as root:
            system = System(root)
            system.write("/file", "old")
            try:
                os.setxattr(root + "/file", "user.one", b"\0value")
                os.setxattr(root + "/file", "user.two", b"")
            except OSError as error:
                self.skipTest("the temporary folder holds no extended attributes: %s" % error)
            system.write("/file", "new")
            self.assertEqual(sorted(os.listxattr(root + "/file")), ["user.one", "user.two"])
            self.assertEqual(os.getxattr(root + "/file", "user.one"), b"\0value")

    def test_links_are_written_through(self) -> None:
        self.fill({"/run/real": "old", "/etc/file": "-> ../run/real", "/etc/new": "-> /run/made"})
        self.system.write("/etc/file", "new")
        self.system.write("/etc/new", "new")
        self.assertEqual(self.system.readlink("/etc/file"), "../run/real")
        self.assertEqual((self.text("/run/real"), self.text("/run/made")), ("new", "new"))

    def test_reader_sees_old_or_new_content(self) -> None:
        self.fill({"/etc/file": "old"})
        with open(self.root + "/etc/file") as reader:
            self.system.write("/etc/file", "new")
            self.assertEqual(reader.read(), "old")

    def test_any_bytes(self) -> None:
        data = bytes(range(256))
        self.system.write("/etc/file", data)
        self.assertEqual(self.system.read("/etc/file"), data)
        text = self.text("/etc/file") or ""
        self.system.write("/etc/copy", text)
        self.assertEqual(self.system.read("/etc/copy"), data)

    def test_special_files_are_not_written(self) -> None:
        self.system.make_dirs("/etc/folder")
        os.mkfifo(self.root + "/etc/fifo")
        with socket.socket(socket.AF_UNIX) as server:
            here = os.getcwd()
            os.chdir(self.root)  # a socket's path must be short
            try:
                server.bind("socket")
            finally:
                os.chdir(here)
            paths = ["/etc/folder", "/etc/fifo", "/socket"]
            try:
                os.mknod(self.root + "/etc/device", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
                paths.append("/etc/device")
            except OSError:
                pass  # a plain user has none
            self.system.link("fifo", "/etc/link")
            before = snapshot(self.root)
            started = time.monotonic()
            for path in paths + ["/etc/link"]:
                with self.subTest(path), self.assertRaises(GuestError) as caught:
                    self.system.read(path)
                self.assertEqual(caught.exception.reason, "not a regular file")
                with self.subTest(path), self.assertRaises(GuestError) as caught:
                    self.system.write(path, "x")
                self.assertEqual(caught.exception.reason, "not a regular file")
            self.assertEqual(snapshot(self.root), before)
            self.assertLess(time.monotonic() - started, 2)

    def test_large_files(self) -> None:
        self.system.write("/etc/file", b"x" * (1 << 20))
        self.assertEqual(len(self.system.read("/etc/file") or b""), 1 << 20)
        self.system.write("/etc/file", b"x" * ((1 << 20) + 1))
        with self.assertRaises(GuestError):
            self.system.read("/etc/file")
        self.assertEqual(self.system.read("/etc/file", limit=10, head=True), b"x" * 10)
        self.assertFalse(self.system.write("/etc/file", b"x" * ((1 << 20) + 1)))

    def test_file_in_place_of_a_folder(self) -> None:
        self.fill({"/etc/file": "x"})
        for use in (
            lambda: self.system.write("/etc/file/below", "y"),
            lambda: self.system.make_dirs("/etc/file/below"),
        ):
            with self.assertRaises(GuestError):
                use()
        self.assertFalse(self.system.exists("/etc/file/below"))
        self.assertIsNone(self.system.read("/etc/file/below"))
        self.assertFalse(self.system.unlink("/etc/file/below"))

    def in_child(self, prepare: "Callable[[], None]", code: str) -> "subprocess.CompletedProcess[str]":
        """Run code with `system` for the root, in a prepared process."""
        head = (
            "import sys; sys.path.insert(0, %r); import tests\nfrom azure_provisioning.door.system import System\n"
            % TOP
        )
        return subprocess.run(
            [sys.executable, "-c", head + "system = System(%r)\n" % self.root + code],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            preexec_fn=prepare,
        )

    def test_full_disk_keeps_the_old_content(self) -> None:
        self.fill({"/etc/file": "old"})
        before = snapshot(self.root)
        done = self.in_child(
            lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
            "system.write('/etc/file', 'fits')\n"
            "system.write('/etc/file', 'old')\n"
            "try:\n    system.write('/etc/file', 'x' * 5000)\n"
            "except Exception as error:\n    print(type(error).__name__, error)\n",
        )
        self.assertEqual(done.stderr, "")
        self.assertIn("GuestError failure to write file", done.stdout)
        self.assertEqual(snapshot(self.root), before)

    def write_over_a_mount(self, code: str) -> "subprocess.CompletedProcess[str]":
        """Run code with `System` and `root`, while another file is mounted on /etc/resolv.conf of the root."""
        self.fill({"/etc/resolv.conf": "a longer old text\n", "/mounted": "something else and longer\n"})
        inside = "mount --bind %s/mounted %s/etc/resolv.conf && exec %s -c " % (self.root, self.root, sys.executable)
        head = "import os, sys; sys.path.insert(0, '%s'); import tests; root = '%s'\n" % (TOP, self.root)
        head += "from azure_provisioning.door.system import System\n"
        try:
            done = subprocess.run(
                ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", inside + '"%s"' % (head + code)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                universal_newlines=True,
            )
        except OSError as error:
            self.skipTest("no unshare here, so no file was mounted on: %s" % error)
        if "unshare:" in done.stderr or "mount:" in done.stderr:
            self.skipTest("no name space may be made here, so no file was mounted on: %s" % done.stderr.strip())
        self.assertEqual(self.text("/etc/resolv.conf"), "a longer old text\n")
        self.assertEqual(self.system.list("/etc"), ["resolv.conf"])
        return done

    def test_mounted_file_is_written_in_place(self) -> None:
        done = self.write_over_a_mount("os.chroot(root); print(System().write('/etc/resolv.conf', 'new'))")
        self.assertEqual((done.stdout, done.stderr), ("True\n", ""), done.stderr)
        self.assertEqual(self.text("/mounted"), "new")

    def test_mounted_file_in_an_image_is_refused(self) -> None:
        done = self.write_over_a_mount("System(root).write('/etc/resolv.conf', 'new')")
        self.assertIn("GuestError: something is mounted here (path=/etc/resolv.conf)", done.stderr)
        self.assertEqual(self.text("/mounted"), "something else and longer\n")

    @unittest.skipIf(os.getuid() == 0, "as root no folder is closed: a plain user's run of the suite tests it")
    def test_closed_folder(self) -> None:
        self.fill({"/etc/file": "old"})
        os.chmod(self.root + "/etc", 0)
        self.addCleanup(os.chmod, self.root + "/etc", 0o755)
        for use in (self.system.read, self.system.exists, self.system.list, self.system.unlink):
            with self.assertRaises(GuestError) as caught:
                use("/etc/file" if use != self.system.list else "/etc")
            self.assertEqual(caught.exception.details["error"], os.strerror(errno.EACCES))


class ChangeTest(GuestTest):
    def test_link(self) -> None:
        self.fill({"/etc/file": "x"})
        self.assertTrue(self.system.link("/nowhere", "/etc/link"))
        self.assertFalse(self.system.link("/nowhere", "/etc/link"))
        self.assertTrue(self.system.link("elsewhere", "/etc/link"))
        self.assertTrue(self.system.link("elsewhere", "/etc/file"))  # replaces a file
        self.assertEqual(self.system.readlink("/etc/link"), "elsewhere")
        self.assertEqual(self.system.readlink("/etc/file"), "elsewhere")
        self.assertEqual(self.system.list("/etc"), ["file", "link"])

    def test_unlink(self) -> None:
        self.fill({"/etc/file": "x", "/etc/link": "-> file"})
        self.assertTrue(self.system.unlink("/etc/link"))
        self.assertFalse(self.system.unlink("/etc/link"))
        self.assertEqual(self.text("/etc/file"), "x")
        self.system.make_dirs("/etc/folder")
        with self.assertRaises(GuestError):
            self.system.unlink("/etc/folder")

    def test_roll_back(self) -> None:
        self.fill({"/etc/changed": "old", "/etc/gone": "old", "/etc/relinked": "-> old", "/etc/replaced": "old"})
        self.fill({"/etc/untouched": "old", "/etc/lost": "-> old", "/etc/twice": "old"})
        os.chmod(self.root + "/etc/changed", 0o640)
        os.chmod(self.root + "/etc/gone", 0o755)
        before = snapshot(self.root)
        self.system.begin()
        self.system.write("/etc/changed", "new", mode=0o600)
        self.system.write("/etc/twice", "new")
        self.system.write("/etc/twice", "newer")
        self.system.write("/var/lib/deep/new", "new")
        self.system.link("new", "/etc/relinked")
        self.system.link("new", "/etc/replaced")
        self.system.link("new", "/etc/added")
        self.system.unlink("/etc/gone")
        self.system.unlink("/etc/lost")
        self.system.write("/etc/gone", "again")
        self.assertNotEqual(snapshot(self.root), before)
        self.system.roll_back()
        self.assertEqual(snapshot(self.root), before)

    def test_commit(self) -> None:
        self.fill({"/etc/file": "old"})
        self.system.begin()
        self.system.write("/etc/file", "new")
        self.system.write("/etc/file", "new")
        self.system.make_dirs("/var/lib")
        self.assertEqual(self.system.touched, ["/etc/file"])
        self.assertEqual(self.system.made, ["/var", "/var/lib"])
        self.system.commit()
        self.system.roll_back()
        self.assertEqual(self.text("/etc/file"), "new")

    def test_remove_dir(self) -> None:
        self.system.make_dirs("/a/b")
        self.assertFalse(self.system.remove_dir("/a"))
        self.assertFalse(self.system.remove_dir("/nowhere"))
        self.assertTrue(self.system.remove_dir("/a/b"))
        self.assertTrue(self.system.remove_dir("/a"))

    def test_lock(self) -> None:
        first = self.system.lock("/run/x.lock")
        self.assertIsNotNone(first)
        self.assertIsNone(System(self.root).lock("/run/x.lock"))
        self.system.release_locks()
        self.assertIsNotNone(self.system.lock("/run/x.lock"))

    def test_lock_through_a_link_is_refused(self) -> None:
        self.fill({"/etc/file": "x", "/run/x.lock": "-> /etc/file"})
        try:
            self.assertIsNotNone(self.system.lock("/run/x.lock"))  # resolved inside the root; nothing is written
        finally:
            self.assertEqual(self.text("/etc/file"), "x")


def is_alive(pid: str) -> bool:
    """Does the process run? A zombie does not."""
    try:
        with open("/proc/%s/stat" % pid, encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class Interrupting:
    """Interrupts code in `door` like a signal, before step `at`: an instruction (before 3.11 a line)."""

    def __init__(self, at: int = 0) -> None:
        self.at, self.count = at, 0
        self.first: "Dict[Tuple[CodeType, int], int]" = {}
        self.last: "Dict[Tuple[CodeType, int], int]" = {}

    def trace(self, frame: "FrameType", event: str, _: object) -> "Any":
        if "/door/" not in frame.f_code.co_filename:
            return None
        if sys.version_info >= (3, 11):  # in older versions Python itself fails
            frame.f_trace_opcodes = True
        if event in ("opcode", "line"):
            self.count += 1
            place = (frame.f_code, frame.f_lasti)
            self.first.setdefault(place, self.count)
            self.last[place] = self.count
            if self.count == self.at:
                raise KeyboardInterrupt
        return self.trace


class InterruptedTest(GuestTest):
    """A signal may come between any two instructions. An error during the clean-up must not replace it.

    A folder closed twice would do that, and `generalize` would continue with a warning.
    """

    def test_every_instruction(self) -> None:
        """At its first and its last execution."""
        owner, machine = Owner(os.getuid(), os.getgid()), System()
        for name, work in (
            ("write", lambda: self.system.write("/lib/a/../b", "x", mode=0o600, owner=owner)),
            ("list", lambda: self.system.list("/lib/../usr/lib/.")),
            ("folder", lambda: self.in_folder("/usr/lib", owner)),
            ("run", lambda: machine.run(["true"])),
        ):
            whole = Interrupting()
            self.interrupt(work, whole)
            steps = sorted(set(whole.first.values()) | set(whole.last.values()))
            self.assertGreater(len(steps), 30, name)
            for step in steps:
                interrupting = Interrupting(step)
                try:
                    self.interrupt(work, interrupting)
                    self.assertLess(interrupting.count, step, "%s: the interrupt was lost" % name)
                except KeyboardInterrupt:
                    pass

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(close_others, set(os.listdir("/proc/self/fd")))

    def interrupt(self, work: "Callable[[], object]", interrupting: Interrupting) -> None:
        shutil.rmtree(self.root + "/usr", ignore_errors=True)
        self.fill({"/usr/lib/c": "c", "/lib": "-> /usr/lib"})
        sys.settrace(interrupting.trace)
        try:
            work()
        finally:
            sys.settrace(None)

    def in_folder(self, path: str, owner: Owner) -> None:
        with open_folder(self.system, path) as folder:
            folder.write("c", b"new", 0o600, owner)
            folder.empty("c")


def close_others(kept: "Set[str]") -> None:
    """Close what an interrupt left open between the call that opened it and the assignment of its name."""
    gc.collect()
    for name in set(os.listdir("/proc/self/fd")) - kept:
        with suppress(OSError):  # the descriptor of this listing
            os.close(int(name))


class RunTest(GuestTest):
    """Programs of the running machine. These only print."""

    def setUp(self) -> None:
        super().setUp()
        self.here = System()

    def run_code(self, code: str, seconds: float = 20.0, check: bool = True) -> int:
        return self.here.run([sys.executable, "-I", "-S", "-c", code], seconds=seconds, check=check)

    def failure(self, code: str, seconds: float = 20.0) -> GuestError:
        with self.assertRaises(GuestError) as caught:
            self.run_code(code, seconds)
        return caught.exception

    def test_exit_code(self) -> None:
        self.assertEqual(self.run_code("print('x')"), 0)
        self.assertEqual(self.run_code("raise SystemExit(7)", check=False), 7)
        error = self.failure("print('first'); print('the reason'); print(); raise SystemExit(7)")
        self.assertEqual((error.details["code"], error.details["output"]), ("7", "the reason"))

    def test_no_such_program(self) -> None:
        with self.assertRaises(GuestError) as caught:
            self.here.run(["/no/such/program"])
        self.assertEqual(caught.exception.reason, "command cannot be started")

    def test_too_slow(self) -> None:
        started = time.monotonic()
        error = self.failure("import time; time.sleep(60)", seconds=0.3)
        self.assertEqual(error.reason, "command took too long")
        self.assertLess(time.monotonic() - started, 5)

    def test_grandchild_keeps_the_output_open(self) -> None:
        started = time.monotonic()
        self.run_code("import os, time; os.fork() or time.sleep(10)")
        self.assertLess(time.monotonic() - started, 5)

    def test_grandchild_continues_to_print(self) -> None:
        """It is neither ended by a signal nor blocked. Its output is neither awaited nor stored."""
        marker = self.root + "/marker"
        code = "import os, time; os.fork() and os._exit(print('mine', flush=True) or 0); os.setsid()\n"
        code += "for _ in range(100): os.write(1, b'x' * 65536); time.sleep(0.01)\n"
        code += "open(%r, 'w').close()" % marker
        started = time.monotonic()
        printed = self.here.ask([sys.executable, "-I", "-S", "-c", code])
        self.assertLess(time.monotonic() - started, 0.9)
        self.assertIn("mine\n", printed)
        self.assertTrue(wait_until(lambda: os.path.exists(marker)))

    def test_grandchild_prints_without_end(self) -> None:
        """A program that prints without end blocks nothing."""
        code = "import os, time; os.fork() and os._exit(0)\n"
        code += "ends = time.time() + 3\nwhile time.time() < ends: os.write(1, b'x' * 65536)"
        started = time.monotonic()
        self.assertLessEqual(len(self.here.ask([sys.executable, "-I", "-S", "-c", code])), 1 << 20)
        self.assertLess(time.monotonic() - started, 2)

    def test_session_is_ended_at_the_timeout(self) -> None:
        """With every process in its session. Its output so far is lost, and blocks nothing."""
        pids = self.root + "/pids"
        code = "import os, time; os.fork()\nwith open(%r, 'a') as file: file.write('%%d ' %% os.getpid())\n" % pids
        code += "while True: os.write(1, b'x' * 65536); time.sleep(0.01)"
        started = time.monotonic()
        self.assertEqual(self.failure(code, seconds=1).reason, "command took too long")
        self.assertLess(time.monotonic() - started, 5)
        mine = (self.text("/pids") or "").split()
        self.assertEqual(len(mine), 2)
        self.assertTrue(wait_until(lambda: not [pid for pid in mine if is_alive(pid)]))

    def test_flood(self) -> None:
        error = self.failure("import sys; sys.stdout.write('x' * (3 << 20)); print(); print('last'); sys.exit(1)")
        self.assertEqual(error.details["output"], "last")

    def test_two_hundred_megabytes(self) -> None:
        """However much a program prints, the capture takes only a few MiB of memory. The end is kept."""
        code = "import sys; sys.path.insert(0, %r); import tests, resource\n" % TOP
        code += "from azure_provisioning.door.system import System\n"
        code += "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        code += "printed = System().ask(['/bin/sh', '-c', 'head -c 209715200 /dev/zero; echo; echo last'])\n"
        code += "print(len(printed), printed.endswith('\\nlast\\n'))\n"
        code += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30000)"
        done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE)
        self.assertEqual(done.stdout.split(), [b"1048576", b"True", b"True"])

    def test_output_needs_no_disk_space(self) -> None:
        """The output is in no folder, so it needs no disk space."""
        code = "import sys; sys.path.insert(0, '/proc/self/cwd/src')\n"  # the checkout's path may be hidden
        code += "from azure_provisioning.door.system import System\n"
        code += "print(len(System().ask(['/bin/sh', '-c', 'head -c 60000000 /dev/zero'])))"
        mounts = "for folder in /run /tmp /dev/shm; do mount -t tmpfs -o size=64k,ro none $folder || exit; done; "
        argv = ["unshare", "--mount"] + ([] if os.geteuid() == 0 else ["--map-root-user"])
        able = subprocess.run(argv + ["sh", "-c", mounts + "true"], stderr=subprocess.PIPE)
        if able.returncode:
            self.skipTest("no mount namespace (%r): output without any room was not tried" % able.stderr)
        python = os.path.realpath(sys.executable)  # that of a venv may be hidden, too
        argv += ["sh", "-c", mounts + 'exec "$@"', "sh", python, "-c", code]
        self.assertEqual(subprocess.check_output(argv, cwd=TOP).strip(), b"1048576")

    def test_secret_is_not_read(self) -> None:
        """Also input larger than a pipe. A program that reads slowly gets all of it."""
        secret = b"x" * (1 << 20)
        self.assertEqual(self.here.run(["/bin/true"], secret=secret), 0)
        self.assertEqual(self.here.execute(["/bin/sh", "-c", "sleep 0.1; wc -c"], secret=secret), (0, "1048576\n"))
        self.assertEqual(self.here.execute(["/bin/sh", "-c", "exec <&-; echo x"], secret=secret)[1], "x\n")

    def test_no_descriptor_leaks(self) -> None:
        before = os.listdir("/proc/self/fd")
        for argv in (["/bin/true"], ["/bin/false"], ["/no/such"], ["/bin/sleep", "5"]):
            with suppress(GuestError):
                self.here.execute(argv, seconds=0.2)
        self.assertEqual(os.listdir("/proc/self/fd"), before)

    def test_detached_child_closes_descriptors(self) -> None:
        """Also descriptors besides the usual three, such as debconf's 3: its reader would wait."""
        marker = self.root + "/marker"
        code = "import sys; sys.path.insert(0, %r); import tests\nfrom azure_provisioning.door import system\n" % TOP
        code += "import os; mine = os.open('/', os.O_RDONLY)\n"
        code += "if system.System().detach():\n os.fstat(mine)\n with open(%r, 'w') as file:\n" % (marker + ".new")
        code += "  links = ['/proc/self/fd/' + name for name in os.listdir('/proc/self/fd')]\n"
        code += "  file.write(' '.join(os.readlink(link) for link in links if os.path.lexists(link)))\n"
        code += " os.rename(%r, %r)" % (marker + ".new", marker)
        pipe = os.pipe()
        try:
            subprocess.check_call([sys.executable, "-c", code], pass_fds=pipe)
        finally:
            for descriptor in pipe:
                os.close(descriptor)
        self.assertTrue(wait_until(lambda: os.path.exists(marker)))
        self.assertRegex(self.text("/marker") or "", "^/dev/null ")
        self.assertNotIn("pipe:", self.text("/marker") or "")

    def test_detach_returns_after_setsid(self) -> None:
        """finit kills the session of an ended task. The child has left the session by then, however slow it is."""
        code = "import sys; sys.path.insert(0, %r); import tests\nfrom azure_provisioning.door import system\n" % TOP
        code += "import os, time; leave = os.setsid\n"
        code += "os.setsid = lambda: (time.sleep(0.5), leave())\n"
        code += "if system.System().detach():\n time.sleep(0.2)\n open(%r, 'w').close()\n" % (self.root + "/marker")
        child = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
        self.assertEqual(child.wait(30), 0)
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        self.assertTrue(wait_until(lambda: os.path.exists(self.root + "/marker")))

    def test_environment_of_programs(self) -> None:
        seen = (
            "import os, sys; assert sys.stdin.read() == '';"
            "assert sorted(set(os.environ) - {'LC_CTYPE'}) == ['HOME', 'LC_ALL', 'PATH'], os.environ;"
            "assert os.environ['PATH'].startswith('/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:')"
        )
        self.assertEqual(self.run_code(seen), 0)

    def test_tmpfs_is_detected(self) -> None:
        found: "Optional[str]" = None
        points: "List[str]" = []
        with open("/proc/self/mounts") as mounts:
            for line in mounts:
                _, point, kind = line.split(" ")[:3]
                points.append(point)
                if kind == "tmpfs" and os.path.isdir(point) and "\\" not in point:
                    found = point
        if found is None:
            self.skipTest("nothing here is a tmpfs, so none was compared with a disk")
        self.assertEqual(self.here.volatile(found), "tmpfs")
        self.assertEqual(self.here.volatile(found + "/below"), "tmpfs")
        self.assertEqual(self.here.volatile("/proc/self"), "")
