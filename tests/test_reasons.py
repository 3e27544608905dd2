"""Every failure of a boot is in one table, with a remedy. The man page is generated from it.

`python3 -m tests.test_reasons` prints the table in Markdown.
"""

import ast
import os
import re
import subprocess
import unittest
from typing import Iterator, List, Set

from azure_provisioning import manual, reasons
from azure_provisioning.errors import BadReply, GuestError, ProvisionError
from azure_provisioning.reasons import ANY, ROWS, find_remedy, find_row, with_remedy
from tests import TOP
from tests.test_house import modules

ERRORS = ("ProvisionError", "GuestError", "LastingError", "BadReply", "Unreachable", "SpentError")
# Only warnings, or no fault: steps that Ready does not require, the hook, the DVD.
WARNINGS = {
    "guest/": {
        "the kernel does not see the larger partition", "neither growpart nor sfdisk is installed",
        "the partition grows at the next boot: neither partx nor blockdev is installed",
        "%s is missing: the file system keeps its size", "no number in %s", "no random device",
        "not a name for sudo or doas", "neither sudo nor doas is installed", "not a name for doas", "not a host name",
        "no interface has a default route", "no interface has a route to Azure", "dhclient got no lease",
        "a second dhclient does not end", "the volume is not a linear one: it keeps its size",
        "lvm is missing: the volume keeps its size", "no known DHCP client can send the new name",
        "systemd-networkd did not request a lease with the new name",
        "no program `true`", "sudo does not apply the rule", "doas does not apply the rule",
        "dhcpcd sends no host name", "host keys cannot be made", "password login cannot be set",
        "no sshd to be asked",
        "sshd's list of who may log in is too long", "sshd's configuration includes too many files",
        "a pattern matches too many files", "not the name of a file",
    },
    "story/": {"it cannot be determined whether this VM is Ready"},  # `status`
    "azure/": {
        "no answer yet from %s",
        "the key-value pool is full", "no medium", "no program to mount with", "cannot be mounted", "no %s on it",
        "no program to read it with", "neither UDF nor ISO 9660 on it", "cannot be read",
    },
}  # fmt: skip
NAMES, CODES = ("IMDS", "WireServer"), (302, 400, 401, 403, 404, 408, 410, 429, 500, 503)
# Reasons that are composed when they are raised.
FORMS = {
    "%s %s querying %s": "read timeout querying IMDS",
    "%s failed": "customData failed",
    "unexpected metadata parsing ovf-env.xml: ": "unexpected metadata parsing ovf-env.xml: x",
}


def table() -> "List[str]":
    """The table in Markdown."""
    lines = ["| reason | what it means | what to do |", "|---|---|---|"]
    for row in (*ROWS, ANY):
        cell = " / ".join("`%s`" % reason for reason in row.reasons) if row is not ANY else "any other"
        lines.append("| %s%s | %s | %s |" % (cell, " (%s)" % row.details if row.details else "", row.means, row.remedy))
    return lines


