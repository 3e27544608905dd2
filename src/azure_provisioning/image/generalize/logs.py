"""The logs of the machine that becomes the image, and the core dumps of its programs."""

import re
import stat
from typing import List

from .plan import Plan, join

TOP = "/var/log"
DUMPS = ("/var/lib/systemd/coredump", "/var/crash")
DEPTH, LIMIT = 16, 20000  # nested folders, and files
# Old logs, as logrotate, svlogd and s6-log name them; and sysstat's, which does not accept an empty file.
ROTATED = re.compile(
    r".*\.(?:gz|xz|bz2|zst|lz4|old|prev|[0-9]+)\Z|.*-[0-9]{8}\Z|@[0-9a-f]{24,}\.[su]\Z|sar?[0-9]{2,8}\Z"
)
JOURNAL = re.compile(r"[0-9a-f]{32}(?:\.[^/]+)?\Z")  # a folder of systemd's: the machine id, and perhaps a namespace
# Not logs: Slackware's list of packages, and the configuration of svlogd and s6-log.
NO_LOGS = ("/var/log/packages", "/var/log/scripts", "/var/log/removed_packages", "/var/log/removed_scripts")
NO_LOG_NAMES = ("config", "lock", "state")


def plan_logs(plan: Plan) -> None:
    """Empty current logs, whose programs may need them with their owner and mode; remove rotated ones."""
    plan_journal(plan)
    left = [LIMIT]
    plan_folder(plan, TOP, DEPTH, left)
    if left[0] < 0:
        plan.problems.append("more than %d files in %s: the rest stays" % (LIMIT, TOP))
    for folder in DUMPS:
        for path in plan.files(folder, "*"):
            plan.remove(path)


def plan_journal(plan: Plan) -> None:
    """Have the journal continue in memory: journald would create its folder again, with its entries about this VM."""
    system = plan.system
    tool = system.find_program("journalctl") if system.live else None
    if tool and any(JOURNAL.match(name) for name, _ in plan.look(TOP + "/journal")):
        plan.add("move the journal to memory", lambda: system.run([tool or "", "--relinquish-var"], check=False))


def plan_folder(plan: Plan, folder: str, depth: int, left: "List[int]") -> None:
    """One folder of logs, and the folders in it. Links, pipes and devices are not logs."""
    for name, what in plan.look(folder):
        path = join(folder, name)
        left[0] -= 1
        if left[0] < 0:
            return
        if stat.S_ISDIR(what.st_mode):
            if JOURNAL.match(name) and folder.endswith("/journal"):
                plan.remove(path)
            elif path not in NO_LOGS and not depth:
                plan.problems.append("more than %d nested folders in %s: the rest stays" % (DEPTH, TOP))
            elif path not in NO_LOGS and plan.enters(path):
                plan_folder(plan, path, depth - 1, left)
        elif stat.S_ISREG(what.st_mode) and name not in NO_LOG_NAMES:
            if ROTATED.match(name):
                plan.remove(path)
            elif what.st_size:
                plan.empty(path)
