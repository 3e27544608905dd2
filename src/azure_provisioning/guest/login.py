"""Who can log in, according to sshd, shadow and the files as they are now, not to what was written.

A way to log in counts as shut only if the image's own tools say so, or if a file is a plain fact. A conclusion from our
own reading of the configuration is only a suspicion.
"""

from collections import namedtuple

from ..door.system import System
from ..errors import GuestError
from . import ageing, nologin, pam_access, tcp_wrappers
from .account import is_shell
from .accounts import Account, find_account, locked, password_field, set_password_field
from .authorized_keys import DEFAULT, key_path
from .key_login import ABSENT, MISSING, find_refusal, look_into
from .ssh_key import read_keys
from .sshd_access import find_barrier, find_doubt, find_lock_out, groups_of
from .sshd_config import (
    NO_KEYS,
    QUESTIONS,
    arguments,
    ask_settings,
    ask_sshd,
    find_config,
    find_sshd,
    first_of,
    settings,
    walk_lines,
)
from .sshd_match import that_count
from .sshd_options import are_known
from .sshd_session import find_bar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Optional, Sequence, Tuple

    from .ssh_key import SshKey

    Verdict = Tuple[Optional[bool], str]

NO_HASH = ("", "*", "!", "x")  # first characters of a field for no password, or for a locked one
LACKING = "the account has none"
LOCKED = "the account is locked"


# The beginnings of the keywords that decide who can log in, and that a Match block may override: sshd_config(5).
DECISIVE = (
    "allow", "deny", "auth", "pubkey", "password", "kbdint", "challenge", "revoked", "trusted",
    "force", "chroot", "max", "required",
)  # fmt: skip


class Way(namedtuple("Way", "name works why")):
    """A way to log in: `works` is None if it cannot be determined; `why` is the reason against it."""

    __slots__ = ()

    name: str
    works: "Optional[bool]"
    why: str

    def __str__(self) -> str:
        return {True: "yes", False: "no: %s", None: "unknown: %s"}[self.works].replace("%s", self.why)


def let_in(system: System, name: str) -> "List[str]":
    """Clear every field of shadow that refuses the account `name`; returns what was cleared.

    Raises GuestError.
    """
    done = ageing.renew(system, name)
    if is_locked(system, name) and uses_pam(system, name) is False:
        with locked(system):
            set_password_field(system, name, "*")
        done.append("locked password removed, because sshd without PAM then refuses keys")
    return done


def is_locked(system: System, name: str) -> bool:
    """Does a `!` lock the password hash?"""
    return password_field(system, name)[:1] == "!"


def has_password(system: System, name: str) -> bool:
    """Is there a hash that a password could match?"""
    return password_field(system, name)[:1] not in NO_HASH


def uses_pam(system: System, name: str) -> "Optional[bool]":
    """Does this sshd leave locked accounts to PAM? None if it cannot be determined."""
    try:
        return ask_settings(system, name).get("usepam", "no") == "yes"
    except GuestError:
        return None


def find_ways(system: System, name: str, keys: "Sequence[str]", *, by_files: bool = False) -> "Tuple[List[Way], str]":
    """(the ways by which the administrator `name` can log in over SSH from outside, why sshd itself was not asked).

    Empty without an SSH server. `keys`: Azure's, as it sent them; without any, every key in the account's files counts.
    `by_files`: as if sshd had reported what its files say, for an image. Raises GuestError if the accounts cannot be
    read.
    """
    sshd, dropbear = find_sshd(system), system.find_program("dropbear")
    if not (sshd or dropbear or find_config(system)):
        return [], ""
    account = find_account(system, name)
    problem = find_problem(system, name, account)
    if account is None or problem:
        return both(problem, works=False), ""
    wanted = [key for text in keys for key in read_keys(text)[0]]
    if dropbear and not sshd:
        return judge_dropbear(system, account, wanted), ""
    found, silent, dead = read_as_sshd(system, name) if by_files else hear(system, name)
    ways = both(dead, works=False) if dead else judge(system, account, wanted, found)
    unsure = bool(silent or dropbear) or not are_known(system)
    if unsure:  # our own reading of the files; or another server may listen, or sshd may read other files
        ways = [doubt(way) for way in ways]
    refusal, sure = find_rule(system, name, found)
    if refusal and sure and not unsure:
        ways = [way if way.works is False else Way(way.name, works=False, why=refusal) for way in ways]
    elif refusal:
        ways = [Way(way.name, None, refusal) if way.works else way for way in ways]
    return ways, silent


