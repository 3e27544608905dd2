"""`python3 -m tests.distro [bookworm-insserv ...]`: a table at the end; exit code 1 if a distro disagrees with us."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Dict, List, Optional

import build_zipapp
from tests import TOP
from tests.server import SCRATCH

from .checks import CHECKS, Bench, Wrong
from .trees import KINDS, RELEASES, tree

NEEDED = {
    "mmdebstrap": "mmdebstrap",
    "unshare": "util-linux",
    "chroot": "coreutils",
    "ip": "iproute2",
    "systemctl": "systemd",
    "systemd-analyze": "systemd",
}
WORKERS = os.cpu_count() or 1  # trees at a time, each with its own copies and namespaces
ROOM = WORKERS * (3 << 30)  # bytes: several copies of each tree


def main() -> int:
    """Exit code 0 if every check on every tree passed."""
    missing = sorted({package for program, package in NEEDED.items() if shutil.which(program) is None})
    if os.geteuid() != 0 or missing:
        print("distro-test needs root" + (", and the packages " + " ".join(missing) if missing else ""))
        return 1
    names = ["%s-%s" % (release, kind) for release in RELEASES for kind in KINDS]
    unknown = [name for name in sys.argv[1:] if name not in names]
    if unknown:
        print("no such tree: %s; there are %s" % (unknown[0], " ".join(names)))
        return 2
    started = time.monotonic()
    chosen = sys.argv[1:] or names
    with ThreadPoolExecutor(WORKERS) as pool:
        results = dict(zip(chosen, pool.map(run_checks, chosen)))
    show(results)
    cells = [cell for row in results.values() for cell in row]
    bad = len(cells) - cells.count("ok")
    print("%d passed, %d failed, %.0f s" % (cells.count("ok"), bad, time.monotonic() - started))
    return 1 if bad else 0


def run_checks(name: str) -> List[str]:
    """The row of one tree: a word for each check."""
    release, kind = name.split("-")
    row = []
    scratch = Path(tempfile.mkdtemp(prefix="azure-provisioning-distro-", dir=folder_for_copies()))
    try:
        program = scratch / "azure-provisioning"
        build_zipapp.write(str(program), build_zipapp.build(TOP))
        bench = Bench(name, kind, tree(release, kind), scratch, program)
        for title, function in CHECKS.items():
            try:
                function(bench)
                row.append("ok")
            except Wrong as error:
                print("%s: %s: %s" % (name, title, error), flush=True)
                row.append("FAILED")
    except subprocess.CalledProcessError as error:
        print("%s: %s" % (name, error), flush=True)
        row.append("FAILED")
    finally:
        shutil.rmtree(str(scratch))
    print("%s: %s" % (name, " ".join(row)), flush=True)
    return row


def folder_for_copies() -> Optional[str]:
    """Where trees are copied to; None is the default of tempfile.

    In memory a copy takes a tenth of the time. But a chroot needs its devices, programs and sudo, and room.
    """
    if SCRATCH is None:
        return None
    found = os.statvfs(SCRATCH)
    refused = found.f_flag & (os.ST_NODEV | os.ST_NOEXEC | os.ST_NOSUID)
    return None if refused or found.f_bavail * found.f_frsize < ROOM else SCRATCH


def show(results: Dict[str, List[str]]) -> None:
    """The table."""
    print("%-20s" % "" + "".join("%-10s" % title for title in CHECKS))
    for name, row in results.items():
        print("%-20s" % name + "".join("%-10s" % cell for cell in row))


if __name__ == "__main__":
    sys.exit(main())
