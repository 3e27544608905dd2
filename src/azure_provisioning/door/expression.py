"""Regular expressions written by others, such as SELinux's file contexts: `re` takes for ever with some of them.

Supports the PCRE syntax that policies use: groups, `|`, `.`, sets, `*`, `+`, `?` and `{1,2}`. Time is limited by the
product of both lengths for each level of repetition, and by a number of steps.
"""

from .text import is_digits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, List, Set, Tuple

    Step = Callable[[str, Set[int]], Set[int]]  # from positions in a text to the positions after a match

LENGTH_LIMIT = 1024  # characters
TIMES_LIMIT = 64  # in {n,m}
STEPS_LIMIT = 200000
DEPTH_LIMIT = 20
SPECIAL = "()[]{}*+?|.^$\\"


class UnknownError(Exception):
    """The expression has an unsupported form, or takes too much work."""


def matches_whole(expression: str, text: str) -> bool:
    """Does all of a text match? Raises UnknownError."""
    if len(expression) > LENGTH_LIMIT or len(text) > LENGTH_LIMIT:
        raise UnknownError
    return len(text) in Expression(expression).step(text, {0})


def stem(expression: str) -> str:
    """The characters with which every matching text begins."""
    found = ""
    place = 0
    while place < len(expression) and (expression[place] not in SPECIAL or expression[place] == "\\"):
        place += expression[place] == "\\"
        if place == len(expression) or expression[place].isalnum() and expression[place - 1 : place] == "\\":
            break
        found += expression[place]
        place += 1
    if expression[place : place + 1] and expression[place] in "*?{":
        found = found[:-1]  # the last one is optional
    return "" if "|" in expression[place:] and not balanced(expression[place:]) else found


def balanced(expression: str) -> bool:
    """Is each `|` inside a group?"""
    depth = 0
    for char in expression:
        depth += (char == "(") - (char == ")")
        if char == "|" and depth <= 0:
            return False
    return True


class Expression:
    """A parsed expression; `step` applies it. Raises UnknownError."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0
        self.count = 0
        self.step = self._either(0)
        if self.place != len(text):
            raise UnknownError

    def _peek(self) -> str:
        return self.text[self.place : self.place + 1]

    def _take(self) -> str:
        char = self._peek()
        if not char:
            raise UnknownError
        self.place += 1
        return char

    def _either(self, depth: int) -> "Step":
        """The alternatives between `|`, up to the end of the group."""
        if depth > DEPTH_LIMIT:
            raise UnknownError
        ways = [self._sequence(depth)]
        while self._peek() == "|":
            self.place += 1
            ways.append(self._sequence(depth))
        return lambda text, places: set().union(*(way(text, places) for way in ways))

    def _sequence(self, depth: int) -> "Step":
        parts: "List[Step]" = []
        while self._peek() not in ("", "|", ")"):
            parts.append(self._repeated(self._atom(depth)))

        def step(text: str, places: "Set[int]") -> "Set[int]":
            for part in parts:
                places = part(text, places)
            return places

        return step

    def _atom(self, depth: int) -> "Step":
        char = self._take()
        if char == "(":
            if self.text.startswith("?:", self.place):
                self.place += 2
            inner = self._either(depth + 1)
            if self._take() != ")":
                raise UnknownError
            return inner
        if char == "[":
            return self._one(self._char_set())
        if char == "\\":
            char = self._take()
            if char.isalnum():
                raise UnknownError  # a class, or a back reference
            return self._one((False, {char}))
        if char == ".":
            return self._one((True, set()))
        if char in SPECIAL:
            raise UnknownError
        return self._one((False, {char}))

    def _char_set(self) -> "Tuple[bool, Set[str]]":
        """(negated?, the characters) of `[...]`."""
        negated = self._peek() == "^"
        self.place += negated
        chars: "Set[str]" = set()
        first = True
        while first or self._peek() != "]":
            first = False
            low = self._take()
            if low == "\\":
                low = self._take()
                if low.isalnum():
                    raise UnknownError
            if low == "[" and self._peek() == ":":
                raise UnknownError
            high = low
            if self._peek() == "-" and self.text[self.place + 1 : self.place + 2] not in ("", "]"):
                self.place += 1
                high = self._take()
            if ord(high) - ord(low) > LENGTH_LIMIT:
                raise UnknownError
            chars |= {chr(code) for code in range(ord(low), ord(high) + 1)}
        self.place += 1
        return negated, chars

    def _one(self, allowed: "Tuple[bool, Set[str]]") -> "Step":
        negated, chars = allowed

        def step(text: str, places: "Set[int]") -> "Set[int]":
            self.count += 1 + len(places)
            if self.count > STEPS_LIMIT:
                raise UnknownError
            return {place + 1 for place in places if place < len(text) and (text[place] in chars) != negated}

        return step

    def _repeated(self, part: "Step") -> "Step":
        """The part with the `*`, `+`, `?` or `{n,m}` after it."""
        char = self._peek()
        if char not in ("*", "+", "?", "{"):
            return part
        self.place += 1
        least, most = {"*": (0, -1), "+": (1, -1), "?": (0, 1)}.get(char) or self._times()
        if self._peek() in ("*", "+", "?", "{"):
            raise UnknownError

        def step(text: str, places: "Set[int]") -> "Set[int]":
            for _ in range(least):
                places = part(text, places)
            found, new, left = set(places), places, most - least
            while new and left != 0:
                new = part(text, new) - found
                found |= new
                left -= 1
            return found

        return step

    def _times(self) -> "Tuple[int, int]":
        """The numbers of `{n}`, `{n,}` and `{n,m}`."""
        words = self.text[self.place :].partition("}")
        numbers: "List[str]" = words[0].split(",")
        if not words[1] or len(numbers) > 2 or any(number and not is_digits(number, 3) for number in numbers):
            raise UnknownError
        self.place += len(words[0]) + 1
        least, most = int(numbers[0] or "0"), int(numbers[-1] or "-1")
        if least > TIMES_LIMIT or most > TIMES_LIMIT or -1 < most < least:
            raise UnknownError
        return least, most
