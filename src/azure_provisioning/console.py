"""The only module that writes the story to stderr, the log and the serial console."""

import os
import stat
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional, TextIO, Tuple

DEVICE = "/dev/console"
PREFIX = "azure-provisioning: "
MARGIN = 20  # columns; a terminal that reports fewer does not know its width
COLOURS = (("warning:", "33"), ("FAILED:", "31"))  # yellow, red


class Console:
    """Writes the story to `stream` (standard error), and to a log file if there is one.

    `announce` also writes to the serial console, the only output that an Azure user sees of a machine that they cannot
    log in to. That is enabled only for a boot of the running machine.
    """

    def __init__(self, stream: "Optional[TextIO]" = None) -> None:
        self.stream = stream or sys.stderr
        self.serial = False
        self.quiet = False  # write only warnings to the stream
        self.verbose = False  # write the seconds since the start before each line
        self._began = time.monotonic()
        self._log: "Optional[int]" = None

    def keep_log(self, path: str, limit: int, heading: str = "") -> None:
        """Also write every further line to the file at `path`, which is truncated if it has more than `limit` bytes.

        `heading` is the first line, only in the file: it separates this boot from the one before.

        A machine without a place for a log boots anyway. Nothing is written to a file that others made, such as a pipe
        or a hard link to another file.
        """
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
            log = os.open(path, flags, 0o600)
            found = os.fstat(log)
            if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1 or found.st_uid != os.geteuid():
                os.close(log)
                return
            self._log = log
            if found.st_size > limit:
                os.ftruncate(log, 0)
        except OSError:
            return
        if heading:
            self._write_log(heading)

    def say(self, line: str) -> None:
        """Write one line of the story."""
        line = printable(line)
        if not self.quiet:
            self._show(line)
        self._write_log(line)

    def _show(self, line: str) -> None:
        if self.verbose:
            line = "%8.3f %s" % (time.monotonic() - self._began, line)
        try:
            shown = line
            if not self.serial and self.stream.isatty():
                shown = fold(line, os.get_terminal_size(self.stream.fileno()).columns - len(PREFIX))
                if may_colour(self.stream):
                    shown = paint(shown, COLOURS)
            self.stream.write(PREFIX + shown + "\n")
            self.stream.flush()
        except (OSError, ValueError):
            pass  # the reader has ended; the boot continues

    def _write_log(self, line: str) -> None:
        if self._log is not None:
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ ", time.gmtime())
            write_all(self._log, stamp + printable(line) + "\n")

    def warn(self, line: str) -> None:
        """Warn of a problem with which the boot continues."""
        self.insist("warning: " + line)

    def insist(self, line: str) -> None:
        """Write a line even if the story is switched off."""
        quiet, self.quiet = self.quiet, False
        try:
            self.say(line)
        finally:
            self.quiet = quiet

    def announce(self, line: str) -> None:
        """Write a line of the story to the serial console too, once."""
        try:
            self.insist(line)
        finally:
            if self.serial and not is_console(2):
                show_on_device(line)


def show_on_device(line: str) -> None:
    """Write a line to the serial console if possible. Never wait for a terminal, never make it our controlling one."""
    try:
        device = os.open(DEVICE, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    write_all(device, PREFIX + printable(line) + "\r\n")
    os.close(device)


def write_all(descriptor: int, line: str) -> None:
    """Write a line if possible; a full disk or a dead terminal must not end the boot."""
    try:
        os.write(descriptor, line.encode("utf-8", "replace"))
    except OSError:
        return


def is_console(descriptor: int) -> bool:
    """Is `descriptor` the kernel's console, or a terminal behind it?"""
    try:
        here = os.fstat(descriptor)
    except OSError:
        return False
    if not stat.S_ISCHR(here.st_mode):
        return False
    devices = [DEVICE]
    try:
        with open("/sys/class/tty/console/active") as active:
            devices += ["/dev/" + name for name in active.read().split()]
    except OSError:
        pass  # no sysfs: only the name that every kernel has is known
    return any(os.stat(device).st_rdev == here.st_rdev for device in devices if os.path.exists(device))


def fold(line: str, width: int) -> str:
    """The line in pieces of at most `width` columns, for a terminal: broken at blanks, the rest indented like the
    prefix.

    A word that is too long, such as a path, stays whole, so that it can be copied.
    """
    if width < MARGIN:
        return line
    lines = [""]
    for word in line.split(" "):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append(word)
        else:
            lines[-1] += " " + word if lines[-1] else word
    return ("\n" + " " * len(PREFIX)).join(lines)


def may_colour(stream: "TextIO") -> bool:
    """Is this a terminal with colours, which are not switched off (https://no-color.org)?"""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


def paint(line: str, colours: "Tuple[Tuple[str, str], ...]") -> str:
    """The line with its first mark in the colour that `colours` has for it."""
    for mark, colour in colours:
        if line.startswith(mark):
            return "\033[%sm%s\033[0m%s" % (colour, mark, line[len(mark) :])
    return line


def printable(line: str) -> str:
    """The line without control characters and lone surrogates: text from the network must not control a terminal."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)
