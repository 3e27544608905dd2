"""Line and word ends in the guest's files. No other character ends them in a rewritten file."""

import unittest

from azure_provisioning import config
from azure_provisioning.door.programs import last_line
from azure_provisioning.door.text import lines_in, without_comments, words_in
from azure_provisioning.guest import accounts, hosts, privilege, sshd_config
from azure_provisioning.image.generalize.former_name import without_name
from azure_provisioning.image.generalize.former_rules import doas_user, is_idle, without_rules
from azure_provisioning.init import manifest
from azure_provisioning.init.systems.rc_local import commands
from azure_provisioning.story.state import parse
from tests.tools import ToolTest

# Characters that end a line for str.splitlines, but for no C program.
ENDS = "\r", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"
# Characters that end a word for str.split, but not for isspace(3) in the C locale.
BLANKS = "\x1c", "\x1f", "\x85", "\xa0", "\u2003", "\u2028", "\u3000"


class TextTest(unittest.TestCase):
    def test_lines(self) -> None:
        for text, lines in (
            ("", []),
            ("\n", [""]),
            ("a", ["a"]),
            ("a\n", ["a"]),
            ("a\n\n", ["a", ""]),
            ("a\r\nb\n", ["a\r", "b"]),
        ):
            self.assertEqual(lines_in(text), lines)
        for end in ENDS:
            self.assertEqual(lines_in("a%sb\nc\n" % end), ["a%sb" % end, "c"])

    def test_words(self) -> None:
        self.assertEqual(words_in("\ta b\v\fc\r"), ["a", "b", "c"])
        self.assertEqual(words_in(""), [])
        self.assertEqual(words_in("m\udcfcller x"), ["m\udcfcller", "x"])
        for blank in BLANKS:
            self.assertEqual(words_in("a%sb c" % blank), ["a%sb" % blank, "c"])


class FilesTest(ToolTest):
    """Each reader and writer of a file, with every character that ends a line for Python but not for the file
    format."""

    def test_comment_is_not_a_doas_rule(self) -> None:
        self.fill({"/usr/bin/doas": "doas.conf"})
        for end in ENDS:
            with self.subTest(ascii(end)):
                old = "# was:%spermit nopass mallory\n" % end
                self.system.write(privilege.DOAS_CONF, old)
                for _ in range(2):
                    privilege.grant(self.system, "ann")
                    self.assertEqual(self.text(privilege.DOAS_CONF), old + "permit nopass ann\n")

    def test_hosts(self) -> None:
        for end in ENDS:
            with self.subTest(ascii(end)):
                old = "127.0.0.1 localhost\n# x%s127.0.1.1 old web\n" % end
                self.fill({hosts.PATH: old})
                hosts.resolve_own_name(self.system, "web", "old")
                self.assertEqual(self.text(hosts.PATH), old + "127.0.1.1\tweb\n")
                self.assertEqual(without_name(old, "old"), old)
                self.fill({"/etc/nsswitch.conf": "# %shosts: files myhostname\n" % end})
                self.assertFalse(hosts.has_myhostname(self.system))
        for blank in BLANKS:
            with self.subTest(ascii(blank)):
                old = "127.0.0.1 localhost%sweb\n127.0.1.1%sold web\n" % (blank, blank)
                self.fill({hosts.PATH: old, "/etc/nsswitch.conf": "%shosts: myhostname\n" % blank})
                self.assertNotIn("web", hosts.names_in("127.0.0.1 localhost%sweb" % blank))
                self.assertFalse(hosts.has_myhostname(self.system))

    def test_options(self) -> None:
        for end in ENDS:
            with self.subTest(ascii(end)):
                old = "# x%severy_boot = yes\n" % end
                self.system.write(config.PATH, old)
                options, problems = config.load(self.system)
                self.assertEqual((options.every_boot, problems), (False, []))
                config.set_option(self.system, "deadline", "60")
                self.assertEqual(self.text(config.PATH), old + "deadline = 60\n")
        for blank in BLANKS:  # the shell implementation accepts neither
            self.system.write(config.PATH, "every_boot%s= yes\nhost_keys =%skeep\n" % (blank, blank))
            options, problems = config.load(self.system)
            self.assertEqual((options.every_boot, options.host_keys, len(problems)), (False, "new", 2), ascii(blank))

    def test_sudoers(self) -> None:
        for end in ENDS:
            text = "# x%sann ALL=(ALL) ALL\n" % end
            rules = text + "ann ALL=ALL, \\\n !SU\nbob ALL=ALL\n"
            self.assertEqual(without_rules(rules, "ann"), text + "bob ALL=ALL\n")
            self.assertTrue(is_idle(text))
        for blank in BLANKS:
            text = "ann%sALL=(ALL) ALL\n" % blank
            self.assertEqual(without_rules(text, "ann"), text)
            self.assertFalse(is_idle(blank + "\n"))
            self.assertEqual(doas_user("permit%snopass ann\n" % blank), "")

    def test_sshd_config(self) -> None:
        for end in ENDS[1:]:  # sshd treats a carriage return as a blank
            self.fill({sshd_config.PATHS[0]: "# x%sAuthorizedKeysFile /tmp/keys\nPort%s22\n" % (end, end)})
            found = dict(sshd_config.walk(self.system))
            self.assertNotIn("authorizedkeysfile", found)
            self.assertEqual("port" in found, end in "\v\f", ascii(end))

    def test_files_that_are_only_read(self) -> None:
        for end in ENDS:
            with self.subTest(ascii(end)):
                self.fill({accounts.LOGIN_DEFS: "# x%sUID_MIN 5\n" % end})
                self.fill({manifest.PATH: "init=x%slink=/etc/passwd\n" % end})
                self.assertEqual(accounts.uid_min(self.system), accounts.UID_MIN)
                self.assertEqual(manifest.values(self.system, "link"), [])
                self.assertEqual(commands("# x%sreboot\n" % end), [])
                facts = parse(("vm_id=x%sready_at=y\n" % end).encode())
                self.assertEqual(facts, {"vm_id": "x%sready_at=y" % end})
        self.assertEqual(without_comments(b"# runit\rinit\nexec x\n"), b"exec x\n")
        self.assertEqual(last_line("a\nb\x85c\r\n"), "b\x85c")
