"""Runs the suite, or the named tests: `python3 -m tests [-k WORD] [-x] [--strict] [tests.test_state ...]`.

No test found is a failure. With --strict or CI=true, a skip that is not on the list of tests/skips.py is a failure too.
The checkout is only read. Run `setpriv --reuid=4711 --regid=4711 --clear-groups env HOME=/tmp python3 -m tests` as root
for a plain user, who runs the tests that root skips.
"""

import argparse
import glob
import os
import signal
import sys
import time
import unittest
from typing import Any, Dict, List, Sequence

from . import TOP, skips
from .forks import FAILED, PASSED, SKIPPED, Group, Outcome, flatten, play
from .server import server
from .slow import GROUPS, SECONDS

LIMIT = 600  # seconds for a group of tests
SHOWN = 10  # of the slowest tests


def main() -> int:
    """Exit code 0 if every test passed; the last line counts them."""
    started = time.monotonic()
    chosen = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # running groups are ended too
    names = chosen.names or find_modules(also=chosen.also, only=chosen.only)
    if chosen.complete:
        from . import sound

        sound.COMPLETE = True
    keep_byte_code()
    version = ".".join(map(str, sys.version_info[:3]))
    kind = ("name" if chosen.names else "module") + ("" if len(names) == 1 else "s")
    print("Python %s: %d %s, %d groups of tests at a time" % (version, len(names), kind, chosen.jobs), flush=True)
    server().start()
    tests = [test for test in load(names) if not chosen.k or any(word in test.id() for word in chosen.k)]
    groups = split(tests)
    left = count(groups)
    found: "Dict[str, List[Outcome]]" = {module: [] for module in left}
    running = play(groups, chosen.jobs, LIMIT)
    for number, outcomes in running:
        module = module_of(groups[number])
        if chosen.strict or chosen.no_skips:
            outcomes = [skips.judge(outcome, none=chosen.no_skips) for outcome in outcomes]
        found[module] += outcomes
        left[module] -= 1
        for outcome in found[module][-len(outcomes) :]:
            if outcome.word == FAILED:
                print("\n".join(["FAILED: " + outcome.id] + outcome.texts), flush=True)
        if not left[module]:
            print(row(module, found[module]), flush=True)
        if chosen.x and any(outcome.word == FAILED for outcome in outcomes):
            running.close()
            break
    everything = sum(found.values(), [])
    print_skips(everything)
    print_slowest(everything)
    numbers = tuple(sum(outcome.word == word for outcome in everything) for word in (PASSED, FAILED, SKIPPED))
    print("Python %s, %.0f s" % (version, time.monotonic() - started))
    print("%d passed, %d failed, %d skipped" % numbers)
    return 0 if everything and not numbers[1] else 1


def arguments() -> argparse.Namespace:
    """The arguments on the command line."""
    parser = argparse.ArgumentParser(prog="python3 -m tests", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="of a module, a class or a test: tests.test_state")
    parser.add_argument("-k", action="append", metavar="WORD", help="only tests whose full name contains WORD")
    parser.add_argument("-x", action="store_true", help="stop at the first failure")
    strict = os.environ.get("CI") == "true"
    parser.add_argument("--strict", action="store_true", default=strict, help="a skip must be on the list (CI=true)")
    groups: "Dict[str, Any]" = {"choices": sorted(GROUPS), "action": "append", "default": []}
    parser.add_argument("--also", help="also the modules of `make hostile`, or of `make test-shell`", **groups)
    parser.add_argument("--only", help="nothing but these", **groups)
    parser.add_argument("--complete", action="store_true", help="every test of `check` runs all checks each time")
    parser.add_argument("--no-skips", action="store_true", help="a skip is a failure")
    jobs = (os.cpu_count() or 1) + 2  # some tests only wait
    parser.add_argument("--jobs", type=int, default=jobs, metavar="N", help="so many groups of tests at a time")
    return parser.parse_args()


def keep_byte_code() -> None:
    """If the checkout is not writable, compile its modules once and not in every process (Python 3.8 and later)."""
    if not os.access(os.path.join(TOP, "tests"), os.W_OK):
        folder = os.path.join(server().folder, "byte-code")
        os.environ["PYTHONPYCACHEPREFIX"] = folder
        setattr(sys, "pycache_prefix", folder)  # noqa: B010 # older ones have no such attribute


def find_modules(*, also: "Sequence[str]" = (), only: "Sequence[str]" = ()) -> "List[str]":
    """The names of the test modules. Those in the groups of tests/slow.py need `also` or `only`."""
    paths = sorted(glob.glob(os.path.join(TOP, "tests", "test_*.py")))
    names = [os.path.basename(path)[: -len(".py")] for path in paths]
    group_of = {name: group for group, members in GROUPS.items() for name in members}
    wanted = only or ["", *also]
    return ["tests." + name for name in names if group_of.get(name, "") in wanted]


def load(names: "List[str]") -> "List[unittest.TestCase]":
    """The tests of these names; a name that cannot be loaded is a failing test."""
    return [test for name in names for test in flatten(unittest.defaultTestLoader.loadTestsFromName(name))]


def split(tests: "List[unittest.TestCase]") -> "List[Group]":
    """The groups, the longest first, so that none starts late: each slow test alone, the rest by class."""
    slow = sorted((test for test in tests if short(test) in SECONDS), key=lambda test: -SECONDS[short(test)])
    classes: "Dict[str, List[unittest.TestCase]]" = {}
    for test in tests:
        if short(test) not in SECONDS:
            classes.setdefault(test.id().rpartition(".")[0], []).append(test)
    groups: "List[Group]" = [[test] for test in slow]
    return groups + sorted(classes.values(), key=len, reverse=True)


def short(test: unittest.TestCase) -> str:
    """The name of a test without the package."""
    name = test.id()
    return name[len("tests.") :] if name.startswith("tests.") else name


def module_of(group: Group) -> str:
    """The module of a group, or the name that could not be loaded."""
    test = group[0]
    module = type(test).__module__
    return test.id().rpartition(".")[2] if module == "unittest.loader" else module


def count(groups: "List[Group]") -> "Dict[str, int]":
    """The number of groups of each module."""
    found: "Dict[str, int]" = {}
    for group in groups:
        found[module_of(group)] = found.get(module_of(group), 0) + 1
    return found


def row(module: str, outcomes: "List[Outcome]") -> str:
    """One line of the table."""
    counts = ["%d %s" % (sum(outcome.word == word for outcome in outcomes), word) for word in (PASSED, FAILED, SKIPPED)]
    seconds = sum(outcome.seconds for outcome in outcomes)
    return "%-26s %6.1f s  %s" % (module.rpartition(".")[2], seconds, ", ".join(counts))


def print_skips(outcomes: "List[Outcome]") -> None:
    """Each skipped test with its reasons."""
    for outcome in sorted(outcomes):
        for reason in outcome.texts if outcome.word == SKIPPED else ():
            print("skipped: %s: %s" % (outcome.id, reason))


def print_slowest(outcomes: "List[Outcome]") -> None:
    """The slowest tests."""
    slowest = sorted(outcomes, key=lambda outcome: -outcome.seconds)[:SHOWN]
    print("The slowest tests:")
    for outcome in slowest:
        print("%6.1f s  %s" % (outcome.seconds, outcome.id))


if __name__ == "__main__":
    sys.exit(main())
