"""Runs the guest's programs: with an empty environment and a time limit; the last MiB of output is kept."""

import os
import select
import signal
import subprocess
import time
from contextlib import suppress

from ..errors import GuestError
from .tree import FILE_LIMIT, SEARCH, Tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO, Callable, Dict, Optional, Sequence, Tuple

CHUNK = 64 << 10  # bytes read at once: the capacity of a pipe
REAP_SECONDS = 5.0  # for a killed program to end


class Programs(Tree):
    """A guest whose programs can be run, if it is this machine, and the clock for their time limits."""

    def monotonic(self) -> float:
        """Seconds on a clock that cannot be set."""
        return time.monotonic()

    def passed(self, since: float) -> float:
        """Seconds since a moment of that clock, to show to people."""
        return self.monotonic() - since

    def time(self) -> float:
        """Seconds since 1970. At a first boot this clock may be wrong by years."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait for a number of seconds."""
        time.sleep(seconds)

    def becomes(self, condition: "Callable[[], object]", seconds: float) -> bool:
        """Wait until the condition holds, asking ten times a second; False if it does not within `seconds`."""
        ends = self.monotonic() + seconds
        while not condition():
            if self.monotonic() >= ends:
                return False
            self.sleep(0.1)
        return True

    @property
    def can_run(self) -> bool:
        """May the guest's programs be run? Not in an image, which may be hostile, or for another architecture."""
        return self.root == "/"

    def run(self, argv: "Sequence[str]", seconds: float = 60.0, *, check: bool = True, secret: bytes = b"") -> int:
        """Run a program of the guest without a shell; returns its exit code.

        `secret` goes to its standard input, which is otherwise empty. Raises GuestError if it cannot be started, takes
        longer than `seconds`, or (with `check`) fails; the details have the last line that it printed.
        """
        code, printed = self.execute(argv, seconds, secret)
        if check and code != 0:
            raise GuestError("command failed", command=argv[0], code=code, output=last_line(printed))
        return code

    def ask(self, argv: "Sequence[str]", seconds: float = 60.0) -> str:
        """Run a program like `run`, and return its output. Raises GuestError."""
        code, printed = self.execute(argv, seconds)
        if code != 0:
            raise GuestError("command failed", command=argv[0], code=code, output=last_line(printed))
        return printed

    def execute(
        self,
        argv: "Sequence[str]",
        seconds: float = 60.0,
        secret: bytes = b"",
        environment: "Optional[Dict[str, str]]" = None,
    ) -> "Tuple[int, str]":
        """Run a program of the guest: (its exit code, the last MiB of its output).

        It runs in its own session, which is killed after `seconds`, and gets only the environment given here. Raises
        GuestError if it cannot be started or takes too long.
        """
        if not self.can_run:
            raise GuestError("nothing in an image is executed", command=argv[0])
        surroundings = dict({"PATH": ":".join(SEARCH), "LC_ALL": "C", "HOME": "/root"}, **(environment or {}))
        start, end = os.pipe()
        with os.fdopen(start, "rb", buffering=0) as output:
            try:
                child = subprocess.Popen(
                    argv, stdin=subprocess.PIPE, stdout=end, stderr=end, env=surroundings, start_new_session=True
                )
            except OSError as error:
                raise GuestError("command cannot be started", command=argv[0], error=error.strerror) from error
            finally:
                os.close(end)
            try:
                printed = listen(child, output, secret, seconds)
            except subprocess.TimeoutExpired as error:
                raise GuestError("command took too long", command=argv[0], seconds=seconds) from error
            finally:
                end_group(child)
                hand_over(output)
            return child.returncode, printed.decode("utf-8", "replace")


def listen(child: "subprocess.Popen[bytes]", output: "BinaryIO", secret: bytes, seconds: float) -> bytes:
    """Give a program its `secret`, and return the last MiB of its output; raises TimeoutExpired.

    The output is not written to a file, because no folder is sure to have the space. Returns when the program has
    ended, even if a program that it started keeps the pipe open and prints more.
    """
    stdin: "BinaryIO" = child.stdin  # type: ignore[assignment] # it was started with a pipe
    ends, pause, late = time.monotonic() + seconds, 0.001, 0
    printed, readers, writers = bytearray(), [output], [stdin]
    while True:
        ended = child.poll() is not None
        ready, takers, _ = select.select(readers, writers, [], 0 if ended else pause)
        if takers:
            try:
                secret = secret[os.write(stdin.fileno(), secret[: select.PIPE_BUF]) :] if secret else b""
            except BrokenPipeError:
                secret = b""  # it stopped reading: its exit code shows whether it succeeded
            if not secret:
                writers = []
                stdin.close()
        for _ in ready:
            chunk = os.read(output.fileno(), CHUNK)
            readers = readers if chunk else []
            printed += chunk
            late += len(chunk) if ended else 0
            if len(printed) > 2 * FILE_LIMIT:
                del printed[:-FILE_LIMIT]
        if ended and (not ready or not readers or late > FILE_LIMIT):
            return bytes(printed[-FILE_LIMIT:])
        if time.monotonic() >= ends:
            stdin.close()
            raise subprocess.TimeoutExpired(child.args, seconds)
        pause = 0.001 if ready else min(2 * pause, 0.05)


def hand_over(output: "BinaryIO") -> None:
    """Let `cat` drain a pipe that a background program still holds: without a reader its writes would fail or block."""
    ready, _, _ = select.select([output], [], [], 0)
    if ready and not os.read(output.fileno(), CHUNK):
        return  # no process has it open any more
    reader = ["/bin/sh", "-c", "exec 3<&0; cat <&3 >/dev/null 2>&1 3<&- &"]  # not our child: no one waits for it
    with suppress(OSError):
        subprocess.call(reader, stdin=output, env={"PATH": ":".join(SEARCH)}, start_new_session=True, cwd="/")


def last_line(printed: str) -> str:
    """The last line of a program's output: it usually has the error."""
    return printed.strip().rpartition("\n")[2]


def end_group(child: "subprocess.Popen[bytes]") -> None:
    """Kill a program that is still running, and everything that it started."""
    if child.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):  # one that hangs in the kernel, on a broken drive, ends later
            child.wait(REAP_SECONDS)


def pass_over(_number: int, _frame: object) -> None:
    """Ignore a signal by a handler: unlike SIG_IGN, a program started meanwhile does not inherit it."""


def open_nothing() -> int:
    """Open /dev/null, or on a machine without one the read end of a closed pipe: that is empty too."""
    try:
        return os.open("/dev/null", os.O_RDWR)
    except OSError:
        reader, writer = os.pipe()
        os.close(writer)
        return reader


def close_inherited() -> None:
    """Close descriptors of the caller above 2, such as debconf's 3. Our own descriptors are not inheritable."""
    for descriptor in range(3, 256):
        with suppress(OSError):  # not open
            if os.get_inheritable(descriptor):
                os.close(descriptor)
