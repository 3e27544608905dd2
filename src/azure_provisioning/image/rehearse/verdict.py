"""What a VM from the image would do, by its rehearsal and by the findings of `check`: one line, and the exit code.

A rehearsal executes nothing of the image, so its boot reaches Ready where a real one asks the image's sshd and fails.
"""

from collections import namedtuple

from ... import config
from ...door.budget import limited
from ...errors import GuestError
from ...guest import login
from ...story import timeline
from ...story.state import READY, data_fact
from ...story.verify import NOBODY, OPTIONS
from ..check import check
from ..check.finding import EVERYBODY, SOME
from .case import PROGRAMS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List

    from ..check.finding import Finding
    from .case import Case
    from .rehearse import Rehearsal

# What a scratch copy cannot show: it would take the image's own programs, its kernel, or a network.
NOT_REHEARSED = ("useradd", "host keys", "gates", "DHCP", "drivers")


class Verdict(namedtuple("Verdict", "text code")):
    """The last line on stderr, and the exit code."""

    __slots__ = ()

    text: str
    code: int


def judge(done: "Rehearsal", case: "Case") -> Verdict:
    """The verdict on a rehearsal."""
    error = done.state.error()
    if done.state.when(READY) is not None:
        text, code = judge_ready(done, case)
    elif error is not None:
        text, code = "This image would not reach Ready: %s" % error["reason"], done.code
    else:
        text, code = "This image would not reach Ready: the boot does nothing here", done.code
    parts = [text + "; %s would change." % check.count(done.changed, "path")]
    parts.append("Not rehearsed: %s." % ", ".join((*NOT_REHEARSED, *programs(done))))
    if done.findings is not None:
        parts.append("check: %s." % check.counts(done.findings))
    return Verdict(" ".join(parts), code)


def programs(done: "Rehearsal") -> "List[str]":
    """The programs in the VM's data that a boot would run."""
    options = config.load(done.system)[0]
    wanted = [(name, words) for name, words in PROGRAMS if getattr(options, name) == "run"]
    return [words for name, words in wanted if done.state.when(data_fact(name)) is not None]


def judge_ready(done: "Rehearsal", case: "Case") -> Verdict:
    """The verdict on a rehearsal whose boot reached Ready."""
    errors = [finding for finding in done.findings or [] if finding.level == "error"]
    fatal = [finding for finding in errors if check.keeps_from_ready(finding)]
    if fatal:
        return Verdict("This image would not reach Ready: %s" % name(fatal[0]), 1)
    ways = presume(done, case)
    shut = bool(ways) and all(way.works is False for way in ways)
    options = config.load(done.system)[0]
    asks = done.boot is not None and options.login == "require"  # the shell implementation asks sshd less
    if shut and asks and not any(finding.id == "host-keys" for finding in errors):
        text = "This image would let nobody in: %s. A boot would report `%s`, not Ready"
        return Verdict(text % (reasons(asked(ways, case)), NOBODY), 1)
    seconds = timeline.total(done.spans()) if done.system.shown is None else done.system.shown
    ready = "This image would reach Ready in %.1f s" % seconds
    barred = [finding for finding in errors if finding.id in check.LOGIN and applies(finding, ways)]
    if barred or shut:
        why = reasons(asked(ways, case)) if shut else name(barred[0])
        return Verdict("%s, but let nobody in: %s" % (ready, why), 1)
    unmet = any(finding.id in check.UNMET for finding in errors)
    text = ready + who(done, case) + (", and a default where an option has a mistake" if unmet else "")
    doubts = find_doubts(done, asked(ways, case))
    return Verdict(text + (", but " + "; ".join(doubts) if doubts else ""), 1 if unmet else 0)


def name(finding: "Finding") -> str:
    """A finding in the verdict."""
    return "%s: %s" % (finding.id, finding.message)


def who(done: "Rehearsal", case: "Case") -> str:
    """The account, and what it can be given to log in with."""
    user = done.state.user
    if not user:
        return ", with no account"
    keys = len({tuple(key.split()[:2]) for key in case.keys}) if "ssh_keys" in done.taken else 0
    ways = [check.count(keys, "key")] if keys else []
    ways += ["a password"] if "password" in done.taken else []
    return " as %s with %s" % (user, " and ".join(ways) or "no way to log in")


def presume(done: "Rehearsal", case: "Case") -> "List[login.Way]":
    """The ways to log in, if the image's sshd reads its files as we do; empty if a boot would not look.

    A way that the options leave to the image is not known to be shut, nor is one for which a boot unlocks the account.
    """
    options, user = config.load(done.system)[0], done.state.user
    if not options.account or not user:
        return []
    try:
        with limited(done.system):
            ways, _ = login.find_ways(done.system, user, case.keys if options.ssh_keys else (), by_files=True)
    except GuestError:
        return []
    sure = [bool(way.works) or options.wants(OPTIONS[way.name]) and way.why != login.LOCKED for way in ways]
    return [way if known else way._replace(works=None) for way, known in zip(ways, sure)]


def asked(ways: "List[login.Way]", case: "Case") -> "List[login.Way]":
    """The ways that the VM was created with."""
    wanted = (["key"] if case.keys else []) + (["password"] if case.password_login else [])
    return [way for way in ways if way.name in wanted] or ways


def applies(error: "Finding", ways: "List[login.Way]") -> bool:
    """Does an error about logins hold for this VM? Those about keys do not if it has a password that lets it in."""
    if error.scope == EVERYBODY:
        return True
    return not any(way.works and (error.scope == SOME or way.name == "password") for way in ways)


def reasons(ways: "List[login.Way]") -> str:
    """Why these ways are shut."""
    whys = {way.why for way in ways}
    return whys.pop() if len(whys) == 1 else "; ".join("%s: %s" % (way.name, way.why) for way in ways)


def find_doubts(done: "Rehearsal", ways: "List[login.Way]") -> "List[str]":
    """What the boot warned about the login."""
    user, doubts = done.state.user, []
    if ways and not any(way.works for way in ways):
        doubts.append("it cannot be determined whether %s can log in: %s" % (user, reasons(ways)))
    else:
        doubts += ["%s cannot log in by %s: %s" % (user, way.name, way.why) for way in ways if not way.works]
    root = done.state.login().get("root", "")
    if root.startswith("no: "):
        doubts.append("%s cannot become root: %s" % (user, root[len("no: ") :]))
    return doubts