def raised(path: str, tree: ast.AST) -> "Iterator[str]":
    """The reasons of the errors that a module raises, as written in its source."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ERRORS and node.args:
            reason = node.args[0]
            if isinstance(reason, ast.BinOp):
                reason = reason.left
            if isinstance(reason, ast.Constant) and isinstance(reason.value, str):
                yield reason.value
            elif type(reason).__name__ == "Str":  # before Python 3.8
                yield str(getattr(reason, "s", ""))


class TableTest(unittest.TestCase):
    def test_man_page(self) -> None:
        page = manual.man_page()
        for row in (*ROWS, ANY):
            self.assertIn(manual.escape(" / ".join(row.reasons)), page)
            self.assertIn(manual.escape(row.remedy.replace("`", "")), page)

    def test_sentences(self) -> None:
        for row in (*ROWS, ANY):
            self.assertRegex(row.remedy, r"^[A-Z`I][^\n|]*[^.\n|]$")
            self.assertRegex(row.means, r"^([^A-Z]|Azure )[^\n|]*[^.\n|]$")
            for reason in row.reasons:
                self.assertEqual(reason, reason.strip())

    def test_every_reason_of_a_boot_is_listed(self) -> None:
        """Every reason that the modules raise has its own row."""
        found: "Set[str]" = set()
        for path, tree in modules():
            wing = path.split("/")[0] + "/"
            if wing in ("story/", "azure/", "guest/") and path != "story/run.py":  # which refuses others than root
                found |= set(raised(path, tree)) - WARNINGS.get(wing, set())
        self.assertGreater(len(found), 30)
        found = {FORMS.get(reason, reason) for reason in found}
        unknown = [reason for reason in found if find_row(re.sub("%[sd]", "x", reason), {}) is ANY]
        self.assertEqual(unknown, [])

    def test_another_password_is_not_advised(self) -> None:
        """One of more than 72 characters may have been encrypted."""
        remedy = find_remedy("unsupported password length", {})
        self.assertNotRegex(remedy, "(?i)choose|another|shorter")
        self.assertIn("SSH key", remedy)

    def test_shell_gives_the_same_advice(self) -> None:
        """Every failure that the shell implementation can report, with the words of the table."""
        with open(os.path.join(TOP, "src", "essential.sh"), encoding="ascii") as file:
            script = file.read()
        function = script[script.index("advise() {") : script.index("fail() { # REASON")]
        cases = [
            *(("%s %s" % (start, name), "") for start in ("no answer from", "half an answer from") for name in NAMES),
            *(("unusable answer from %s" % name, "") for name in NAMES),
            *(("http error %d querying %s" % (code, name), "") for code in CODES for name in NAMES),
            ("failure to write file", "path=/etc/hostname"),
            ("failure to read customData while hasCustomData=true", "problem=it takes Python"),
            ("unsupported admin username", "name=root"),
            ("the account cannot be made", "name=x problem=y"),
            ("the ssh keys cannot be added", "path=/home/x/.ssh/authorized_keys problem=y"),
            ("nobody can log in", "name=x problem=y"),
            ("no usable ssh key", "given=1"),
            ("ready gate failed", "gate=x problem=not run: y"),
            ("ready gate failed", "gate=x code=1"),
            ("there is no curl, wget or nc", ""),
            ("python is broken", "problem=json"),
            ("the options need Python", "option=password"),
            ("no usable answer from IMDS", "problem=http error 403 querying IMDS"),
            ("no usable answer from IMDS", "problem=no answer from IMDS: curl: (7) refused"),
        ]
        reported = set(re.findall(r"fail '([^']+)'", script))
        self.assertLessEqual(reported, {reason for reason, _ in cases})
        for reason, details in cases:
            argv = ["sh", "-c", 'log=%s\n%s\nadvise "$@"' % (reasons.LOG, function), "sh", reason, details]
            printed = subprocess.check_output(argv, universal_newlines=True)
            pairs = re.findall(r"(\w+)=((?:[^=]|=$)*?)(?= \w+=|$)", details)
            self.assertEqual(printed, find_remedy(reason, dict(pairs)) + "\n", (reason, details))


class FindTest(unittest.TestCase):
    def test_found(self) -> None:
        cases = {
            "http error 401 querying IMDS": "proxy agent",
            "http error 403 querying WireServer": "proxy agent",
            "http error 404 querying WireServer": "az vm redeploy",
            "http error 503 querying IMDS": "later",
            "failure to read customData while hasCustomData=true": "udf",
            "failure to write file": "larger disk",
            "customData failed": "output",
            "this VM is pre-provisioned (Running): nothing is applied to it": "Wait",
            "no such thing": "log",
            "": "log",
        }
        for reason, word in cases.items():
            self.assertIn(word, find_remedy(reason, {}), reason)
            self.assertNotIn("`", find_remedy(reason, {}))

    def test_details_choose_the_row(self) -> None:
        self.assertIn("chmod", find_remedy("ready gate failed", {"problem": "not run: x"}))
        self.assertIn("by hand", find_remedy("ready gate failed", {"code": "1"}))
        problem = {"problem": "http error 403 querying IMDS"}
        self.assertIn("proxy agent", find_remedy("no usable answer from IMDS", problem))
        self.assertIn("this table", find_remedy("no usable answer from IMDS", {"problem": "x"}))

    def test_stars(self) -> None:
        for reason, known, fits in (
            ("http error 4 querying x", "http error * querying *", True),
            ("http error  querying x", "http error * querying *", False),
            ("http error 4 querying ", "http error * querying *", False),
            ("abc", "abc", True),
            ("abcd", "abc", False),
            ("xa", "*a", True),
            ("a", "*a", False),
            ("a", "*", True),
        ):
            self.assertEqual(reasons.fits(reason, known), fits, (reason, known))

    def test_line(self) -> None:
        line = with_remedy(GuestError("ready gate failed", advice="no licence", gate="50-x", code=3))
        self.assertTrue(
            line.startswith("ready gate failed (gate=50-x, code=3): no licence. Run it by hand to see"), line
        )
        self.assertEqual(str(with_remedy(ProvisionError("x"))), "x. See the log (%s)" % reasons.LOG)
        self.assertNotIn("secret", with_remedy(BadReply("http error 500 querying IMDS", said="secret")))


if __name__ == "__main__":
    print("\n".join(table()))
