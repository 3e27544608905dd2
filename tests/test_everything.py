"""`make release-test`: it runs every test command, says how far it is, and no failure is lost.

It runs in a copy, with a stand-in for `make` on PATH: the commands themselves take hours.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

from tests import TOP

MAKE = """#!/bin/sh
echo "$CI $*" >>"%s"
echo '== of this command'
case $1 in %s) echo '1 passed, 1 failed' && echo 'make[1]: Leaving directory' && exit 2 ;; esac
echo '2 passed, 0 failed'
"""
NOT_TESTS = {"help", "build", "bench", "azure-test", "release", "release-test", "install", "clean"}


class EverythingTest(unittest.TestCase):
    def setUp(self) -> None:
        self.copy = tempfile.mkdtemp(prefix="azure-provisioning-test-")
        self.addCleanup(shutil.rmtree, self.copy)
        os.mkdir(self.copy + "/tests")
        for name in ("__init__.py", "everything.py"):
            shutil.copy(os.path.join(TOP, "tests", name), self.copy + "/tests")

    def play(self, *names: str, failing: str = "none") -> "subprocess.CompletedProcess[str]":
        """Run it, with a `make` whose target `failing` fails."""
        with open(self.copy + "/make", "w", encoding="ascii") as file:
            file.write(MAKE % (self.copy + "/made", failing))
        os.chmod(self.copy + "/make", 0o755)
        return subprocess.run(
            [sys.executable, "-m", "tests.everything", *names],
            cwd=self.copy,
            env=dict(os.environ, PATH=self.copy + ":" + os.environ["PATH"]),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            universal_newlines=True,
            timeout=60,
        )

    def text(self, name: str) -> str:
        """The text of a file in the copy."""
        with open(os.path.join(self.copy, name), encoding="utf-8") as file:
            return file.read()

    def test_every_test_command_runs_strictly(self) -> None:
        done = self.play()
        self.assertEqual(done.returncode, 0, done)
        with open(os.path.join(TOP, "Makefile"), encoding="utf-8") as file:
            targets = set(re.findall(r"(?m)^([a-z-]+):.* ## ", file.read())) - NOT_TESTS
        made = [line.split() for line in self.text("made").splitlines()]
        self.assertEqual({(words[0], words[1]) for words in made}, {("true", target) for target in targets})
        self.assertEqual(len(made), len(targets))
        self.assertTrue(done.stdout.endswith("\n%d passed, 0 failed\n" % len(targets)), done)

    def test_failure(self) -> None:
        done = self.play(failing="hostile")
        self.assertEqual(done.returncode, 1, done)
        self.assertRegex(done.stdout, r"\n1[0-9] passed, 1 failed\n$")
        for text in (done.stdout, self.text("dist/release-test/table.txt")):
            self.assertRegex(text, r"(?m)^ *hostile +FAILED .* 1 passed, 1 failed$")
            self.assertRegex(text, r"(?m)^ *crash +ok .* 2 passed, 0 failed$")
        self.assertIn("== of this command", self.text("dist/release-test/hostile.log"))

    def test_some(self) -> None:
        done = self.play("lint", "demo")
        self.assertRegex(done.stdout, r"^..:..:..  1 of 2: make lint\n.*\n..:..:..  2 of 2: make demo\n")
        self.assertEqual(len(self.text("made").splitlines()), 2)
        done = self.play("lint", "nosuch")
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stdout, r"^no such proof: nosuch; there are lint demo ")
