"""The files of the administrator's account after the run: with each set of tools, and after each interruption."""

import os
import stat
import time
import unittest
from typing import List, Optional, Tuple

from azure_provisioning.door.tree import FILE_LIMIT
from azure_provisioning.errors import GuestError
from azure_provisioning.guest.account import ensure_account
from azure_provisioning.guest.accounts import find_account
from azure_provisioning.guest.stale_locks import clear_leftovers
from tests.guests import FastSystem
from tests.tools import ToolTest

# A small image: system accounts, the groups of two distros, and one invalid line.
IMAGE = {
    "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\ngames:x:5:60:games:/usr/games:/usr/sbin/nologin\nnonsense\n",
    "/etc/group": "root:x:0:\nadm:x:4:syslog\nsudo:x:27:\nbroken:x:\n",
    "/etc/shadow": "root:*:19000:0:99999:7:::\ngames:*:19000:0:99999:7:::\n",
    "/etc/gshadow": "root:*::\nadm:*::syslog\nsudo:*::\n",
    "/etc/shells": "# shells\n/bin/sh\n/bin/ash\n",
    "/etc/skel/.profile": "# profile\n",
    "/etc/skel/.config/app/rc": "rc\n",
    "/etc/skel/link": "-> .profile",
    "/bin/sh": "",
}
NAME = "azureuser"


class AccountTest(ToolTest):
    def setUp(self) -> None:
        super().setUp()
        self.fill(IMAGE)
        self.system.write("/etc/shadow", IMAGE["/etc/shadow"], mode=0o640)

    def line(self, path: str, name: str = NAME) -> str:
        """The one line about `name` in a file."""
        found = [line for line in (self.text(path) or "").split("\n") if line.startswith(name + ":")]
        self.assertEqual(len(found), 1, (path, found))
        return found[0]

    def shadow_field(self) -> str:
        return self.line("/etc/shadow").split(":")[1]

    def snapshot(self) -> "List[Tuple[str, int, bytes]]":
        """Everything in the root: (path, mode, content)."""
        found = []
        for folder, _, names in os.walk(self.root):
            for name in [""] + names:
                path = os.path.join(folder, name).rstrip("/")
                mode = os.lstat(path).st_mode
                data = b""
                if stat.S_ISLNK(mode):
                    data = os.readlink(path).encode()
                elif stat.S_ISREG(mode):
                    with open(path, "rb") as file:
                        data = file.read()
                found.append((path, mode, data))
        return sorted(found)


