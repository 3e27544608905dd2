"""The owner of a folder in the guest replaces its entries while we read, write or remove.

Nothing outside is touched, read or waited for.

Each race runs for `SECONDS`. `python3 -m tests.hostile` runs it longer.
"""

import os
import shutil
import tempfile
import time
from contextlib import suppress
from typing import Callable, Dict, Tuple

from azure_provisioning.door.folder import Owner, open_folder
from azure_provisioning.door.system import System
from azure_provisioning.door.tree import Tree
from azure_provisioning.errors import GuestError
from azure_provisioning.image.check import check
from azure_provisioning.image.generalize.plan import remove
from azure_provisioning.image.rehearse.scratch import Scratch
from tests.exchange import exchanging
from tests.images import ImageTest
from tests.server import SCRATCH

SECONDS = 1.0  # for each race
LEAST = 300  # tries: on a busy machine a try may pass without a race
SECRET = "nobody else's\n"
ME = Owner(os.geteuid(), os.getegid())

Listing = Dict[str, Tuple[int, bytes]]


class RaceTest(ImageTest):
    """Has a folder outside the root, and an `/etc` in the guest that alternates with a link to it."""

    def setUp(self) -> None:
        super().setUp()
        self.outside = tempfile.mkdtemp(prefix="azure-provisioning-test-", dir=SCRATCH)
        self.addCleanup(shutil.rmtree, self.outside)
        for name in ("file", "folder/file", "hosts"):
            path = os.path.join(self.outside, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as file:
                file.write(SECRET)
            os.chmod(path, 0o600)
        self.fill({"/etc/file": "own\n", "/etc/folder/file": "own\n", "/etc/hosts": "127.0.0.1 localhost\n"})
        self.before = self.listing()

    def listing(self) -> Listing:
        """The files outside."""
        found: Listing = {}
        for here, folders, names in os.walk(self.outside):
            for name in folders + names:
                path = os.path.join(here, name)
                found[path] = (os.lstat(path).st_mode, b"")
                if name in names:
                    with open(path, "rb") as file:
                        found[path] = (os.lstat(path).st_mode, file.read())
        return found

    def race(self, *tries: "Callable[[], object]", path: str = "/etc", target: str = "") -> int:
        """Repeat while `path` alternates between itself and a link to `target`; returns the count."""
        spare = self.root + path + ".other"
        os.symlink(target or "/proc/self/root" + self.outside, spare)
        count, ends = 0, time.monotonic() + SECONDS
        with exchanging(self.root + path, spare):
            while time.monotonic() < ends or count < LEAST:
                for attempt in tries:
                    with suppress(GuestError):
                        attempt()
                    count += 1
                if self.listing() != self.before:
                    break
        self.assertEqual(self.listing(), self.before, "after %d tries" % count)
        return count

    def test_writes(self) -> None:
        system = self.system
        self.race(
            lambda: system.write("/etc/file", "x%f" % time.monotonic()),
            lambda: system.write("/etc/folder/file", "x%f" % time.monotonic()),
            lambda: system.write("/etc/made/new", "x"),
            lambda: system.link("/nowhere%f" % time.monotonic(), "/etc/link"),
            lambda: system.unlink("/etc/hosts"),
            lambda: system.amend("/etc/file", lambda old: old[:16] + b"y"),
            lambda: os.close(system._open_lock("/etc/lock")),
            lambda: system.remove_dir("/etc/made"),
        )

    def test_writes_of_new_files(self) -> None:
        """A rename into a folder that was replaced after its temporary file was written."""
        self.race(lambda: self.system.write("/etc/new%f" % time.monotonic(), "x", mode=0o600))

    def test_changes_are_rolled_back(self) -> None:
        def change() -> None:
            self.system.begin()
            self.system.write("/etc/file", "x%f" % time.monotonic())
            self.system.unlink("/etc/hosts")
            self.system.make_dirs("/etc/made/of/some")
            self.system.roll_back()

        self.race(change)

    def test_removes(self) -> None:
        def removed() -> None:
            remove(self.system, "/etc/folder")
            self.system.write("/etc/folder/file", "again")

        def emptied() -> None:
            with open_folder(self.system, "/etc") as folder:
                folder.empty("file")
                folder.write("file", b"again", 0o644, ME)

        self.race(removed, emptied)

    def test_reads(self) -> None:
        """Files outside the guest are not shown, not even by `rehearse`."""
        seen = set()

        def read() -> None:
            seen.add(self.system.read("/etc/file"))
            seen.update(name.encode() for name in self.system.list("/etc/folder"))

        def rehearsed() -> None:
            place = tempfile.mkdtemp(prefix="azure-provisioning-test-", dir=SCRATCH)
            try:
                scratch = Scratch(Tree(self.root), place)
                seen.add(scratch.read("/etc/file"))
                seen.add(scratch.read("/etc/folder/file"))
                for _, before, _ in scratch.changes():
                    seen.add(before.content if before else None)
            finally:
                shutil.rmtree(place)

        self.race(read, rehearsed)
        self.assertNotIn(SECRET.encode(), seen)
        self.assertIn(b"own\n", seen)

    def test_image_root_is_replaced(self) -> None:
        """The folder above the root also has an owner. The root is the folder that was opened first."""
        self.system.exists("/")
        inner = System(self.root + "/etc")
        inner.exists("/")
        self.race(lambda: inner.write("/file", "x%f" % time.monotonic()), lambda: inner.unlink("/hosts"))

    def test_file_replaced_by_a_pipe(self) -> None:
        """Opening a pipe would block forever."""
        os.mkfifo(self.root + "/etc/file.pipe")

        def read() -> None:
            with open_folder(self.system, "/etc") as folder:
                folder.read("file")

        def empty() -> None:
            with open_folder(self.system, "/etc") as folder:
                folder.empty("file")

        ends = time.monotonic() + SECONDS
        with exchanging(self.root + "/etc/file", self.root + "/etc/file.pipe"):
            while time.monotonic() < ends:
                for attempt in (
                    lambda: self.system.read("/etc/file"),
                    lambda: self.system.write("/etc/file", "x%f" % time.monotonic()),
                    lambda: self.system.amend("/etc/file", lambda old: old),
                    lambda: os.close(self.system._open_lock("/etc/file")),
                    read,
                    empty,
                ):
                    with suppress(GuestError):
                        attempt()

    def test_keys_replaced_by_a_pipe(self) -> None:
        keys = "/home/ann/.ssh/authorized_keys"
        self.image("systemd")
        accounts = "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n"
        self.fill({keys: "ssh-ed25519 AAAA\n", "/etc/passwd": accounts})
        os.mkfifo(self.root + keys + ".pipe")
        with exchanging(self.root + keys, self.root + keys + ".pipe"):
            check.check(self.system)


class LockTest(ImageTest):
    def test_lock_must_be_a_regular_file(self) -> None:
        """The accounts' lock in an image must be a regular file: a pipe would block, and a device would be opened."""
        self.system.make_dirs("/etc")
        os.mkfifo(self.root + "/etc/.pwd.lock")
        refused = self.assertRaisesRegex(GuestError, "not a regular file")
        with refused, self.system.lock_record("/etc/.pwd.lock", 1):
            pass
        with self.assertRaisesRegex(GuestError, "not a regular file"):
            self.system.lock("/etc/.pwd.lock")
        os.unlink(self.root + "/etc/.pwd.lock")
        os.mkdir(self.root + "/etc/.pwd.lock")
        with self.assertRaises(GuestError):
            self.system.lock("/etc/.pwd.lock")
