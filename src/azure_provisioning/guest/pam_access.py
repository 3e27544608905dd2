"""Does PAM let the administrator in over SSH? By pam.d(5) and access.conf(5), as we read the files.

An answer is certain if nothing in the files leaves a doubt; otherwise it is a suspicion. Each answer is yes, no, or
None if only PAM itself could tell.
"""

import re

from ..door.system import System
from ..door.text import lines_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterator, List, Optional, Sequence, Tuple

    Rule = Tuple[str, str, List[str], str]  # control, module, its words, and the file

FOLDERS = ("/etc/pam.d", "/usr/lib/pam.d", "/usr/etc/pam.d")  # the first that has the file counts
SERVICE, OTHER = "sshd", "other"  # the second for a kind of rule that the service does not have: pam.d(5)
ACCESS = "/etc/security/access.conf"
DEPTH_LIMIT = 8  # files of PAM's that include one another
LINE = re.compile(r"(?a)(-?)(\w+)\s+(\[[^\]]*\]|\S+)\s+(\S+)(.*)\Z")
PLAIN = ("required", "requisite", "optional")  # none of these ends the stack with success
HARMLESS = ("noaudit", "debug", "quiet_log")
NSSWITCH, LOCAL_SOURCES = "/etc/nsswitch.conf", ("files", "compat", "systemd")
MODULE, DENIES = "pam_access.so", "pam_deny.so"
# Modules that refuse no local account that is in order. What is left can refuse anybody, by rules that we do not read.
LOCAL = (
    "access", "cap", "cracklib", "debug", "echo", "ecryptfs", "env", "faildelay", "faillock", "keyinit", "krb5",
    "lastlog", "lastlog2", "ldap", "limits", "localuser", "loginuid", "mail", "mkhomedir", "motd", "namespace",
    "nologin", "oddjob_mkhomedir", "permit", "pwquality", "rootok", "securetty", "selinux", "sepermit",
    "shells", "sss", "systemd", "systemd_home", "tally", "tally2", "tcb", "umask", "unix", "unix2", "unix_acct",
    "usertype", "warn", "winbind", "xauth",
)  # fmt: skip
# Of these, what refuses an account that its directory does not know, if its failure counts: pam_sss(8), pam_ldap(8).
DIRECTORIES = ("pam_sss.so", "pam_ldap.so", "pam_winbind.so")
CALM = "ignore_unknown_user"
USUAL = ("pam_unix.so", "pam_permit.so")  # where these are is where libpam looks for modules
MISSING = ", which is missing"
LIMITS, LIMITED = ("/etc/security/limits.conf", "/etc/security/limits.d"), "pam_limits.so"
NO_LOGIN = re.compile(r"(?a)\*\s+(?:hard|soft|-)\s+max(?:sys)?logins\s+0+\Z")
SCHEDULE = "/etc/security/time.conf"  # of pam_time, which refuses nobody without a rule
# With success, these end the stack of a local account, if nothing refused it before.
ENDS = ("pam_localuser.so", "pam_unix.so", "pam_permit.so")
MODULE_FOLDERS = ("/lib/security", "/lib64/security", "/usr/lib/security", "/usr/lib64/security")
# The origin is the third field, as a name or address: one with more colons is left to PAM.
RULE = re.compile(r"([+-])[ \t]*:[ \t]*([^:]+?)[ \t]*:[ \t]*([^:]+?)[ \t]*\Z")
NAME = re.compile(r"(?a)[A-Za-z0-9_][A-Za-z0-9_.-]*\Z")


def find_refusal(system: System, name: str, groups: "Sequence[str]") -> "Tuple[str, bool]":
    """(the rule that keeps `name`, who is in these groups, out from wherever, whether that is certain); empty if none
    does. Raises GuestError if a file cannot be read."""
    stack = find_stack(system, "account")
    for place, asked in enumerate(stack):
        if asked is None or asked[1].rpartition("/")[2] != MODULE:
            continue
        files = [word.partition("=")[2] for word in asked[2] if word.startswith("accessfile=/")]
        path = files[-1] if files else ACCESS
        text = system.read_text(path) or ""
        for sure in (True, False):
            rule = judge(system, text, name, groups, sure=sure) if is_asked(system, stack, place) or not sure else ""
            if rule:
                return "%s: %s" % (path, rule), sure
    return "", False


