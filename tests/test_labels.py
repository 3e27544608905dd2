"""SELinux labels of new files in an image, from its policy or from neighbouring files; and the findings of `check`.

The attributes are real, so only root can set them.
"""

import os
import re
import time
import unittest
from contextlib import suppress
from typing import Dict

from azure_provisioning.door.expression import UnknownError, matches_whole, stem
from azure_provisioning.door.labels import NAME, label_by_policy, read_label, read_policy
from azure_provisioning.door.system import System
from tests.guests import WITH_ATTRIBUTES
from tests.images import call
from tests.sound import CheckTest

BASE = "/etc/selinux/targeted/contexts/files/file_contexts"
UNIT = "/etc/systemd/system/azure-provisioning.service"
PROGRAM = "/usr/local/sbin/azure-provisioning"
# As the reference policy has them.
CONTEXTS = """
# a comment
/.*	system_u:object_r:default_t:s0
/etc(/.*)?	system_u:object_r:etc_t:s0
/usr(/.*)?	system_u:object_r:usr_t:s0
/usr/(.*/)?s?bin(/.*)?	system_u:object_r:bin_t:s0
/usr/local/.*\\.log	--	system_u:object_r:var_log_t:s0
/usr/lib/systemd/system(/.*)?	system_u:object_r:systemd_unit_file_t:s0
/usr/lib/systemd/system/ssh[^/]*\\.service	--	system_u:object_r:sshd_unit_file_t:s0
/var/lib(/.*)?	system_u:object_r:var_lib_t:s0
/etc/hostname	--	system_u:object_r:hostname_etc_t:s0
/etc/[a-z]+name	system_u:object_r:other_t:s0
/proc(/.*)?	<<none>>
/opt/x{1,2}	-d	system_u:object_r:opt_t:s0
"""
POLICY: Dict[str, str] = {
    "/etc/selinux/config": "# x\nSELINUX=enforcing\nSELINUXTYPE=targeted\n",
    BASE: CONTEXTS,
    BASE + ".subs_dist": "/etc/systemd/system /usr/lib/systemd/system\n",
    BASE + ".local": "/usr/local/sbin/mine\t--\tsystem_u:object_r:mine_t:s0\n",
}


def can_label() -> bool:
    """Can this process set labels on the file system of the test trees?"""
    return os.geteuid() == 0


class ExpressionTest(unittest.TestCase):
    def test_same_result_as_re(self) -> None:
        """The same result as `re`, for all forms that policies use."""
        expressions = [line.split()[0] for line in CONTEXTS.split("\n") if line.startswith("/")]
        expressions += ["/a|/b", "/(a|bb|)c", "/a+b?", "/a{2}", "/a{1,}", "/a{,2}", "/[^/]+/x", "/[]a]", "/[a-c-]",
                        "(/a(/b)*)*", "/a\\.b", "/..", "", "/dev/[0-9]+(p[0-9]+)?", "(?:/a)?"]  # fmt: skip
        texts = ["", "/", "/a", "/b", "/ac", "/bbc", "/c", "/aab", "/aa", "/aaa", "/x/x", "/]", "/-", "/a/b/a", "/a.b",
                 "/axb", "/etc", "/etcx", "/etc/hostname", "/usr/local/sbin/x", "/usr/sbin", "/opt/xx", "/opt/xxx",
                 "/dev/1p2", "/dev/1p", "/usr/local/a.log", "/usr/lib/systemd/system/ssh.service"]  # fmt: skip
        for expression in expressions:
            for text in texts:
                wanted = re.fullmatch(expression.replace("{,", "{0,"), text) is not None
                self.assertEqual(matches_whole(expression, text), wanted, (expression, text))
                self.assertTrue(not wanted or text.startswith(stem(expression)), (expression, text))

    def test_unknown(self) -> None:
        for expression in ("(", ")", "[a", "a**", "\\d", "(?!a)", "a{99}", "[[:alpha:]]", "^a", "a$", "\\", "x" * 2000,
                           "(" * 30 + ")" * 30, "{", "a{2,1}", "a{\u0662}"):  # fmt: skip
            with self.assertRaises(UnknownError):
                matches_whole(expression, "a")

    def test_time_is_bounded(self) -> None:
        """Expressions that take exponential time in `re`."""
        before = time.monotonic()
        for expression in ("(a*)*b", "(a|a)*b", "(a|aa)+b", "((a*)*)*b", "(.*)*x(.*)*y"):
            with suppress(UnknownError):
                self.assertFalse(matches_whole(expression, "a" * 400))
        self.assertLess(time.monotonic() - before, 20)


