"""Tests in forks of the process that has loaded them: a few at a time, each with a limit; results arrive as they end.

A fork costs a hundredth of a new interpreter that loads everything again. It also frees all memory of its tests.
"""

import json
import os
import selectors
import signal
import sys
import tempfile
import time
import traceback
import unittest
from contextlib import suppress
from typing import Any, Callable, Dict, Generator, Iterator, List, NamedTuple, Sequence, Tuple

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"

# The result of one test, or of the preparation of a class. `texts` are its tracebacks, or the reason of its skip.
Outcome = NamedTuple("Outcome", [("id", str), ("word", str), ("seconds", float), ("texts", List[str])])

Group = Sequence[unittest.TestCase]


class Fork:
    """A running group of tests."""

    def __init__(self, number: int, group: Group, limit: float) -> None:
        self.number, self.group = number, group
        self.started = time.monotonic()
        self.ends = self.started + limit
        self.outcomes: "List[Outcome]" = []
        self.at = "before its first test"
        self.printed = tempfile.TemporaryFile()  # noqa: SIM115 # closed by `end`
        reader, writer = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(reader)
                run(group, writer, self.printed.fileno())
            except BaseException:  # noqa: BLE001 # whatever it is, the fork must not go on as its parent
                os.write(2, traceback.format_exc().encode("utf-8", "backslashreplace"))
                os._exit(1)
            os._exit(0)
        with suppress(OSError):  # it did so itself, or has ended
            os.setpgid(self.pid, self.pid)
        os.close(writer)
        self.reader = os.fdopen(reader, "rb", buffering=0)
        self.unread = b""

    def read(self) -> bool:
        """Read its results; False after the last one."""
        data = self.reader.read(1 << 16)
        lines = (self.unread + (data or b"")).split(b"\n")
        self.unread = lines.pop()
        for line in lines:
            message = json.loads(line.decode("ascii"))
            if message is None:
                return False
            if isinstance(message, str):
                self.at = message
            else:
                self.outcomes.append(Outcome(*message))
        return bool(data)

    def end(self, problem: str = "") -> None:
        """It has sent its last result, or is stopped because of a `problem`: a failure of the running test."""
        if problem:
            with suppress(ProcessLookupError):  # it has just ended
                os.killpg(self.pid, signal.SIGKILL)
        self.reader.close()
        status = os.waitpid(self.pid, 0)[1]
        if status and not problem:
            how = "by signal %d" % os.WTERMSIG(status) if os.WIFSIGNALED(status) else "with its process"
            problem = "it ended %s" % how
        if problem:
            self.printed.seek(0)
            said = self.printed.read()[-20000:].decode("utf-8", "backslashreplace")
            seconds = time.monotonic() - self.started
            self.outcomes.append(Outcome(self.at, FAILED, seconds, [problem + "\n" + said]))
        self.printed.close()


class Recorder(unittest.TestResult):
    """Sends each outcome as soon as it is known."""

    def __init__(self, tell: "Callable[[object], None]") -> None:
        super().__init__()
        self.tell = tell
        self.buffer = True
        self.started = time.monotonic()
        self.running = ""
        self.failed: "List[str]" = []
        self.left_out: "List[str]" = []

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802 # the base's name
        super().startTest(test)
        self.started, self.running = time.monotonic(), test.id()
        self.tell(self.running)

    def stopTest(self, test: unittest.TestCase) -> None:  # noqa: N802
        super().stopTest(test)
        self.tell_outcome(self.running)
        self.running = ""

    def tell_outcome(self, name: str) -> None:
        """A test is counted once, even if some of its parts failed or were skipped."""
        word = FAILED if self.failed else SKIPPED if self.left_out else PASSED
        self.tell([name, word, time.monotonic() - self.started, self.failed or self.left_out])
        self.failed, self.left_out = [], []

    def note(self, test: Any, texts: "List[str]", text: str) -> None:
        """Record a result of a test, of a part of it, or, outside of all tests, of its class."""
        part = test.id()
        texts.append(text if part in ("", self.running) else "%s: %s" % (part, text))
        if not self.running:
            self.tell_outcome(part)

    def addError(self, test: Any, err: Any) -> None:  # noqa: N802
        super().addError(test, err)
        self.note(test, self.failed, self.errors[-1][1])

    def addFailure(self, test: Any, err: Any) -> None:  # noqa: N802
        super().addFailure(test, err)
        self.note(test, self.failed, self.failures[-1][1])

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:  # noqa: N802
        super().addSubTest(test, subtest, err)
        if err is not None:
            known = self.failures if issubclass(err[0], test.failureException) else self.errors
            self.note(subtest, self.failed, known[-1][1])

    def addUnexpectedSuccess(self, test: Any) -> None:  # noqa: N802
        super().addUnexpectedSuccess(test)
        self.note(test, self.failed, "it passed, and was expected to fail")

    def addSkip(self, test: Any, reason: str) -> None:  # noqa: N802
        super().addSkip(test, reason)
        self.left_out.append(reason)
        if not self.running:
            self.tell_outcome(test.id())


def run(group: Group, writer: int, printed: int) -> None:
    """In the fork: run the tests, and send the outcomes. Output that unittest does not capture goes to a file."""
    os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, source in enumerate((nothing, printed, printed)):
        os.dup2(source, descriptor)

    def tell(what: object) -> None:
        data = (json.dumps(what) + "\n").encode("ascii")
        while data:
            data = data[os.write(writer, data) :]

    unittest.TestSuite(group).run(Recorder(tell))
    tell(None)


def play(groups: "Sequence[Group]", jobs: int, limit: float) -> "Generator[Tuple[int, List[Outcome]], None, None]":
    """Run the groups in order, `jobs` at a time: (number of the group, its outcomes) as each ends.

    A group that exceeds the limit is killed. Close the generator to stop early: running groups are killed.
    """
    waiting = list(enumerate(groups))[::-1]
    running: "Dict[int, Fork]" = {}
    with selectors.DefaultSelector() as selector:
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    fork = Fork(*waiting.pop(), limit=limit)
                    running[fork.pid] = fork
                    selector.register(fork.reader, selectors.EVENT_READ, fork)
                ready = [key.data for key, _ in selector.select(1.0)]
                for fork in list(running.values()):
                    late = time.monotonic() > fork.ends
                    if (fork in ready and not fork.read()) or late:
                        selector.unregister(fork.reader)
                        del running[fork.pid]
                        fork.end("it took more than %d s, and was killed" % limit if late else "")
                        yield fork.number, fork.outcomes
        finally:
            for fork in running.values():
                fork.end("stopped")


def flatten(suite: "unittest.TestSuite") -> "Iterator[unittest.TestCase]":
    """Each test of a suite."""
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flatten(test)
        else:
            yield test
