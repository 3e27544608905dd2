"""`/etc/hosts`, before and after."""

from azure_provisioning.guest.hosts import resolve_own_name
from tests.guests import GuestTest

LOCAL = "127.0.0.1\tlocalhost\n"


class HostsTest(GuestTest):
    def resolve(self, text: str, name: str = "web", old_name: str = "old") -> str:
        """The result for a file with this text."""
        self.fill({"/etc/hosts": text})
        resolve_own_name(self.system, name, old_name)
        return self.text("/etc/hosts") or ""

    def test_table(self) -> None:
        for before, after in (
            ("", "127.0.1.1\tweb\n"),
            (LOCAL, LOCAL + "127.0.1.1\tweb\n"),
            (LOCAL.strip(), LOCAL + "127.0.1.1\tweb\n"),
            (LOCAL + "127.0.1.1\told\n", LOCAL + "127.0.1.1\tweb\n"),
            (LOCAL + "127.0.1.1 OLD.example old\n::1 localhost\n", LOCAL + "127.0.1.1\tweb\n::1 localhost\n"),
            ("127.0.1.1\tother\n", "127.0.1.1\tother\n127.0.1.1\tweb\n"),
            ("127.0.0.1 localhost old\n", "127.0.0.1 localhost old\n127.0.1.1\tweb\n"),
            ("::1 old\n", "::1 old\n127.0.1.1\tweb\n"),
            ("10.0.0.4 old\n", "10.0.0.4 old\n127.0.1.1\tweb\n"),
            ("#127.0.1.1 old\n", "#127.0.1.1 old\n127.0.1.1\tweb\n"),
            ("# 127.0.0.1 web\n", "# 127.0.0.1 web\n127.0.1.1\tweb\n"),
            ("127.0.0.1 localhost # web\n", "127.0.0.1 localhost # web\n127.0.1.1\tweb\n"),
            ("127.0.0.1 webx xweb\n", "127.0.0.1 webx xweb\n127.0.1.1\tweb\n"),
        ):
            with self.subTest(before):
                self.assertEqual(self.resolve(before), after)
                self.assertEqual(self.resolve(after), after)

    def test_existing_name(self) -> None:
        for text in (
            "127.0.0.1 localhost web\n",
            "127.0.0.1 localhost WEB\n",
            "10.0.0.4\tx web # y\n",
            "127.0.1.1 web",
            "127.0.1.1 old web\n",
        ):
            with self.subTest(text):
                self.assertEqual(self.resolve(text), text)

    def test_long_name_adds_its_short_name(self) -> None:
        self.assertEqual(self.resolve(LOCAL, "web.example.com"), LOCAL + "127.0.1.1\tweb.example.com web\n")

    def test_no_file(self) -> None:
        resolve_own_name(self.system, "web", "old")
        self.assertEqual(self.text("/etc/hosts"), "127.0.1.1\tweb\n")

    def test_invalid_bytes_are_kept(self) -> None:
        self.system.write("/etc/hosts", b"10.0.0.1 m\xfcller\n127.0.1.1 old\n")
        resolve_own_name(self.system, "web", "old")
        self.assertEqual(self.system.read("/etc/hosts"), b"10.0.0.1 m\xfcller\n127.0.1.1\tweb\n")

    def test_myhostname(self) -> None:
        for line, left in (
            ("hosts: files myhostname dns\n", True),
            ("passwd: files\n  hosts :\tmymachines resolve [!UNAVAIL=return] files myhostname\n", True),
            ("hosts: files dns # myhostname\n", False),
            ("#hosts: myhostname\n", False),
            ("passwd: myhostname\n", False),
            ("hosts: files notmyhostnames\n", False),
        ):
            with self.subTest(line):
                self.fill({"/etc/nsswitch.conf": line})
                self.assertEqual(self.resolve(LOCAL) == LOCAL, left)
