"""JSON (RFC 8259) for IMDS answers and the health report. Minimal Pythons have no `json`."""

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List

SIZE_LIMIT = 1 << 20  # bytes, as for every answer
DEPTH_LIMIT = 64  # nested values; IMDS has 8
BLANK = r"[ \t\n\r]*"
NUMBER = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
VALUE = re.compile(BLANK + r'([{\["]|true|false|null|%s)' % NUMBER)
FIRST_NAME, NEXT_NAME = re.compile(BLANK + '([}"])'), re.compile('%s(}|,%s")' % (BLANK, BLANK))
COLON, EMPTY, NEXT = (re.compile(BLANK + mark) for mark in ("(:)", r"(\]?)", r"([,\]])"))
END = re.compile(BLANK + r"()\Z")
CHARACTERS, CLOSE = re.compile(r'([^"\\\x00-\x1f]*)'), re.compile(r'(["\\])')
ESCAPE, LOW = re.compile(r'(["\\/bfnrt]|u[0-9A-Fa-f]{4})'), re.compile(r"\\u([Dd][C-Fc-f][0-9A-Fa-f]{2})")
ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
WORDS = {"true": True, "false": False, "null": None}
UNSAFE = re.compile(r"[^ !#-\[\]-~]")  # escaped in a string; JSON would allow non-ASCII characters


def parse(data: bytes) -> object:
    """The value of a JSON text; a number is a float. Raises ValueError if it is not JSON or too large.

    Of two members with the same name the last counts. Half of a surrogate pair is kept, because an escape may have it.
    """
    if len(data) > SIZE_LIMIT:
        raise ValueError("more than %d bytes" % SIZE_LIMIT)
    document = Document(data.decode("utf-8-sig"))
    found = document.value(DEPTH_LIMIT)
    document.take(END)
    return found


class Document:
    """A text, and how far it has been read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0

    def take(self, wanted: "re.Pattern[str]") -> str:
        """The next token, which must match `wanted`. Raises ValueError."""
        found = wanted.match(self.text, self.place)
        if found is None:
            raise ValueError("not JSON from character %d on" % self.place)
        self.place = found.end()
        return found.group(1)

    def value(self, depth: int) -> object:
        """The value that begins here, with at most `depth` nested values."""
        word = self.take(VALUE)
        if word == '"':
            return self.string()
        if word not in ("{", "["):
            return WORDS[word] if word in WORDS else float(word)
        if not depth:
            raise ValueError("more than %d nested values" % DEPTH_LIMIT)
        return self.members(depth - 1) if word == "{" else self.elements(depth - 1)

    def members(self, depth: int) -> "Dict[str, object]":
        """The rest of an object."""
        found: "Dict[str, object]" = {}
        mark = self.take(FIRST_NAME)
        while mark != "}":
            name = self.string()
            self.take(COLON)
            found[name] = self.value(depth)
            mark = self.take(NEXT_NAME)
        return found

    def elements(self, depth: int) -> "List[object]":
        """The rest of an array."""
        found: "List[object]" = []
        mark = self.take(EMPTY)
        while mark != "]":
            found.append(self.value(depth))
            mark = self.take(NEXT)
        return found

    def string(self) -> str:
        """The rest of a string."""
        parts = [self.take(CHARACTERS)]
        while self.take(CLOSE) != '"':
            parts += [self.escaped(), self.take(CHARACTERS)]
        return "".join(parts)

    def escaped(self) -> str:
        """The character for the rest of an escape."""
        mark = self.take(ESCAPE)
        if mark in ESCAPES:
            return ESCAPES[mark]
        code = int(mark[1:], 16)
        if 0xD800 <= code < 0xDC00 and LOW.match(self.text, self.place):
            code = 0x10000 + ((code & 0x3FF) << 10 | int(self.take(LOW), 16) & 0x3FF)
        return chr(code)


def quote(text: str) -> str:
    """A JSON string, in ASCII."""

    def escape(found: "re.Match[str]") -> str:
        code = found.group().encode("utf-16-be", "surrogatepass").hex()
        return "".join("\\u" + code[place : place + 4] for place in range(0, len(code), 4))

    return '"%s"' % UNSAFE.sub(escape, text)