def find_other(system: System, service: str = SERVICE) -> "Tuple[str, bool]":
    """(the line of another module that may keep everybody out, whether that is certain); empty if there is none.

    Only pam_deny and a module that is missing are certain. Raises GuestError if a file cannot be read.
    """
    found = [find_line(system, kind, service) for kind in ("account", "session")]
    sure = [(line, sure) for line, sure in found if sure]
    doubts = [line for line, _ in found if line] or [find_limit(system, service)]
    return sure[0] if sure else (doubts[0], False)


def find_line(system: System, kind: str, service: str) -> "Tuple[str, bool]":
    """The same among the rules of one kind. A session is refused by hardly any other module."""
    stack, doubt = find_stack(system, kind, service), ""
    folders = find_folders(system)
    for place, rule in enumerate(stack):
        if rule is None:
            continue
        control, path, words, file = rule
        module = path.rpartition("/")[2]
        line = "%s: %s" % (file, " ".join([kind, control, path, *words]))
        if is_missing(system, path, folders):
            if refuses_missing(control):
                if is_reached(stack, place):
                    return line + MISSING, True
                doubt = doubt or line + MISSING
        elif module == DENIES:
            if is_asked(system, stack, place):
                return line, True
        elif kind == "session":
            continue
        elif control == "sufficient" and module in ENDS:
            break
        elif can_refuse(control) and not is_harmless(system, control, module, words):
            doubt = doubt or line
    return doubt, False


def find_limit(system: System, service: str) -> str:
    """The line of pam_limits that lets nobody log in, unless another line is about the administrator."""
    if not any(rule and rule[1].endswith(LIMITED) for rule in find_stack(system, "session", service)):
        return ""
    main, folder = LIMITS
    for path in [main] + ["%s/%s" % (folder, name) for name in system.list(folder) if name.endswith(".conf")]:
        for line in lines_in(system.read_text(path) or ""):
            if NO_LOGIN.match(line.split("#")[0].strip()):
                return "%s: %s" % (path, " ".join(line.split()))
    return ""


def can_refuse(control: str) -> bool:
    """Does a failure of the module refuse the login?"""
    return control.lstrip("-") in PLAIN[:2] or bool(re.search(r"=(bad|die)\b", control))


def refuses_missing(control: str) -> bool:
    """Does it refuse the login if the module is missing?"""
    if not control.startswith("["):
        return control in PLAIN[:2]
    actions = dict(action.partition("=")[::2] for action in control.strip("[]").split())
    return actions.get("module_unknown", actions.get("default")) in ("bad", "die")


def is_missing(system: System, module: str, folders: "Sequence[str]") -> bool:
    """Is there no file of this module, although there are others?"""
    if "$" in module or is_there(system, module, folders):
        return False
    return any(is_there(system, name, folders) for name in USUAL)


def is_harmless(system: System, control: str, module: str, words: "Sequence[str]") -> bool:
    """Does this module refuse no local account that is in order?"""
    if module in DIRECTORIES and control in PLAIN:
        return CALM in words
    if module == "pam_time.so":
        rules = (line.split("#")[0].strip() for line in lines_in(system.read_text(SCHEDULE) or ""))
        return not any(rules)
    return module[len("pam_") : -len(".so")] in LOCAL


def asks(system: System, module: str) -> bool:
    """Does sshd's own stack require this module? Raises GuestError if a file cannot be read."""
    found = (rule for rule in find_stack(system, "account") if rule is not None)
    return any(control in PLAIN[:2] and path.rpartition("/")[2] == module for control, path, *_ in found)


