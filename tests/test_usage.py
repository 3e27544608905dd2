"""One table of verbs: `--help` prints it, and the command line agrees with it."""

import os
import re
import sys
import unittest

from azure_provisioning import usage, verbs
from azure_provisioning.image.rehearse.faults import FAULTS
from tests import TOP
from tests.images import built_file, call
from tests.test_zipapp import pythons

WORDS = [""] + sorted({part for verb in usage.VERBS for part in (verb.name.split()[0], verb.name)})


class TableTest(unittest.TestCase):
    def test_each_verb_has_a_function(self) -> None:
        self.assertEqual({verb.name.split()[0] for verb in usage.VERBS}, set(verbs.VERBS))

    def test_each_verb_has_a_valid_example(self) -> None:
        for verb in usage.VERBS:
            self.assertTrue(verb.examples, verb.name)
            for line, says in verb.examples:
                self.assertTrue((line + " ").startswith(verb.name + " "), line)
                self.assertTrue(says)
                usage.parse(re.sub(r"'([^']*)'", lambda found: found.group(1).replace(" ", "_"), line).split())

    def test_examples_name_existing_faults(self) -> None:
        for verb in usage.VERBS:
            for line, _ in verb.examples:
                self.assertLessEqual(set(re.findall(r"--fault (\S+)", line)), set(FAULTS) | {"list"})

    def test_each_option_is_accepted(self) -> None:
        for verb in usage.VERBS:
            for option in verb.options:
                needed = [word for other in verb.options if other.needed for word in (other.name, "x")]
                value = [option.words[0] if option.words else "x"] if option.value else []
                found = usage.parse(verb.name.split() + needed + [option.name] + value)
                got = getattr(found, option.name.lstrip("-").replace("-", "_"))
                self.assertEqual(got, [value[0]] if option.repeated else (value[0] if value else True), option)

    def test_exit_codes_match_the_readme(self) -> None:
        with open(os.path.join(TOP, "README.md"), encoding="utf-8") as file:
            text = file.read().partition("## Exit codes")[2].partition("##")[0]
        rows = re.findall(r"^\| (\d+) \| (.*) \|$", text, re.MULTILINE)
        self.assertEqual([(int(code), says) for code, says in rows], list(usage.EXITS))


class MistakeTest(unittest.TestCase):
    """A wrong word is answered with a suggestion."""

    def wrong(self, *argv: str) -> str:
        result = call([sys.executable, "-I", "-S", built_file(), *argv])
        self.assertEqual((result.code, result.out), (2, ""))
        self.assertNotIn("Traceback", result.err)
        self.assertTrue(result.err.startswith("usage: azure-provisioning "), result.err)
        return result.err.splitlines()[-1]

    def test_nearest(self) -> None:
        for argv, meant in (
            (["instal"], "install"),
            (["chekc", "--root", "/x"], "check"),
            (["-q", "stauts"], "status"),
            (["--versoin"], "--version"),
            (["status", "--jsno"], "--json"),
            (["install", "--rot=/x"], "--root"),
            (["generalize", "--dryrun"], "--dry-run"),
            (["report", "failure", "--reason", "x", "--verbos"], "--verbose"),
        ):
            self.assertTrue(self.wrong(*argv).endswith("did you mean %s?" % meant), argv)
        self.assertNotIn("did you mean", self.wrong("xyzzy"))

    def test_folder(self) -> None:
        for verb in ("check", "install", "uninstall", "generalize", "status"):
            self.assertIn("name an image by --root /mnt/image", self.wrong(verb, "/mnt/image"))
        self.assertIn("version takes no argument: '/mnt/image'", self.wrong("version", "/mnt/image"))

    def test_everywhere(self) -> None:
        """-q and -v, before or after the verb; the version in three ways."""
        for argv in (["-q", "version"], ["version", "-v"], ["-V"], ["--version"], ["version"], ["-v", "-q", "version"]):
            result = call([sys.executable, "-I", "-S", built_file(), *argv])
            self.assertEqual(result, (0, usage.version() + "\n", ""))
        for verb in usage.VERBS:
            needed = [word for option in verb.options if option.needed for word in (option.name, "x")]
            for argv in (["-q", *verb.name.split(), *needed], [*verb.name.split(), *needed, "--quiet"]):
                found = usage.parse(argv)
                self.assertEqual((found.quiet, found.verbose), (True, False), argv)


class HelpTest(unittest.TestCase):
    def test_readable(self) -> None:
        for words in WORDS:
            text = usage.help_text(words)
            self.assertTrue(text.startswith("usage: azure-provisioning "), words)
            for line in text.splitlines():
                self.assertLess(len(line), 80, line)
                self.assertEqual(line, line.rstrip())
                self.assertTrue(not line or line.isprintable())
            self.assertEqual(text, text.encode("ascii", "replace").decode("ascii"))
            for verb in usage.chosen(words):
                self.assertIn(verb.examples[0][0], text)
                for option in verb.options if words else ():
                    self.assertIn("    %s  " % option.head, text)

    def test_same_on_every_python(self) -> None:
        for version, python in sorted(pythons().items()):
            for words in WORDS:
                with self.subTest(version=version, words=words):
                    result = call([python, "-I", "-S", built_file()] + words.split() + ["--help"], COLUMNS="40")
                    self.assertEqual(result, (0, usage.help_text(words), ""))

    def test_usage_before_an_error(self) -> None:
        result = call([sys.executable, "-I", "-S", built_file(), "report", "failure"])
        self.assertTrue(result.err.startswith(usage.synopsis("report failure")), result.err)
