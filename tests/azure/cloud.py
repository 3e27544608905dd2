"""The `az` command: its calls and its answers."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import List

MINUTES = 60.0
LONGEST = 60 * MINUTES  # Azure itself abandons a VM after 40 minutes
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
NAME = r"[A-Za-z][A-Za-z0-9-]{1,38}[A-Za-z0-9]"  # of a group; Azure allows more characters, some of them harmful


class Failed(Exception):
    """An error from Azure or its command: one line."""


class Az:
    """Runs `az`, and logs its calls and answers. Its arguments never contain a secret."""

    def __init__(self, log: Path) -> None:
        self.log = log

    def ask(self, *words: str, seconds: float = LONGEST) -> object:
        """The answer as JSON; None if it is empty. Raises Failed."""
        text = self.text(*words, "--output", "json", seconds=seconds).strip()
        try:
            return json.loads(text) if text else None
        except ValueError:
            raise Failed("az %s: the answer is no JSON: %.80r" % (_verb(words), text))

    def text(self, *words: str, seconds: float = LONGEST) -> str:
        """The output. Raises Failed with its last error line."""
        argv = ["az", *words, "--only-show-errors"]
        self.note("$ " + " ".join(argv))
        started = time.monotonic()
        try:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                timeout=seconds,
            )
        except OSError as error:
            raise Failed("az cannot be started: %s" % error.strerror)
        except subprocess.TimeoutExpired:
            raise Failed("az %s: no answer within %d minutes" % (_verb(words), seconds / MINUTES))
        printed = done.stdout.decode("utf-8", "replace")
        complaint = done.stderr.decode("utf-8", "replace").strip()
        self.note(printed + complaint)
        self.note("-- exit code %d after %d s" % (done.returncode, time.monotonic() - started))
        if done.returncode:
            raise Failed("az %s: %s" % (_verb(words), (complaint.splitlines() or ["it failed"])[-1][:300]))
        return printed

    def note(self, text: str) -> None:
        """Add to the log."""
        with open(str(self.log), "a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text.rstrip("\n") + "\n")


class Group:
    """A resource group of our own: created on entry, and removed after it. A context manager."""

    def __init__(self, az: Az, name: str, location: str) -> None:
        self.az = az
        self.name = name
        self.location = location
        self.made = False

    def __enter__(self) -> "Group":
        # The group that is removed must be ours: an existing group is refused.
        if self.az.ask("group", "exists", "--name", self.name) is not False:
            raise Failed("the group %s exists already; it would be removed at the end. Name another" % self.name)
        self.made = True  # or perhaps: a command that fails or is interrupted may have made it
        try:
            tag = "made-by=azure-provisioning-test"
            self.az.ask("group", "create", "--name", self.name, "--location", self.location, "--tags", tag)
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Remove it if it exists, and check that it is gone. Raises Failed if that cannot be confirmed."""
        if not self.made:
            return
        ignore_signals()  # also for az, which the terminal's Ctrl-C would end
        why = "it is still there"
        for _ in range(2):
            try:
                self.az.text("group", "delete", "--name", self.name, "--yes")
            except Failed as failure:
                why = str(failure)
            try:
                if self.az.ask("group", "exists", "--name", self.name) is False:
                    self.made = False
                    return
            except Failed as failure:
                why = str(failure)
        raise Failed(
            "THE GROUP %s MAY STILL BE THERE, AND COST MONEY (%s). Remove it: az group delete --name %s --yes"
            % (self.name, why, self.name)
        )

    def ask(self, *words: str) -> object:
        """Query something in the group."""
        return self.az.ask(*words, "--resource-group", self.name)

    def text(self, *words: str) -> str:
        """The same, for output that is not JSON."""
        return self.az.text(*words, "--resource-group", self.name)


def end_on_signals() -> None:
    """Make the first ending signal raise SystemExit, and ignore later ones."""

    def end(number: int, _frame: object) -> None:
        ignore_signals()
        sys.exit(128 + number)

    for number in ENDING:
        signal.signal(number, end)


def ignore_signals() -> None:
    """Ignore all ending signals from now on."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)


def field(answer: object, name: str) -> str:
    """A text in an answer. Raises Failed if it is missing."""
    value = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(value, str) or not value:
        raise Failed("az: no %s in the answer" % name)
    return value


def is_name(text: str, pattern: str = NAME) -> bool:
    """Is the whole text a valid name of that kind?"""
    return re.fullmatch(pattern, text) is not None


def _verb(words: "tuple[str, ...]") -> str:
    """`vm create` of an argv."""
    found: List[str] = []
    for word in words:
        if word.startswith("-"):
            break
        found.append(word)
    return " ".join(found)
