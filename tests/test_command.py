"""Commands to copy: a shell reads each name in them as the intended word."""

import os
import shutil
import subprocess
import tempfile
import unittest
from typing import Callable, List, Tuple

from azure_provisioning.image.command import Command, quote

SHELLS = (("dash",), ("bash",), ("busybox", "sh"), ("bash", "--posix"), ("mksh",), ("ksh",), ("zsh",))
TOUCH = "touch PWNED"
# Possible names of an account, a kernel, a module or a file in an image.
NAMES = (
    "ann",
    "x;%s;" % TOUCH,
    "9$(%s)" % TOUCH,
    "`%s`" % TOUCH,
    "'; %s; '" % TOUCH,
    "'$(%s)'" % TOUCH,
    '"; %s; "' % TOUCH,
    "a\n%s\n" % TOUCH,
    "\n%s" % TOUCH,
    "a\n\n",
    "\n",
    "a\r\n%s" % TOUCH,
    "&%s&" % TOUCH,
    "|%s" % TOUCH,
    "<(%s)" % TOUCH,
    ">PWNED",
    ">&PWNED",
    "${x:-$(%s)}" % TOUCH,
    "\\$(%s)" % TOUCH,
    "\\'; %s #" % TOUCH,
    "a\\",
    "\\n",
    "-rf",
    "--help",
    "--",
    "-",
    "=ls",
    "~",
    "~root",
    "*",
    "?",
    "[a-z]",
    "{a,b}",
    "a b",
    "a\tb",
    " ",
    "",
    "#x",
    "!x",
    "!!",
    "a!\n",
    "%s%n",
    "a\n%s%d\\c",
    "\x1b]0;x\x07",
    "a\x7f",
    "\x01'\x02",
    "fran\xe7ois",
    "a\u202etxt.exe",
    "a\x85b\u2028c",
    "\udcff\udc80",  # bytes that are not UTF-8
    "\x1b7",
)


def shells() -> "List[Tuple[str, ...]]":
    """The installed shells."""
    return [(shutil.which(argv[0]) or "",) + argv[1:] for argv in SHELLS if shutil.which(argv[0])]


