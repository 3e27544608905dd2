"""Host keys: the image's are removed before any step can fail, and the guest's own tools generate new ones."""

import os
import shutil
import subprocess
from typing import List, Tuple
from unittest import mock

from azure_provisioning.errors import GuestError
from azure_provisioning.guest.host_keys import fingerprints, renew_host_keys, restart_dropbear
from azure_provisioning.guest.services import find_script
from azure_provisioning.init.table import restart_command
from azure_provisioning.story.boot import begin
from azure_provisioning.story.provision import prepare
from tests.guests import AZURE_VM, FastSystem
from tests.tools import ToolSystem, ToolTest, run_process

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


PRIVATE = "-----BEGIN OPENSSH PRIVATE KEY-----\n"


class HostKeysTest(ToolTest):
    def keygen(self, argv: "List[str]", _stdin: bytes) -> "Tuple[int, str]":
        self.seen = self.system.list("/etc/ssh")
        self.fill({"/etc/ssh/ssh_host_ed25519_key": "new\n", "/etc/ssh/ssh_host_ed25519_key.pub": "new\n"})
        return 0, ""

    def test_openssh(self) -> None:
        self.fill(IMAGE)
        self.tools.add("ssh-keygen", self.keygen)
        for _ in range(2):
            self.assertEqual(renew_host_keys(self.system, restart_command), "1 made for OpenSSH")
            self.assertEqual(self.seen, ["sshd_config"])
        self.assertEqual(self.tools.ran_words(), ["ssh-keygen -A"] * 2)
        self.assertEqual(self.text("/media/keys/ecdsa"), "old\n")

    def test_only_kinds_of_sshd_are_generated(self) -> None:
        """The kinds in sshd's HostKey lines, with includes; all kinds if another file is among them."""
        main, other = "/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d/hard.conf"
        line = "HostKey /etc/ssh/ssh_host_%s_key\n"
        include = "Include /etc/ssh/sshd_config.d/*.conf\n"
        for files, kinds in (
            ({main: "# " + line % "rsa"}, []),
            ({main: line % "ed25519"}, ["ed25519"]),
            ({main: include + line % "rsa", other: "hostkey=" + '"/etc/ssh/ssh_host_ecdsa_key"\n'}, ["ecdsa", "rsa"]),
            ({main: line % "ed25519" + "HostKey /run/keys/mine\n"}, []),
        ):
            with self.subTest(files):
                self.setUp()
                self.fill(dict(IMAGE, **files))
                self.tools.add("ssh-keygen", self.keygen)
                renew_host_keys(self.system, restart_command)
                options = ["-q -t %s -N  -f /etc/ssh/ssh_host_%s_key" % (kind, kind) for kind in kinds] or ["-A"]
                self.assertEqual(self.tools.ran_words(), ["ssh-keygen " + words for words in options])
                self.assertIsNone(self.text("/etc/ssh/ssh_host_rsa_key"))

    def test_elsewhere(self) -> None:
        """The files in HostKey lines are renewed, except files that are not keys, or are in a store or a tmpfs."""
        own, other, missing = "/etc/myapp/ssh/ssh_host_rsa_key", "/etc/myapp/key", "/etc/myapp/none_ecdsa"
        kept = {"/etc/shadow": "root:*:1\n", "/nix/store/x/key": PRIVATE, "/run/secrets/key": PRIVATE}
        lines = "".join("HostKey %s\n" % path for path in (own, other, missing, "/srv/key", "/etc/nowhere/key", *kept))
        kept["/srv/key/x"] = PRIVATE
        self.fill(
            {**kept, own: PRIVATE, own + ".pub": "ssh-rsa A\n", other: PRIVATE, other + ".pub": "ecdsa-sha2-x A\n"}
        )
        self.fill({"/etc/ssh/sshd_config": lines, "/usr/sbin/sshd": ""})

        def keygen(argv: "List[str]", _stdin: bytes) -> "Tuple[int, str]":
            if "-f" in argv:
                self.fill({argv[-1]: "new"})
            return 0, ""

        self.tools.add("ssh-keygen", keygen)
        renew_host_keys(self.system, restart_command)
        made = [argv[3:4] + argv[-1:] for argv in self.tools.ran if "-f" in argv]
        self.assertEqual(made, [["rsa", own], ["ecdsa", other], ["ecdsa", missing], ["ed25519", "/etc/nowhere/key"]])
        for path, text in kept.items():
            self.assertEqual(self.text(path), text)

    def test_unusual_names(self) -> None:
        """`ssh-keygen -A` does not make them again, although they look like the usual ones."""
        odd, rsa = "/etc/ssh/ssh_host_key_ed25519", "/etc/ssh/ssh_host_rsa4096_key"
        dsa = "/etc/ssh/ssh_host_dsa_key"
        lines = "".join("HostKey %s\n" % path for path in (odd, rsa, dsa))
        self.fill({"/etc/ssh/sshd_config": lines, "/usr/sbin/sshd": "", odd: PRIVATE, rsa: PRIVATE, dsa: PRIVATE})

        def keygen(argv: "List[str]", _stdin: bytes) -> "Tuple[int, str]":
            self.fill({argv[-1]: "new"} if "-f" in argv else {})
            return 0, ""

        self.tools.add("ssh-keygen", keygen)
        renew_host_keys(self.system, restart_command)
        made = [argv[3:4] + argv[-1:] for argv in self.tools.ran if "-f" in argv]
        self.assertEqual(made, [["ed25519", odd], ["rsa", rsa]])

    def test_folder_cannot_be_made(self) -> None:
        self.fill({**IMAGE, "/etc/ssh/sshd_config": "HostKey /etc/file/key\n", "/etc/file": ""})
        self.tools.add("ssh-keygen", self.keygen)
        self.assertIn("ssh-keygen makes no ed25519", renew_host_keys(self.system, restart_command))

    def test_keys_of_an_agent(self) -> None:
        self.fill({"/etc/ssh/sshd_config": "HostKeyAgent /run/agent\nHostKey /etc/keys/a\n", "/etc/keys/a": PRIVATE})
        self.fill({"/usr/sbin/sshd": ""})
        self.tools.add("ssh-keygen", self.keygen)
        renew_host_keys(self.system, restart_command)
        self.assertEqual(self.text("/etc/keys/a"), PRIVATE)

    def test_one_kind_cannot_be_generated(self) -> None:
        """As with FIPS: the other kinds are generated. A failed kind is tried again, and replaces a partial file."""
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
        self.assertEqual(
            renew_host_keys(self.system, restart_command), "2 made for OpenSSH, but ssh-keygen makes no ed25519"
        )
        self.assertEqual({self.text("/etc/ssh/ssh_host_%s_key" % kind) for kind in ("rsa", "ecdsa")}, {"new"})

    def test_synced_before_it_is_recorded(self) -> None:
        """ssh-keygen does not sync: after a power cut the files would be empty, although the state says they are
        complete."""
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

    def test_killed_before_the_first_key(self) -> None:
        self.fill(IMAGE)

        def killed(argv: "List[str]", _stdin: bytes) -> "Tuple[int, str]":
            raise KeyboardInterrupt

        self.tools.add("ssh-keygen", killed)
        with self.assertRaises(KeyboardInterrupt):
            renew_host_keys(self.system, restart_command)
        self.assertEqual(self.system.list("/etc/ssh"), ["sshd_config"])
        self.tools.add("ssh-keygen", self.keygen)
        self.assertEqual(renew_host_keys(self.system, restart_command), "1 made for OpenSSH")

    def test_no_tool(self) -> None:
        self.fill(IMAGE)
        with self.assertRaisesRegex(GuestError, "host keys cannot be made"):
            renew_host_keys(self.system, restart_command)
        self.assertIsNotNone(self.text("/etc/ssh/ssh_host_rsa_key"))

    def test_tool_generates_no_key(self) -> None:
        self.fill(IMAGE)
        self.tools.add("ssh-keygen")
        with self.assertRaisesRegex(GuestError, "made none"):
            renew_host_keys(self.system, restart_command)

    def test_tool_is_killed_once(self) -> None:
        """A VM must not become Ready without host keys because one ssh-keygen was killed."""
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
        said = renew_host_keys(FastSystem(self.root), restart_command)
        self.assertIn("4 of OpenSSH removed", said)
        self.assertIn("1 of dropbear removed", said)
        self.assertEqual(self.system.list("/etc/ssh"), ["sshd_config"])

    def test_no_server(self) -> None:
        self.tools.add("ssh-keygen")
        self.assertEqual(renew_host_keys(self.system, restart_command), "no ssh server here")
        self.assertEqual(self.tools.ran, [])

    def test_dropbear_under_systemd(self) -> None:
        """By its unit, without waiting: the unit may be ordered after us. test_processes.py tests the rest."""
        self.fill({"/usr/sbin/dropbear": "", "/run/systemd/system/x": "", "/etc/init.d/dropbear": "#!/bin/sh\n"})
        self.tools.add("systemctl", folder="/usr/bin")
        unit = "0::/system.slice/system-drop.slice/dropbear-lan.service\n"
        for cgroup, ran in (
            (unit, ["systemctl --no-block try-restart dropbear-lan.service"]),
            ("0::/user.slice\n", []),
        ):
            run_process(self, 21, "dropbear", "/usr/sbin/dropbear", "-F")
            self.fill({"/proc/21/cgroup": cgroup})
            del self.tools.ran[:]
            with mock.patch.object(ToolSystem, "live", True):
                said = restart_dropbear(self.system, restart_command)
            self.assertEqual(self.tools.ran_words(), ran)
            self.assertIn("systemd restarts dropbear" if ran else "has the old keys until it is restarted", said)

    def test_init_script_behind_a_link(self) -> None:
        """Every folder on the path to it counts, not only the folders in its name."""
        self.fill({"/etc/rc.d/rc.dropbear": "-> /opt/net/rc.dropbear", "/opt/net/rc.dropbear": "#!/bin/sh\n"})
        os.chmod(self.root + "/opt/net/rc.dropbear", 0o755)
        self.assertEqual(find_script(self.system, "dropbear"), "/etc/rc.d/rc.dropbear")
        for folder in ("/opt/net", "/opt", "/etc/rc.d"):
            os.chmod(self.root + folder, 0o777)
            self.assertIsNone(find_script(self.system, "dropbear"), folder)
            os.chmod(self.root + folder, 0o755)
        self.assertEqual(find_script(self.system, "dropbear"), "/etc/rc.d/rc.dropbear")

    def test_dropbear_of_other_init_systems(self) -> None:
        """Each init system restarts it with its own tool; with inittab the process is ended."""
        for files, ran, hung in (
            ({"/run/dinitctl": ""}, ["dinitctl restart dropbear"], []),
            ({"/run/finit": ""}, ["initctl restart dropbear"], []),
            ({"/etc/inittab": "::respawn:/usr/sbin/dropbear -F\n"}, [], [21]),
            ({"/etc/inittab": "#::respawn:/usr/sbin/dropbear -F\n"}, [], []),
            ({"/etc/rc.d/rc.dropbear": "#!/bin/sh\n"}, ["rc.dropbear restart"], []),
            ({}, [], []),
        ):
            with self.subTest(files):
                self.setUp()
                self.fill({"/usr/sbin/dropbear": ""})
                self.fill(files)
                run_process(self, 21, "dropbear", "/usr/sbin/dropbear", "-F")
                hung_up: "List[int]" = []

                def come_back(hung_up: "List[int]" = hung_up) -> None:
                    shutil.rmtree(self.root + "/proc/21")
                    run_process(self, 22, "dropbear", "/usr/sbin/dropbear", "-F")

                def restarted(_argv: "List[str]", _stdin: bytes) -> "Tuple[int, str]":
                    come_back()
                    return 0, ""

                def hang_up(pid: int, hung_up: "List[int]" = hung_up) -> bool:
                    hung_up.append(pid)
                    come_back()
                    return True

                for name in ("dinitctl", "initctl", "rc.dropbear"):
                    self.tools.tools[name] = restarted
                if "/etc/rc.d/rc.dropbear" in files:
                    os.chmod(self.root + "/etc/rc.d/rc.dropbear", 0o755)
                self.system.hang_up = hang_up  # type: ignore[method-assign]
                with mock.patch.object(ToolSystem, "live", True):
                    said = restart_dropbear(self.system, restart_command)
                self.assertEqual((self.tools.ran_words(), hung_up), (ran, hung))
                self.assertIn("was restarted" if ran or hung else "has the old keys until it is restarted", said)

    def test_dropbear(self) -> None:
        self.fill({"/usr/sbin/dropbear": "", "/etc/dropbear/dropbear_dss_host_key": "old", "/etc/dropbear/other": "x"})
        self.assertIn("with -R", renew_host_keys(self.system, restart_command))
        self.assertEqual(self.system.list("/etc/dropbear"), ["other"])

        def dropbearkey(argv: "List[str]", _stdin: bytes) -> "Tuple[int, str]":
            if "-y" in argv:
                return 0, "Public key portion is:\nssh-rsa QUJD root@vm\nFingerprint: sha1!! 00:11\n"
            if argv[2] == "ed25519":
                return 1, "Unknown key type"
            self.fill({argv[4]: "new"})
            return 0, ""

        self.tools.add("dropbearkey", dropbearkey)
        self.assertEqual(renew_host_keys(self.system, restart_command), "2 made for dropbear")
        self.assertEqual(fingerprints(self.system), ["SHA256:tdQEXD9Gb6kf4sxqvnkjKhpXzfEE96JucW4KHieJ33g (ssh-rsa)"])

    def test_real_tool(self) -> None:
        tool = shutil.which("ssh-keygen")
        if tool is None:
            self.skipTest("no ssh-keygen on this machine")
        real = tool

        def keygen(argv: "List[str]", _stdin: bytes) -> "Tuple[int, str]":
            command = [real, "-A", "-f", self.root]
            if subprocess.call(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
                self.skipTest("ssh-keygen does not work here")  # for example with a uid that has no name
            return 0, ""

        self.fill(IMAGE)
        self.tools.add("ssh-keygen", keygen)
        renew_host_keys(self.system, restart_command)
        found = fingerprints(self.system)
        self.assertGreaterEqual(len(found), 2)
        for name in os.listdir(self.root + "/etc/ssh"):
            if name.endswith(".pub"):
                shown = subprocess.check_output([real, "-l", "-f", self.root + "/etc/ssh/" + name]).decode().split()
                self.assertIn(shown[1], [line.split()[0] for line in found])
