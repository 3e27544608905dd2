"""What sudo itself says a user may do: `sudo -l -U NAME`, as sudo(8) and sudo-rs print it for root."""

import re

from ..door.system import System
from ..door.text import lines_in
from ..errors import GuestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional, Tuple

SECONDS = 30.0  # sudo may look up the host's name
RULE = re.compile(r"[ \t]+\(([^()]*)\) (.*)\Z")
TAG = re.compile(r"(?:[A-Z_]+: *)+")
ROOTS = ("ALL", "root", "#0")
ASKS = "a later sudo rule asks for a password"
TERMINAL = "must have a tty"


def ask_sudo(system: System, program: str, name: str) -> "Tuple[Optional[bool], str]":
    """(may `name` run everything as root without a password, why not); None if sudo does not say.

    The last rule about all commands counts. If it asks for a password, the reason says so.
    """
    try:
        _, printed = system.execute([program, "-n", "-l", "-U", name], SECONDS)
    except GuestError as error:
        return None, str(error)
    head, found, rules = printed.partition("following commands on ")
    if not found:
        said = (lines_in(printed.strip()) or ["nothing"])[-1]
        return (False if "is not allowed to" in printed else None), "sudo says: %s" % said[:200]
    allowed, free = judge(rules)
    if allowed and (free or re.search(r"(?m)^\s.*!authenticate", head)):
        return True, ""
    return False, ASKS if allowed else "no sudo rule allows all commands as root"


def judge(rules: str) -> "Tuple[bool, bool]":
    """(is everything allowed as root, and without a password) by the rules that sudo lists: the last one counts."""
    allowed, free = False, False
    for line in lines_in(rules):
        rule = RULE.match(line)
        if rule is None or not is_for_root(rule.group(1)):
            continue
        nopass = False  # a tag also applies to the commands after it in its rule
        for command in rule.group(2).split(", "):
            tags = TAG.match(command)
            if tags:
                words = tags.group().replace(" ", "").split(":")
                nopass = "NOPASSWD" in words or (nopass and "PASSWD" not in words)
            bare = command[tags.end() if tags else 0 :]
            if bare in ("ALL", "!ALL"):
                allowed, free = bare == "ALL", nopass
    return allowed, free


def is_for_root(users: str) -> bool:
    """Does the rule apply to root? `(ALL : ALL)` names groups after the colon."""
    words = [word.strip() for word in users.partition(":")[0].split(",")]
    return not {"!root", "!#0"} & set(words) and bool(set(ROOTS) & set(words))
