"""Commands for a person to copy into a shell: made of words, so that no name from an image becomes anything else.

A `Command` is the text, and only this module makes one: what is put together from texts is a mere `str`, which mypy
refuses wherever a command is wanted. The text is printable ASCII in one line, whatever the words are.
"""

import os
import re
import sys

from ..door.tree import SEARCH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Tuple

PROGRAM = "azure-provisioning"
PLAIN = re.compile(r"[\w@%+:,./-][\w@%+=:,./-]*\Z", re.ASCII)  # zsh takes a word that begins with = for a program
VISIBLE = re.compile(r"[ -~]*\Z")
# A newline, of which a shell takes those at the end of a $(...) away: the third character of an IFS as it usually is.
NEWLINE = '"${IFS#??}"'


class Command(str):
    """A command line; empty if there is none, or no shell can hold its words."""

    simple: "Tuple[str, ...]" = ()  # the words of one that has no operator

    def __new__(cls, *words: str) -> "Command":
        """The words, which are the program and its options: ours, not those of an image."""
        command = cls._of_text("" if any("\0" in word for word in words) else " ".join(map(quote, words)))
        command.simple = words if command else ()
        return command

    @classmethod
    def _of_text(cls, text: str) -> "Command":
        return super().__new__(cls, text)

    def on(self, *names: str) -> "Command":
        """With names at the end, which may be anything an image has made up: none of them is taken for an option."""
        guard = ("--",) if any(name.startswith("-") for name in names) else ()
        return Command(*self.simple, *guard, *names) if self else self

    def inside(self, place: str) -> "Command":
        """As a chroot at `place` runs it."""
        if not self:
            return self
        return Command("chroot", place, *(self.simple or ("sh", "-c", str(self))))

    def then(self, other: "Command") -> "Command":
        """And, if that did not fail, another; none if either is none."""
        return self._joined(" && ", other)

    def piped(self, other: "Command") -> "Command":
        """With what it prints read by another."""
        return self._joined(" | ", other)

    def _joined(self, operator: str, other: "Command") -> "Command":
        return self._of_text(str(self) + operator + str(other)) if self and other else Command()

    def into(self, path: str) -> "Command":
        """With what it prints in a file, whose content goes."""
        return self._redirected(" >", path)

    def onto(self, path: str) -> "Command":
        """With what it prints at the end of a file."""
        return self._redirected(" >>", path)

    def _redirected(self, operator: str, path: str) -> "Command":
        return self._of_text(str(self) + operator + quote(path)) if self and "\0" not in path else Command()

    def noting(self, note: str) -> "Command":
        """With a word of ours to the person, which a shell takes for a comment."""
        return self._of_text("%s  # %s" % (self, note)) if self else self


def own(*words: str) -> Command:
    """This program, as the person who reads it has called it."""
    return Command(called(), *words)


def called() -> str:
    """How this program was called: by a path, or by its name where that is enough; by its name in a checkout."""
    if not getattr(__loader__, "archive", None):  # type: ignore[name-defined] # set by zipimport
        return PROGRAM
    folder, name = os.path.split(sys.argv[0])
    if folder in SEARCH:
        return name
    return sys.argv[0] if folder else "./" + name


def quote(word: str) -> str:
    """A word for a shell. (`shlex` is not in every small Python, and lets control characters through.)"""
    if PLAIN.match(word):
        return word
    if VISIBLE.match(word):
        return "'%s'" % word.replace("'", "'\"'\"'")
    body = word.rstrip("\n")
    text = "".join(map(escape, body.encode("utf-8", "surrogateescape")))
    return ("\"$(printf %%b '%s')\"" % text if body else "") + NEWLINE * (len(word) - len(body))


def escape(byte: int) -> str:
    """A byte as `printf %b` of every shell takes it."""
    char = chr(byte)
    return char if PLAIN.match(char) else "\\0%03o" % byte
