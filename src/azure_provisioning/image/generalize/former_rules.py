"""Removes the rules for one account from the files of sudo and doas, and keeps the others."""

import re

from ...door.text import BLANKS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional, Sequence, Set

# sudoers(5): an item of a list of users, which `!` negates; items are separated by commas, with optional blanks.
ITEM = r'(?:!\s*)*(?:"[^"]*"|(?:\\.|[^\s,=:"\\])+)'
USERS = r"%s(?:\s*,\s*%s)*" % (ITEM, ITEM)
RULE = re.compile(r"(?P<head>)(?P<users>%s)(?P<rest>\s.*)\Z" % USERS, re.DOTALL | re.ASCII)
DEFAULTS = re.compile(r"(?P<head>Defaults\s*:\s*)(?P<users>%s)(?P<rest>.*)\Z" % USERS, re.DOTALL | re.ASCII)
ALIAS = re.compile(r"(User_Alias\s+)(.*)\Z", re.DOTALL | re.ASCII)
ALIAS_PART = re.compile(r"\s*([A-Z][A-Z0-9_]*)\s*=\s*(%s)\s*\Z" % USERS, re.DOTALL | re.ASCII)
OTHERS = re.compile(r"(?:Host|Runas|Cmnd|Cmd)_Alias\s|Defaults|@include|#(?![0-9])", re.ASCII)  # `#1000` is a uid
ROUNDS = 20  # an alias that becomes empty may be the only member of another
DOAS_WORD = re.compile(r'"[^"]*"|[{}]|[^\s{}"#]+|#.*', re.ASCII)
DOAS_ACTIONS = ("permit", "deny")
DOAS_OPTIONS = ("nopass", "nolog", "persist", "keepenv")
LINE_LIMIT = 64 << 10  # characters of a rule; a longer one is kept


def without_rules(text: str, name: str, uid: int = -1, groups: "Sequence[str]" = ()) -> str:
    """sudoers without the rules of one user, and of `groups`: other users of a list stay, and an alias without other
    users goes too."""
    gone = {name, "#%d" % uid, *groups}
    for _ in range(ROUNDS):
        emptied: "Set[str]" = set()
        kept = [keep_sudo(line, gone, emptied) for line in logical_lines(text)]
        text = "".join(line for line in kept if line is not None)
        if not emptied:
            break
        gone = emptied
    return text


def logical_lines(text: str) -> "List[str]":
    """The lines of sudo and doas: a backslash at the end continues a line. Each with its end."""
    return re.findall(r"(?:[^\\\n]|\\.)*\n|(?:[^\\]|\\.|\\\Z)+\Z", text, re.DOTALL)


def keep_sudo(line: str, gone: "Set[str]", emptied: "Set[str]") -> "Optional[str]":
    """The rest of a line without these users; None if nothing is left. Aliases that become empty go to `emptied`."""
    plain = re.sub(r"\\\r?\n", " ", line).strip(BLANKS + "\n")
    if len(plain) > LINE_LIMIT:
        return line
    alias, defaults = ALIAS.match(plain), DEFAULTS.match(plain)
    if alias:
        return keep_alias(line, alias.group(1), alias.group(2), gone, emptied)
    if not plain or (OTHERS.match(plain) and not defaults):
        return line
    match = defaults or RULE.match(plain)
    if match is None:
        return line
    head, users, rest = match.group("head"), match.group("users"), match.group("rest")
    left = without_users(users, gone)
    if left is None:
        return line
    return head + left + rest + "\n" if left else None


def keep_alias(line: str, head: str, text: str, gone: "Set[str]", emptied: "Set[str]") -> "Optional[str]":
    """The same for a line that defines aliases of users, separated by colons."""
    kept, changed = [], False
    for part in text.split(":"):
        match = ALIAS_PART.match(part)
        left = without_users(match.group(2), gone) if match else None
        changed = changed or left is not None
        if match is None or left is None:
            kept.append(part.strip(BLANKS))
        elif left:
            kept.append("%s = %s" % (match.group(1), left))
        else:
            emptied.add(match.group(1))
    return (head + " : ".join(kept) + "\n" if kept else None) if changed else line


def without_users(users: str, gone: "Set[str]") -> "Optional[str]":
    """A list without some of its users; None if it has none of them."""
    items = re.findall(ITEM, users, re.ASCII)
    left = [item for item in items if re.sub(r"\\(.)", r"\1", item.lstrip("! \t")).strip('"') not in gone]
    return None if len(left) == len(items) else ", ".join(left)


def without_doas_rules(text: str, name: str) -> str:
    """doas.conf(5) without the rules of one user, or of a `:group`, with any options, targets and commands."""
    return "".join(line for line in logical_lines(text) if doas_user(line) != name)


def doas_user(line: str) -> str:
    """The user of a rule; empty for another line."""
    plain = re.sub(r"\\\r?\n", " ", line)[:LINE_LIMIT]
    words = [word for word in DOAS_WORD.findall(plain) if not word.startswith("#")]
    if not words or words[0] not in DOAS_ACTIONS:
        return ""
    left = iter(words[1:])
    for word in left:
        if word == "setenv":
            for inner in left:
                if inner == "}":
                    break
        elif word not in DOAS_OPTIONS:
            return str(word.strip('"'))
    return ""


def is_idle(text: str) -> bool:
    """Does it have only comments? `#includedir` is not a comment, and `#1000` is a uid."""
    lines = [line.strip(BLANKS) for line in text.split("\n")]
    return all(not line or (line.startswith("#") and not re.match(r"#(?:include|[0-9])", line)) for line in lines)
