"""Makes a release: `python3 -m tests.release VERSION [--tests tests.test_x ...]`, or `--check VERSION` to compare.

It sets the version everywhere, dates the changelog's heading, runs the suite, builds and checks the sum, and commits.
If any step fails, the checkout is as before. A person creates the tag: it is the only step that others see. Nothing is
pushed.
"""

import argparse
import datetime
import email.utils
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from typing import List, NamedTuple, Tuple

from . import TOP

CHANGELOG = ".github/CHANGELOG.md"
DEBIAN = "units/recipes/debian/debian/changelog"
YOCTO = "units/recipes/yocto/recipes-core/azure-provisioning/azure-provisioning_%s.bb"
VERSION = r"(?:0|[1-9][0-9]{0,3})(?:\.(?:0|[1-9][0-9]{0,3})){2}"
UNRELEASED = "## Unreleased\n"


class Place(NamedTuple):
    """A line with the version, and a pattern of the text before it; `lines` is the number of such lines."""

    path: str
    before: str
    lines: int = 1


PLACES = (
    Place("src/azure_provisioning/__init__.py", r'(?m)^__version__ = "'),
    Place("units/recipes/apk/APKBUILD", r"(?m)^pkgver=|^# Put azure-provisioning-", 2),
    Place("units/recipes/buildroot/azure-provisioning/azure-provisioning.mk", r"(?m)^AZURE_PROVISIONING_VERSION = "),
    Place("units/recipes/rpm/azure-provisioning.spec", r"(?m)^Version: +|^# With azure-provisioning-", 2),
)


class Refused(Exception):
    """Why there is no release, with a remedy."""


def main() -> int:
    """0: released, or all places agree. 1: refused, and nothing was changed. 2: usage error."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.release", description=__doc__)
    parser.add_argument("version", help="three numbers, as in 1.2.3")
    parser.add_argument("--tests", nargs="+", default=[], metavar="MODULE", help="run these instead of the whole suite")
    parser.add_argument("--check", action="store_true", help="only tell whether every place has this version")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    try:
        if options.check:
            check(options.version)
        else:
            release(options.version, options.tests)
    except Refused as reason:
        print("release: %s" % reason, file=sys.stderr)
        return 1
    return 0


def release(version: str, tests: "List[str]") -> None:
    """All steps. Raises Refused."""
    old = present_version()
    if not re.fullmatch(VERSION, version):
        raise Refused("%r is no version. Give three numbers, as in 1.2.3" % version)
    if numbers(version) <= numbers(old):
        raise Refused("%s is not newer than %s" % (version, old))
    if os.path.realpath(git("rev-parse", "--show-toplevel")) != os.path.realpath(TOP):
        raise Refused("%s is not the top of a git checkout" % TOP)
    dirty = git("status", "--porcelain")
    if dirty:
        raise Refused("the checkout has changes. Commit or stash them:\n" + dirty)
    if git("tag", "--list", "v" + version):
        raise Refused("the tag v%s exists already" % version)
    check(old)
    today = datetime.datetime.now(datetime.timezone.utc)
    committed = False
    try:
        set_version(old, version, today)
        check(version)
        prove(tests)
        build(version)
        git("add", "--all", "src", "units", ".github")
        git("commit", "--quiet", "--message", "release: Version %s" % version)
        committed = True
    finally:
        if not committed:
            git("reset", "--quiet", "--hard")
            git("clean", "--quiet", "--force", "--", "units", ".github")
            shutil.rmtree(os.path.join(TOP, "dist"), ignore_errors=True)  # it would claim to be the new version
    print("Version %s is committed, and built in dist. When you are content with it, tag and publish it:" % version)
    print("  git tag --annotate v%s --message 'azure-provisioning %s'" % (version, version))
    print("  git push origin HEAD v%s" % version)


def present_version() -> str:
    """The version of the checkout."""
    found = re.search(PLACES[0].before + "(%s)" % VERSION, read(PLACES[0].path))
    if not found:
        raise Refused("%s has no version" % PLACES[0].path)
    return found.group(1)


def numbers(version: str) -> "Tuple[int, ...]":
    """The key by which versions are compared."""
    return tuple(int(number) for number in version.split("."))


def set_version(old: str, version: str, when: datetime.datetime) -> None:
    """Write the version everywhere, and the heading and entry of both changelogs."""
    for place in PLACES:
        line = r"(%s)%s\b" % (place.before[len("(?m)") :], re.escape(old))
        write(place.path, re.sub("(?m)" + line, lambda found: found.group(1) + version, read(place.path)))
    os.rename(os.path.join(TOP, YOCTO % old), os.path.join(TOP, YOCTO % version))
    text = read(CHANGELOG)
    if not re.search(re.escape(UNRELEASED) + r"\s*[^#\s]", text):
        raise Refused("%s has nothing under Unreleased. Say there what has changed" % CHANGELOG)
    heading = "%s\n## %s (%s)\n" % (UNRELEASED, version, when.strftime("%Y-%m-%d"))
    write(CHANGELOG, text.replace(UNRELEASED, heading, 1))
    first = read(DEBIAN).splitlines()
    maintainer = next(line for line in first if line.startswith(" -- ")).rpartition("  ")[0]
    entry = [first[0].replace(old, version), "", "  * New release.", "", maintainer + "  " + email_date(when), "", ""]
    write(DEBIAN, "\n".join(entry) + read(DEBIAN))


def email_date(when: datetime.datetime) -> str:
    """In the format of Debian's changelog, in English in any locale."""
    return email.utils.format_datetime(when.replace(microsecond=0))


