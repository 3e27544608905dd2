"""`python3 -m tests.crash [--points N] [--only NUMBER:HOW ...]`: a full first boot, killed at every change it makes.

An undisturbed boot counts the calls that change something. Then, for each call, a fresh disk is booted, killed just
before that call, and booted again. The end must equal that of the undisturbed boot. HOW is `cut` (the whole machine
stops) or `alone` (only the calling process dies, and its parent continues). Root, Linux on x86-64.
"""

import argparse
import base64
import ctypes
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any, Dict, List, Optional, Tuple

import build_zipapp
from tests import TOP
from tests.crash import durable, leaks
from tests.crash.room import STATE, USER, End, Listing, Room, without_times
from tests.crash.tracer import MACHINE, SYNCING, Call, Watch, die_with_parent
from tests.distro.trees import tree
from tests.secrets import PASSWORD

NEEDED = {
    "mmdebstrap": "mmdebstrap",
    "unshare": "util-linux",
    "mount": "util-linux",
    "ip": "iproute2",
}
WORKERS = 2
LEAST = 300  # calls that change something; fewer mean that the tracer misses some
LONGEST_LIFE = 3  # boots
SPARE = re.compile(
    r"/\.[^/]*\.azure-provisioning$|[+]$|\.lock$|\.candidate$|/(passwd|shadow|group|gshadow|sub[ug]id)\.\d+$"
)
# Backup files of the account tools; and what sudo writes when a user of its group first becomes root, which the account
# does once if the sudo that was to list its rights is killed.
BACKUP = re.compile(r"/etc/(passwd|shadow|group|gshadow|sub[ug]id)-$|.*/\.sudo_as_admin_successful$")

Point = Tuple[int, str]


class Killer(Watch):
    """Counts the calls that change something, and kills at one of them."""

    def __init__(self, number: int = 0, how: str = "cut") -> None:
        self.number, self.how = number, how
        self.calls: List[str] = []

    def on_call(self, call: Call) -> str:
        if call.name in SYNCING.values() or call.name in ("write", "writev") and call.arguments[0] in (1, 2):
            return ""  # changes nothing, or writes the story to the terminal
        self.calls.append("%s %s" % (call.program, call.name))
        return self.how if len(self.calls) == self.number else ""


class Life:
    """One disk, from the image to the end of an undisturbed boot."""

    def __init__(self, room: Room, killer: Killer) -> None:
        self.ends: List[End] = [room.boot(killer)]
        while (room.is_hooked() or self.ends[-1].code is None) and len(self.ends) < LONGEST_LIFE:
            self.ends.append(room.boot(Watch()))
        self.reports = room.take_reports()
        self.changes = room.changes()
        self.calls = killer.calls

    def compared(self) -> "Tuple[Listing, Dict[str, List[str]]]":
        """The parts that must be the same however often the boot was killed."""
        kept = {path: without_times(path, entry) for path, entry in self.changes.items() if not BACKUP.match(path)}
        return kept, self.ends[-1].left


