"""Only root can change the files of ours that root runs or reads: after `install`, for `check`, and at a boot."""

import os
import stat
import struct
import tempfile
import unittest
from typing import Callable, Dict, List, Tuple

from azure_provisioning.compiled.keep import find_kept
from azure_provisioning.door.rights import find_dangers
from azure_provisioning.door.system import System
from azure_provisioning.door.tree import ROOT, Tree
from azure_provisioning.errors import GuestError
from azure_provisioning.guest import gates, sshd
from azure_provisioning.image.check import check
from azure_provisioning.image.check.finding import Finding
from azure_provisioning.image.rehearse.scratch import Scratch
from tests.guests import WITH_ATTRIBUTES, GuestTest
from tests.images import IMAGES, ImageTest
from tests.sound import CheckTest
from tests.test_install import IN_A_FILE_OF_THE_USER, PROGRAM, UNIT

AS_ROOT = unittest.skipUnless(os.geteuid() == 0, "only root can give files away: files of other owners were not tried")
USER = 1000
GATE = "/etc/azure-provisioning/ready.d/10-x"
FOLDER = "/var/lib/azure-provisioning"
ACL = "system.posix_acl_access"


def acl(uid: int) -> bytes:
    """A POSIX ACL of rw-r--r-- that also lets the user `uid` write, in the kernel's format."""
    none = 0xFFFFFFFF
    entries = ((1, 6, none), (2, 6, uid), (4, 4, none), (16, 6, none), (32, 4, none))
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def spoil(place: str) -> None:
    """Give a file to a user, let all users write to it, and another user by an ACL if supported."""
    os.chown(place, USER, USER)
    os.chmod(place, 0o6666)
    if not os.path.isdir(place) and hasattr(os, "setxattr"):
        try:
            os.setxattr(place, ACL, acl(USER + 1))
        except OSError:
            return  # no ACLs on this file system


