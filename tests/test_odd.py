"""Images with odd content: every verb answers or refuses, without a traceback."""

import io
import json
import os
import random
import shutil
import subprocess
import zipfile
from typing import Dict, List

from azure_provisioning.door.text import is_digits
from azure_provisioning.story.state import State
from tests.guests import STATE, GuestTest
from tests.images import cli
from tests.sound import LIBRARY, MODULES, CheckTest

VERBS = (("check", "--json"), ("status",), ("generalize", "--yes", "--user", "user"), ("install",), ("rehearse",))
NUL = "\0\n\0=\0\n\0:\0\na\0b = c\0d\n"
TEXTS: "Dict[str, str]" = {
    "/etc/passwd": "root:x:0:0:r:/ro\0ot:/bin/s\0h\nus\0er:x:1000:1000::/ho\0me:/bin\0/sh\n"
    "user:x:1001:1000::/home/\0u:/\0\nx:x:\xb2:1::/:/\nlong:x:1003:1::/%s:/bin/sh\nlonger:x:1004:1::/%s:/bin/sh\n"
    % ("a/" * 3000, "a" * 300),
    "/etc/ssh/sshd_config": "Include /etc/ssh/\0*/x\nInclude \0\nAuthorizedKeysFile \0/%%u\nAllowUsers \0\nPort \xb2\n"
    "Include /%s/*\nInclude [\0]*\nHostKey /\0\n" % ("a" * 300),
    "/etc/fstab": "\0 / \0 \0\n/dev/sda1 /\0 ext4\n",
    "/etc/login.defs": "UID_MIN \xb2\nUID_MAX 99999999999999\nUMASK \xb2\nSUB_UID_MIN 99999999999\n",
    "/etc/inittab": "\xb2:\xb2:\xb2:\xb2\nid:\xb2:initdefault:\n\0:2:wait:/etc/init.d/rc 2\n",
    "/etc/sudoers": "@includedir /\0\n#includedir \0\n",
    "/etc/machine-id": "\0" * 33,
    "/var/lib/azure-provisioning/install": "init=sys\0temd\nlink=/etc/\0\nprogram=/usr/\0\npython=/\0\nfolder=/\0\n",
    MODULES + "/modules.dep": "\0.ko:\nkernel/\0/hv_vmbus.ko:\n/%s/hv_netvsc.ko:\n%shv_vmbus.ko:\n"
    % ("a" * 300, "a/" * 3000),
}  # fmt: skip
OTHERS = (
    "/etc/group",
    "/etc/shadow",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/azure-provisioning.conf",
    STATE,
    "/etc/shells",
    "/etc/nsswitch.conf",
    "/etc/default/grub",
    "/etc/modprobe.d/x.conf",
    "/etc/waagent.conf",
    "/etc/doas.conf",
    "/etc/network/interfaces",
    "/etc/systemd/network/50-dhcp.network",
    "/etc/systemd/system-preset/00-x.preset",
)


