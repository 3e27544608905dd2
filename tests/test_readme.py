"""The README for a new reader: its length, its links, and its commands, which are run as written."""

import os
import re
import shlex
import unittest
from typing import List

from azure_provisioning.usage import VERBS
from tests import TOP
from tests.images import built_file, call
from tests.sound import CheckTest

WORDS, LINES = 1500, 220  # of the part before that for developers


def text() -> str:
    with open(os.path.join(TOP, "README.md"), encoding="utf-8") as file:
        return file.read()


def commands() -> "List[List[str]]":
    """The command lines of this program in the indented blocks, in order, without the program."""
    blocks = "\n".join(line for line in text().split("\n") if line.startswith("    ")).replace("\\\n", " ")
    lines = [line.strip().lstrip("$ ") for line in blocks.split("\n")]
    return [shlex.split(line)[1:] for line in lines if line.startswith("./azure-provisioning ")]


class TextTest(unittest.TestCase):
    def test_short(self) -> None:
        before, found, _ = text().partition("\n## Work on it")
        self.assertTrue(found)
        self.assertLessEqual(len(before.split("\n")), LINES)
        prose = re.sub(r"(?m)^    .*$", "", before)
        self.assertLessEqual(len(re.findall(r"[A-Za-z0-9]\S*", prose)), WORDS)

    def test_link_targets_exist(self) -> None:
        titles = re.findall(r"(?m)^#+ (.*)$", text())
        anchors = {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}
        for target in re.findall(r"\]\(([^)]+)\)", text()):
            if target.startswith("#"):
                self.assertIn(target[1:], anchors)
            elif "://" not in target:
                self.assertTrue(os.path.exists(os.path.join(TOP, target)), target)

    def test_paths_exist(self) -> None:
        paths = re.findall(r"`((?:units|src|tests|\.github|\.ci)/[^`*? ]+)`", text())
        self.assertTrue(paths)
        for path in paths:
            self.assertTrue(os.path.exists(os.path.join(TOP, path)), path)

    def test_make_targets_exist(self) -> None:
        with open(os.path.join(TOP, "Makefile"), encoding="utf-8") as file:
            targets = set(re.findall(r"(?m)^([a-z-]+):", file.read()))
        named = set(re.findall(r"(?m)(?:`|^    )make ([a-z-]+)", text()))
        self.assertTrue(named)
        self.assertLessEqual(named, targets)


class CommandsTest(CheckTest):
    def test_quick_start(self) -> None:
        """Each command for a mounted image, in the README's order, on an image that lacks nothing."""
        done = []
        for words in commands():
            if "--root" in words:
                place = words.index("--root") + 1
                words = words[:place] + [self.root] + words[place + 1 :]
                result = call([built_file()] + words)
                self.assertEqual(result.code, 0, "%s: %s" % (words, result.err))
                done.append(words[0])
        self.assertLessEqual({"install", "check", "rehearse"}, set(done))

    def test_verbs_and_options(self) -> None:
        known = {verb.name.split(" ")[0]: {option.name for option in verb.options} for verb in VERBS}
        for words in commands():
            self.assertIn(words[0], known)
            self.assertLessEqual({word for word in words if word.startswith("--")}, known[words[0]], words)
