"""Which Match blocks of sshd's configuration apply to a person who logs in from outside: sshd_config(5)."""

from ..door.pattern import matches
from ..door.text import is_digits
from .sshd_config import LISTS, arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Iterable, List, Optional, Sequence, Tuple

    from .sshd_config import Line

    Person = Tuple[str, Sequence[str]]  # the name and the groups

EVERYWHERE = ("*", "0.0.0.0/0")
NEARBY = ("127.", "::1", "localhost")
WITHOUT_VALUE = ("all", "invalid-user")


def that_count(lines: "Iterable[Line]", people: "Sequence[Person]") -> "Tuple[List[Line], List[Line]]":
    """(the lines that apply to all of these people, the lines for which that cannot be told).

    The lines of Match blocks come first, because they override the others; so do their lists.
    """
    verdicts: "Dict[str, Optional[bool]]" = {"": True}
    special: "List[Line]" = []
    general: "List[Line]" = []
    unsure: "List[Line]" = []
    for line in lines:
        if line.key in ("", "match"):
            continue
        if line.match not in verdicts:
            verdicts[line.match] = applies_to_all(line.match, people)
        verdict = verdicts[line.match]
        if verdict is not False:
            (unsure if verdict is None else special if line.match else general).append(line)
    return override(special, general), unsure


def override(special: "List[Line]", general: "List[Line]") -> "List[Line]":
    """Both, with the first before the others. A list in the first replaces one in the second."""
    replaced = {line.key for line in special if line.key in LISTS}
    return special + [line for line in general if line.key not in replaced]


def applies_to_all(criteria: str, people: "Sequence[Person]") -> "Optional[bool]":
    """Do the criteria apply to each of them? None if only to some, or if that cannot be told."""
    verdicts = {applies(criteria, name, groups) for name, groups in people}
    return verdicts.pop() if len(verdicts) == 1 else None


def applies(criteria: str, name: str, groups: "Sequence[str]") -> "Optional[bool]":
    """Do all criteria of a block apply to `name` in these groups, who connects from anywhere?"""
    words = arguments(criteria.replace("=", " "))
    verdict: "Optional[bool]" = True
    while words:
        attribute = words.pop(0).lower()
        value = words.pop(0) if words and attribute not in WITHOUT_VALUE else ""
        found = judge(attribute, value.split(","), name, groups)
        if found is False:
            return False
        verdict = verdict and found
    return verdict


def judge(attribute: str, patterns: "List[str]", name: str, groups: "Sequence[str]") -> "Optional[bool]":
    """The same for one criterion."""
    if attribute == "user":
        return in_list(patterns, [name])
    if attribute == "group":
        return in_list(patterns, groups)
    if attribute in ("address", "localaddress", "host"):
        if all(pattern.startswith(NEARBY) for pattern in patterns):
            return False
        negated = any(pattern.startswith("!") for pattern in patterns)
        return True if set(EVERYWHERE) & set(patterns) and not negated else None
    if attribute == "localport":
        return True if "22" in patterns and all(is_digits(pattern, 5) for pattern in patterns) else None
    return {"all": True, "invalid-user": False}.get(attribute)


def in_list(patterns: "List[str]", names: "Sequence[str]") -> bool:
    """Does a pattern match one of the names, and no negated one?"""

    def found(pattern: str) -> bool:
        return any(matches(name, pattern, sets=False) for name in names)

    if any(found(pattern[1:]) for pattern in patterns if pattern.startswith("!")):
        return False
    return any(found(pattern) for pattern in patterns if not pattern.startswith("!"))