class OddTest(CheckTest):
    def every_verb(self) -> None:
        """The output of each verb for the current image, the same for all."""
        kept = self.root + ".kept"
        subprocess.check_call(["cp", "-a", self.root, kept])
        self.addCleanup(subprocess.call, ["rm", "-rf", kept])
        for verb in VERBS:
            done = cli(verb[0], "--root", self.root, *verb[1:])
            self.assertIn(done.code, (0, 1), (verb, done.err[-2000:]))
            self.assertNotIn("Traceback", done.err, verb)
            subprocess.check_call(["rm", "-rf", self.root])
            subprocess.check_call(["cp", "-a", kept, self.root])
        subprocess.check_call(["rm", "-rf", kept])
        self.open_root()

    def put(self, path: str, data: bytes) -> None:
        """A file with any path."""
        place = self.root + path
        os.makedirs(os.path.dirname(place), exist_ok=True)
        if os.path.lexists(place):
            os.unlink(place)
        with open(place, "wb") as file:
            file.write(data)

    def test_digits_outside_ascii(self) -> None:
        """`str.isdigit` accepts them, but `int` does not."""
        self.put("/usr/lib/modules/5\xb2/modules.dep", b"x.ko:\n")
        self.put("/boot/vmlinuz-5\xb2", b"")
        for level in "S2345":
            self.put("/etc/rc%s.d/S\xb2\xb3ssh" % level, b"")
        for name in ("passwd.\xb2", "passwd.lock", "group.lock"):
            self.put("/etc/" + name, "\xb2".encode())
            os.utime(self.root + "/etc/" + name, (1e9, 1e9))  # a recent lock would be waited for
        self.put("/usr/bin/python3.\xb2", b"")
        self.every_verb()
        self.system.write("/etc/inittab", "id:2:initdefault:\n")
        done = cli("install", "--root", self.root, "--init", "sysvinit")
        self.assertIn(done.code, (0, 1), done.err)
        self.assertNotIn("Traceback", done.err)

    def test_texts_with_a_nul(self) -> None:
        for path, text in TEXTS.items():
            self.put(path, text.encode("utf-8"))
        self.every_verb()

    def test_other_files_with_a_nul(self) -> None:
        for path in OTHERS:
            self.put(path, NUL.encode("utf-8") + b"\xff\xfe\n")
        self.every_verb()

    def test_link_through_many_folders(self) -> None:
        os.unlink(self.root + "/etc/hostname")
        here = os.open(self.root + "/etc", os.O_RDONLY)
        for _ in range(1300):
            os.mkdir("d", dir_fd=here)
            below = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(os.open("hostname", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        os.close(here)
        self.addCleanup(subprocess.call, ["rm", "-rf", self.root])  # shutil's recursion has no bound before 3.13
        os.symlink("d/" * 1300 + "hostname", self.root + "/etc/hostname")
        self.every_verb()

    def test_library_in_an_odd_zip(self) -> None:
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as archive:
            for name in ("a.py", "json/__init__.py", "\xe9.py", "x" * 300 + ".py", "../x.py", "/x.py"):
                archive.writestr(name, b"")
        whole, dice = data.getvalue(), random.Random(3)
        start = whole.index(b"PK\1\2")
        shutil.rmtree(self.root + LIBRARY)
        for _ in range(150):
            odd = bytearray(whole)
            for _ in range(dice.randrange(1, 4)):
                odd[dice.randrange(start, len(odd))] = dice.randrange(256)
            self.put("/usr/lib/python311.zip", bytes(odd))
            self.findings("python")


class StepsTest(GuestTest):
    def test_durations(self) -> None:
        odd = ["9" * 400, "9" * 5000, ".", "", "\xb2", "1.2.3", "1e5", "inf", "-1", "\u0661"]
        lines = ["step.a%d=ok %s\n" % pair for pair in enumerate(odd)] + ["step.b=ok 1.5\n", "step.c=ok 7\n"]
        self.fill({STATE: "vm_id=x\n" + "".join(lines)})
        self.assertEqual(State(self.system).steps(), [("b", "ok", 1.5), ("c", "ok", 7.0)])

    def test_digits(self) -> None:
        good: "List[str]" = ["0", "7", "000", "9" * 18]
        self.assertEqual([text for text in good if not is_digits(text)], [])
        bad = ["", " ", "\xb2", "\u0661", "1\n", "-1", "+1", "1_0", "1.0", "9" * 19]
        self.assertEqual([text for text in bad if is_digits(text)], [])


class PoolTest(GuestTest):
    def test_lone_surrogates(self) -> None:
        """JSON can contain it, but no file or terminal accepts it."""
        self.fill({"/etc/hostname": "x\n", "/etc/passwd": "root:x:0:0::/root:/bin/sh\n", "/bin/sh": ""})
        for section, key in (("extended", "ppsType"), ("compute", "name"), ("compute", "vmId")):
            azure = self.azure(platform="azure")
            compute = azure.instance["extended"]["compute"] if section == "extended" else azure.instance["compute"]
            assert isinstance(compute, dict)
            compute[key] = "a\ud800\udfff\udc80"
            code = self.boot(force=True)
            self.assertEqual(code, 1 if key == "ppsType" else 0, self.story)
            self.assertNotIn("Traceback", self.story)


class ShownTest(CheckTest):
    """File names and contents cannot control a terminal or forge a line, on stdout or on stderr."""

    EVIL = "\x1b]0;X\x07\x9b2J\u202e\u2066\x7f\r\nforged: line\n\u2028forged\udcff\ud7ff"

    def shown(self, *arguments: str) -> str:
        """The output of a verb. Fails unless all lines are printable."""
        done = cli(arguments[0], "--root", self.root, *arguments[1:])
        self.assertIn(done.code, (0, 1), done.err)
        for text in (done.out, done.err):
            self.assertEqual({char for char in text if not char.isprintable()} - {"\n", "\t"}, set(), arguments)
            self.assertEqual([line for line in text.split("\n") if line.startswith(("forged", "\tforged"))], [])
        return done.out

    def test_all_verbs(self) -> None:
        evil = self.EVIL.encode("utf-8", "surrogateescape")
        home = os.fsencode(self.root) + b"/home/user"
        os.makedirs(home)
        for folder, name in ((home, b"." + evil + b"_history"), (home, b".bash_history")):
            with open(folder + b"/" + name, "wb") as file:
                file.write(b"x\n")
        for place in ("etc/azure-provisioning/ready.d", "etc/NetworkManager/system-connections", "etc/netplan"):
            os.makedirs(os.path.join(self.root, place), exist_ok=True)
            with open(os.path.join(os.fsencode(self.root), place.encode("ascii"), evil + b".yaml"), "wb") as file:
                file.write(b"mac-address=00\nmacaddress: 00\n")
        with open(self.root + "/etc/hosts", "wb") as file:
            file.write(b"127.0.0.1\tlocalhost\n# " + evil.replace(b"\n", b" ") + b"\n")
        reason = "".join(self.EVIL.replace("\udcff", "").split())
        self.system.write(STATE, "vm_id=x\nerror_reason=%s\nerror_at=x\n" % reason)
        self.assertTrue(self.shown("check"))
        self.assertTrue(json.loads(self.shown("check", "--json")))
        self.assertIn("forged", self.shown("status"))
        self.assertIn("\x1b", json.loads(self.shown("status", "--json"))["last_error"]["reason"])
        self.shown("rehearse")
        self.assertIn("\\nforged: line\\n", self.shown("generalize", "--yes", "--user", "user"))
