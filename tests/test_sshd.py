"""Password login: the drop-in stays only if sshd reads and applies it."""

import os
from typing import List, Tuple

from azure_provisioning.errors import GuestError
from azure_provisioning.guest.sshd import DROP_IN, reload_sshd, set_password_login
from azure_provisioning.guest.sshd_config import find_sshd
from azure_provisioning.guest.sshd_options import SERVERS
from tests.tools import ToolTest, run_process

CONFIG = "/etc/ssh/sshd_config"
INCLUDE = "Include /etc/ssh/sshd_config.d/*.conf\n"
ON = "PasswordAuthentication yes\n"
BLOCK = "# >>> azure-provisioning >>>\n%s# <<< azure-provisioning <<<\n"
OFF = "PasswordAuthentication no\nChallengeResponseAuthentication no\n"


METHODS = " the image's AuthenticationMethods"


class SshdTest(ToolTest):
    def setUp(self) -> None:
        super().setUp()
        self.hung_up: "List[int]" = []
        self.system.hang_up = lambda pid: self.hung_up.append(pid) or True  # type: ignore[method-assign, func-returns-value]

    def test_without_sshd(self) -> None:
        """As in an image, where only files can be read."""
        self.fill({CONFIG: INCLUDE + "PasswordAuthentication yes\n"})
        for _ in range(2):
            self.assertEqual(set_password_login(self.system, allowed=False), "password login: no")
            self.assertEqual(self.text(DROP_IN), OFF)
        self.assertEqual(set_password_login(self.system, allowed=True), "password login: yes")
        self.assertEqual(self.text(DROP_IN), "PasswordAuthentication yes\n")
        self.assertEqual(self.text(CONFIG), INCLUDE + "PasswordAuthentication yes\n")

    def test_earlier_value_in_sshd_config(self) -> None:
        """The first value wins: if the folder is read too late, the lines go to the top of the configuration."""
        for files in (
            {CONFIG: "PasswordAuthentication yes\n" + INCLUDE},
            {CONFIG: INCLUDE, "/etc/ssh/sshd_config.d/00-a.conf": "passwordauthentication yes\n"},
        ):
            self.setUp()
            self.fill(files)
            for _ in range(2):
                self.assertEqual(set_password_login(self.system, allowed=False), "password login: no")
                self.assertEqual(self.text(CONFIG), BLOCK % OFF + files[CONFIG])
                self.assertIsNone(self.text(DROP_IN))

    def test_no_include(self) -> None:
        for text in (
            "PasswordAuthentication no\n",
            "Match user x\n" + INCLUDE,
            "#" + INCLUDE + "PasswordAuthentication no",
        ):
            self.fill({CONFIG: text})
            word, allowed = ("yes", True) if "Match" in text else ("no", False)
            self.assertEqual(
                set_password_login(self.system, allowed=allowed), "password login: %s, already set in the image" % word
            )
            self.assertEqual(self.text(CONFIG), text)
            for wanted in (not allowed, allowed):  # the disk of one VM becomes another VM's
                set_password_login(self.system, allowed=wanted)
                self.assertEqual(self.text(CONFIG), BLOCK % (ON if wanted else OFF) + text)
        self.assertFalse(self.system.exists("/etc/ssh/sshd_config.d"))

    def test_second_factor_is_kept(self) -> None:
        """sshd refuses a user whose list of methods is empty."""
        needed = "Match Group sudo\nAuthenticationMethods publickey,keyboard-interactive:pam\n"
        for text, lines in (
            (needed, "PasswordAuthentication no\n"),
            ("AuthenticationMethods publickey,password\n", "ChallengeResponseAuthentication no\n"),
            ("AuthenticationMethods publickey keyboard-interactive\n", OFF),
            ("AuthenticationMethods any\n", OFF),
        ):
            self.fill({CONFIG: INCLUDE + text})
            said = set_password_login(self.system, allowed=False)
            self.assertEqual(said, "password login: " + ("left to" + METHODS if lines[:1] == "C" else "no"))
            self.assertEqual(self.text(DROP_IN), lines)

    def test_match_block(self) -> None:
        """Settings for one user are the image's. For all other users our lines stay."""
        self.fill({CONFIG: INCLUDE})

        def sshd(argv: "List[str]", _stdin: bytes) -> "Tuple[int, str]":
            return 0, "passwordauthentication %s\n" % ("yes" if "-C" in argv else "no")

        self.tools.add("sshd", sshd)
        with self.assertRaisesRegex(GuestError, "a Match block says otherwise, name=ann"):
            set_password_login(self.system, allowed=False, name="ann")
        self.assertEqual(self.text(DROP_IN), OFF)

    def test_no_openssh(self) -> None:
        self.assertEqual(set_password_login(self.system, allowed=False), "no OpenSSH server is configured here")

    def test_sshd_refuses(self) -> None:
        self.fill({CONFIG: INCLUDE})
        self.tools.add("sshd", lambda argv, stdin: (255, "Bad configuration option: X\n" if "-t" in argv else ""))
        with self.assertRaisesRegex(GuestError, "problem=Bad configuration option: X"):
            set_password_login(self.system, allowed=False)
        self.assertIsNone(self.text(DROP_IN))

    def test_sshd_is_killed_once(self) -> None:
        self.fill({CONFIG: INCLUDE})
        deaths = [(-9, "")]

        def sshd(argv: "List[str]", _stdin: bytes) -> "Tuple[int, str]":
            return deaths.pop() if "-t" in argv and deaths else (0, "passwordauthentication no\n")

        self.tools.add("sshd", sshd)
        self.assertEqual(set_password_login(self.system, allowed=False), "password login: no")
        self.assertEqual(deaths, [])
        self.assertEqual(self.text(DROP_IN), OFF)

    def test_sshd_reports_another_value(self) -> None:
        self.fill({CONFIG: INCLUDE})
        self.tools.add("sshd", lambda argv, stdin: (0, "passwordauthentication yes\n"))
        for text, problem in (("", "sshd uses yes, although no line sets it"), (ON, "another line sets yes first")):
            self.fill({CONFIG: INCLUDE + text})
            with self.assertRaisesRegex(GuestError, problem):
                set_password_login(self.system, allowed=False)
            self.assertIsNone(self.text(DROP_IN))
            self.assertEqual(self.text(CONFIG), INCLUDE + text)

    def test_no_host_keys_yet(self) -> None:
        """If the service makes them at its start, sshd cannot be asked before: the files are read."""
        self.fill({CONFIG: INCLUDE})
        self.tools.add("sshd", lambda argv, stdin: (1, "sshd: no hostkeys available -- exiting.\n"))
        set_password_login(self.system, allowed=False)
        self.assertEqual(self.text(DROP_IN), OFF)

    def test_running_sshd(self) -> None:
        self.fill({CONFIG: INCLUDE, "/run/sshd.pid": "123\n"})

        def sshd(argv: "List[str]", _stdin: bytes) -> "Tuple[int, str]":
            return (0, "passwordauthentication no\n") if argv[1] in ("-t", "-T") else (1, "usage")

        self.tools.add("sshd", sshd)
        run_process(self, 123, "/sbin/sshd", "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups")
        self.assertEqual(
            set_password_login(self.system, allowed=False), "password login: no, sshd reads its files again"
        )
        self.assertEqual(self.hung_up, [123])
        self.assertEqual(self.tools.ran_words(), ["sshd -t", "sshd -G", "sshd -T"])

    def test_servers_of_alpine(self) -> None:
        """Its init script starts the sshd in the configuration: that one is asked, and reloads its files."""
        for said, wanted in (
            ("UsePAM yes\n", "sshd.pam"),
            ("UsePAM no\n", "sshd"),
            ("usepam yes\nGSSAPIAuthentication yes\n", "sshd.krb5"),
            ("KerberosAuthentication yes\n", "sshd.krb5"),
            ("", "sshd"),
        ):
            with self.subTest(said):
                self.setUp()
                self.fill({CONFIG: INCLUDE + said, "/run/sshd.pid": "123\n"})
                for name in SERVERS:
                    self.tools.add(name, lambda argv, stdin: (0, "passwordauthentication no\n"))
                run_process(self, 123, "/sbin/" + wanted, "sshd: /usr/sbin/%s [listener]" % wanted)
                set_password_login(self.system, allowed=False)
                self.assertEqual({argv[0] for argv in self.tools.ran}, {wanted})
                self.assertEqual(self.hung_up, [123])
        for name in SERVERS[1:]:  # alone, whatever is configured
            self.setUp()
            self.fill({CONFIG: INCLUDE})
            self.tools.add(name)
            self.assertEqual(find_sshd(self.system), "/sbin/" + name)

    def test_socket_of_systemd(self) -> None:
        """SIGHUP would end an sshd that a systemd socket started."""
        self.fill({"/run/sshd.pid": "123\n", "/run/systemd/system/x": ""})
        run_process(self, 123, "/sbin/sshd", "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups")
        self.fill({"/sbin/sshd": ""})
        os.chmod(self.root + "/sbin/sshd", 0o755)
        for code, signalled in ((0, []), (3, [123])):
            self.tools.add("systemctl", lambda argv, stdin: (code, ""))  # noqa: B023
            self.assertEqual(reload_sshd(self.system), bool(signalled))
            self.assertEqual(self.hung_up, signalled)

    def test_pid_of_another_process(self) -> None:
        """Whatever its name is: the pid may now belong to a user's process."""
        self.fill(
            {CONFIG: INCLUDE + "PasswordAuthentication no\n", "/sbin/sshd": "", "/home/u/sshd": "", "/sbin/cron": ""}
        )
        for program, uid in (("/sbin/cron", 0), ("/home/u/sshd", 0), ("/home/u/sshd", 1000), ("/sbin/sshd", 1000)):
            run_process(self, 123, program, "/usr/sbin/sshd", uid=uid)
            self.system.write("/run/sshd.pid", "123\n")
            self.assertFalse(reload_sshd(self.system))
        for text in ("-1\n", "\xb2\n", "9" * 400, "", "124"):
            self.system.write("/run/sshd.pid", text)
            self.assertFalse(reload_sshd(self.system))
        self.assertEqual(self.hung_up, [])
