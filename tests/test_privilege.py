"""sudo and doas: the rule, its file, and its check."""

import os
import stat
from typing import List, Tuple

from azure_provisioning.errors import GuestError
from azure_provisioning.guest.privilege import (
    CANDIDATE,
    DOAS_CONF,
    DOAS_RULE,
    SUDO_RULE,
    find_doas,
    find_right,
    find_sudo,
    find_sudoers,
    grant,
)
from tests.tools import ToolTest

SUDOERS = "root ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n"


class PrivilegeTest(ToolTest):
    def mode(self, path: str) -> int:
        return stat.S_IMODE(os.stat(self.root + path).st_mode)

    def test_sudo(self) -> None:
        self.fill({"/usr/bin/sudo": "", "/etc/sudoers": SUDOERS})
        for _ in range(2):
            grant(self.system, "azure.user")
            self.assertEqual(self.text(SUDO_RULE), "azure.user ALL=(ALL) NOPASSWD:ALL\n")
            self.assertEqual(self.mode(SUDO_RULE), 0o440)
            self.assertEqual(self.text("/etc/sudoers"), SUDOERS)

    def test_name_in_capitals_is_quoted(self) -> None:
        self.fill({"/usr/bin/sudo": "", "/etc/sudoers": SUDOERS})
        for name, expected in (("ALL", '"ALL" '), ("ADMIN_1", '"ADMIN_1" '), ("Admin", "Admin ")):
            grant(self.system, name)
            self.assertTrue((self.text(SUDO_RULE) or "").startswith(expected))

    def test_visudo_checks_the_rule_first(self) -> None:
        self.fill({"/usr/bin/sudo": "", "/etc/sudoers": SUDOERS, CANDIDATE: "left by a killed run\n"})
        seen = []

        def visudo(argv: "List[str]", _stdin: bytes) -> "Tuple[int, str]":
            seen.append(self.text(argv[-1]))
            return 0, ""

        self.tools.add("visudo", visudo)
        grant(self.system, "azureuser")
        self.assertEqual(self.tools.ran_words(), ["visudo -cf " + CANDIDATE])
        self.assertEqual(seen, ["azureuser ALL=(ALL) NOPASSWD:ALL\n"])
        self.assertIsNone(self.text(CANDIDATE))
        self.assertIsNotNone(self.text(SUDO_RULE))

    def test_visudo_refuses(self) -> None:
        self.fill({"/usr/bin/sudo": "", "/etc/sudoers": SUDOERS})
        self.tools.add("visudo", lambda argv, stdin: (1, "parse error in line 1"))
        with self.assertRaisesRegex(GuestError, "parse error"):
            grant(self.system, "azureuser")
        self.assertEqual(self.system.list("/etc/sudoers.d"), [])

    def test_visudo_is_killed_once(self) -> None:
        self.fill({"/usr/bin/sudo": "", "/etc/sudoers": SUDOERS})
        deaths = [(-9, "")]
        self.tools.add("visudo", lambda argv, stdin: deaths.pop() if deaths else (0, ""))
        grant(self.system, "azureuser")
        self.assertEqual(self.tools.ran_words(), ["visudo -cf " + CANDIDATE] * 2)
        self.assertIsNotNone(self.text(SUDO_RULE))

    def test_sudoers_of_empty_lines(self) -> None:
        """Quadratic time would take minutes."""
        self.fill({"/usr/bin/sudo": "", "/etc/sudoers": "\n" * 300000 + "x\n" + SUDOERS})
        grant(self.system, "azureuser")
        self.assertEqual((self.text("/etc/sudoers") or "")[300000:], "x\n" + SUDOERS)

    def test_sudoers_folder_is_not_included(self) -> None:
        for text in ("root ALL=(ALL) ALL", "# includedir /etc/sudoers.d\n", "#includedir /etc/other\n", ""):
            with self.subTest(text=text):
                self.fill({"/usr/bin/sudo": "", "/etc/sudoers": text})
                grant(self.system, "azureuser")
                grant(self.system, "azureuser")
                first = text if text.endswith("\n") or not text else text + "\n"
                self.assertEqual(self.text("/etc/sudoers"), first + "#includedir /etc/sudoers.d\n")

    def test_sudoers_folder_is_included_by_another_form(self) -> None:
        """Read twice, an alias in the folder would be defined twice, and sudo would refuse to work."""
        other = "# x\n@include /etc/sudoers\n@includedir sudoers.d/\n"
        for text in ("@includedir sudoers.d\n", "#includedir ../etc/sudoers.d \r\n", '@include "sudoers local"\n'):
            with self.subTest(text=text):
                self.fill({"/usr/bin/sudo": "", "/etc/sudoers": text, "/etc/sudoers local": other})
                grant(self.system, "azureuser")
                self.assertEqual(self.text("/etc/sudoers"), text)
                self.assertIsNotNone(self.text(SUDO_RULE))

    def test_sudo_conf_sets_another_file(self) -> None:
        plugin = "Plugin sudoers_%s sudoers.so sudoers_mode=0440 sudoers_file=%s\n"
        files = {"/etc/sudoers": SUDOERS, "/opt/sudoers": "root ALL=(ALL) ALL\n"}
        for conf, expected in (
            (plugin % ("policy", "/opt/sudoers"), "/opt/sudoers"),
            (plugin % ("policy", "/opt/x") + plugin % ("audit", "/opt/sudoers:/opt/x"), "/opt/sudoers"),
            ("#" + plugin % ("policy", "/opt/sudoers"), "/etc/sudoers"),
            (plugin % ("policy", "sudoers"), "/etc/sudoers"),
        ):
            with self.subTest(conf):
                self.fill({"/usr/bin/sudo": "", "/etc/sudo.conf": conf, **files})
                self.assertEqual(find_sudoers(self.system, "/usr/bin/sudo"), expected)
                self.fill({"/usr/bin/sudo": "\x7fELF /etc/sudoers-rs"})
                self.assertEqual(find_sudoers(self.system, "/usr/bin/sudo"), "/etc/sudoers")
        self.fill({"/usr/bin/sudo": "", "/etc/sudo.conf": plugin % ("policy", "/opt/sudoers")})
        grant(self.system, "azureuser")
        self.assertEqual(self.text("/opt/sudoers"), "root ALL=(ALL) ALL\n#includedir /etc/sudoers.d\n")
        self.assertEqual(self.text("/etc/sudoers"), SUDOERS)

    def test_usr_etc(self) -> None:
        self.fill({"/usr/bin/sudo": "", "/usr/etc/sudoers": '#includedir "/etc/sudoers.d"\n'})
        grant(self.system, "azureuser")
        self.assertIsNone(self.text("/etc/sudoers"))

    def test_doas(self) -> None:
        self.fill({"/usr/bin/doas": "doas.conf"})
        grant(self.system, "azureuser")
        self.assertEqual((self.text(DOAS_CONF), self.mode(DOAS_CONF)), ("permit nopass azureuser\n", 0o600))
        self.system.write(DOAS_CONF, "permit  nopass azureuser\npermit persist :wheel", mode=0o664)
        for _ in range(2):
            grant(self.system, "azureuser")
            self.assertEqual(self.text(DOAS_CONF), "permit persist :wheel\npermit nopass azureuser\n")
            self.assertEqual(self.mode(DOAS_CONF), 0o644)

    def test_doas_folder(self) -> None:
        self.fill(
            {"/usr/bin/doas": "\0/etc/doas.d\0/etc/doas.conf", "/etc/doas.d/doas.conf": "permit persist :wheel\n"}
        )
        grant(self.system, "azureuser")
        self.assertEqual((self.text(DOAS_RULE), self.mode(DOAS_RULE)), ("permit nopass azureuser\n", 0o600))
        self.assertEqual(self.system.list("/etc/doas.d")[-1], os.path.basename(DOAS_RULE))
        self.assertIsNone(self.text(DOAS_CONF))

    def test_doas_without_a_folder(self) -> None:
        self.fill({"/usr/bin/doas": "doas.conf", "/etc/doas.d/x": ""})
        grant(self.system, "azureuser")
        self.assertIsNone(self.text(DOAS_RULE))
        self.assertIsNotNone(self.text(DOAS_CONF))

    def test_sudo_is_doas(self) -> None:
        """Alpine's doas-sudo-shim is a script; others make a link. A sudo rule would have no effect."""
        shim = '#!/bin/sh\n# sudo by doas\nuser=root\nexec doas -u $user -- "$@"\n'
        run0 = '#!/bin/sh\n# in place of /usr/bin/sudo\nexec run0 "$@"\n'
        for sudo in ("-> doas", "-> /usr/bin/doas", "-> /etc/alternatives/sudo", shim, run0):
            with self.subTest(sudo):
                self.setUp()
                self.fill({"/usr/bin/doas": "doas.conf", "/usr/bin/sudo": sudo})
                self.fill({"/etc/alternatives/sudo": "-> /usr/bin/doas"})
                self.assertEqual(grant(self.system, "azureuser"), "azureuser may use doas without a password")
                self.assertEqual(self.text(DOAS_CONF), "permit nopass azureuser\n")
                self.assertIsNone(self.text(SUDO_RULE))
        self.system.unlink("/usr/bin/doas")
        with self.assertRaisesRegex(GuestError, "neither sudo nor doas"):
            grant(self.system, "azureuser")
        self.fill({"/usr/bin/sudo": '#!/bin/sh\n# not doas: the real one\nexec /opt/bin/sudo "$@"\n'})
        self.assertEqual(grant(self.system, "azureuser"), "azureuser may use sudo without a password")

    def test_names_of_the_file_itself(self) -> None:
        """A link to systemd-run, which is run0, is no sudo: with the setuid bit, it would make everybody root."""
        real = ("/etc/alternatives/sudo", "/usr/bin/sudo.ws", "/usr/lib/cargo/bin/sudo", "/usr/bin/sudo-rs")
        for target in (*real, "run0", "/usr/bin/systemd-run", "su", "sudoedit", "pseudo"):
            with self.subTest(target):
                self.setUp()
                path = "/usr/bin/" + target if "/" not in target else target
                self.fill({"/usr/bin/sudo": "-> " + target, "/usr/bin/doas": "-> " + target, path: ""})
                self.system.write(path, "\x7fELF", mode=0o755)
                if path == real[0]:
                    self.system.unlink(path)
                    self.fill({path: "-> " + real[1], real[1]: "\x7fELF"})
                self.assertEqual(find_sudo(self.system), "/usr/bin/sudo" if target in real else None)
                self.assertIsNone(find_doas(self.system))

    def test_names_of_doas(self) -> None:
        self.fill({"/usr/bin/opendoas": "\x7fELF"})
        for text, found in (("-> opendoas", True), ("\x7fELF", True), ('#!/bin/sh\nexec sudo "$@"\n', False),
                            ('#!/bin/sh\nexec /opt/bin/doas "$@"\n', True)):  # fmt: skip
            self.system.unlink("/usr/bin/doas")
            self.fill({"/usr/bin/doas": text})
            self.assertEqual(bool(find_doas(self.system)), found, text)

    def test_sudo_and_doas(self) -> None:
        self.fill({"/usr/bin/doas": "doas.conf", "/usr/bin/sudo": "\x7fELF doas\n", "/etc/sudoers": ""})
        self.assertEqual(
            grant(self.system, "azureuser"),
            "azureuser may use sudo without a password, azureuser may use doas without a password",
        )
        self.assertEqual(self.text(DOAS_CONF), "permit nopass azureuser\n")
        self.assertIsNotNone(self.text(SUDO_RULE))
        self.assertEqual(
            grant(self.system, "nopass"), "nopass may use sudo without a password, not a name for doas (name=nopass)"
        )

    def test_sudo_without_its_bit(self) -> None:
        """Root can list the rules with such a sudo, but it cannot change to root."""
        said = "sudo: /usr/bin/sudo must be owned by uid 0 and have the setuid bit set\n"
        listed = "User azureuser may run the following commands on vm:\n    (ALL) NOPASSWD: ALL\n"
        self.fill({"/etc/sudoers": SUDOERS})
        self.tools.add("sudo", lambda argv, _: (0, listed), "/usr/bin")
        self.assertIn("without a password", grant(self.system, "azureuser"))  # without su(1) it cannot be tested
        self.tools.add("su", lambda argv, _: (1, said) if "sudo" in argv[4] else (0, ""))
        with self.assertRaisesRegex(GuestError, "must be owned by uid 0 and have the setuid bit"):
            grant(self.system, "azureuser")
        self.assertEqual(find_right(self.system, "azureuser"), (False, said.strip()))
        self.assertEqual(self.text("/etc/sudoers"), SUDOERS)
        os.chmod(self.root + "/usr/bin/sudo", 0o4755)
        self.assertIn("without a password", grant(self.system, "azureuser"))
        self.assertEqual(find_right(self.system, "azureuser"), (True, ""))

    def test_refused(self) -> None:
        with self.assertRaisesRegex(GuestError, "neither sudo nor doas"):
            grant(self.system, "azureuser")
        self.fill({"/usr/bin/doas": "doas.conf"})
        for name in ("nopass", "a b", "%wheel", "#0", "", "a\n", "a=b"):
            with self.subTest(name=name), self.assertRaisesRegex(GuestError, "not a name"):
                grant(self.system, name)
        self.assertIsNone(self.text(DOAS_CONF))