def check(version: str) -> None:
    """Raises Refused unless every place has this version."""
    wrong = []
    for place in PLACES:
        found = re.findall("(?:%s)(%s)" % (place.before[len("(?m)") :], VERSION), read(place.path), re.MULTILINE)
        if found != [version] * place.lines:
            wrong.append("%s: %s" % (place.path, ", ".join(found) or "no version"))
    if not os.path.exists(os.path.join(TOP, YOCTO % version)):
        wrong.append("%s: not there" % (YOCTO % version))
    latest = re.match(r"azure-provisioning \((.*)-1\) ", read(DEBIAN))
    if latest is None or latest.group(1) != version:
        wrong.append("%s: another version is the latest" % DEBIAN)
    headings = re.findall(r"(?m)^## (?:Unreleased\n|(%s) \(\d{4}-\d\d-\d\d\)\n)" % VERSION, read(CHANGELOG))
    if headings[:2] != ["", version]:
        wrong.append("%s: the headings do not begin with Unreleased and %s with its date" % (CHANGELOG, version))
    if wrong:
        raise Refused("not everything is of version %s:\n  %s" % (version, "\n  ".join(wrong)))


def prove(tests: "List[str]") -> None:
    """Run the suite, or the named tests. Raises Refused."""
    argv = [sys.executable, "-m", "tests", *(tests or ["--also", "shell"])]
    if subprocess.call(argv, cwd=TOP, stdin=subprocess.DEVNULL):
        raise Refused("the tests fail")


def build(version: str) -> None:
    """Build, and compare the sum and the version with the file. Raises Refused."""
    if subprocess.call([sys.executable, "build_zipapp.py"], cwd=TOP, stdin=subprocess.DEVNULL):
        raise Refused("the build fails")
    program = os.path.join(TOP, "dist", "azure-provisioning")
    with open(program, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    if read("dist/azure-provisioning.sha256").split()[0] != digest:
        raise Refused("dist/azure-provisioning.sha256 is not the sum of the file beside it")
    said = subprocess.check_output([sys.executable, "-I", program, "--version"], cwd=TOP).decode().split()
    if version not in said:
        raise Refused("the built file says that it is %s" % " ".join(said))
    print("%s  dist/azure-provisioning" % digest, flush=True)


def git(*words: str) -> str:
    """The output of git. Raises Refused with its error."""
    try:
        done = subprocess.run(
            ["git"] + list(words), cwd=TOP, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    except OSError as error:
        raise Refused("git: %s" % error.strerror)
    if done.returncode:
        raise Refused("git %s: %s" % (words[0], done.stderr.decode("utf-8", "replace").strip()))
    return done.stdout.decode("utf-8", "surrogateescape").strip()


def read(path: str) -> str:
    """A file of the checkout."""
    with open(os.path.join(TOP, path), encoding="utf-8") as file:
        return file.read()


def write(path: str, text: str) -> None:
    """Write a file of the checkout; its mode stays."""
    with open(os.path.join(TOP, path), "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    sys.exit(main())
