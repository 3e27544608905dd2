"""Reports only the accounts that sshd's own lists keep out."""

from typing import Dict

from azure_provisioning.guest.sshd_access import find_doubt, find_lock_out
from tests.tools import ToolTest

CONFIG = "/etc/ssh/sshd_config"
ACCOUNTS = {
    "/etc/passwd": "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n",
    "/etc/group": "root:x:0:\nsudo:x:27:bob,alice\nalice:x:1000:\nguests:x:1001:bob\n",
}

KEPT_OUT: Dict[str, str] = {
    "AllowUsers bob\nAllowUsers carol\n": "AllowUsers bob carol",
    "AllowUsers *,bob\n": "AllowUsers *,bob",
    "AllowUsers al[i]ce\n": "AllowUsers al[i]ce",
    "AllowUsers !alice\n": "AllowUsers !alice",
    "AllowUsers *@127.0.0.2,::1\n": "AllowUsers *@127.0.0.2,::1",
    "AllowUsers *@!10.0.0.0/8\n": "AllowUsers *@!10.0.0.0/8",
    "DenyUsers !alice *\n": "DenyUsers !alice *",
    "DenyUsers *@!10.0.0.0/8,*\n": "DenyUsers *@!10.0.0.0/8,*",
    "DenyGroups !sudo *\n": "DenyGroups !sudo *",
    "DenyUsers a*\nAllowUsers alice\n": "DenyUsers a*",
    "AllowGroups guests\n": "AllowGroups guests",
    "DenyGroups sudo\n": "DenyGroups sudo",
    "DenyGroups alice\n": "DenyGroups alice",
    "PubkeyAuthentication no\n": "PubkeyAuthentication no",
}
LET_IN = (
    "",
    "# AllowUsers bob\n",
    "AllowUsers bob\nAllowUsers alice\n",
    "AllowUsers alice@10.0.0.?\n",
    "AllowUsers al?ce\n",
    "DenyUsers bob\n",
    "AllowUsers * !alice\n",
    "AllowGroups !sudo *\n",
    "DenyUsers !alice\n",
    "DenyUsers *@!203.0.113.0/24,!203.*,*\n",
    "AllowGroups sudo\n",
    "AllowGroups alice\n",
    "DenyGroups guests\n",
    "Match user bob\nAllowUsers bob\n",
)


class SshdAccessTest(ToolTest):
    def test_administrator_is_locked_out(self) -> None:
        for text, lock_out in KEPT_OUT.items():
            with self.subTest(text):
                self.fill({CONFIG: text, **ACCOUNTS})
                self.assertEqual(find_lock_out(self.system, "alice"), lock_out)

    def test_administrator_is_allowed(self) -> None:
        for text in LET_IN:
            with self.subTest(text):
                self.fill({CONFIG: text, **ACCOUNTS})
                self.assertEqual(find_lock_out(self.system, "alice"), "")

    def test_addresses(self) -> None:
        """Who is let in from some addresses only may be let in."""
        self.fill(ACCOUNTS)
        for value, doubt in (("alice@10.0.0.? bob", True), ("*@10.* *@*", False), ("alice@!10.0.0.0/8,*", True)):
            found = {"allowusers": value}
            self.assertEqual(find_doubt(self.system, "alice", found), "AllowUsers " + value if doubt else "")

    def test_access_list_from_sshd_t(self) -> None:
        """Its output has a line for each name."""
        self.fill(ACCOUNTS)
        self.tools.add("sshd", lambda argv, stdin: (0, "allowusers bob\nallowusers carol\n"))
        self.assertEqual(find_lock_out(self.system, "alice"), "AllowUsers bob carol")
