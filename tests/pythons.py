"""Runs the suite on every Python 3.6+ that is found: `python3 -m tests.pythons`. A table at the end.

But for what a shell does without Python, which is the same for all: `python3 -m tests` has that.
"""

import os
import re
import subprocess
import sys
from typing import Dict, List, Optional, Tuple

from . import TOP
from .__main__ import find_modules

CHILD_SECONDS = 600


def main() -> int:
    """Exit code 0 if the suite passed on all of them."""
    found = find_pythons()
    results = []
    for version, path in sorted(found.items()):
        print("== Python %s" % ".".join(map(str, version)), flush=True)
        modules = [name for name in find_modules() if "essential" not in name]
        code = subprocess.call([path, "-m", "tests"] + modules, cwd=TOP, timeout=CHILD_SECONDS)
        results.append((version, code))
    bad = [version for version, code in results if code]
    for version, code in results:
        print("%-8s %s" % (".".join(map(str, version)), "FAILED" if code else "passed"))
    print("%d passed, %d failed" % (len(results) - len(bad), len(bad)))
    return 1 if bad or not results else 0


def find_pythons() -> Dict[Tuple[int, ...], str]:
    """One interpreter for each minor version from 3.6 on: on PATH, in a pyenv, and the one that this runs on."""
    found: Dict[Tuple[int, ...], str] = {}
    for path in find_candidates():
        version = ask_version(path)
        if version >= (3, 6):
            found.setdefault(version[:2], path)
    return found


def find_another() -> Optional[str]:
    """An interpreter of another minor version than the one that this runs on, from 3.6 on: the first that is found."""
    for path in find_candidates():
        version = ask_version(path)
        if version >= (3, 6) and version[:2] != sys.version_info[:2]:
            return path
    return None


def find_candidates() -> List[str]:
    """Where there may be an interpreter, the one that this runs on first."""
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
    """The version of an interpreter; (0,) for what is none, such as the shim of a version that is not chosen."""
    code = "import sys; print('%d %d %d' % sys.version_info[:3])"
    try:
        child = subprocess.run([path, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return (0,)
    words = child.stdout.decode("ascii", "replace").split()
    return tuple(int(word) for word in words) if child.returncode == 0 and len(words) == 3 else (0,)


if __name__ == "__main__":
    sys.exit(main())