def judge(system: System, text: str, name: str, groups: "Sequence[str]", *, sure: bool) -> str:
    """The rule of `text` that refuses; empty if none does. What is not certain stops it, or is passed over."""

    def settled(verdict: "Optional[bool]") -> "Optional[bool]":
        return verdict if sure else bool(verdict)

    for line in lines_in(text):
        if not line.strip() or line.startswith("#"):
            continue
        rule = RULE.match(line if sure else line.strip())
        if rule is None and sure:
            return ""
        if rule is None:
            continue
        permission, users, origins = rule.groups()
        verdict = both(
            is_in(users, lambda word: settled(is_user(system, word, name, groups))),
            is_in(origins, lambda word: settled(is_origin(word))),
        )
        if permission == "-" and verdict:
            return ":".join(rule.groups())
        if permission == "+" and verdict is not False:
            return ""
    return ""


# -- the stack -------------------------------------------------------------------------------------------------------


def is_asked(system: System, stack: "Sequence[Optional[Rule]]", place: int) -> bool:
    """Is the module at this place of the stack certain to be asked, and what it says to count?"""
    rule = stack[place]
    if rule is None or not is_reached(stack, place):
        return False
    known = all(word in HARMLESS or word.startswith("accessfile=/") for word in rule[2])
    return known and is_there(system, rule[1], find_folders(system))


def is_reached(stack: "Sequence[Optional[Rule]]", place: int) -> bool:
    """Is the rule at this place of the stack certain to count?"""
    rules = [rule for rule in stack[: place + 1] if rule is not None]
    if len(rules) <= place or any(rule is None or "reset" in rule[0] for rule in stack):
        return False
    return rules[place][0] in PLAIN[:2] and all(goes_on(rules[before][0], before, place) for before in range(place))


def find_stack(system: System, kind: str, service: str = SERVICE) -> "List[Optional[Rule]]":
    """The rules of one kind that count for a service."""
    found: "List[Optional[Rule]]" = []
    for name in (service, OTHER):
        if not found and find_service(system, name):
            found = list(read_stack(system, name, kind, DEPTH_LIMIT))
    return found or [None]


def find_service(system: System, name: str) -> str:
    """The path of a service's file; empty without one."""
    paths = ("%s/%s" % (folder, name) for folder in FOLDERS)
    return next(filter(system.exists, paths), "")


def read_stack(system: System, service: str, kind: str, depth: int) -> "Iterator[Optional[Rule]]":
    """The rules of one kind, those of included files in their place; None for what cannot be told."""
    path = find_service(system, service) if depth else ""
    text = system.read_text(path) if path else None
    if text is None or "\\\n" in text:
        yield None
    for line in lines_in(text or ""):
        words = line.split("#")[0].split()
        included = words[1] if words[:1] == ["@include"] and len(words) == 2 else ""
        match = LINE.match(" ".join(words))
        if match is None or match.group(2).lower() != kind:
            match = None
        elif match.group(3) in ("include", "substack"):
            included = match.group(4)
        if included and "/" not in included:
            yield from read_stack(system, included, kind, depth - 1)
        elif included:
            yield None
        elif match:  # a control of its own where a module that is missing is no failure
            yield match.group(1) + match.group(3), match.group(4), match.group(5).split(), path


def goes_on(control: str, place: int, wanted: int) -> bool:
    """Does the stack come from the rule at `place` to the one that is `wanted`, or fail, whatever its module says?

    An account whose password must be changed is none that gets this far.
    """
    if control.lstrip("-") in PLAIN:
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


def is_there(system: System, module: str, folders: "Sequence[str]") -> bool:
    """Is there a file of this module?"""
    paths = [module] if module.startswith("/") else ["%s/%s" % (folder, module) for folder in folders]
    return any(map(system.exists, paths))


def find_folders(system: System) -> "List[str]":
    """The folders that may have modules."""
    folders = [*MODULE_FOLDERS]
    for top in ("/lib", "/usr/lib"):
        folders += ["%s/%s/security" % (top, name) for name in system.list(top) if "-linux-" in name]
    return list(filter(system.is_dir, folders))


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
