"""The changes to an image for people, in the form of `diff -u`: with modes and owners, without secrets."""

import difflib
import os
import re
import stat
from collections import Counter
from itertools import islice
from typing import Dict, Iterable, Iterator, List, Optional, Tuple

from .scratch import Scratch, Thing, digest

SECRETS = ("/etc/shadow", "/etc/gshadow")  # and their backups
NO_SECRETS = ("", "*", "!", "!!", "!*", "x")
LINES_LIMIT = 1000  # compared on each side: the time grows with the product
CONTEXT = 3  # lines around a change
HUNK = re.compile(r"@@ -([0-9]+)(\S*) \+([0-9]+)(\S*) @@")
KINDS = ((stat.S_ISDIR, "folder"), (stat.S_ISLNK, "link"), (stat.S_ISREG, "file"))


def show_changes(system: Scratch) -> Iterator[str]:
    """The lines about all changes; patch(1) would accept them too."""
    read = system.contents()
    for path, before, after in system.changes():
        for line in show_change(path, before, after, read):
            yield line.rstrip("\n")


def show_change(path: str, before: Optional[Thing], after: Optional[Thing], read: Dict[bytes, str]) -> Iterator[str]:
    """One line about the change, then the diff of the content. A copy of a file in `read` is only named."""
    if before is None and after is not None:
        model = read.get(digest(after.content)) if stat.S_ISREG(after.mode) and after.content else None
        yield "new %s %s%s%s" % (kind_of(after), path, rights(after), ", a copy of " + model if model else "")
        if model:
            return
    elif after is None and before is not None:
        yield "removed %s %s" % (kind_of(before), path)
    elif before is not None and after is not None and rights(before) != rights(after):
        yield "changed %s %s%s; it was%s" % (kind_of(after), path, rights(after), rights(before)[1:])
    names = ("/dev/null" if before is None else path, "/dev/null" if after is None else path)
    yield from compare(lines_of(path, before), lines_of(path, after), names)


def compare(before: List[str], after: List[str], names: Tuple[str, str]) -> Iterator[str]:
    """The lines of `diff -u`; if too many lines changed, only which were removed and added."""
    start = common(zip(before, after))
    fewer = min(len(before), len(after)) - start
    end = common(islice(zip(reversed(before), reversed(after)), fewer))
    if max(len(before), len(after)) - start - end <= LINES_LIMIT:
        skipped = max(0, start - CONTEXT)
        parts = [lines[skipped : len(lines) - max(0, end - CONTEXT)] for lines in (before, after)]
        for line in difflib.unified_diff(parts[0], parts[1], names[0], names[1]):
            found = HUNK.match(line)
            numbers = [int(found.group(place)) + skipped for place in (1, 3)] if found else []
            yield "@@ -%d%s +%d%s @@\n" % (numbers[0], found.group(2), numbers[1], found.group(4)) if found else line
        return
    yield from ("--- %s\n" % names[0], "+++ %s\n" % names[1], "@@ too long to say where @@\n")
    for sign, lines, others in (("-", before, after), ("+", after, before)):
        left = Counter(others)
        for line in lines:
            left[line] -= 1
            if left[line] < 0:
                yield sign + line


def common(pairs: "Iterable[Tuple[str, str]]") -> int:
    """The number of equal pairs at the start."""
    count = 0
    for one, other in pairs:
        if one != other:
            break
        count += 1
    return count


def kind_of(thing: Thing) -> str:
    """The type of a file, in a word."""
    return next((word for is_kind, word in KINDS if is_kind(thing.mode)), "device")


def rights(thing: Thing) -> str:
    """The mode, which a link does not have, and the owner, which only root can set."""
    text = "" if stat.S_ISLNK(thing.mode) else ", mode %04o" % stat.S_IMODE(thing.mode)
    return text + (", owner %d:%d" % thing.owner if os.geteuid() == 0 else "")


def lines_of(path: str, thing: Optional[Thing]) -> List[str]:
    """The lines of a file; a single line for a binary file or for a link's target."""
    if thing is None or stat.S_ISDIR(thing.mode):
        return []
    if stat.S_ISLNK(thing.mode):
        return ["-> %s\n" % os.fsdecode(thing.content)]
    if b"\0" in thing.content:
        return ["(binary, %d bytes)\n" % len(thing.content)]
    lines = thing.content.decode("utf-8", "replace").split("\n")
    if path.rstrip("-") in SECRETS:
        lines = [mask(line) for line in lines]
    return [line + "\n" for line in lines[:-1]] + [lines[-1]] * bool(lines[-1])


def mask(line: str) -> str:
    """A line of shadow without its hash, which should not be shown."""
    name, colon, rest = line.partition(":")
    hashed, second, others = rest.partition(":")
    return line if hashed in NO_SECRETS else name + colon + "(a hash)" + second + others
