"""Real releases in the test's own repository, and the places that contain the version."""

import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from typing import Tuple

from azure_provisioning import __version__
from tests import TOP, release

OLD, NEW = __version__, "%d.0.0" % (int(__version__.split(".")[0]) + 1)
MODULE = "tests.test_state"  # fast, and independent of the folder it runs in
CHANGES = ".github/CHANGELOG.md"


class VersionTest(unittest.TestCase):
    def test_all_places_agree(self) -> None:
        release.check(OLD)
        with self.assertRaises(release.Refused) as raised:
            release.check(NEW)
        for place in [place.path for place in release.PLACES] + [release.YOCTO % NEW, release.DEBIAN, CHANGES]:
            self.assertIn(place, str(raised.exception))

    def test_no_other_file_names_the_version(self) -> None:
        known = {place.path for place in release.PLACES} | {release.DEBIAN, CHANGES}
        found = set()
        for folder, folders, names in os.walk(TOP):
            folders[:] = [
                name for name in folders if name not in (".git", ".venv", "dist", "__pycache__") and "cache" not in name
            ]
            for name in names:
                path = os.path.join(folder, name)
                with open(path, encoding="utf-8", errors="replace") as file:
                    if re.search(r"(?<![\d.])%s(?![\d.])" % re.escape(OLD), file.read()):
                        found.add(os.path.relpath(path, TOP))
        self.assertEqual(found, known)


