"""The recipes of CONTRIBUTING.md, compared with the files: each table lists the places of an existing example.

In the product (src, units, README) the places must be exactly those of the table. Tests may use the example for other
purposes: for them, only the rows of the table must be true.
"""

import os
import re
import unittest
from typing import Dict, List, NamedTuple, Set

from tests import TOP

PATH = ".github/CONTRIBUTING.md"


class Recipe(NamedTuple):
    """A heading of the document, the name that stands for NAME in its paths, and the pattern of the example."""

    heading: str
    name: str
    pattern: str


RECIPES = (
    Recipe("Add an init system", "finit", r"(?<![a-z])finit(?![a-z])"),
    Recipe("Add a provisioning step", "grow_root", r"grow[_-]root"),
    Recipe("Add a field of IMDS or the DVD", "user_data", r"user_?data"),
    Recipe("Add a check", "clock", r"check_clock|\"clock\"|`clock`"),
)


class Row(NamedTuple):
    """A row of a recipe. `example` differs from the recipe's, or is empty."""

    path: str
    what: str
    example: str


def document() -> str:
    with open(os.path.join(TOP, PATH), encoding="utf-8") as file:
        return file.read()


def rows(recipe: Recipe) -> "List[Row]":
    """The table of a recipe."""
    part = document().partition("\n### %s\n" % recipe.heading)[2]
    part = re.split(r"\n##+ ", part)[0]
    found = []
    for path, what in re.findall(r"(?m)^\| `([^`]+)` \| (.*) \|$", part):
        example = re.search(r" \(example: `([^`]+)`\)$", what)
        what = re.sub(r" \(example: .*\)$", "", what)
        found.append(Row(path.replace("NAME", recipe.name), what, example.group(1) if example else ""))
    return found


def texts() -> "Dict[str, str]":
    """{path: text} of every file of the product and the tests."""
    paths = ["README.md"]
    for top in ("src", "units", "tests"):
        for folder, folders, names in os.walk(os.path.join(TOP, top)):
            folders[:] = [name for name in folders if name != "__pycache__"]
            paths += [os.path.relpath(os.path.join(folder, name), TOP) for name in names]
    found = {}
    for path in paths:
        with open(os.path.join(TOP, path), encoding="utf-8", errors="replace") as file:
            found[path] = file.read()
    return found


class RecipeTest(unittest.TestCase):
    def setUp(self) -> None:
        self.texts = texts()

    def having(self, recipe: Recipe) -> "Set[str]":
        """The files of the product and the tests with the example in their name or content."""
        pattern = re.compile(recipe.pattern, re.IGNORECASE)
        return {path for path, text in self.texts.items() if pattern.search(path) or pattern.search(text)}

    def test_every_recipe_has_its_table(self) -> None:
        headings = re.findall(r"(?m)^### (.*)$", document())
        self.assertEqual(headings, [recipe.heading for recipe in RECIPES])
        for recipe in RECIPES:
            table = rows(recipe)
            self.assertGreater(len(table), 3, recipe.heading)
            self.assertEqual(len(table), len({row.path for row in table}), recipe.heading)

    def test_product_example_is_in_the_listed_files(self) -> None:
        for recipe in RECIPES:
            found = {path for path in self.having(recipe) if not path.startswith("tests/")}
            listed = {row.path for row in rows(recipe) if not row.example and not row.path.startswith("tests/")}
            self.assertEqual(
                (sorted(found - listed), sorted(listed - found)),
                ([], []),
                "%s, %r: the first files have the example and need a row in %s, the second are in a row and do not"
                % (recipe.heading, recipe.name, PATH),
            )

    def test_tests_example_is_in_the_listed_files(self) -> None:
        for recipe in RECIPES:
            listed = {row.path for row in rows(recipe) if row.path.startswith("tests/")}
            self.assertTrue(listed, recipe.heading)
            self.assertEqual(sorted(listed - self.having(recipe)), [], "%s: no example there" % recipe.heading)

    def test_other_examples_are_in_the_listed_files(self) -> None:
        count = 0
        for recipe in RECIPES:
            for row in rows(recipe):
                if row.example:
                    self.assertIn(row.example, self.texts[row.path], row)
                    count += 1
        self.assertGreater(count, 3)

    def test_names_in_a_row_are_in_its_file(self) -> None:
        count = 0
        for recipe in RECIPES:
            for row in rows(recipe):
                for name in re.findall(r"`([A-Za-z_]+)`", row.what):
                    if name in ("install", "generalize", "check", "rehearse"):
                        continue  # verbs
                    self.assertRegex(self.texts[row.path], r"\b%s\b" % name, row)
                    count += 1
        self.assertGreater(count, 15)


class DocumentTest(unittest.TestCase):
    def test_mentioned_files_exist(self) -> None:
        paths = re.findall(r"`((?:src|units|tests|\.github|\.ci)/[A-Za-z0-9_./-]+)`", document())
        self.assertGreater(len(paths), 20)
        for path in paths:
            if "NAME" not in path:
                self.assertTrue(os.path.exists(os.path.join(TOP, path)), path)
        for link in re.findall(r"\]\(([^)#]+)\)", document()):
            if link != "SECURITY.md":  # the document may not exist yet
                self.assertTrue(os.path.exists(os.path.join(TOP, ".github", link)), link)

    def test_mentioned_targets_exist(self) -> None:
        with open(os.path.join(TOP, "Makefile"), encoding="utf-8") as file:
            targets = set(re.findall(r"(?m)^([a-z-]+):.* ## ", file.read()))
        mentioned = set(re.findall(r"(?:`|    )make ([a-z-]+)", document()))
        self.assertGreater(len(mentioned), 5)
        self.assertLessEqual(mentioned, targets)

    def test_log_names_are_those_of_the_boot_lab(self) -> None:
        with open(os.path.join(TOP, "tests", "boot", "scene.py"), encoding="utf-8") as file:
            text = file.read()
        with open(os.path.join(TOP, "tests", "boot", "__main__.py"), encoding="utf-8") as file:
            text += file.read()
        for name in ("console-%d.log", "requests-%d.log", "dhcp.log", "traceback.log", "disk.img"):
            self.assertIn(name, text)
            self.assertIn(name.replace("%d", "1"), document())

    def test_readme_links_here(self) -> None:
        with open(os.path.join(TOP, "README.md"), encoding="utf-8") as file:
            self.assertIn("(%s)" % PATH, file.read())