def find_rule(system: System, name: str, sshd: "Dict[str, str]") -> "Tuple[str, bool]":
    """(what PAM refuses `name` by, a rule or a file, whether that is certain); empty if there is none.

    It is certain only for the PAM service that sshd uses, and sshd must use PAM.
    """
    if sshd.get("usepam", "no") != "yes":
        return "", False
    own = sshd.get("pamservicename", "sshd") == "sshd"
    try:
        if nologin.is_never_opened(system) and pam_access.asks(system, "pam_nologin.so"):
            return nologin.PASSING, own
        refusal, sure = pam_access.find_refusal(system, name, groups_of(system, name))
        if not sure:
            other, sure = pam_access.find_other(system)
            refusal = other if sure else refusal or other
        return refusal, sure and own and (find_sshd(system) or "").endswith("/sshd")
    except GuestError:
        return "", False


def doubt(way: Way) -> Way:
    """The way if another sshd or another configuration may be in use: only a missing key or password is certain."""
    lacks = way.why == LACKING or way.why.endswith((MISSING, ABSENT))
    return way if way.works or lacks else way._replace(works=None)


def both(why: str, *, works: "Optional[bool]") -> "List[Way]":
    """The same verdict for keys and passwords."""
    return [Way("key", works, why), Way("password", works, why)]


def judge_dropbear(system: System, account: Account, keys: "Sequence[SshKey]") -> "List[Way]":
    """The two ways through dropbear. It answers no questions: only a lack, and an option of its start, are certain."""
    from . import dropbear_options

    verdict, why = look_into(system, account, key_path(account, DEFAULT), keys, {})
    known = has_password(system, account.name)
    key, password = doubt(Way("key", verdict, why)), Way("password", known, "" if known else LACKING)
    options = dropbear_options.find_options(system) or {}
    open_to, bar = dropbear_options.find_bar(options, groups_of(system, account.name))
    if open_to is False:
        return both(bar, works=False)
    if "t" in options:
        key = key if known or key.works is False else key._replace(works=False, why="dropbear -t: %s" % LACKING)
    option = next((letter for letter in "ts" if letter in options), "")
    if option and known:
        password = password._replace(works=False, why="dropbear -" + option)
    return [key, password] if open_to else [Way(way.name, None, bar) if way.works else way for way in (key, password)]


def find_problem(system: System, name: str, account: "Optional[Account]") -> str:
    """What keeps the account out with any key or password; empty if nothing does."""
    if account is None:
        return "there is no account %s" % name
    if not system.is_program(account.shell) or not is_shell(account.shell):
        return "the shell %s allows no session" % account.shell
    if nologin.stays_closed(system):
        return nologin.LASTING
    return ageing.find_refusal(system, name)


def hear(system: System, name: str) -> "Tuple[Dict[str, str], str, str]":
    """(sshd's settings for `name`, why sshd itself did not report them, why it does not start at all)."""
    try:
        return ask_settings(system, name), "", ""
    except GuestError as error:
        silent = error.details.get("output") or str(error)
    for _ in range(2):  # the first sshd may have been killed, or failed for a moment
        try:
            ask_sshd(system, ["-t"])
            break
        except GuestError as error:
            said = error.details.get("output", "")
            if not said or NO_KEYS in said and makes_keys(system):
                break  # no sshd to ask, or no host keys yet
    else:
        return {}, "", "sshd does not start: %s" % said
    return settings(system, name), silent, ""


def makes_keys(system: System) -> bool:
    """May the start of an sshd without host keys make some? Not if all files are there, and it can use none."""
    from .host_keys import KINDS, OPENSSH, configured

    usual = ["%s/ssh_host_%s_key" % (OPENSSH, kind) for kind in KINDS]
    return not all(map(system.exists, configured(system) or usual))