class OwnFileTest(GuestTest):
    def rights(self, path: str) -> "Tuple[int, int, int, List[str]]":
        """Owner, group, mode and ACLs."""
        place = self.system.path(path, follow=False)
        found = os.lstat(place)
        named = [] if stat.S_ISLNK(found.st_mode) or not hasattr(os, "listxattr") else os.listxattr(place)
        acls = [name for name in named if "acl" in name]
        return found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode), acls

    @AS_ROOT
    def test_same_content(self) -> None:
        """Equal bytes are not enough. A process that has the old file open cannot change the new one."""
        for mode in (0o755, 0o600):
            self.system.write("/x", "data", mode=mode, owner=ROOT)
            place = self.root + "/x"
            spoil(place)
            before = os.stat(place).st_ino
            with open(place, "r+b") as held:
                self.assertTrue(self.system.write("/x", "data", mode=mode, owner=ROOT))
                held.write(b"evil")
            self.assertEqual((self.text("/x"), self.rights("/x")), ("data", (0, 0, mode, [])))
            self.assertNotEqual(os.stat(place).st_ino, before)
            self.assertFalse(self.system.write("/x", "data", mode=mode, owner=ROOT))

    @AS_ROOT
    @WITH_ATTRIBUTES
    def test_each_wrong_right_is_corrected(self) -> None:
        changes: "List[Callable[[str], None]]" = [
            lambda place: os.chown(place, USER, -1),
            lambda place: os.chown(place, -1, 50),
            lambda place: os.chmod(place, 0o664),
            lambda place: os.chmod(place, 0o4644),
            lambda place: os.setxattr(place, ACL, acl(USER)),
        ]
        for change in changes:
            self.system.write("/x", "data", owner=ROOT)
            try:
                change(self.root + "/x")
            except OSError as error:
                self.skipTest("no ACLs on this file system (%s): one was not tried" % error)
            self.assertTrue(self.system.write("/x", "data", owner=ROOT))
            self.assertEqual(self.rights("/x"), (0, 0, 0o644, []))

    @AS_ROOT
    @WITH_ATTRIBUTES
    def test_default_acl_of_the_folder_does_not_apply(self) -> None:
        """The folder's default ACL applies to other files, not to ours."""
        os.mkdir(self.root + "/d")
        try:
            os.setxattr(self.root + "/d", "system.posix_acl_default", acl(USER))
        except OSError as error:
            self.skipTest("no ACLs on this file system (%s): a default one was not tried" % error)
        self.system.write("/d/theirs", "data")
        self.assertEqual(self.rights("/d/theirs")[3], [ACL])
        self.system.write("/d/ours", "data", owner=ROOT)
        self.assertEqual(self.rights("/d/ours"), (0, 0, 0o644, []))
        self.system.make_dirs("/d", owner=ROOT)
        self.assertEqual(self.rights("/d"), (0, 0, 0o755, []))

    def test_symlink_is_replaced(self) -> None:
        """No write goes through a link, in place of our file, to a user's file."""
        self.fill({"/home/ann/x": "hers", "/x": "-> /home/ann/x"})
        self.assertTrue(self.system.write("/x", "data", owner=ROOT))
        self.assertFalse(self.system.is_link("/x"))
        self.assertEqual((self.text("/x"), self.text("/home/ann/x")), ("data", "hers"))

    def test_other_kinds_are_refused(self) -> None:
        os.mkdir(self.root + "/folder")
        os.mkfifo(self.root + "/pipe")
        for path in ("/folder", "/pipe"):
            with self.assertRaisesRegex(GuestError, "not a regular file"):
                self.system.write(path, "data", owner=ROOT)

    @AS_ROOT
    def test_folder(self) -> None:
        self.system.make_dirs("/a/b", owner=ROOT)
        os.chown(self.root + "/a", USER, USER)
        os.chmod(self.root + "/a", 0o777)
        for uid, gid, mode, after in ((USER, USER, 0o755, 0o755), (0, 50, 0o2775, 0o755), (0, 0, 0o703, 0o701)):
            os.chown(self.root + "/a/b", uid, gid)
            os.chmod(self.root + "/a/b", mode)
            self.system.make_dirs("/a/b", owner=ROOT)
            self.assertEqual(self.rights("/a/b"), (0, 0, after, []))
        self.assertEqual(self.rights("/a")[:3], (USER, USER, 0o777))  # not ours
        self.system.touched = []
        self.system.make_dirs("/a/b", owner=ROOT)
        self.assertEqual(self.system.touched, [])

    @AS_ROOT
    def test_link_belongs_to_root(self) -> None:
        self.system.link("/x", "/link")
        os.chown(self.root + "/link", USER, USER, follow_symlinks=False)
        self.assertTrue(self.system.link("/x", "/link"))
        self.assertEqual(self.rights("/link")[:2], (0, 0))
        self.assertFalse(self.system.link("/x", "/link"))

    @AS_ROOT
    def test_rollback_restores_owner_and_mode(self) -> None:
        """A file of another user is restored if the install fails."""
        self.system.write("/d/x", "hers", mode=0o664)
        os.chown(self.root + "/d/x", USER, 50)
        os.symlink("x", self.root + "/d/l")
        os.chown(self.root + "/d/l", USER, 50, follow_symlinks=False)
        os.chown(self.root + "/d", USER, 50)
        os.chmod(self.root + "/d", 0o2777)
        before = [self.rights(path) for path in ("/d", "/d/x", "/d/l")]
        self.system.begin()
        self.system.make_dirs("/d", owner=ROOT)
        self.system.write("/d/x", "ours", owner=ROOT)
        self.system.link("y", "/d/l")
        self.system.roll_back()
        self.assertEqual([self.rights(path) for path in ("/d", "/d/x", "/d/l")], before)
        self.assertEqual((self.text("/d/x"), self.system.readlink("/d/l")), ("hers", "x"))


