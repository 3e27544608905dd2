"""Host keys: the image's are gone before anything else can fail, and new ones come from the guest's own tools."""

import os
import shutil
import subprocess
from typing import List, Tuple
from unittest import mock

from azure_provisioning.boot import begin
from azure_provisioning.errors import GuestError
from azure_provisioning.guest.host_keys import fingerprints, renew_host_keys, restart_dropbear
from azure_provisioning.provision import prepare
from tests.guests import AZURE_VM, FastSystem
from tests.tools import ToolSystem, ToolTest

IMAGE = {
    "/usr/sbin/sshd": "",
    "/etc/ssh/sshd_config": "x\n",
    "/etc/ssh/ssh_host_rsa_key": "old\n",
    "/etc/ssh/ssh_host_rsa_key.pub": "old\n",
    "/etc/ssh/ssh_host_rsa_key.Ab12": "left by a killed ssh-keygen\n",
    "/etc/ssh/ssh_host_ecdsa_key": "-> /media/keys/ecdsa",
    "/media/keys/ecdsa": "old\n",
}

KINDS = ("rsa", "ecdsa", "ed25519")


class HostKeysTest(ToolTest):
    def keygen(self, argv: "List[str]", _stdin: bytes) -> "Tuple[int, str]":
        self.seen = self.system.list("/etc/ssh")
        self.fill({"/etc/ssh/ssh_host_ed25519_key": "new\n", "/etc/ssh/ssh_host_ed25519_key.pub": "new\n"})
        return 0, ""

    def test_openssh(self) -> None:
        self.fill(IMAGE)
        self.tools.add("ssh-keygen", self.keygen)
        for _ in range(2):
            self.assertEqual(renew_host_keys(self.system), "1 made for OpenSSH")
            self.assertEqual(self.seen, ["sshd_config"])
        self.assertEqual(self.tools.ran_words(), ["ssh-keygen -A"] * 2)
        self.assertEqual(self.text("/media/keys/ecdsa"), "old\n")

    def test_only_what_sshd_uses(self) -> None:
        """The kinds of sshd's HostKey lines, wherever they are included; all kinds if another file is among them."""
        main, other = "/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d/hard.conf"
        line = "HostKey /etc/ssh/ssh_host_%s_key\n"
        include = "Include /etc/ssh/sshd_config.d/*.conf\n"
        for files, kinds in (
            ({main: "# " + line % "rsa"}, []),
            ({main: line % "ed25519"}, ["ed25519"]),
            ({main: include + line % "rsa", other: "hostkey=" + '"/etc/ssh/ssh_host_ecdsa_key"\n'}, ["ecdsa", "rsa"]),
            ({main: line % "ed25519" + "HostKey /etc/keys/mine\n"}, []),
        ):
            with self.subTest(files):
                self.setUp()
                self.fill(dict(IMAGE, **files))
                self.tools.add("ssh-keygen", self.keygen)
                renew_host_keys(self.system)
                options = ["-q -t %s -N  -f /etc/ssh/ssh_host_%s_key" % (kind, kind) for kind in kinds] or ["-A"]
                self.assertEqual(self.tools.ran_words(), ["ssh-keygen " + words for words in options])
                self.assertIsNone(self.text("/etc/ssh/ssh_host_rsa_key"))

    def test_a_kind_that_cannot_be_made(self) -> None:
        """As with FIPS: the others are made. One that died is tried again, in the place of what it left."""
        self.fill(IMAGE)
        self.fill({"/etc/ssh/sshd_config": "".join("HostKey /etc/ssh/ssh_host_%s_key\n" % kind for kind in KINDS)})
        deaths = [-9]

        def keygen(argv: "List[str]", _stdin: bytes) -> "Tuple[int, str]":
            self.assertIsNone(self.text(argv[-1]), "ssh-keygen would ask whether to write over it")
            if argv[3] == "ed25519":
                return 1, "not allowed in FIPS mode"
            self.fill({argv[-1]: "half" if deaths else "new"})
            return (deaths.pop() if deaths else 0), ""

        self.tools.add("ssh-keygen", keygen)
        self.assertEqual(renew_host_keys(self.system), "2 made for OpenSSH, but ssh-keygen makes no ed25519")
        self.assertEqual({self.text("/etc/ssh/ssh_host_%s_key" % kind) for kind in ("rsa", "ecdsa")}, {"new"})

    def test_on_disk_before_it_is_remembered(self) -> None:
        """ssh-keygen syncs nothing: after a power cut there would be empty files, and a state that calls them made."""
        self.fill(dict(AZURE_VM, **IMAGE))
        self.tools.add("ssh-keygen", self.keygen)
        order = []
        self.system.sync = lambda: order.append(  # type: ignore[method-assign]
            (self.text("/etc/ssh/ssh_host_ed25519_key"), "prepared_at" in self.facts())
        )
        with mock.patch.object(ToolSystem, "live", True):
            boot = begin(self.system, self.console)
            assert boot is not None
            prepare(boot)
        self.assertEqual(order, [("new\n", False)])
        self.assertIn("prepared_at", self.facts())

    def test_killed_in_between(self) -> None:
        self.fill(IMAGE)

        def killed(argv: "List[str]", _stdin: bytes) -> "Tuple[int, str]":
            raise KeyboardInterrupt

        self.tools.add("ssh-keygen", killed)
        with self.assertRaises(KeyboardInterrupt):
            renew_host_keys(self.system)
        self.assertEqual(self.system.list("/etc/ssh"), ["sshd_config"])
        self.tools.add("ssh-keygen", self.keygen)
        self.assertEqual(renew_host_keys(self.system), "1 made for OpenSSH")

    def test_no_tool(self) -> None:
        self.fill(IMAGE)
        with self.assertRaisesRegex(GuestError, "host keys cannot be made"):
            renew_host_keys(self.system)
        self.assertIsNotNone(self.text("/etc/ssh/ssh_host_rsa_key"))

    def test_tool_makes_none(self) -> None:
        self.fill(IMAGE)
        self.tools.add("ssh-keygen")
        with self.assertRaisesRegex(GuestError, "made none"):
            renew_host_keys(self.system)

    def test_the_tool_dies_once(self) -> None:
        """A VM does not become Ready without host keys because one ssh-keygen was killed."""
        self.fill(dict(AZURE_VM, **IMAGE))
        deaths = [(-9, "")]
        self.tools.add("ssh-keygen", lambda argv, stdin: deaths.pop() if deaths else self.keygen(argv, stdin))
        with mock.patch.object(ToolSystem, "live", True):
            boot = begin(self.system, self.console)
            assert boot is not None
            prepare(boot)
        self.assertIn("prepared_at", self.facts(), self.story)
        self.assertEqual(self.text("/etc/ssh/ssh_host_ed25519_key"), "new\n")
        self.assertEqual(self.story.count("host_keys: "), 2)

    def test_image(self) -> None:
        self.fill(IMAGE)
        self.fill({"/usr/bin/ssh-keygen": "", "/etc/dropbear/dropbear_rsa_host_key": "old"})
        said = renew_host_keys(FastSystem(self.root))
        self.assertIn("4 of OpenSSH removed", said)
        self.assertIn("1 of dropbear removed", said)
        self.assertEqual(self.system.list("/etc/ssh"), ["sshd_config"])

    def test_no_server(self) -> None:
        self.tools.add("ssh-keygen")
        self.assertEqual(renew_host_keys(self.system), "no ssh server here")
        self.assertEqual(self.tools.ran, [])

    def test_dropbear_that_runs(self) -> None:
        """Only the one that listens is ended; started anew unless somebody watches over it."""
        for words, again in ((["dropbear", "-R", "-p", "22"], True), (["dropbear", "-RFE"], False)):
            with self.subTest(words):
                self.setUp()
                self.fill({"/etc/dropbear/dropbear_rsa_host_key": "old", "/proc/7/status": "Name:\tsh\nPPid:\t1\n"})
                for pid, parent in ((21, 1), (34, 21)):
                    status = "Name:\tdropbear\nState:\tS\nPPid:\t%d\n" % parent
                    files = {"status": status, "cmdline": "\0".join(words) + "\0", "comm": "dropbear\n"}
                    self.fill({"/proc/%d/%s" % (pid, name): text for name, text in files.items()})
                hung_up: "List[int]" = []

                def hang_up(pid: int, hung_up: "List[int]" = hung_up) -> bool:
                    hung_up.append(pid)
                    shutil.rmtree("%s/proc/%d" % (self.root, pid))
                    return True

                self.system.hang_up = hang_up  # type: ignore[method-assign]
                self.tools.add("dropbear", lambda argv, stdin: (0, ""))
                with mock.patch.object(ToolSystem, "live", True):
                    self.assertTrue(restart_dropbear(self.system))
                self.assertEqual(hung_up, [21])
                self.assertEqual(self.tools.ran_words(), [" ".join(words)] if again else [])

    def test_dropbear(self) -> None:
        self.fill({"/usr/sbin/dropbear": "", "/etc/dropbear/dropbear_dss_host_key": "old", "/etc/dropbear/other": "x"})
        self.assertIn("with -R", renew_host_keys(self.system))
        self.assertEqual(self.system.list("/etc/dropbear"), ["other"])

        def dropbearkey(argv: "List[str]", _stdin: bytes) -> "Tuple[int, str]":
            if "-y" in argv:
                return 0, "Public key portion is:\nssh-rsa QUJD root@vm\nFingerprint: sha1!! 00:11\n"
            if argv[2] == "ed25519":
                return 1, "Unknown key type"
            self.fill({argv[4]: "new"})
            return 0, ""

        self.tools.add("dropbearkey", dropbearkey)
        self.assertEqual(renew_host_keys(self.system), "2 made for dropbear")
        self.assertEqual(fingerprints(self.system), ["SHA256:tdQEXD9Gb6kf4sxqvnkjKhpXzfEE96JucW4KHieJ33g (ssh-rsa)"])

    def test_real_tool(self) -> None:
        tool = shutil.which("ssh-keygen")
        if tool is None:
            self.skipTest("no ssh-keygen on this machine")
        real = tool

        def keygen(argv: "List[str]", _stdin: bytes) -> "Tuple[int, str]":
            command = [real, "-A", "-f", self.root]
            if subprocess.call(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
                self.skipTest("ssh-keygen does not work here")  # for one: a uid without a name
            return 0, ""

        self.fill(IMAGE)
        self.tools.add("ssh-keygen", keygen)
        renew_host_keys(self.system)
        found = fingerprints(self.system)
        self.assertGreaterEqual(len(found), 2)
        for name in os.listdir(self.root + "/etc/ssh"):
            if name.endswith(".pub"):
                shown = subprocess.check_output([real, "-l", "-f", self.root + "/etc/ssh/" + name]).decode().split()
                self.assertIn(shown[1], [line.split()[0] for line in found])