def read_as_sshd(system: System, name: str) -> "Tuple[Dict[str, str], str, str]":
    """As `hear`, from the files. If it cannot be told whether a Match block with what decides about a login applies to
    `name`, they do not say."""
    lines, unsure = that_count(walk_lines(system), [(name, groups_of(system, name))])
    found = first_of((line.key, " ".join(arguments(line.text))) for line in lines)
    if not any(keyword in found for keyword in QUESTIONS):
        found[QUESTIONS[0]] = "yes"  # sshd's default
    if find_sshd(system) is None:
        return found, "there is no sshd", ""
    blocks = [line.key for line in unsure if line.key.startswith(DECISIVE)]
    return found, "a Match block has %s" % blocks[0] if blocks else "", ""


def judge(system: System, account: Account, keys: "Sequence[SshKey]", sshd: "Dict[str, str]") -> "List[Way]":
    """The two ways through an sshd with these settings."""
    barrier = find_barrier(system, account.name, sshd)
    wrapped, sure = tcp_wrappers.find_refusal(system)
    barrier = barrier or (wrapped if sure else "")
    if barrier:
        return both(barrier, works=False)
    open_to, bar = find_bar(system, account, sshd)
    if open_to is False:
        return both(bar, works=False)
    parts: "Dict[str, Verdict]" = {
        "publickey": find_key(system, account, keys, sshd),
        "password": find_password(system, account, sshd),
        "keyboard-interactive": find_questions(sshd),
    }
    methods = sshd.get("authenticationmethods", "any")
    if methods.split() in ([], ["any"]):
        ways = [Way("key", *parts["publickey"]), Way("password", *parts["password"])]
    else:
        ways = through_methods(methods, parts)
    bar = bar or find_doubt(system, account.name, sshd) or (wrapped if sure is None else "")
    return [Way(way.name, None, bar) if way.works else way for way in ways] if bar else ways


def rank(works: "Optional[bool]") -> int:
    """A number to compare verdicts: the best is the highest."""
    return {False: 0, None: 1, True: 2}[works]


def through_methods(value: str, parts: "Dict[str, Verdict]") -> "List[Way]":
    """The same with AuthenticationMethods, where a login needs all methods of one list. A list with publickey is a way
    by key, any other a way by password."""
    ways = []
    for name, first in (("key", "publickey"), ("password", "")):
        best: "Verdict" = (False, "AuthenticationMethods %s" % value)
        for listed in value.lower().split():
            methods = [method.partition(":")[0] for method in listed.split(",")]
            if ("publickey" in methods) != bool(first):
                continue
            verdicts = [parts.get(method, (None, "AuthenticationMethods %s" % listed)) for method in methods]
            worst = min(verdicts, key=lambda verdict: rank(verdict[0]))
            if len(methods) > 1 and worst[0] is not True:
                worst = (worst[0], "AuthenticationMethods %s: %s" % (listed, worst[1]))
            if rank(worst[0]) > rank(best[0]) or best[0] is False and worst[1]:
                best = worst
        ways.append(Way(name, *best))
    return ways


def find_key(system: System, account: Account, keys: "Sequence[SshKey]", sshd: "Dict[str, str]") -> "Verdict":
    """(does a key let the account in, why not)."""
    why = find_lock_out(system, account.name, sshd)
    if why:
        return False, why
    if is_locked(system, account.name) and sshd.get("usepam", "no") != "yes":
        return False, LOCKED
    try:
        return find_refusal(system, account, keys, sshd)
    except GuestError as error:
        return None, str(error)


def find_password(system: System, account: Account, sshd: "Dict[str, str]") -> "Verdict":
    """(does a password let the account in, why not)."""
    if not has_password(system, account.name):
        return False, LACKING
    if sshd.get("passwordauthentication", "yes") == "no":
        asked = find_questions(sshd)[0] is None
        return (None, "PasswordAuthentication no, but PAM asks") if asked else (False, "PasswordAuthentication no")
    return True, ""


def find_questions(sshd: "Dict[str, str]") -> "Verdict":
    """(do PAM's questions let the account in, why not): only PAM knows what it asks."""
    asks = next((sshd[keyword] for keyword in QUESTIONS if keyword in sshd), "no") != "no"
    if asks and sshd.get("usepam", "no") == "yes":
        return None, "PAM asks"
    return False, "KbdInteractiveAuthentication no"
