"""The runner itself: it counts failures, names tests that hang, and never accepts a run without a test."""

import os
import subprocess
import sys
import textwrap
import unittest
from typing import Dict, List

from tests import TOP, skips
from tests.__main__ import find_modules
from tests.forks import FAILED, PASSED, SKIPPED, Outcome, flatten, play
from tests.guests import GuestTest
from tests.slow import GROUPS, SECONDS

SAMPLE = """
import os, sys, unittest

class Quick(unittest.TestCase):
    def test_good(self):
        print("printed and not shown")

    def test_parts(self):
        for number in range(3):
            with self.subTest(number):
                self.assertEqual(number, 1)

    def test_left_out(self):
        self.skipTest("only root can do this" if os.geteuid() else "root may write anywhere")

    @unittest.expectedFailure
    def test_expected(self):
        self.fail()

class Unlucky(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        raise OSError("no room")

    def test_never(self):
        pass

class Gone(unittest.TestCase):
    def test_gone(self):
        os.write(2, b"last words")
        os._exit(7)
"""
GOOD = """
import unittest

class Good(unittest.TestCase):
    def test_good(self):
        pass

    def test_left_out(self):
        self.skipTest("the moon is full")
"""


class GroupsTest(unittest.TestCase):
    def test_every_module_has_one_place(self) -> None:
        grouped = [name for members in GROUPS.values() for name in members]
        files = {
            "tests." + name[: -len(".py")] for name in os.listdir(os.path.dirname(__file__)) if name[:5] == "test_"
        }
        self.assertEqual(len(find_modules()) + len(grouped), len(files))
        self.assertEqual(set(find_modules(also=list(GROUPS))), files)
        for group, members in GROUPS.items():
            self.assertEqual(find_modules(only=[group]), sorted("tests." + name for name in members))


class RunnerTest(GuestTest):
    def run_suite(self, *arguments: str, **samples: str) -> "subprocess.CompletedProcess[str]":
        """The suite, run on modules that this test writes."""
        for name, text in samples.items():
            with open(os.path.join(self.root, name + ".py"), "w") as file:
                file.write(textwrap.dedent(text))
        environment = {name: value for name, value in os.environ.items() if name != "CI"}
        return subprocess.run(
            [sys.executable, "-m", "tests", "--jobs", "1", *arguments, *samples],
            cwd=TOP,
            env=dict(environment, PYTHONPATH=self.root),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            universal_newlines=True,
        )

    def test_every_outcome_is_counted(self) -> None:
        done = self.run_suite(sample=SAMPLE, good=GOOD)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertEqual(done.stdout.splitlines()[-1], "3 passed, 3 failed, 2 skipped", done.stdout)
        self.assertRegex(done.stdout, r"(?m)^sample +\d+\.\d s  2 passed, 3 failed, 1 skipped$")
        self.assertRegex(done.stdout, r"(?m)^good +\d+\.\d s  1 passed, 0 failed, 1 skipped$")
        self.assertIn("FAILED: sample.Quick.test_parts\n", done.stdout)
        self.assertIn("0 != 1", done.stdout)
        self.assertIn("2 != 1", done.stdout)
        self.assertIn("OSError: no room", done.stdout)
        self.assertIn("FAILED: sample.Gone.test_gone\nit ended with its process\nlast words", done.stdout)
        self.assertIn("skipped: good.Good.test_left_out: the moon is full\n", done.stdout)
        self.assertNotIn("printed and not shown", done.stdout)
        self.assertRegex(done.stdout, r"(?m)^ +\d+\.\d s  good.Good.test_good$")

    def test_strict(self) -> None:
        """A skip for an unlisted reason is a failure; one for a listed reason is not."""
        done = self.run_suite("--strict", good=GOOD)
        self.assertEqual((done.returncode, done.stdout.splitlines()[-1]), (1, "1 passed, 1 failed, 0 skipped"))
        self.assertIn("not in tests/skips.py: the moon is full", done.stdout)
        done = self.run_suite("--strict", "-k", "Quick.test_left_out", sample=SAMPLE)
        self.assertEqual((done.returncode, done.stdout.splitlines()[-1]), (0, "0 passed, 0 failed, 1 skipped"))

    def test_name_filter(self) -> None:
        done = self.run_suite("-k", "test_good", "-k", "no such word", sample=SAMPLE, good=GOOD)
        self.assertEqual((done.returncode, done.stdout.splitlines()[-1]), (0, "2 passed, 0 failed, 0 skipped"))
        done = self.run_suite("-k", "no such word", good=GOOD)
        self.assertEqual((done.returncode, done.stdout.splitlines()[-1]), (1, "0 passed, 0 failed, 0 skipped"))

    def test_stop_at_the_first_failure(self) -> None:
        done = self.run_suite("-x", sample=SAMPLE, good=GOOD)
        self.assertEqual(done.returncode, 1)
        self.assertNotIn("Good.test_good", done.stdout)

    def test_unknown_name_fails(self) -> None:
        done = self.run_suite("no_such_module", good=GOOD)
        self.assertEqual((done.returncode, done.stdout.splitlines()[-1]), (1, "1 passed, 1 failed, 1 skipped"))
        self.assertIn("no_such_module", done.stdout)


class PlayTest(unittest.TestCase):
    def test_hang_is_ended_and_named(self) -> None:
        class Hang(unittest.TestCase):
            def test_first(self) -> None:
                pass

            def test_second(self) -> None:
                subprocess.call(["sleep", "60"])

        class Other(unittest.TestCase):
            def test_other(self) -> None:
                pass

        groups: "List[List[unittest.TestCase]]" = [[Hang("test_first"), Hang("test_second")], [Other("test_other")]]
        found: "Dict[int, Dict[str, Outcome]]" = {}
        for number, outcomes in play(groups, jobs=2, limit=1.0):
            found[number] = {outcome.id.rpartition(".")[2]: outcome for outcome in outcomes}
        self.assertEqual([name for name in found[0] if found[0][name].word == PASSED], ["test_first"])
        self.assertEqual(found[0]["test_second"].word, FAILED)
        self.assertIn("took more than 1 s, and was killed", found[0]["test_second"].texts[0])
        self.assertEqual(found[1]["test_other"].word, PASSED)


class SlowTest(unittest.TestCase):
    def test_each_listed_test_exists(self) -> None:
        """A renamed test would start late."""
        for name in SECONDS:
            (test,) = flatten(unittest.defaultTestLoader.loadTestsFromName("tests." + name))
            self.assertEqual(test.id(), "tests." + name)


class SkipsTest(unittest.TestCase):
    def test_each_reason_names_another_run(self) -> None:
        for reasons in (skips.ANYBODY, skips.AS_ROOT, skips.AS_PLAIN_USER):
            for reason, elsewhere in reasons.items():
                self.assertTrue(elsewhere, reason)

    def test_judge(self) -> None:
        good = Outcome("a", PASSED, 1.0, [])
        self.assertEqual(skips.judge(good), good)
        known = Outcome("a", SKIPPED, 1.0, ["no shellcheck: `make lint` has one"])
        self.assertEqual(skips.judge(known), known)
        self.assertEqual(skips.judge(known._replace(texts=known.texts + ["x"])).word, FAILED)
