"""The output of a boot for people: single lines, whatever the network sends, and even if the reader has ended."""

import fcntl
import io
import os
import pty
import struct
import termios
import time
from contextlib import suppress
from unittest import mock

from azure_provisioning import console
from azure_provisioning.console import Console
from tests.guests import GuestTest


class ConsoleTest(GuestTest):
    def test_lines(self) -> None:
        self.console.say("one")
        self.console.warn("two")
        self.console.announce("three")
        expected = "azure-provisioning: one\nazure-provisioning: warning: two\nazure-provisioning: three\n"
        self.assertEqual(self.story, expected)

    def test_control_characters_are_escaped(self) -> None:
        self.console.say("a\x1b[2Jb\nc\rd\0e\x9bf\u202eg\ud800h m\xfcller")
        self.assertEqual(self.story, "azure-provisioning: a\\x1b[2Jb\\nc\\rd\\x00e\\x9bf\\u202eg\\ud800h m\xfcller\n")

    def on_terminal(self, columns: int, serial: bool, **environment: str) -> str:
        """A long warning on a terminal with this many columns."""
        outer, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        with mock.patch.dict(os.environ, environment), os.fdopen(inner, "w") as stream:
            terminal = Console(stream)
            terminal.serial = serial
            terminal.warn("one two three four five six seven eight nine /a/path/that/is/too/long/for/a/line ten")
            shown = os.read(outer, 4096).decode("ascii").replace("\r\n", "\n")
        os.close(outer)
        return shown

    def test_folded_on_a_terminal(self) -> None:
        start, indent = "azure-provisioning: ", " " * 20
        whole = (
            start + "warning: one two three four five six seven eight nine /a/path/that/is/too/long/for/a/line ten\n"
        )
        folded = start + "warning: one two\n"
        folded += indent + "three four five six\n" + indent + "seven eight nine\n"
        folded += indent + "/a/path/that/is/too/long/for/a/line\n" + indent + "ten\n"
        self.assertEqual(self.on_terminal(40, False, NO_COLOR="1"), folded)
        self.assertEqual(self.on_terminal(200, False, NO_COLOR="1"), whole)
        self.assertEqual(self.on_terminal(0, False, NO_COLOR="1"), whole)
        self.assertEqual(self.on_terminal(40, True, TERM="xterm", NO_COLOR=""), whole)  # a boot: one line, for scripts

    def test_coloured_on_a_terminal(self) -> None:
        painted = "azure-provisioning: \033[33mwarning:\033[0m one two\n"
        self.assertTrue(self.on_terminal(40, False, TERM="xterm", NO_COLOR="").startswith(painted))
        for environment in ({"TERM": "xterm", "NO_COLOR": "1"}, {"TERM": "dumb", "NO_COLOR": ""}):
            self.assertNotIn("\033", self.on_terminal(40, False, **environment))

    def test_reader_has_ended(self) -> None:
        read, write = os.pipe()
        os.close(read)
        stream = io.TextIOWrapper(io.FileIO(write, "w"))
        Console(stream).say("to nobody")
        with suppress(OSError):
            stream.close()
        closed = io.StringIO()
        closed.close()
        Console(closed).say("to a closed file")

    def test_ascii_stream(self) -> None:
        raw = io.BytesIO()
        stream = io.TextIOWrapper(raw, encoding="ascii")
        Console(stream).say("m\xfcller")
        Console(stream).say("goes on")
        stream.flush()
        self.assertIn(b"goes on", raw.getvalue())

    def test_log(self) -> None:
        log = self.root + "/log"
        self.console.keep_log(log, 1000)
        self.console.say("m\xfcller")
        with open(log, encoding="utf-8") as file:
            self.assertRegex(file.read(), "^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ m\xfcller\n$")
        self.assertEqual(os.stat(log).st_mode & 0o7777, 0o600)
        again = Console(self.stream)
        again.keep_log(log, 1000)
        again.say("x" * 2000)
        self.assertGreater(os.path.getsize(log), 2000)
        Console(self.stream).keep_log(log, 1000)
        self.assertEqual(os.path.getsize(log), 0)

    def test_log_in_hostile_places(self) -> None:
        self.fill({"/target": "precious", "/other": "precious", "/link": "-> other"})
        os.mkfifo(self.root + "/fifo")
        os.mkfifo(self.root + "/read")
        os.link(self.root + "/target", self.root + "/hard")
        started = time.monotonic()
        reader = os.open(self.root + "/read", os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        for place in ("/link", "/fifo", "/read", "/hard", "/no/such/folder/log", "/"):
            screen = Console(self.stream)
            screen.keep_log(self.root + place, 1)
            screen.say("goes on")
        self.assertEqual(self.story.count("goes on"), 6)
        self.assertEqual((self.text("/target"), self.text("/other")), ("precious", "precious"))
        self.assertEqual(os.read(reader, 100), b"")
        self.assertLess(time.monotonic() - started, 2)

    def test_serial_console(self) -> None:
        device, console.DEVICE = console.DEVICE, self.root + "/console"
        self.addCleanup(setattr, console, "DEVICE", device)
        self.fill({"/console": ""})
        self.console.announce("not switched on")
        self.assertEqual(self.text("/console"), "")
        self.console.serial = True
        self.console.say("only the story")
        self.console.announce("for the user\x1b")
        self.assertEqual(self.text("/console"), "azure-provisioning: for the user\\x1b\r\n")

    def test_serial_console_without_a_reader(self) -> None:
        device, console.DEVICE = console.DEVICE, self.root + "/console"
        self.addCleanup(setattr, console, "DEVICE", device)
        os.mkfifo(console.DEVICE)
        self.console.serial = True
        started = time.monotonic()
        self.console.announce("no reader")
        reader = os.open(console.DEVICE, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        for _ in range(2000):  # more than a pipe can hold
            self.console.announce("x" * 100)
        self.assertLess(time.monotonic() - started, 5)