class InstallTest(ImageTest):
    @AS_ROOT
    def test_in_every_kind_of_image(self) -> None:
        """A second `install` takes back everything that the first one wrote. `check` names each file of another
        user."""
        for name in sorted(IMAGES):
            with self.subTest(name):
                self.empty()
                self.image(name)
                paths = self.install().out.split()
                ours = [path for path in paths if name not in IN_A_FILE_OF_THE_USER or "/azure-provisioning" in path]
                ours = [path for path in ours if "rc.local" not in path and ".depend" not in path]
                before = {path: self.look(path) for path in ours}
                for path in ours:
                    place = self.system.path(path, follow=False)
                    if os.path.islink(place):
                        os.chown(place, USER, USER, follow_symlinks=False)
                    else:
                        spoil(place)
                os.chown(self.root + FOLDER, USER, USER)
                found_rights = [one for one in check.check(System(self.root)) if one.level == "error"]
                for path in [*ours, FOLDER]:
                    if not self.system.is_link(path):
                        self.assert_named(found_rights, self.system.path(path)[len(self.root) :])
                self.assertEqual(set(self.install().out.split()), {*ours, FOLDER})
                self.assertEqual({path: self.look(path) for path in ours}, before)
                self.assertEqual(self.look(FOLDER), (0, 0, 0o755))
                self.assertEqual(self.install().out, "")

    def look(self, path: str) -> "Tuple[int, int, int]":
        found = os.lstat(self.system.path(path, follow=False))
        return found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)

    def assert_named(self, found: "List[Finding]", path: str) -> None:
        """One of the findings names the users who can write to it, and the remedy."""
        remedy = "chown 0:0 %s%s && chmod go-w %s%s" % (self.root, path, self.root, path)
        said = [one.remedy for one in found if one.message.startswith("the user 1000 may write to %s:" % path)]
        self.assertEqual(said, [remedy], path)

    @AS_ROOT
    def test_files_of_the_user_keep_their_owner(self) -> None:
        """The options, and a file with only lines of ours, keep their owner and mode."""
        self.image("bsd rc")
        options = "/etc/azure-provisioning.conf"
        self.fill({options: "# mine\n"})
        os.chown(self.root + options, USER, USER)
        self.install("--every-boot")
        (link,) = self.hook()[1]
        os.chown(self.root + link, USER, USER)
        os.chmod(self.root + link, 0o775)
        self.install("--prefix", "/opt")
        for path in (options, link):
            self.assertEqual(self.look(path)[:2], (USER, USER))
        found = {one.id: one.level for one in check.check(System(self.root)) if "user 1000 may" in one.message}
        self.assertEqual(found, {"options": "warning", "hook": "error"})


