"""What PAM asks a module before sshd lets an account in, where its files say so without any doubt: pam.d(5).

Here it is pam_access, by access.conf(5). Each answer is yes, no, or None where only PAM itself could tell.
"""

import re

from ..door.system import System
from ..door.text import lines_in
from .pam_access import ACCESS, DEPTH_LIMIT, FOLDER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterator, List, Optional, Sequence, Tuple

    Rule = Tuple[str, str, List[str]]  # control, module, its words

LINE = re.compile(r"(?a)(-?)account\s+(\[[^\]]*\]|\S+)\s+(\S+)(.*)\Z")
PLAIN = ("required", "requisite", "optional")  # none of these ends the stack with success
HARMLESS = ("noaudit", "debug", "quiet_log")
NSSWITCH, LOCAL_SOURCES = "/etc/nsswitch.conf", ("files", "compat", "systemd")
MODULE = "pam_access.so"
MODULE_FOLDERS = ("/lib/security", "/lib64/security", "/usr/lib/security", "/usr/lib64/security")
# The origin is the third field, as a name or address: one with more colons is left to PAM.
RULE = re.compile(r"([+-])[ \t]*:[ \t]*([^:]+?)[ \t]*:[ \t]*([^:]+?)[ \t]*\Z")
NAME = re.compile(r"(?a)[A-Za-z0-9_][A-Za-z0-9_.-]*\Z")


def find_denial(system: System, name: str, groups: "Sequence[str]") -> str:
    """The rule by which pam_access refuses `name`, who is in these groups, over SSH and from wherever; empty if none
    does for sure. Raises GuestError if a file cannot be read."""
    path = find_rules(system)
    if not path:
        return ""
    for line in lines_in(system.read_text(path) or ""):
        if not line.strip() or line.startswith("#"):
            continue
        rule = RULE.match(line)
        if rule is None:
            return ""
        permission, users, origins = rule.groups()
        verdict = both(is_in(users, lambda word: is_user(system, word, name, groups)), is_in(origins, is_origin))
        if permission == "-" and verdict:
            return "%s: %s" % (path, ":".join(rule.groups()))
        if permission == "+" and verdict is not False:
            return ""
    return ""


# -- the stack -------------------------------------------------------------------------------------------------------


def find_rules(system: System) -> str:
    """The file of rules that pam_access goes by for sshd; empty if it is not certain to be asked."""
    stack: "List[Rule]" = []
    for rule in read_stack(system, "sshd", DEPTH_LIMIT):
        if rule is None:
            return ""
        stack.append(rule)
    for place, (control, module, words) in enumerate(stack):
        if module.rpartition("/")[2] != MODULE:
            continue
        files = [word.partition("=")[2] for word in words if word.startswith("accessfile=/")]
        others = [word for word in words if word not in HARMLESS and not word.startswith("accessfile=/")]
        reached = all(goes_on(stack[before][0], before, place) for before in range(place))
        reset = any("reset" in rule[0] for rule in stack)
        if control in PLAIN[:2] and reached and not (others or reset) and is_there(system, module):
            return files[-1] if files else ACCESS
        return ""
    return ""


def read_stack(system: System, service: str, depth: int) -> "Iterator[Optional[Rule]]":
    """The rules about accounts, those of included files in their place; None for what cannot be told."""
    text = system.read_text("%s/%s" % (FOLDER, service)) if depth else None
    if text is None or "\\\n" in text:
        yield None
        return
    for line in lines_in(text):
        words = line.split("#")[0].split()
        included = words[1] if words[:1] == ["@include"] and len(words) == 2 else ""
        match = LINE.match(" ".join(words))
        if match and match.group(2) in ("include", "substack"):
            included = match.group(3)
        if included and "/" not in included:
            yield from read_stack(system, included, depth - 1)
        elif included or (match and match.group(1)):
            yield None
        elif match:
            yield match.group(2), match.group(3), match.group(4).split()


def goes_on(control: str, place: int, wanted: int) -> bool:
    """Does the stack come from the rule at `place` to the one that is `wanted`, or fail, whatever its module says?

    An account whose password must be changed is none that gets this far.
    """
    if control in PLAIN:
        return True
    if not control.startswith("["):
        return False
    for action in control.strip("[]").split():
        key, _, does = action.partition("=")
        if does == "done" and key != "new_authtok_reqd":
            return False
        if does not in ("done", "die", "bad", "ok", "ignore") and not re.match(r"[0-9]{1,3}\Z", does):
            return False
        if does[:1] in "0123456789" and place + 1 + int(does) > wanted:
            return False
    return True


def is_there(system: System, module: str) -> bool:
    """Is there a file of this module?"""
    if module.startswith("/"):
        return system.exists(module)
    folders = [*MODULE_FOLDERS]
    for top in ("/lib", "/usr/lib"):
        folders += ["%s/%s/security" % (top, name) for name in system.list(top) if name.endswith("-linux-gnu")]
    return any(system.exists("%s/%s" % (folder, module)) for folder in folders)


# -- access.conf -----------------------------------------------------------------------------------------------------


def both(one: "Optional[bool]", other: "Optional[bool]") -> "Optional[bool]":
    """Are both so? No if one is not."""
    if one is False or other is False:
        return False
    return True if one and other else None


def is_in(listed: str, matches: "Callable[[str], Optional[bool]]") -> "Optional[bool]":
    """Does a word of the list match, and none of its exceptions?"""
    wanted, found, exceptions = re.sub(r"[, \t]+", " ", listed).partition(" EXCEPT ")
    verdicts = [matches(word) for word in wanted.split()]
    verdict = True if True in verdicts else None if None in verdicts else False
    excepted = is_in(exceptions, matches) if found else False
    return both(verdict, None if excepted is None else not excepted)


def is_user(system: System, word: str, name: str, groups: "Sequence[str]") -> "Optional[bool]":
    """Does a word for users mean this one?"""
    bare = word[1:-1] if word.startswith("(") and word.endswith(")") else word
    if word == "ALL" or (word == name) or bare in groups:
        return True
    return False if NAME.match(bare) and bare.upper() != "ALL" and knows_groups(system) else None


def knows_groups(system: System) -> bool:
    """Are the groups those of /etc/group, and of no directory besides?"""
    text = system.read_text(NSSWITCH)
    sources = re.findall(r"(?m)^[ \t]*(?:group|initgroups)[ \t]*:([^#\n]*)", text or "")
    words = [word for found in sources for word in re.sub(r"\[[^\]]*\]", " ", found).split()]
    return text is None or all(word in LOCAL_SOURCES for word in words)


def is_origin(word: str) -> "Optional[bool]":
    """Does a word for origins mean everywhere? LOCAL means an IPv6 address too, to older versions."""
    return True if word == "ALL" else None