def main() -> int:
    """Exit code 0 if no point left a state different from an undisturbed boot's."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.crash", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--points", type=int, default=0, help="try only so many, evenly spread (0: all)")
    parser.add_argument("--only", nargs="+", default=[], metavar="NUMBER:HOW", help="try these")
    parser.add_argument("--worker", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return work(arguments, *arguments.worker)
    missing = sorted({package for program, package in NEEDED.items() if shutil.which(program) is None})
    if os.geteuid() != 0 or platform.machine() != MACHINE or missing:
        print("crash needs root, an %s, and the packages: %s" % (MACHINE, " ".join(sorted(set(NEEDED.values())))))
        print("missing: %s" % (" ".join(missing) or ("root" if os.geteuid() else "an " + MACHINE)))
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # through every `finally`
    started = time.monotonic()
    root = tree("bookworm", "systemd", ("sudo",))
    folder = tempfile.mkdtemp(prefix="azure-provisioning-crash-")
    try:
        program = os.path.join(folder, "azure-provisioning")
        build_zipapp.write(program, build_zipapp.build(TOP))
        results = [result for result in run_workers(folder, str(root), program) if result]
    finally:
        shutil.rmtree(folder)
    tried = sum(result["tried"] for result in results)
    failed = sum(result["failed"] for result in results) + WORKERS - len(results)
    for result in results[:1]:
        print("an undisturbed boot makes %d calls that change something" % result["calls"])
        print("secrets: %s" % result["secrets"])
        print("durability: %s" % result["durable"])
    for how in ("cut", "alone"):
        done = [result["how"].get(how, [0, 0]) for result in results]
        print("%s: %d points, %d of them killed" % (how, sum(item[0] for item in done), sum(item[1] for item in done)))
    twice = sum(result["twice"] for result in results)
    print("%d points tried, Ready was accepted twice at %d of them" % (tried, twice))
    print("%d passed, %d failed, %.0f s" % (tried - failed, failed, time.monotonic() - started))
    return 1 if failed or not tried else 0


def run_workers(folder: str, root: str, program: str) -> "List[Dict[str, Any]]":
    """The results of all workers, each in its own namespaces; their output is shown as it comes."""
    children = []
    for number in range(WORKERS):
        scratch = os.path.join(folder, "room%d" % number)
        os.mkdir(scratch)
        seal = ["unshare", "--mount", "--net", "--uts", "--ipc", "--propagation", "private"]
        argv = seal + [sys.executable, "-m", "tests.crash"] + sys.argv[1:]
        argv += ["--worker", str(number), scratch, root, program, os.path.join(folder, "result%d" % number)]
        children.append((subprocess.Popen(argv, cwd=TOP, preexec_fn=die_with_parent), argv[-1]))
    results = []
    for child, result in children:
        child.wait()
        if os.path.exists(result):
            with open(result, encoding="ascii") as file:
                results.append(json.load(file))
    return results


def work(arguments: argparse.Namespace, number: str, scratch: str, root: str, program: str, result: str) -> int:
    """One worker: every WORKERS-th point."""
    room = Room(scratch, root, program)
    expected = live(room, Killer())
    problems = judge(expected, expected) + judge(expected, live(room, Killer()))
    if len(expected.calls) < LEAST:
        problems.append("only %d calls were seen" % len(expected.calls))
    counts = {"calls": len(expected.calls), "tried": 0, "failed": 0, "twice": 0, "how": {}}  # type: Dict[str, Any]
    found, counts["secrets"] = leaks.look_for_leaks(room)
    lost, counts["durable"] = durable.look_for_losses(room)
    for problem in problems + found + lost:
        print("undisturbed: %s" % problem, flush=True)
        counts["failed"] += 1
    for at, how in choose(arguments, expected.calls)[int(number) :: WORKERS] if not problems else []:
        life = live(room, Killer(at, how))
        of_how = counts["how"].setdefault(how, [0, 0])
        of_how[0] += 1
        of_how[1] += len(life.calls) >= at
        counts["tried"] += 1
        counts["twice"] += sum("Ready</State>" in report for report in life.reports) == 2
        problems = judge(expected, life, alone=how == "alone")
        if how == "cut" and len(life.calls) > at:
            problems.append("%d calls were made after the cut" % (len(life.calls) - at))
        if problems:
            counts["failed"] += 1
            call = life.calls[at - 1] if len(life.calls) >= at else "not reached"
            print("%d:%s (%s): %s" % (at, how, call, "; ".join(problems)), flush=True)
            if arguments.only:
                with open(room.story, encoding="utf-8") as story:
                    print(story.read())
    with open(result, "w", encoding="ascii") as file:
        json.dump(counts, file)
    return 0


def live(room: Room, killer: Killer) -> Life:
    """The life of one fresh disk. It is still mounted afterwards."""
    room.begin()
    return Life(room, killer)


def choose(arguments: argparse.Namespace, calls: List[str]) -> List[Point]:
    """The points to try: a cut at every call, and for calls of the guest's tools also a kill of the tool alone."""
    if arguments.only:
        return [(int(number), how or "cut") for number, _, how in (text.partition(":") for text in arguments.only)]
    points = [(at, "cut") for at in range(1, len(calls) + 1)]
    points += [(at, "alone") for at, call in enumerate(calls, 1) if not call.startswith("python3 ")]
    if 0 < arguments.points < len(points):
        points = [points[index * len(points) // arguments.points] for index in range(arguments.points)]
    return points


# -- faults of an end state ------------------------------------------------------------------------------------------


def judge(expected: Life, life: Life, alone: bool = False) -> List[str]:
    """The faults, in words; empty if there are none."""
    problems = []
    if life.ends[-1].code != 0:
        problems.append("boot %d ended with %s" % (len(life.ends), life.ends[-1].code))
    ready = sum("Ready</State>" in report and "NotReady" not in report for report in life.reports)
    if not 1 <= ready <= 2:
        problems.append("Ready was accepted %d times" % ready)
    if len(life.reports) > ready and not alone:
        problems.append("a failure was reported: %s" % life.reports)
    (wanted, left), (here, left_here) = expected.compared(), life.compared()
    for path in sorted(set(wanted) | set(here)):
        if wanted.get(path) != here.get(path):
            problems.append("%s is %s, and should be %s" % (path, show(here.get(path)), show(wanted.get(path))))
    problems += ["%s was left behind" % path for path in here if SPARE.search(path) and here[path][0] != "gone"]
    for what, names in left_here.items():
        more = set(names) - set(left[what])  # fewer is correct: the last boot may have less to do
        if more:
            problems.append("left outside the disk: %s %s" % (what, sorted(more)))
    problems += judge_secrets_of_its_own(life.changes)
    return problems


def show(entry: "Optional[Tuple[str, int, int, int, bytes]]") -> str:
    """An entry, in short."""
    if entry is None:
        return "as in the image"
    return "%s %o %d:%d %r" % (entry[0], entry[1], entry[2], entry[3], entry[4].rstrip(b"\0")[-100:])


def judge_secrets_of_its_own(changes: Listing) -> List[str]:
    """Values that differ in each boot must still be valid: the password opens, and the host keys are pairs."""
    problems = []
    shadow = changes["/etc/shadow"][4].decode("ascii") if "/etc/shadow" in changes else ""
    fields = [line.split(":") for line in shadow.splitlines() if line.startswith(USER + ":")]
    if len(fields) != 1 or not opens(fields[0][1]):
        problems.append("the password does not open %s" % fields)
    publics = [path for path in changes if re.match(r"/etc/ssh/ssh_host_\w+_key\.pub$", path)]
    for path in publics:
        private = changes.get(path[: -len(".pub")], ("", 0, 0, 0, b""))[4]
        blob = base64.b64decode((changes[path][4].split() + [b"", b""])[1])
        if not blob or blob not in base64.b64decode(b"".join(private.split(b"\n")[1:-2])):
            problems.append("%s does not belong to its private key" % path)
    if len(publics) != 3:
        problems.append("%d host keys" % len(publics))
    if STATE in changes and b"ready_at=" not in changes[STATE][4]:
        problems.append("Ready is not remembered")
    return problems


def opens(field: str) -> bool:
    """Does the password match this field of shadow? Asks the C library that the tools use."""
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p
    return bool(crypt(PASSWORD.encode("utf-8"), field.encode("ascii")) == field.encode("ascii"))


if __name__ == "__main__":
    sys.exit(main())