class FilesTest(AccountTest):
    """Without the distro's tools: this must work in every image."""

    def test_new_account(self) -> None:
        said = ensure_account(self.system, NAME)
        self.assertEqual(said, "azureuser: made by editing the files, joined sudo adm, home made")
        self.assertEqual(self.line("/etc/passwd"), "azureuser:x:1000:1000::/home/azureuser:/bin/sh")
        self.assertEqual(self.line("/etc/group"), "azureuser:x:1000:")
        self.assertEqual(self.line("/etc/group", "sudo"), "sudo:x:27:azureuser")
        self.assertEqual(self.line("/etc/group", "adm"), "adm:x:4:syslog,azureuser")
        self.assertEqual(self.line("/etc/gshadow"), "azureuser:!::")
        self.assertEqual(self.line("/etc/gshadow", "adm"), "adm:*::syslog,azureuser")
        today = int(time.time() // 86400)
        self.assertIn(self.line("/etc/shadow"), ["azureuser:*:%d:0:99999:7:::" % day for day in (today - 1, today)])
        for path in ("/etc/passwd", "/etc/group"):
            self.assertTrue((self.text(path) or "").startswith(IMAGE[path][: IMAGE[path].index("\n")]))
        self.assertIn("\nnonsense\n", self.text("/etc/passwd") or "")
        self.assertIn("\nbroken:x:\n", self.text("/etc/group") or "")
        self.assertEqual(stat.S_IMODE(os.stat(self.root + "/etc/shadow").st_mode), 0o640)

    def test_home(self) -> None:
        ensure_account(self.system, NAME)
        home = self.root + "/home/azureuser"
        self.assertEqual(stat.S_IMODE(os.stat(home).st_mode), 0o700)
        self.assertEqual(self.text("/home/azureuser/.profile"), "# profile\n")
        self.assertEqual(self.text("/home/azureuser/.config/app/rc"), "rc\n")
        self.assertEqual(os.readlink(home + "/link"), ".profile")
        self.assertEqual(os.listdir(self.root + "/home"), ["azureuser"])
        if os.geteuid() == 0:
            for folder, folders, files in os.walk(home):
                for name in [""] + folders + files:
                    found = os.lstat(os.path.join(folder, name))
                    self.assertEqual((found.st_uid, found.st_gid), (1000, 1000), name)

    def test_second_call_changes_nothing(self) -> None:
        ensure_account(self.system, NAME)
        before = self.snapshot()
        self.assertEqual(ensure_account(self.system, NAME), "azureuser: already complete")
        self.assertEqual(self.snapshot(), before)

    def test_killed_at_any_write(self) -> None:
        """Stop at each change of a file, and start again: nothing is added twice, and the result is the same."""
        ensure_account(self.system, NAME)
        whole = [(path[len(self.root) :], mode, data) for path, mode, data in self.snapshot()]
        for count in range(200):
            self.setUp()
            system = StoppingSystem(self.root, count)
            try:
                ensure_account(system, NAME)
            except KeyboardInterrupt:
                ensure_account(self.system, NAME)
                found = [(path[len(self.root) :], mode, data) for path, mode, data in self.snapshot()]
                self.assertEqual(found, whole, "stopped after %d changes" % count)
            else:
                self.assertEqual(count, 8)
                return
        self.fail("never came to an end")

    def test_login_defs(self) -> None:
        self.fill({"/etc/login.defs": "UID_MIN 5000\n#UID_MIN 3\nUMASK 027\nUID_MAX 5001 # two\n"})
        ensure_account(self.system, NAME)
        self.assertIn(":5000:5000:", self.line("/etc/passwd"))
        self.assertEqual(stat.S_IMODE(os.stat(self.root + "/home/azureuser").st_mode), 0o750)
        ensure_account(self.system, "second")
        with self.assertRaisesRegex(GuestError, "no uid is free"):
            ensure_account(self.system, "third")

    def test_group_without_user(self) -> None:
        self.system.write("/etc/group", IMAGE["/etc/group"] + "azureuser:x:1007:\n")
        ensure_account(self.system, NAME)
        self.assertIn(":1007:1007:", self.line("/etc/passwd"))

    def test_stale_shadow_line_is_replaced(self) -> None:
        self.system.write("/etc/shadow", IMAGE["/etc/shadow"] + "azureuser:$6$old$hash:1::::::\n")
        ensure_account(self.system, NAME)
        self.assertEqual(self.shadow_field(), "*")

    def test_no_shadow(self) -> None:
        self.system.unlink("/etc/shadow")
        self.system.unlink("/etc/gshadow")
        ensure_account(self.system, NAME)
        self.assertEqual(self.line("/etc/passwd"), "azureuser:*:1000:1000::/home/azureuser:/bin/sh")
        self.assertIsNone(self.text("/etc/shadow"))

    def test_malformed_passwd_line_is_kept(self) -> None:
        self.system.write("/etc/passwd", IMAGE["/etc/passwd"] + "azureuser:x:7\n")
        ensure_account(self.system, NAME)
        self.assertTrue(
            (self.text("/etc/passwd") or "").endswith(
                "\nazureuser:x:7\n" + NAME + ":x:1000:1000::/home/azureuser:/bin/sh\n"
            )
        )

    def test_line_is_added_before_nis(self) -> None:
        self.system.write("/etc/passwd", IMAGE["/etc/passwd"] + "+::::::\n")
        ensure_account(self.system, NAME)
        self.assertTrue((self.text("/etc/passwd") or "").endswith("/bin/sh\n+::::::\n"))

    def test_clock_in_1970(self) -> None:
        self.system.time = lambda: 7.0  # type: ignore[method-assign]
        ensure_account(self.system, NAME)
        self.assertEqual(self.line("/etc/shadow"), "azureuser:*::0:99999:7:::")

    def test_shells(self) -> None:
        self.fill({"/bin/bash": "", "/usr/bin/fish": ""})
        gone = "# x\n/bin/gone"
        added = {"": "/bin/bash\n", gone: gone + "\n/bin/bash\n"}
        rows: "List[Tuple[Optional[str], str]]" = [
            ("/bin/sh\n/bin/bash\n", "/bin/bash"),
            ("/bin/sh\n", "/bin/sh"),
            ("/usr/sbin/nologin\n/usr/bin/fish\n", "/usr/bin/fish"),
            (gone, "/bin/bash"),
            ("", "/bin/bash"),
            (None, "/bin/sh"),  # getusershell(3) then knows this one
        ]
        for shells, expected in rows:
            with self.subTest(shells=shells):
                self.fill(IMAGE)
                self.system.unlink("/etc/shells")
                if shells is not None:
                    self.system.write("/etc/shells", shells)
                ensure_account(self.system, NAME)
                self.assertEqual(self.line("/etc/passwd").rpartition(":")[2], expected)
                self.assertEqual(self.text("/etc/shells"), None if shells is None else added.get(shells, shells))

    def test_shell_of_an_existing_account_is_listed(self) -> None:
        """dropbear lets in nobody whose shell is not listed. Where another is, the list may be meant so."""
        self.fill({"/opt/bin/zsh": "", "/etc/shells": "/bin/gone\n"})
        self.system.write("/etc/passwd", IMAGE["/etc/passwd"] + NAME + ":x:1000:1000::/home/azureuser:/opt/bin/zsh\n")
        for _ in range(2):
            ensure_account(self.system, NAME)
            self.assertEqual(self.text("/etc/shells"), "/bin/gone\n/opt/bin/zsh\n")
        self.fill({"/etc/shells": "/bin/sh\n"})
        ensure_account(self.system, NAME)
        self.assertEqual(self.text("/etc/shells"), "/bin/sh\n")


class StoppingSystem(FastSystem):
    """Ends like a killed run, at change number `count` or when it copies the skeleton."""

    def __init__(self, root: str, count: int) -> None:
        super().__init__(root)
        self.count = count

    def step(self) -> None:
        if self.count == 0:
            raise KeyboardInterrupt
        self.count -= 1

    def _replace(self, *args: object, **options: object) -> None:
        self.step()
        super()._replace(*args, **options)  # type: ignore[arg-type]

    def read(self, path: str, limit: int = FILE_LIMIT, *, head: bool = False, follow: bool = True) -> "Optional[bytes]":
        if path.startswith("/etc/skel"):
            self.step()
        return super().read(path, limit, head=head, follow=follow)


class PartialAccountTest(AccountTest):
    """The files as an interrupted useradd leaves them: passwd is written, the rest is not."""

    def setUp(self) -> None:
        super().setUp()
        self.fill({"/etc/subuid": "other:100000:65536\n", "/etc/subgid": ""})

    def test_missing_records_are_added(self) -> None:
        self.fill({"/etc/passwd": IMAGE["/etc/passwd"] + "azureuser:x:1000:1000::/home/azureuser:/bin/sh\n"})
        self.fill({"/etc/group": IMAGE["/etc/group"] + "azureuser:x:1000:\n"})
        for _ in range(2):
            ensure_account(self.system, NAME)
            self.assertEqual(self.line("/etc/gshadow"), "azureuser:!::")
            self.assertEqual(self.shadow_field(), "*")
            self.assertEqual(self.text("/etc/subuid"), "other:100000:65536\nazureuser:165536:65536\n")
            self.assertEqual(self.text("/etc/subgid"), "azureuser:100000:65536\n")

    def test_existing_subids_are_kept(self) -> None:
        self.fill({"/etc/subuid": "azureuser:5:5\n"})
        ensure_account(self.system, NAME)
        self.assertEqual(self.text("/etc/subuid"), "azureuser:5:5\n")

    def test_login_defs(self) -> None:
        settings = "SUB_UID_MIN 300000\nSUB_UID_COUNT 10\nSUB_GID_COUNT 0\n"
        self.fill({"/etc/login.defs": settings})
        ensure_account(self.system, NAME)
        self.assertEqual(self.line("/etc/subuid"), "azureuser:300000:10")
        self.assertEqual(self.text("/etc/subgid"), "")

    def test_no_room(self) -> None:
        self.fill({"/etc/login.defs": "SUB_UID_MAX 200000\n"})
        ensure_account(self.system, NAME)
        self.assertEqual(self.text("/etc/subuid"), "other:100000:65536\n")


class ExistingTest(AccountTest):
    """Completed, not replaced."""

    def existing(self, field: str, shell: str = "/bin/sh", uid: int = 1234) -> None:
        line = "azureuser:x:%d:1234:Ann,,:/srv/ann:%s\n" % (uid, shell)
        self.system.write("/etc/passwd", IMAGE["/etc/passwd"] + line)
        self.system.write("/etc/group", IMAGE["/etc/group"] + "staff:x:1234:\n")
        self.system.write("/etc/shadow", IMAGE["/etc/shadow"] + "azureuser:%s:19000:0:99999:7::20000:\n" % field)

    def test_completed(self) -> None:
        self.existing("!")
        self.assertEqual(
            ensure_account(self.system, NAME),
            "azureuser: gshadow completed, joined sudo adm, unlocked for keys, home made",
        )
        self.assertEqual(self.line("/etc/passwd"), "azureuser:x:1234:1234:Ann,,:/srv/ann:/bin/sh")
        self.assertEqual(self.text("/srv/ann/.profile"), "# profile\n")

    def test_password_fields(self) -> None:
        for field, expected in (
            ("!", "*"),
            ("!!", "*"),
            ("!*", "*"),
            ("*", "*"),
            ("$6$salt$hash", "$6$salt$hash"),
            ("!$6$salt$hash", "!$6$salt$hash"),
            ("", ""),
        ):
            with self.subTest(field=field):
                self.existing(field)
                ensure_account(self.system, NAME)
                self.assertEqual(self.shadow_field(), expected)
                self.assertTrue(self.line("/etc/shadow").endswith(":0:99999:7::20000:"))

    def test_existing_home_is_kept(self) -> None:
        self.existing("*")
        self.fill({"/srv/ann/.profile": "mine\n"})
        if os.geteuid() == 0:
            os.chown(self.root + "/srv/ann", 1234, 1234)
        ensure_account(self.system, NAME)
        self.assertEqual(self.text("/srv/ann/.profile"), "mine\n")
        self.assertIsNone(self.text("/srv/ann/.config/app/rc"))

    def test_home_owner_is_corrected_unless_it_is_another_account(self) -> None:
        if os.geteuid() != 0:
            self.skipTest("only root gives files away")
        self.existing("*")
        self.fill({"/srv/ann/.profile": "old\n"})
        os.chown(self.root + "/srv/ann", 4321, 4321)
        self.assertIn("home taken over from uid 4321", ensure_account(self.system, NAME))
        self.assertEqual(os.stat(self.root + "/srv/ann").st_uid, 1234)
        os.chown(self.root + "/srv/ann", 5, 60)
        with self.assertRaisesRegex(GuestError, "another account's"):
            ensure_account(self.system, NAME)

    def test_shell_without_login_is_replaced(self) -> None:
        for shell in ("/usr/sbin/nologin", "/bin/gone"):
            with self.subTest(shell=shell):
                self.existing("*", shell)
                self.fill({"/usr/sbin/nologin": ""})
                ensure_account(self.system, NAME)
                self.assertEqual(self.line("/etc/passwd").rpartition(":")[2], "/bin/sh")

    def test_refused(self) -> None:
        self.existing("*", uid=999)
        names = ("root", "games", NAME, "", ".", "-x", ".x", "a b", "a:b", "a/b", "a\nb", "4711", "a" * 65, "é", "x$")
        before = self.snapshot()
        for name in names:
            with self.subTest(name=name):
                with self.assertRaisesRegex(GuestError, "unsupported admin username") as caught:
                    ensure_account(self.system, name)
                self.assertIn("name", caught.exception.details)
        after = [line for line in self.snapshot() if not line[0].endswith("/.pwd.lock")]
        self.assertEqual(after, before)

    def test_user_nobody_is_refused(self) -> None:
        self.system.write("/etc/passwd", IMAGE["/etc/passwd"] + "nobody:x:65534:65534::/:/bin/sh\n")
        with self.assertRaisesRegex(GuestError, "unsupported admin username"):
            ensure_account(self.system, "nobody")


class AccountToolTest(AccountTest):
    """The calls of the distro's own tools, and what is completed after them."""

    def add_line(self, argv: "List[str]", _stdin: bytes) -> "Tuple[int, str]":
        """Do what useradd and adduser do, as far as the tests check it."""
        name = argv[-1]
        group = "" if "-g" in argv or "-G" in argv else "%s:x:1000:\n" % name
        line = "%s:x:1000:1000::/home/%s:/bin/sh\n" % (name, name)
        FastSystem(self.root).write("/etc/passwd", (self.text("/etc/passwd") or "") + line)
        FastSystem(self.root).write("/etc/group", (self.text("/etc/group") or "") + group)
        FastSystem(self.root).write("/etc/shadow", (self.text("/etc/shadow") or "") + name + ":!:20000:0:99999:7:::\n")
        return 0, ""

    def test_useradd(self) -> None:
        self.tools.add("useradd", self.add_line)
        self.assertIn("made by useradd", ensure_account(self.system, NAME))
        self.assertEqual(self.tools.ran_words(), ["useradd -M -s /bin/sh azureuser"])
        self.assertEqual(self.shadow_field(), "*")
        self.assertEqual(self.line("/etc/group", "sudo"), "sudo:x:27:azureuser")
        self.assertEqual(self.text("/home/azureuser/.profile"), "# profile\n")

    def test_group_without_user(self) -> None:
        self.system.write("/etc/group", IMAGE["/etc/group"] + "azureuser:x:1000:\n")
        self.tools.add("useradd", self.add_line)
        ensure_account(self.system, NAME)
        self.assertEqual(self.tools.ran_words(), ["useradd -M -s /bin/sh -g azureuser azureuser"])
        self.line("/etc/group")

    def test_useradd_refuses_the_name(self) -> None:
        self.tools.add("useradd", lambda argv, stdin: (3, "useradd: invalid user name 'Azure.User'"))
        said = ensure_account(self.system, "Azure.User")
        self.assertIn("made by editing the files (command failed", said)
        self.assertEqual(self.line("/etc/passwd", "Azure.User").split(":")[2], "1000")

    def test_useradd_succeeds_without_effect(self) -> None:
        self.tools.add("useradd")
        self.assertIn("made by editing the files", ensure_account(self.system, NAME))

    def test_useradd_is_interrupted(self) -> None:
        """passwd is written, group and shadow are not."""

        def half(argv: "List[str]", _stdin: bytes) -> "Tuple[int, str]":
            line = "azureuser:x:1000:1000::/home/azureuser:/bin/sh\n"
            FastSystem(self.root).write("/etc/passwd", (self.text("/etc/passwd") or "") + line)
            return 10, "useradd: failure while writing changes to /etc/group"

        self.tools.add("useradd", half)
        self.assertIn("group made", ensure_account(self.system, NAME))
        self.assertEqual(self.line("/etc/group"), "azureuser:x:1000:")
        self.assertEqual(self.shadow_field(), "*")

    def test_busybox(self) -> None:
        self.fill({"/bin/busybox": "", "/usr/sbin/adduser": "-> ../../bin/busybox"})
        self.tools.tools["adduser"] = self.add_line
        self.assertIn("made by busybox adduser", ensure_account(self.system, NAME))
        self.assertEqual(self.tools.ran_words(), ["adduser -D -H -h /home/azureuser -s /bin/sh azureuser"])
        self.assertEqual(self.shadow_field(), "*")

    def test_busybox_by_hard_link(self) -> None:
        self.fill({"/bin/busybox": ""})
        os.link(self.root + "/bin/busybox", self.root + "/bin/adduser")
        self.system.write("/etc/group", IMAGE["/etc/group"] + "azureuser:x:1000:\n")
        self.tools.tools["adduser"] = self.add_line
        ensure_account(self.system, NAME)
        self.assertEqual(self.tools.ran_words(), ["adduser -D -H -h /home/azureuser -s /bin/sh -G azureuser azureuser"])

    def test_debian_adduser_is_not_used(self) -> None:
        self.tools.add("adduser", self.add_line)
        self.assertIn("made by editing the files", ensure_account(self.system, NAME))
        self.assertEqual(self.tools.ran, [])

    def test_no_method_works(self) -> None:
        self.tools.add("useradd", lambda argv, stdin: (1, "useradd: cannot open /etc/passwd"))
        self.system.unlink("/etc/passwd")
        with self.assertRaisesRegex(GuestError, "the account cannot be made") as caught:
            ensure_account(self.system, NAME)
        self.assertIn("cannot open /etc/passwd", caught.exception.details["tried"])
        self.assertIn("no accounts file", caught.exception.details["tried"])


class DirectoryTest(AccountTest):
    """Users of a directory who are in no file: the name service is asked before a number of theirs is used."""

    def getent(self, argv: "List[str]", _stdin: bytes) -> "Tuple[int, str]":
        if self.hangs:
            raise GuestError("command took too long", command=argv[0], seconds=10)
        return (0, "ann:x:%s:\n" % argv[2]) if (argv[1], argv[2]) in self.known else (2, "")

    def setUp(self) -> None:
        super().setUp()
        self.known = {("passwd", "1000"), ("group", "1001")}
        self.hangs = False
        self.tools.add("getent", self.getent)

    def made(self) -> "Tuple[int, int]":
        """(uid, gid) of the account."""
        ensure_account(self.system, NAME)
        account = find_account(self.system, NAME)
        assert account is not None
        return account.uid, account.gid

    def test_uid_of_a_directory_user_is_skipped(self) -> None:
        self.assertEqual(self.made(), (1002, 1002))

    def test_group_left_by_an_interrupted_tool_is_used(self) -> None:
        """The account's number belongs to a user of the directory."""
        self.fill({"/etc/group": (self.text("/etc/group") or "") + NAME + ":x:1000:\n"})
        self.assertEqual(self.made(), (1002, 1000))

    def test_directory_does_not_answer(self) -> None:
        self.hangs = True
        self.assertEqual(self.made(), (1000, 1000))
        self.assertEqual(len(self.tools.ran), 2)

    def test_directory_uses_every_uid(self) -> None:
        self.known = {("passwd", str(number)) for number in range(1000, 60001)}
        with self.assertRaisesRegex(GuestError, "no uid is free"):
            ensure_account(self.system, NAME)

    def test_image(self) -> None:
        """No program of an image is executed."""
        self.system = FastSystem(self.root)
        self.assertEqual(self.made(), (1000, 1000))
        self.assertEqual(self.tools.ran, [])


class LeftoversTest(AccountTest):
    """Locks of interrupted tools."""

    TOOL = "Name:\tpasswd\nUid:\t1000\t0\t0\t0\n"  # a user may call this program

    def leave(self, path: str, text: str, age: float) -> None:
        self.fill({path: text})
        then = time.time() - age
        os.utime(self.root + path, (then, then))

    def test_stale(self) -> None:
        theirs = "Name:\tuseradd\nUid:\t1000\t1000\t1000\t1000\n"
        self.fill({"/proc/79/status": theirs, "/proc/79/fd/3": "-> /etc/passwd+"})
        self.fill({"/proc/uptime": "1000.5 1.0\n", "/proc/1/comm": "init\n", "/proc/77/status": self.TOOL})
        for path, text, age in (
            ("/etc/passwd.lock", "77", 1002.0),  # from before this boot
            ("/etc/group.lock", "", 61.0),
            ("/etc/shadow.lock", "78\n", 1.0),  # no process has that number
            ("/etc/passwd.lock", "79\n", 1.0),  # the number now belongs to a user's process
            ("/etc/passwd+", "half of it", 4.0),  # the user in question reads it
            ("/etc/gshadow.lock", "77", -3600.0),  # from a time when the clock was wrong
            ("/etc/passwd+", "half of it", 2000.0),
            ("/etc/group+", "half of it", 3.0),  # no process has it open
            ("/etc/nshadow", "half of it", 3.0),
            ("/etc/subgid.78", "78", 1.0),
        ):
            with self.subTest(path=path):
                self.leave(path, text, age)
                ensure_account(self.system, NAME)
                self.assertIsNone(self.text(path))
        self.assertIsNotNone(find_account(self.system, NAME))

    def test_shape(self) -> None:
        """Only files that a tool would have left are removed. Other files of that name stay and do not block."""
        self.fill({"/proc/uptime": "1000.5 1.0\n", "/proc/1/comm": "init\n", "/proc/77/status": self.TOOL})
        backup = "root:x:0:0:root:/root:/bin/zsh\nann:x:1001:1001::/home/ann:/bin/sh\nbob:x:1002:1002::/:/bin/sh\n"
        half = IMAGE["/etc/passwd"][:-20]
        for path, text, age, stays in (
            ("/etc/passwd.20240101", backup, 9e6, True),
            ("/etc/passwd.20240101", "", 9e6, True),
            ("/etc/group.0", "0", 9e6, True),
            ("/etc/group.0", "", 9e6, True),
            ("/etc/shadow.78", "79", 5.0, True),
            ("/etc/shadow.78", "78" + " " * 20, 5.0, True),
            ("/etc/shadow.078", "078", 5.0, True),
            ("/etc/shadow.\u0668", "\u0668", 5.0, True),
            ("/etc/shadow.78.bak", "78", 5.0, True),
            ("/etc/shadow.78", "78\0", 5.0, False),
            ("/etc/shadow.78", "78", 5.0, False),
            ("/etc/shadow.77", "77\0", 5.0, True),  # its process is alive
            ("/etc/passwd.lock", "do not touch\n", 9e6, True),
            ("/etc/passwd.lock", "\u0667\u0667", 9e6, True),
            ("/etc/passwd.lock", "\0\0\0", 9e6, False),  # after a power cut
            ("/etc/passwd+", backup, 9e6, True),
            ("/etc/passwd+", backup, 5.0, True),
            ("/etc/passwd+", half, 5.0, False),
            ("/etc/passwd+", IMAGE["/etc/passwd"] + "ann:x:1001:1001::/home/ann:/bin/sh\n", 5.0, False),
            ("/etc/npasswd", backup, 9e6, True),
            ("/etc/npasswd", half, 9e6, False),
        ):
            with self.subTest(path=path, text=text):
                self.leave(path, text, age)
                before = self.system.monotonic()
                clear_leftovers(self.system)
                self.assertLess(self.system.monotonic() - before, 20)
                self.assertEqual(self.text(path), text if stays else None)
                if stays:
                    self.system.unlink(path)

    def test_claim_without_its_number(self) -> None:
        """Its tool was killed before it wrote the number. A date is no process, and a tool's file is private."""
        self.fill({"/proc/uptime": "1000.5 1.0\n", "/proc/1/comm": "init\n", "/proc/77/status": self.TOOL})
        for path, text, mode, stays in (
            ("/etc/passwd.78", "", 0o600, False),
            ("/etc/gshadow.4194304", "\0\0\0", 0o600, False),
            ("/etc/passwd.78", "", 0o644, True),
            ("/etc/passwd.77", "", 0o600, True),  # its process is alive
            ("/etc/passwd.20240101", "", 0o600, True),
            ("/etc/passwd.078", "", 0o600, True),
        ):
            with self.subTest(path=path, mode=oct(mode)):
                self.leave(path, text, 1.0)
                os.chmod(self.root + path, mode)
                clear_leftovers(self.system)
                self.assertEqual(self.text(path), text if stays else None)
                self.system.unlink(path)

    def test_kind(self) -> None:
        self.fill({"/proc/uptime": "1000.5 1.0\n", "/proc/1/comm": "init\n", "/x": "78", "/y": "78"})
        os.utime(self.root + "/x", (5, 5))
        for path in ("/etc/passwd.78", "/etc/passwd.lock", "/etc/passwd+"):
            place = self.root + path
            for kind in ("link", "folder", "pipe", "hard link"):
                with self.subTest(path=path, kind=kind):
                    if kind == "link":
                        os.symlink("../x", place)
                    elif kind == "folder":
                        os.mkdir(place)
                    elif kind == "pipe":
                        os.mkfifo(place)
                    else:
                        os.link(self.root + "/x", place)
                        os.link(place, self.root + "/z")
                    os.utime(place, (5, 5), follow_symlinks=False)
                    clear_leftovers(self.system)
                    self.assertTrue(os.path.lexists(place))
                    self.assertEqual(self.text("/x"), "78")
                    (os.rmdir if kind == "folder" else os.unlink)(place)
                    if kind == "hard link":
                        os.unlink(self.root + "/z")
        os.link(self.root + "/y", self.root + "/etc/passwd.lock")  # killed between its link and its unlink
        os.rename(self.root + "/y", self.root + "/etc/passwd.78")
        clear_leftovers(self.system)
        self.assertEqual([name for name in self.system.list("/etc") if name.startswith("passwd.")], [])

    @unittest.skipUnless(os.geteuid() == 0, "only root can leave a file of another user")
    def test_owner(self) -> None:
        self.fill({"/proc/uptime": "1000.5 1.0\n", "/proc/1/comm": "init\n"})
        for path in ("/etc/passwd.78", "/etc/passwd.lock", "/etc/passwd+"):
            self.leave(path, "78", 9e6)
            os.chown(self.root + path, 1000, 1000)
            clear_leftovers(self.system)
            self.assertEqual(self.text(path), "78")

    def test_open_and_claimed(self) -> None:
        """An open half-written file, and the claim of a live process, are not touched."""
        self.fill({"/proc/uptime": "1000.5 1.0\n", "/proc/1/comm": "init\n", "/proc/77/fd/3": "-> /etc/group+"})
        self.fill({"/proc/77/status": self.TOOL})
        self.leave("/etc/passwd.77", "77", 5.0)
        ensure_account(self.system, NAME)
        self.assertEqual(self.text("/etc/passwd.77"), "77")
        self.leave("/etc/group+", "half of it", 5.0)
        with self.assertRaisesRegex(GuestError, "the accounts are locked"):
            ensure_account(self.system, NAME)
        self.assertEqual(self.text("/etc/group+"), "half of it")

    def test_held(self) -> None:
        self.fill({"/proc/uptime": "1000.5 1.0\n", "/proc/1/comm": "init\n", "/proc/77/status": self.TOOL})
        self.leave("/etc/passwd.lock", "77", 5.0)
        before = self.system.monotonic()
        with self.assertRaisesRegex(GuestError, "the accounts are locked"):
            ensure_account(self.system, NAME)
        self.assertGreaterEqual(self.system.monotonic() - before, 30)
        self.assertEqual(self.text("/etc/passwd.lock"), "77")
