"""Commands for people to copy into a shell: made of words, so that a name from an image stays one word.

Only this module makes a `Command`. A text put together elsewhere is a plain `str`, which mypy refuses where a command
is expected. The text is one line of printable ASCII, whatever the words are.
"""

import os
import re
import sys

from ..door.tree import SEARCH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Tuple

PROGRAM = "azure-provisioning"
PLAIN = re.compile(r"[\w@%+:,./-][\w@%+=:,./-]*\Z", re.ASCII)  # in zsh a word that begins with = names a program
VISIBLE = re.compile(r"[ -~]*\Z")
# A newline: the third character of the default IFS. A shell removes newlines at the end of $(...).
NEWLINE = '"${IFS#??}"'


class Command(str):
    """A command line; empty if there is none, or if a shell cannot represent its words."""

    simple: "Tuple[str, ...]" = ()  # the words of a command without operators

    def __new__(cls, *words: str) -> "Command":
        """The command of these words: the program and its options, which are ours, not an image's."""
        command = cls._of_text("" if any("\0" in word for word in words) else " ".join(map(quote, words)))
        command.simple = words if command else ()
        return command

    @classmethod
    def _of_text(cls, text: str) -> "Command":
        return super().__new__(cls, text)

    def on(self, *names: str) -> "Command":
        """The command with names at the end. An image may have any names, and none of them becomes an option."""
        guard = ("--",) if any(name.startswith("-") for name in names) else ()
        return Command(*self.simple, *guard, *names) if self else self

    def inside(self, root: str) -> "Command":
        """The command in a chroot at `root`."""
        if not self:
            return self
        return Command("chroot", root, *(self.simple or ("sh", "-c", str(self))))

    def then(self, other: "Command") -> "Command":
        """This command, then `other` if it succeeds; empty if either is empty."""
        return self._joined(" && ", other)

    def piped(self, other: "Command") -> "Command":
        """The command with its output piped into another."""
        return self._joined(" | ", other)

    def _joined(self, operator: str, other: "Command") -> "Command":
        return self._of_text(str(self) + operator + str(other)) if self and other else Command()

    def into(self, path: str) -> "Command":
        """The command with its output in a file, whose old content is lost."""
        return self._redirected(" >", path)

    def onto(self, path: str) -> "Command":
        """The command with its output appended to a file."""
        return self._redirected(" >>", path)

    def _redirected(self, operator: str, path: str) -> "Command":
        return self._of_text(str(self) + operator + quote(path)) if self and "\0" not in path else Command()

    def noting(self, note: str) -> "Command":
        """The command with a note for the reader, as a shell comment."""
        return self._of_text("%s  # %s" % (self, note)) if self else self


def own(*words: str) -> Command:
    """This program, called as the reader has called it."""
    return Command(called(), *words)


def called() -> str:
    """The name or path by which this program was called: the name if that is enough, or in a checkout."""
    if not getattr(__loader__, "archive", None):  # type: ignore[name-defined] # set by zipimport
        return PROGRAM
    folder, name = os.path.split(sys.argv[0])
    if folder in SEARCH:
        return name
    return sys.argv[0] if folder else "./" + name


def quote(word: str) -> str:
    """A word quoted for a shell. (Minimal Pythons lack `shlex`, which also leaves control characters as they are.)"""
    if PLAIN.match(word):
        return word
    if VISIBLE.match(word):
        return "'%s'" % word.replace("'", "'\"'\"'")
    body = word.rstrip("\n")
    text = "".join(map(escape, body.encode("utf-8", "surrogateescape")))
    return ("\"$(printf %%b '%s')\"" % text if body else "") + NEWLINE * (len(word) - len(body))


def escape(byte: int) -> str:
    """A byte in the form that `printf %b` of every shell understands."""
    char = chr(byte)
    return char if PLAIN.match(char) else "\\0%03o" % byte
