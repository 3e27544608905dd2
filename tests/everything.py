"""`python3 -m tests.everything [NAME ...]`: every test command, one after another, with a table at the end.

`.ci/run` runs a part of this in less than an hour; the whole takes hours. It prints its progress, and keeps the output
of each command in dist/release-test/. It needs root, and Debian's packages: those of .ci/run, mkosi, debootstrap and
systemd-container.
"""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import List, NamedTuple, Tuple

from tests import TOP

FOLDER = os.path.join("dist", "release-test")
MAKES = ("make: ", "make[")  # lines of its own
TABLE = os.path.join(FOLDER, "table.txt")

# The commands of one round run at the same time, since each uses one processor. The cheap ones are first, so that a
# failure is known early; distro-test makes the trees that tests of the suite use.
ROUNDS: "Tuple[List[List[str]], ...]" = (
    [["lint"]],
    [["demo"]],
    [["distro-test"]],
    [["test", "ONLY=--complete"]],
    [["test-shell"]],
    [["test-user"]],
    [["hostile"]],
    [["crash"]],
    [["mutate"]],
    [["fuzz", "MINUTES=5"], ["chaos"], ["recipe-test"]],
    [["boot-test", "ONLY=--again 1"]],
    [["test-pythons", "ONLY=--all --others"]],
)


class Proved(NamedTuple):
    """The result of one command."""

    name: str
    code: int
    seconds: float
    closing: str  # the last line of its output


def main() -> int:
    """Exit code 0 if all of them passed, 2 for an unknown name."""
    names = [words[0] for proofs in ROUNDS for words in proofs]
    unknown = sorted(set(sys.argv[1:]) - set(names))
    if unknown:
        print("no such proof: %s; there are %s" % (" ".join(unknown), " ".join(names)))
        return 2
    os.makedirs(os.path.join(TOP, FOLDER), exist_ok=True)
    wanted = [name for name in names if name in (sys.argv[1:] or names)]
    proved: "List[Proved]" = []

    def show(words: "List[str]") -> None:
        number = wanted.index(words[0]) + 1
        tell("%s  %d of %d: make %s" % (time.strftime("%H:%M:%S"), number, len(wanted), " ".join(words)))
        proved.append(prove(words))
        write_table(proved)
        tell("          %s" % row(proved[-1]))

    for proofs in ROUNDS:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for shown in [pool.submit(show, words) for words in proofs if words[0] in wanted]:
                shown.result()
    failed = sum(one.code != 0 for one in proved)
    print("the table is in %s" % TABLE)
    print("%d passed, %d failed" % (len(proved) - failed, failed))
    return 1 if failed else 0


def tell(line: str) -> None:
    """Print a line in one piece: others may be printing, too."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def prove(words: "List[str]") -> Proved:
    """Run one command; its output goes to its own file. A skip that is not in tests/skips.py is a failure."""
    started = time.monotonic()
    path = os.path.join(TOP, FOLDER, words[0] + ".log")
    with open(path, "wb") as log:
        environment = dict(os.environ, CI="true")
        code = subprocess.call(
            ["make", *words], cwd=TOP, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    with open(path, encoding="utf-8", errors="replace") as log_text:
        lines = [line.strip() for line in log_text if line.strip() and not line.startswith(MAKES)]
    return Proved(words[0], code, time.monotonic() - started, lines[-1] if lines else "nothing printed")


def row(one: Proved) -> str:
    """A line of the table."""
    minutes, seconds = divmod(int(one.seconds), 60)
    return "%-14s %-7s %4d min %02d s  %s" % (
        one.name,
        "FAILED" if one.code else "ok",
        minutes,
        seconds,
        one.closing[:80],
    )


def write_table(proved: "List[Proved]") -> None:
    """Write the results so far, in case the run is stopped."""
    with open(os.path.join(TOP, TABLE), "w", encoding="utf-8") as table:
        table.write("".join(row(one) + "\n" for one in proved))


if __name__ == "__main__":
    sys.exit(main())