@WITH_ATTRIBUTES
class LabelTest(CheckTest):
    def label(self, *paths: str) -> None:
        """Existing files have labels, as in a labelled image."""
        for path in paths:
            value = b"system_u:object_r:etc_t:s0\0"
            os.setxattr(self.root + path, NAME, value, follow_symlinks=False)  # type: ignore[attr-defined,unused-ignore]

    def type_of(self, path: str) -> str:
        return (read_label(self.system, path).split(":") + ["", "", ""])[2]

    def setUp(self) -> None:
        if not can_label():
            self.skipTest("only root may give labels to files")
        super().setUp()

    def test_policy(self) -> None:
        self.fill(POLICY)
        policy = read_policy(self.system)
        for path, kind, wanted in (
            ("/usr/local/sbin/azure-provisioning", 0o100000, "bin_t"),
            ("/usr/local/sbin/mine", 0o100000, "mine_t"),
            ("/usr/local/sbin/mine", 0o040000, "bin_t"),
            ("/etc/systemd/system/azure-provisioning.service", 0o100000, "systemd_unit_file_t"),
            ("/etc/systemd/system/sshd.service", 0o100000, "sshd_unit_file_t"),
            ("/etc/hostname", 0o100000, "hostname_etc_t"),  # a plain path has precedence over later patterns
            ("/etc/hostname", 0o120000, "other_t"),
            ("/proc/1", 0o100000, ""),
            ("/else", 0o100000, "default_t"),
        ):
            found = label_by_policy(policy, path, kind)
            self.assertEqual(found, "system_u:object_r:%s:s0" % wanted if wanted else "", path)

    def test_install(self) -> None:
        self.uninstall()
        self.fill(POLICY)
        self.label("/etc", "/usr")
        result = self.install()
        self.assertNotIn("SELinux", result.err)
        self.assertEqual(self.type_of(PROGRAM), "bin_t")
        self.assertEqual(self.type_of(UNIT), "systemd_unit_file_t")
        wants = "/etc/systemd/system/multi-user.target.wants/azure-provisioning.service"
        self.assertEqual(self.type_of(wants), "systemd_unit_file_t")
        self.assertEqual(self.type_of("/usr/local/sbin"), "bin_t")
        self.assertEqual(self.type_of("/var/lib/azure-provisioning/install"), "var_lib_t")
        self.good("selinux", "our files are labelled")

    def test_neighbours(self) -> None:
        """The policy has no label, or uses an unsupported form."""
        self.uninstall()
        odd = "/usr/local(/.*)?\\d\tx:x:x_t:s0\n"
        self.fill(dict(POLICY, **{BASE: odd, "/usr/local/sbin/other": "", UNIT + "x": ""}))
        self.label("/etc", "/usr", "/usr/local/sbin/other", UNIT + "x")
        self.install()
        self.assertEqual(self.type_of(PROGRAM), "etc_t")
        self.assertEqual(self.type_of(UNIT), "etc_t")

    def test_neither(self) -> None:
        self.uninstall()
        self.fill(dict(POLICY, **{BASE: "", BASE + ".local": ""}))
        self.label("/etc")
        result = self.install()
        self.assertRegex(result.err, "warning: /.* SELinux label: create /.autorelabel in the image")
        (found,) = self.findings("selinux")
        self.assertEqual(found.level, "warning")
        self.assertEqual(call(["sh", "-c", found.remedy]).code, 0)
        self.good("selinux", "the next boot labels all")
        self.assertNotIn("SELinux", self.install().err)

    def test_trees_without_labels(self) -> None:
        self.good("selinux", "no policy is loaded")
        self.fill(dict(POLICY, **{"/etc/selinux/config": "SELINUX=disabled\nSELINUXTYPE=targeted\n"}))
        self.good("selinux", "no policy is loaded")
        self.bad("selinux", "warning", "its files have no labels", POLICY)
        self.assertEqual(self.type_of(PROGRAM), "")
        self.install()
        self.assertEqual(self.type_of(PROGRAM), "")  # the whole image is labelled later

    def test_settings_as_libselinux_reads_them(self) -> None:
        for text in ("SELINUX=Enforcing", "SELINUX= enforcing   # x", "SELINUX=PERMISSIVE\r",
                     "SELINUX=x\nSELINUX=enforcing",
                     "SELINUX=enforcing\nSELINUX=disabled", "SELINUX=enforcing\n SelinuxType=targeted \r",
                     "SELINUX=enforcing\nSELINUXTYPE=x\nSELINUXTYPE=targeted"):  # fmt: skip
            files = dict(POLICY, **{"/etc/selinux/config": text + "\n"})
            self.bad("selinux", "warning", "its files have no labels", files)
        for text in ("SELINUX=Disabled", "SELINUX=disabled\nSELINUX=enforcing", " SELINUX=enforcing",
                     "selinux=enforcing", "SELINUX=enforcing\nSELINUXTYPE=targeted # x"):  # fmt: skip
            self.fill({"/etc/selinux/config": text + "\n"})
            self.good("selinux", "no policy is loaded")

    def test_own_file_without_a_label(self) -> None:
        self.fill(POLICY)
        self.label("/etc")
        self.assertRegex(self.findings("selinux")[0].message, "^%s has no label, and [0-9] more" % PROGRAM)

    def test_hostile_policy(self) -> None:
        for name in ("../../x", "a/b", "", "nothing"):
            self.fill({"/etc/selinux/config": "SELINUX=enforcing\nSELINUXTYPE=%s\n" % name})
            self.assertEqual(read_policy(self.system).rules, [])
        self.assertEqual(read_policy(System(self.root)).aliases, [])
