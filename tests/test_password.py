"""The password: what the tool reads, what shadow contains, and that no other output of ours shows it."""

import os
from typing import List, Tuple

from azure_provisioning.errors import GuestError
from azure_provisioning.guest.password import hash_sha512, set_password
from azure_provisioning.records import Secret
from tests.guests import FastSystem
from tests.tools import ToolTest

IMAGE = {
    "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nazureuser:x:1000:1000::/home/azureuser:/bin/sh\n",
    "/etc/shadow": "root:*:19000:0:99999:7:::\nazureuser:*:19000:0:99999:7:::\n",
}
PASSWORD = "pa:ss'w\"örd \\$1"

# A hash from the specification, which libcrypt also gives.
SPECIMEN = (
    b"Hello world!",
    "saltstring",
    "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
)


class PasswordTest(ToolTest):
    def setUp(self) -> None:
        super().setUp()
        self.fill(IMAGE)

    def field(self) -> str:
        line = (self.text("/etc/shadow") or "").splitlines()[1]
        self.assertTrue(line.startswith("azureuser:") and line.endswith(":0:99999:7:::"), line)
        return line.split(":")[1]

    def test_specification(self) -> None:
        text, salt, expected = SPECIMEN
        self.assertEqual(hash_sha512(text, salt), expected)

    def test_libcrypt(self) -> None:
        try:
            import crypt  # removed in Python 3.13
        except ImportError:
            self.skipTest("this Python has no crypt")
        for length in list(range(1, 73, 7)) + [16, 32, 63, 64, 65, 72]:
            text, salt = os.urandom(64).hex()[:length], os.urandom(8).hex()
            self.assertEqual(hash_sha512(text.encode(), salt), crypt.crypt(text, "$6$" + salt))

    def chpasswd(self, argv: "List[str]", stdin: bytes) -> "Tuple[int, str]":
        self.given = stdin
        shadow = (self.text("/etc/shadow") or "").replace("azureuser:*:", "azureuser:$y$hash:")
        FastSystem(self.root).write("/etc/shadow", shadow)
        return 0, ""

    def test_chpasswd(self) -> None:
        self.tools.add("chpasswd", self.chpasswd)
        self.assertEqual(set_password(self.system, "azureuser", Secret(PASSWORD)), "set by chpasswd")
        self.assertEqual(self.given, ("azureuser:%s\n" % PASSWORD).encode())
        self.assertEqual(self.tools.ran, [["chpasswd"]])
        self.assertEqual(self.field(), "$y$hash")

    def test_files(self) -> None:
        said = set_password(self.system, "azureuser", Secret(PASSWORD))
        self.assertEqual(said, "written to shadow (no chpasswd)")
        first = self.field()
        self.assertEqual(first, hash_sha512(PASSWORD.encode(), first.split("$")[2]))
        self.assertEqual(set_password(self.system, "azureuser", Secret(PASSWORD)), "already set")
        self.assertEqual(self.field(), first)
        set_password(self.system, "azureuser", Secret("another"))
        self.assertNotEqual(self.field(), first)

    def test_busybox_chpasswd_is_not_used(self) -> None:
        self.fill({"/bin/busybox": "", "/usr/sbin/chpasswd": "-> /bin/busybox"})
        set_password(self.system, "azureuser", Secret(PASSWORD))
        self.assertEqual(self.tools.ran, [])
        self.assertTrue(self.field().startswith("$6$"))

    def test_chpasswd_fails(self) -> None:
        self.tools.add("chpasswd", lambda argv, stdin: (1, "cannot take: " + stdin.decode()))
        said = set_password(self.system, "azureuser", Secret(PASSWORD))
        self.assertEqual(said, "written to shadow (chpasswd failed with 1)")
        self.tools.add("chpasswd", lambda argv, stdin: (0, ""))
        said = set_password(self.system, "azureuser", Secret("another"))
        self.assertEqual(said, "written to shadow (chpasswd set nothing)")

    def test_chpasswd_is_killed(self) -> None:
        """PAM's copy of shadow, which has the hash of the password, is removed."""
        self.fill({"/proc/1/comm": "init\n"})

        def killed(argv: "List[str]", _stdin: bytes) -> "Tuple[int, str]":
            self.fill({"/etc/nshadow": IMAGE["/etc/shadow"]})
            os.utime(self.root + "/etc/nshadow", (0, 0))
            return -9, ""

        self.tools.add("chpasswd", killed)
        self.assertEqual(
            set_password(self.system, "azureuser", Secret(PASSWORD)), "written to shadow (chpasswd failed with -9)"
        )
        self.assertIsNone(self.text("/etc/nshadow"))

    def test_locked_hash_is_replaced(self) -> None:
        self.system.write("/etc/shadow", IMAGE["/etc/shadow"].replace("azureuser:*", "azureuser:!$6$a$b"))
        set_password(self.system, "azureuser", Secret(PASSWORD))
        self.assertTrue(self.field().startswith("$6$"))

    def test_no_shadow(self) -> None:
        self.system.unlink("/etc/shadow")
        set_password(self.system, "azureuser", Secret(PASSWORD))
        self.assertIn("\nazureuser:$6$", self.text("/etc/passwd") or "")

    def test_refused(self) -> None:
        for text, reason in (
            ("", "unsupported password length"),
            ("x" * 73, "unsupported password length"),
            ("secret\nroot:secret", "unsupported password characters"),
            ("secret\0", "unsupported password characters"),
            ("secret\x7f", "unsupported password characters"),
            ("secret\x85", "unsupported password characters"),
            ("secret\udc80", "unsupported password characters"),
        ):
            with self.subTest(text=text):
                with self.assertRaises(GuestError) as caught:
                    set_password(self.system, "azureuser", Secret(text))
                self.assertEqual(caught.exception.reason, reason)
                self.assertEqual(caught.exception.details["length"], str(len(text)))
                self.assertNotIn("secret", str(caught.exception))
        self.assertEqual(self.text("/etc/shadow"), IMAGE["/etc/shadow"])

    def test_longest(self) -> None:
        set_password(self.system, "azureuser", Secret("ö" * 72))
        self.assertTrue(self.field().startswith("$6$"))

    def test_unknown_account_is_refused(self) -> None:
        with self.assertRaisesRegex(GuestError, "no such account"):
            set_password(self.system, "nobody", Secret(PASSWORD))