class CheckRightsTest(CheckTest):
    def found_rights(self) -> "Dict[str, Tuple[str, str]]":
        """The findings about rights: message to (level, id)."""
        found = check.check(self.system)
        return {one.message.partition(":")[0]: (one.level, one.id) for one in found if "may write to" in one.message}

    @AS_ROOT
    def test_parent_folders(self) -> None:
        for path, uid, gid, mode, expected in (
            ("/usr/local", 0, 50, 0o2775, ("the group 50", "warning", "program")),
            ("/usr/local/sbin", 0, 0, 0o777, ("everybody", "error", "program")),
            ("/usr/local/sbin", 0, 0, 0o775, None),
            ("/var/lib", USER, 0, 0o755, ("the user 1000", "error", "program")),
            ("/etc/systemd", 0, 0, 0o757, ("everybody", "error", "hook")),
            ("/usr/bin", USER, 0, 0o755, ("the user 1000", "error", "python")),
            ("/etc/sudoers.d", 0, 7, 0o770, ("the group 7", "warning", "privilege")),
            ("/etc/ssh/sshd_config.d", USER, 0, 0o755, ("the user 1000", "error", "sshd-config")),
            ("/etc", USER, 0, 0o755, ("the user 1000", "error", "hook")),
        ):
            with self.subTest(path, mode=oct(mode)):
                self.start()
                os.makedirs(self.root + path, exist_ok=True)
                os.chown(self.root + path, uid, gid)
                os.chmod(self.root + path, mode)
                found_rights = self.found_rights()
                if path == "/var/lib" and not find_kept(self.system):  # no compiled file for another Python
                    expected = ("the user 1000", "error", "hook")
                if expected:
                    self.assertEqual(found_rights, {"%s may write to %s" % (expected[0], path): expected[1:]})
                else:
                    self.assertEqual(found_rights, {})

    @AS_ROOT
    def test_behind_links(self) -> None:
        """The target of a link counts, wherever it is, and so does its folder."""
        os.rename(self.root + PROGRAM, self.root + "/srv")
        os.makedirs(self.root + "/home/a b/x")
        os.rename(self.root + "/srv", self.root + "/home/a b/x/p")
        os.symlink("/home/a b/x/p", self.root + PROGRAM)
        self.assertEqual(self.found_rights(), {})
        os.chown(self.root + "/home/a b", USER, USER)
        self.assertEqual(self.found_rights(), {"the user 1000 may write to /home/a b": ("error", "program")})
        (found,) = [one for one in self.findings("program") if one.level == "error"]
        quoted = "'%s/home/a b'" % self.root
        self.assertEqual(found.remedy, "chown 0:0 %s && chmod go-w %s" % (quoted, quoted))

    @AS_ROOT
    def test_image_of_a_plain_user(self) -> None:
        """An image that a user builds belongs wholly to that user, who counts as root there. A third user does not."""
        for folder, folders, files in os.walk(self.root):
            for name in [".", *folders, *files]:
                os.chown(os.path.join(folder, name), USER, USER, follow_symlinks=False)
        self.assertEqual(self.found_rights(), {})
        os.chown(self.root + UNIT, USER + 1, USER)
        self.assertEqual(self.found_rights(), {"the user 1001 may write to %s" % UNIT: ("error", "hook")})
        (found,) = [one for one in self.findings("hook") if one.level == "error"]
        self.assertEqual(found.remedy.split(" && ")[0], "chown %d:%d %s%s" % (USER, USER, self.root, UNIT))

    @AS_ROOT
    @WITH_ATTRIBUTES
    def test_access_list(self) -> None:
        """Of a folder that root's group may write to: the group bit is then the mask of the ACL."""
        entries = ((1, 7, -1), (2, 7, USER), (4, 5, -1), (16, 7, -1), (32, 5, -1))  # acl(5): u::, u:USER, g::, m::, o::
        value = struct.pack("<I", 2) + b"".join(
            struct.pack("<HHI", *entry[:2], entry[2] & 0xFFFFFFFF) for entry in entries
        )
        folder = "/usr/local/sbin"
        os.chmod(self.root + folder, 0o775)
        self.assertEqual(list(find_dangers(self.system, folder + "/x")), [])
        try:
            os.setxattr(self.root + folder, "system.posix_acl_access", value)
        except OSError as error:
            self.skipTest("the temporary folder holds no extended attributes: %s" % error)
        (danger,) = find_dangers(self.system, folder + "/x")
        self.assertEqual((danger.path, danger.slight), (folder, False))

    @AS_ROOT
    def test_only_the_root_folder_belongs_to_a_user(self) -> None:
        """An image must belong to the user as a whole: otherwise the owner of `/` could change all of it in the VM."""
        os.chown(self.root, USER, USER)
        self.assertIn(
            "the user %d may write to /" % USER, [one.words for one in find_dangers(self.system, "/usr/bin/x")]
        )

    def test_outside_the_image(self) -> None:
        """A link into folders that all users share. Some may be the host's, if mounted there: no remedy changes
        those."""
        for target in ("/dev/null", "/dev/shm/x", "/tmp/x", "/proc/x", "/var/tmp/x"):
            for path in (UNIT, PROGRAM, "/etc/azure-provisioning.conf", sshd.DROP_IN):
                with self.subTest(path, target=target):
                    self.start()
                    self.make_device("/dev/null")
                    for folder in ("/dev/shm", "/tmp", "/proc", "/var/tmp"):
                        os.makedirs(self.root + folder, exist_ok=True)
                        os.chmod(self.root + folder, 0o1777)
                        if target.startswith(folder + "/"):
                            self.fill({target: "x"})
                    self.fill({path: "-> " + target})
                    found = [one for one in check.check(self.system) if one.level != "ok"]
                    found_rights = [one for one in found if "chmod" in one.remedy or "chown" in one.remedy]
                    self.assertEqual(found_rights, [])
                    if path in (UNIT, PROGRAM):
                        remedy = "azure-provisioning install --root " + self.root
                        self.assertIn(("error", remedy), [(one.level, one.remedy) for one in found])

    def test_circle(self) -> None:
        """A path without a target ends the search, and so does a loop of links."""
        self.fill({"/a": "-> /b", "/b": "-> a", "/c": "-> nowhere/x"})
        self.assertEqual(list(find_dangers(self.system, "/c")), [])
        with self.assertRaisesRegex(GuestError, "too many levels"):
            list(find_dangers(self.system, "/a"))