class ShellTest(unittest.TestCase):
    """Has a folder in which a shell runs a copied command; its only programs are stand-ins that record argv."""

    def setUp(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="azure-provisioning-test-")
        self.addCleanup(shutil.rmtree, self.folder)
        os.makedirs(self.folder + "/bin")
        os.makedirs(self.folder + "/here")
        with open(self.folder + "/stand-in", "w") as file:
            file.write("#!/bin/sh\nprintf '%%s\\0' \"${0##*/}\" \"$@\" '' >>%s/log\n" % self.folder)
        os.chmod(self.folder + "/stand-in", 0o755)
        os.symlink(shutil.which("printf") or "", self.folder + "/bin/printf")  # not every shell has a built-in printf

    def stand_in(self, *names: str) -> None:
        """Create programs of these names that only record their arguments."""
        for name in names:
            if not os.path.exists(self.folder + "/bin/" + name):
                os.symlink("../stand-in", self.folder + "/bin/" + name)

    def run_in(self, shell: "Tuple[str, ...]", command: str) -> "List[List[bytes]]":
        """The argv of each program that the command starts; it must leave no file, and nothing may be missing."""
        log = self.folder + "/log"
        prelude = ""
        if shell[1:] == ("sh",):  # busybox prefers its own programs to those on PATH
            names = [name for name in os.listdir(self.folder + "/bin") if name.isalpha()]
            prelude = "".join('%s() { %s/bin/%s "$@"; }\n' % (name, self.folder, name) for name in names)
        done = subprocess.run(
            [*shell, "-c", prelude + command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.folder + "/here",
            env={"PATH": self.folder + "/bin", "LC_ALL": "C"},
            timeout=30,
        )
        self.assertEqual((done.returncode, done.stderr), (0, b""), command)
        self.assertEqual(os.listdir(self.folder + "/here"), [], command)
        if not os.path.exists(log):
            return []
        with open(log, "rb") as file:
            data = file.read()
        os.unlink(log)
        return [words.split(b"\0") for words in data.split(b"\0\0")[:-1]] if data else []


def raw(*words: str) -> "List[bytes]":
    """The words as a program receives them."""
    return [word.encode("utf-8", "surrogateescape") for word in words]


class WordsTest(ShellTest):
    def setUp(self) -> None:
        super().setUp()
        self.stand_in("passwd", "chroot", "grep")
        self.names = [name for name in NAMES if name]  # the log cannot hold an empty word

    def every(self, make: "Callable[[str], Command]", meant: "Callable[[str], List[List[bytes]]]") -> None:
        """Every name, in every shell."""
        self.assertGreaterEqual(len(shells()), 2, "too few shells are here")
        commands = [make(name) for name in self.names]
        for command in commands:
            self.assertRegex(command, r"\A[ -~]+\Z")
        for shell in shells():
            with self.subTest(shell=shell):
                found = self.run_in(shell, "\n".join(commands))
                self.assertEqual(found, [words for name in self.names for words in meant(name)])

    def test_one_word(self) -> None:
        self.every(lambda name: Command("passwd", "-l", name), lambda name: [raw("passwd", "-l", name)])

    def test_nested(self) -> None:
        """The command of a chroot is one word for the outer shell, and inner shells find the right words in it."""
        inners = [Command("passwd", "-l", name).then(Command("passwd", name)) for name in self.names]
        for shell in shells():
            found = self.run_in(shell, "\n".join(inner.inside("/mnt/it's") for inner in inners))
            self.assertEqual([words[:4] for words in found], [raw("chroot", "/mnt/it's", "sh", "-c")] * len(inners))
            again = self.run_in(shell, "\n".join(words[4].decode("ascii") for words in found))
            meant = [words for name in self.names for words in (raw("passwd", "-l", name), raw("passwd", name))]
            self.assertEqual(again, meant)

    def test_twice_nested(self) -> None:
        for shell in shells():
            inner = Command("passwd", "a'b").then(Command("passwd", "$x")).inside("/a b").then(Command("grep", "x"))
            (found,) = self.run_in(shell, inner.inside("/c"))
            (first, second) = self.run_in(shell, found[4].decode("ascii"))
            self.assertEqual((first[:4], second), (raw("chroot", "/a b", "sh", "-c"), raw("grep", "x")))
            self.assertEqual(self.run_in(shell, first[4].decode("ascii")), [raw("passwd", "a'b"), raw("passwd", "$x")])

    def test_pipe(self) -> None:
        for shell in shells():
            found = self.run_in(shell, Command("passwd", "a|b").piped(Command("grep", "c>d")))
            self.assertEqual(sorted(found), [raw("grep", "c>d"), raw("passwd", "a|b")])

    def test_files(self) -> None:
        os.mkdir(self.folder + "/files")
        for shell in shells():
            commands: "List[str]" = []
            for name in self.names:
                path = self.folder + "/files/" + name.replace("/", ":")
                commands += [Command("echo", "one").into(path), Command("echo", "two").onto(path)]
            self.run_in(shell, "\n".join(commands))
            for named in raw(*self.names):
                place = os.path.join(os.fsencode(self.folder), b"files", named.replace(b"/", b":"))
                with open(place) as file:
                    self.assertEqual(file.read(), "one\ntwo\n")
                os.unlink(place)
            self.assertEqual(os.listdir(self.folder + "/files"), [])

    def test_note_becomes_a_comment(self) -> None:
        for shell in shells():
            self.assertEqual(self.run_in(shell, Command("passwd", "x").noting("UUID=... as x")), [raw("passwd", "x")])


class CommandTest(unittest.TestCase):
    def test_usual_words_are_not_quoted(self) -> None:
        self.assertEqual(quote("/mnt/a-b_c.d"), "/mnt/a-b_c.d")
        self.assertEqual(quote("/mnt/it's; x"), "'/mnt/it'\"'\"'s; x'")
        self.assertEqual(quote(""), "''")
        self.assertEqual(Command("chmod", "+x").on("/a/b"), "chmod +x /a/b")

    def test_name_is_not_taken_for_an_option(self) -> None:
        self.assertEqual(Command("passwd", "-l").on("ann"), "passwd -l ann")
        self.assertEqual(Command("passwd", "-l").on("-d"), "passwd -l -- -d")
        self.assertEqual(Command("passwd", "-l").on("-d").inside("/m"), "chroot /m passwd -l -- -d")

    def test_nul_makes_no_command(self) -> None:
        """A word with a NUL: without it the command would mean another name."""
        for command in (
            Command("passwd", "a\0b"),
            Command("passwd").on("a\0b"),
            Command("passwd", "x").inside("/a\0b"),
            Command("passwd", "x").into("/a\0b"),
            Command("passwd", "x").then(Command("passwd", "a\0b")),
        ):
            self.assertEqual((command, bool(command)), ("", False))

    def test_empty_command(self) -> None:
        nothing = Command()
        for command in (nothing, nothing.on("x"), nothing.inside("/m"), nothing.then(Command("x")), nothing.into("/x"),
                        Command("x").then(nothing), Command("x").piped(nothing), nothing.noting("x")):  # fmt: skip
            self.assertEqual(command, "")
