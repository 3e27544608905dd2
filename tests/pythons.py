"""Runs the suite on each Python 3.6+ that it finds: `python3 -m tests.pythons [--all]`. A table at the end.

The whole suite runs on the oldest, the newest and the running Python; the others run only the tests that depend on the
Python. With --all, every one runs the whole suite, and the oldest and the newest also the attacks of `make hostile`.
Tests in which a shell, sshd or sudo answers are left out: all Pythons build the same file, and `make test-shell` has
these tests.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from typing import Dict, List, Optional, Tuple

from . import TOP
from .__main__ import find_modules

CHILD_SECONDS = 1800

# Behaviour that differs between Pythons, and the tests that detect it. No other code of ours asks for the version.
DEPENDENT = {
    "test_cli": "the file itself: its exit codes, `rehearse`, and `run` against an Azure in a sealed room",
    "test_compiled": "the file itself: `install`; compile, marshal and importlib",
    "test_zipapp": "the file itself: its build, and how zipimport starts it",
    "test_rehearse.RehearseTest": "the file itself: threads",
    "test_rehearse.ImageRehearsalTest.test_every_init_system": "the file itself, on each kind of image: tempfile",
    "test_house": "which modules of the library a boot loads",
    "test_usage": "argparse",
    "test_manual": "argparse, and how the library breaks lines",
    "test_records": "typing and NamedTuple",
    "test_imds": "json",
    "test_status": "json, and what it prints",
    "test_media": "pyexpat",
    "test_goal_state": "pyexpat",
    "test_json_document": "what a boot loads, and how floats are read",
    "test_transport": "socket and its errors",
    "test_password": "crypt, which went with 3.13",
    "test_system": "subprocess, and how the system's errors are raised",
    "test_console": "codecs, and a stdout that takes nothing",
}

# Prints the output that must be equal on every Python: the built file, the files released with it, and each help text.
MADE = """
import hashlib, sys
top = sys.argv[1]
sys.path.insert(0, top)
import build_zipapp
data = build_zipapp.build(top)
texts = build_zipapp.companions(top, data)
from azure_provisioning import usage
texts.update((words, usage.help_text(words)) for words in [""] + [verb.name for verb in usage.VERBS])
digest = hashlib.sha256(data)
for name in sorted(texts):
    digest.update(texts[name].encode("ascii"))
print(digest.hexdigest())
"""


def main() -> int:
    """Exit code 0 if every suite passed, and every Python builds the same file."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.pythons", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--all", action="store_true", help="the whole suite on each of them")
    parser.add_argument("--others", action="store_true", help="not on the Python that runs this, which had its turn")
    parser.add_argument(
        "--user", action="store_true", help="the newest as an ordinary user, by `make test-user` (root)"
    )
    chosen = parser.parse_args()
    everywhere, found = chosen.all, find_pythons()
    if chosen.others:
        del found[sys.version_info[:2]]
    whole = set(found) if everywhere else {min(found), max(found), sys.version_info[:2]} & set(found)
    edges = {min(found), max(found)} if everywhere else set()  # with the attacks
    dependent = ["tests." + name for name in DEPENDENT]
    rows = [("made", "the same file, man page and help from all of them", make_the_same(list(found.values())), 0.0)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONS"}  # this loop runs each
    for number, (version, path) in enumerate(sorted(found.items()), 1):
        what = "whole suite" if version in whole else "what depends on the Python"
        name = ".".join(map(str, version))
        print("== %d of %d: Python %s, %s" % (number, len(found), name, what), flush=True)
        modules = find_modules(also=["attacks"] if version in edges else [])
        argv = [path, "-m", "tests"] + (modules if version in whole else dependent)
        if chosen.user and version == max(found):
            what += ", as an ordinary user"
            argv = ["make", "test-user", "PYTHON=" + path, "ONLY=" + " ".join(modules)]
        started = time.monotonic()
        code = subprocess.call(argv, cwd=TOP, env=environment, timeout=CHILD_SECONDS)
        rows.append((name, what, not code, time.monotonic() - started))
    for name, what, good, seconds in rows:
        print("%-6s %-52s %6.0f s  %s" % (name, what, seconds, "passed" if good else "FAILED"))
    passed = sum(good for _, _, good, _ in rows)
    print("%d passed, %d failed" % (passed, len(rows) - passed))
    return 0 if passed == len(rows) else 1


def make_the_same(pythons: List[str]) -> bool:
    """Do all of them build the same bytes, and print the same help?"""
    made: Dict[str, List[str]] = {}
    for path in pythons:
        child = subprocess.run(
            [path, "-I", "-S", "-c", MADE, TOP],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            universal_newlines=True,
            timeout=60,
        )
        made.setdefault(child.stdout.strip() if child.returncode == 0 else path + ": " + child.stdout, []).append(path)
    if len(made) > 1 or not all(re.match(r"[0-9a-f]{64}$", what) for what in made):
        print("\n".join("%s is made by %s" % (what, " ".join(paths)) for what, paths in made.items()))
        return False
    return True


def find_pythons() -> Dict[Tuple[int, ...], str]:
    """One interpreter for each minor version from 3.6 on: on PATH, in a pyenv, and the running one."""
    found: Dict[Tuple[int, ...], str] = {}
    for path in find_candidates():
        version = ask_version(path)
        if version >= (3, 6):
            found.setdefault(version[:2], path)
    return found


def find_another() -> Optional[str]:
    """The first interpreter from 3.6 on whose minor version differs from the running one's."""
    for path in find_candidates():
        version = ask_version(path)
        if version >= (3, 6) and version[:2] != sys.version_info[:2]:
            return path
    return None


def find_candidates() -> List[str]:
    """Possible paths of an interpreter, the running one first."""
    candidates = [sys.executable]
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        candidates += matching(folder, r"python3(\.\d+)?$")
    versions = os.path.join(os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv")), "versions")
    for name in sorted(os.listdir(versions)) if os.path.isdir(versions) else []:
        candidates += matching(os.path.join(versions, name, "bin"), r"python3$")
    return candidates


def matching(folder: str, pattern: str) -> List[str]:
    """The executables of a folder whose names match."""
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    paths = [os.path.join(folder, name) for name in names if re.match(pattern, name)]
    return [path for path in paths if os.access(path, os.X_OK)]


def ask_version(path: str) -> Tuple[int, ...]:
    """The version of an interpreter; (0,) for any other program, such as the shim of an unselected version."""
    code = "import sys; print('%d %d %d' % sys.version_info[:3])"
    try:
        child = subprocess.run([path, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return (0,)
    words = child.stdout.decode("ascii", "replace").split()
    return tuple(int(word) for word in words) if child.returncode == 0 and len(words) == 3 else (0,)


if __name__ == "__main__":
    sys.exit(main())