class GateTest(CheckTest):
    def setUp(self) -> None:
        super().setUp()
        self.fill({GATE: "#!/bin/sh\n"})
        os.chmod(self.root + GATE, 0o755)

    def not_run(self, who: str) -> None:
        """The first boot, a rehearsal and `check` agree about the gate."""
        with self.assertRaises(GuestError) as caught:
            gates.pass_gate(self.system, GATE, {})
        self.assertEqual(caught.exception.reason, "ready gate failed")
        self.assertEqual(caught.exception.details, {"gate": "10-x", "problem": "not run: " + who})
        with tempfile.TemporaryDirectory() as place, self.assertRaisesRegex(GuestError, "ready gate failed"):
            gates.pass_gate(Scratch(Tree(self.root), place), GATE, {})
        (found,) = self.findings("ready-gates")
        self.assertEqual(found.level, "error")
        self.assertTrue(found.message.startswith(who + ": "), found)
        self.assertIn("chmod go-w " + self.root, found.remedy)

    def passed(self) -> None:
        self.assertEqual(gates.pass_gate(self.system, GATE, {}), "not run, nothing in an image is executed")
        self.good("ready-gates", "before Ready: 10-x")

    def test_mode(self) -> None:
        self.passed()
        for mode in (0o775, 0o757, 0o777, 0o722):
            os.chmod(self.root + GATE, mode)
            who = "everybody" if mode & 2 else "the group %d" % os.stat(self.root + GATE).st_gid
            self.not_run("%s may write to %s" % (who, GATE))
        os.chmod(self.root + GATE, 0o755)
        os.chmod(self.root + gates.FOLDER, 0o1777)
        self.not_run("everybody may write to " + gates.FOLDER)

    @AS_ROOT
    def test_owner(self) -> None:
        os.chown(self.root + GATE, USER, 0)
        self.not_run("the user 1000 may write to " + GATE)
        os.chown(self.root + GATE, 0, 0)
        for folder in (gates.FOLDER, "/etc/azure-provisioning"):
            os.chown(self.root + folder, USER, 0)
            self.not_run("the user 1000 may write to " + folder)
            os.chown(self.root + folder, 0, 0)
        os.chown(self.root + gates.FOLDER, 0, 50)
        os.chmod(self.root + gates.FOLDER, 0o775)
        self.not_run("the group 50 may write to " + gates.FOLDER)
        os.chown(self.root + gates.FOLDER, 0, 0)
        self.passed()

    @AS_ROOT
    def test_link(self) -> None:
        """Its target and the target's folder count; but not a group's /usr/local, as in older Debian."""
        self.fill({"/usr/local/bin/gate": "#!/bin/sh\n", GATE: "-> /etc/gate", "/etc/gate": "-> ../usr/local/bin/gate"})
        self.passed()
        os.chown(self.root + "/usr/local/bin", 0, 50)
        os.chmod(self.root + "/usr/local/bin", 0o2775)
        self.passed()
        os.chmod(self.root + "/usr/local/bin", 0o777)
        self.not_run("everybody may write to /usr/local/bin")
        os.chmod(self.root + "/usr/local/bin", 0o755)
        os.chown(self.root + "/usr/local/bin/gate", USER, USER)
        self.not_run("the user 1000 may write to /usr/local/bin/gate")