@unittest.skipIf(shutil.which("git") is None, "no git: no release was made")
class ReleaseTest(unittest.TestCase):
    """Each test begins with a repository that holds a copy of this checkout, committed."""

    folder = top = start = ""

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = tempfile.mkdtemp(prefix="azure-provisioning-test-")
        cls.top = os.path.join(cls.folder, "checkout")
        left_out = shutil.ignore_patterns(".git", "dist", "__pycache__", ".*_cache", ".venv")
        shutil.copytree(TOP, cls.top, symlinks=True, ignore=left_out)
        cls.run_here("git", "init", "--quiet")
        cls.run_here("git", "add", "--all")
        cls.run_here("git", "commit", "--quiet", "--message", "house: As it is")
        cls.start = cls.run_here("git", "rev-parse", "HEAD")[1].strip()

    @classmethod
    def tearDownClass(cls) -> None:
        shutil.rmtree(cls.folder)

    def setUp(self) -> None:
        self.before = self.start
        self.addCleanup(self.git, "clean", "--quiet", "--force", "-d")
        self.addCleanup(self.git, "reset", "--quiet", "--hard", self.start)

    @classmethod
    def run_here(cls, *argv: str) -> "Tuple[int, str]":
        """(exit code, output), without the person's own git configuration."""
        environment = {"PATH": os.environ["PATH"], "HOME": cls.folder, "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"}
        for role in ("AUTHOR", "COMMITTER"):
            environment.update({"GIT_%s_NAME" % role: "Test", "GIT_%s_EMAIL" % role: "test@localhost"})
        done = subprocess.run(
            argv,
            cwd=cls.top,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        return done.returncode, done.stdout.decode("utf-8", "replace")

    def git(self, *words: str) -> str:
        code, printed = self.run_here("git", *words)
        self.assertEqual(code, 0, printed)
        return printed.strip()

    def release(self, version: str, *tests: str) -> "Tuple[int, str]":
        return self.run_here(sys.executable, "-m", "tests.release", version, "--tests", *(tests or (MODULE,)))

    def put(self, path: str, text: str, commit: bool = True) -> None:
        """Write a file of the repository."""
        with open(os.path.join(self.top, path), "w", encoding="utf-8") as file:
            file.write(text)
        if commit:
            self.git("add", "--all")
            self.git("commit", "--quiet", "--message", "house: " + path)
            self.before = self.git("rev-parse", "HEAD")

    def text(self, path: str) -> str:
        with open(os.path.join(self.top, path), encoding="utf-8") as file:
            return file.read()

    def assert_refused(self, reason: str, done: "Tuple[int, str]") -> None:
        """The failure was reported, and nothing of the release remains."""
        self.assertEqual(done[0], 1, done[1])
        self.assertRegex(done[1], r"(?m)^release: .*%s" % re.escape(reason))
        self.assertEqual(self.git("rev-parse", "HEAD"), self.before)
        self.assertEqual(self.git("status", "--porcelain"), "")

    def test_released(self) -> None:
        code, printed = self.release(NEW)
        self.assertEqual(code, 0, printed)
        self.assertIn("git tag --annotate v%s" % NEW, printed)
        self.assertEqual(self.git("tag"), "")
        output = printed
        self.assertEqual(self.git("log", "--format=%s", self.before + ".."), "release: Version " + NEW)
        self.assertEqual(self.git("status", "--porcelain"), "")
        # The tests in the repository compare every place, and the recipes.
        code, printed = self.run_here(
            sys.executable, "-m", "unittest", "tests.test_release.VersionTest", "tests.test_recipes.EveryRecipeTest"
        )
        self.assertEqual(code, 0, printed)
        self.assertIn("Ran ", printed)
        self.assertEqual(self.run_here(sys.executable, "-m", "tests.release", "--check", NEW)[0], 0)
        self.assertEqual(self.run_here(sys.executable, "-m", "tests.release", "--check", OLD)[0], 1)
        # The built file has the version, and its checksum matches.
        said = self.run_here(sys.executable, "-I", "dist/azure-provisioning", "--version")
        self.assertEqual(said, (0, "azure-provisioning %s\n" % NEW))
        names = {os.path.basename(path) for path in glob.glob(os.path.join(self.top, "dist", "*"))}
        self.assertEqual(
            names,
            {"azure-provisioning" + ending for ending in ("", ".sha256", ".8", ".conf.5", ".bash", ".zsh", ".fish")},
        )
        self.assertIn(self.text("dist/azure-provisioning.sha256").split()[0] + "  dist/azure-provisioning\n", output)
        # Both changelogs keep their entries, under a dated heading.
        changes = self.text(CHANGES)
        self.assertRegex(changes, r"\n## Unreleased\n\n## %s \(\d{4}-\d\d-\d\d\)\n\n- " % re.escape(NEW))
        self.assertIn("\n## %s (" % OLD, changes)
        debian = self.text(release.DEBIAN)
        date = r"\w{3}, \d\d \w{3} \d{4} [\d:]{8} \+0000"
        self.assertRegex(debian, r"\Aazure-provisioning \(%s-1\) .*\n\n  \* .+\n\n -- .+ <.+>  %s\n\n" % (NEW, date))
        self.assertIn("\nazure-provisioning (%s-1) " % OLD, debian)
        # A second release has no entries yet.
        self.before = self.git("rev-parse", "HEAD")
        self.assert_refused("nothing under Unreleased", self.release(NEW.replace(".0.0", ".0.1")))

    def test_version_invalid_or_not_newer(self) -> None:
        for version in ("", "1", "1.2", "1.2.3.4", "v9.9.9", "9.9.9-rc1", "09.9.9", "9.9.9\n", "9.9.x", "$(id)"):
            self.assert_refused("is no version", self.release(version))
        older = "0.0.%d" % int(OLD.split(".")[2])
        for version in (OLD, older):
            self.assert_refused("is not newer than " + OLD, self.release(version))

    def test_tag_exists(self) -> None:
        self.git("tag", "v" + NEW)
        self.addCleanup(self.git, "tag", "--delete", "v" + NEW)
        self.assert_refused("the tag v%s exists" % NEW, self.release(NEW))

    def test_dirty(self) -> None:
        self.put("new", "", commit=False)
        code, printed = self.release(NEW)
        self.assertEqual((code, "?? new" in printed), (1, True), printed)
        os.remove(os.path.join(self.top, "new"))
        readme = self.text("README.md")
        self.put("README.md", readme + "more\n", commit=False)
        code, printed = self.release(NEW)
        self.assertEqual((code, "M README.md" in printed), (1, True), printed)
        self.assertEqual(self.text("README.md"), readme + "more\n")  # the refused change stays as it is

    def test_tests_fail(self) -> None:
        self.put(
            "tests/test_bad.py",
            "import unittest\nclass Bad(unittest.TestCase):\n    def test(self):\n        self.fail()\n",
        )
        self.assert_refused("the tests fail", self.release(NEW, "tests.test_bad"))
        self.assert_refused("the tests fail", self.release(NEW, MODULE, "tests.test_bad"))

    def test_version_differs_in_one_file(self) -> None:
        name = "units/recipes/apk/APKBUILD"
        self.put(name, self.text(name).replace("pkgver=" + OLD, "pkgver=0.0.9"))
        code, printed = self.release(NEW)
        self.assertEqual((code, "  %s: %s, 0.0.9\n" % (name, OLD) in printed), (1, True), printed)

    def test_commit_is_refused(self) -> None:
        """The last step fails: the checkout is restored."""
        hook = os.path.join(self.top, ".git", "hooks", "pre-commit")
        os.makedirs(os.path.dirname(hook), exist_ok=True)
        with open(hook, "w", encoding="ascii") as file:
            file.write("#!/bin/sh\necho no >&2\nexit 1\n")
        self.addCleanup(os.remove, hook)
        os.chmod(hook, 0o755)
        self.assert_refused("git commit: no", self.release(NEW))
        self.assertFalse(os.path.exists(os.path.join(self.top, "dist")))

    def test_ended_by_a_signal(self) -> None:
        """While the suite runs, when every file has the new version."""
        self.put("tests/test_long.py", "import signal\nsignal.pause()\n")
        argv = [sys.executable, "-m", "tests.release", NEW, "--tests", "tests.test_long"]
        child = subprocess.Popen(argv, cwd=self.top, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        while child.poll() is None and not os.path.exists(os.path.join(self.top, release.YOCTO % NEW)):
            time.sleep(0.05)
        time.sleep(0.2)
        child.terminate()
        printed, _ = child.communicate()
        self.assertEqual(child.returncode, 143, printed)
        self.assertEqual(self.git("status", "--porcelain"), "")
        self.assertEqual(self.git("rev-parse", "HEAD"), self.before)

    def test_make(self) -> None:
        if shutil.which("make") is None:
            self.skipTest("no make: its target was not tried")
        self.assert_refused("is no version", self.make("release"))
        self.assert_refused("is not newer", self.make("release", "VERSION=" + OLD))
        code, printed = self.make("release", "VERSION=" + NEW, "TESTS=" + MODULE)
        self.assertEqual(code, 0, printed)

    def make(self, *words: str) -> "Tuple[int, str]":
        code, printed = self.run_here("make", "PYTHON=" + sys.executable, *words)
        return min(code, 1), printed  # make exits 2 for any failed recipe


class WorkflowTest(unittest.TestCase):
    """Checks that actionlint lacks. `make lint` runs actionlint."""

    def setUp(self) -> None:
        self.texts = {}
        for path in glob.glob(os.path.join(TOP, ".github", "workflows", "*")):
            with open(path, encoding="ascii") as file:
                self.texts[os.path.basename(path)] = file.read()
        self.assertEqual(set(self.texts), {"ci.yml", "release.yml"})

    def test_actions_are_pinned_by_commit(self) -> None:
        for name, text in self.texts.items():
            actions = re.findall(r"uses: *(.*)", text)
            self.assertTrue(actions, name)
            for action in actions:
                self.assertRegex(action, r"\Aactions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+\Z")

    def test_every_job_has_a_timeout_and_few_permissions(self) -> None:
        for name, text in self.texts.items():
            jobs = re.findall(r"(?m)^    runs-on: ", text)
            self.assertEqual(len(jobs), len(re.findall(r"(?m)^    timeout-minutes: \d+$", text)), name)
            self.assertRegex(text, r"(?m)^permissions:( \{\}|\n  contents: read)\n", name)
        self.assertNotIn("write", self.texts["ci.yml"])
        self.assertEqual(re.findall(r"\w+: write", self.texts["release.yml"]), ["contents: write"])

    def test_attached_files_are_built(self) -> None:
        text = self.texts["release.yml"].replace("\\\n", "")
        attached = re.search(r'--notes "[^"]*" +(.*)', text)
        assert attached
        wanted = [
            "azure-provisioning" + ending for ending in ("", ".sha256", ".8", ".conf.5", ".bash", ".zsh", ".fish")
        ]
        self.assertEqual(attached.group(1).split(), wanted)

    def test_make_targets_exist(self) -> None:
        with open(os.path.join(TOP, "Makefile"), encoding="utf-8") as file:
            targets = re.findall(r"(?m)^([a-z-]+):", file.read())
        called = [target for text in self.texts.values() for target in re.findall(r"make -C \w+ ([a-z-]+)", text)]
        self.assertTrue(called)
        self.assertLessEqual(set(called), set(targets))
        self.assertIn("run: .ci/run\n", self.texts["ci.yml"])
