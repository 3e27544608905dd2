"""The settings of this sshd: from sshd itself if it can be asked, else read from its configuration."""

import re
from collections import namedtuple
from typing import Dict, Iterator, List, Optional, Tuple

from ..door.pattern import LIMIT, matches
from ..door.system import System
from ..door.text import BLANKS, is_digits
from ..errors import GuestError
from .sshd_options import SERVERS, find_options, find_ports, find_settings

KERBEROS = ("kerberosauthentication", "gssapiauthentication")
PATHS = ("/etc/ssh/sshd_config", "/usr/etc/ssh/sshd_config", "/usr/local/etc/ssh/sshd_config")
FILES_LIMIT = 256  # included files in all
DEPTH_LIMIT = 16  # nested includes, as in sshd
LINES_LIMIT = 20000  # in all files
PLACES_LIMIT = 4096  # paths that match a pattern, up to any of its slashes
LISTS = ("allowusers", "denyusers", "allowgroups", "denygroups")
ADDED_UP = (*LISTS, "listenaddress")
LINE = re.compile(r"(?a)([A-Za-z0-9]+)(?:\s*=\s*|\s+)(.*)\Z")
QUESTIONS = ("kbdinteractiveauthentication", "challengeresponseauthentication")  # the second before OpenSSH 8.7
NO_KEYS = "no hostkeys available"
# A connection from outside: from an address reserved for documentation (RFC 5737), for which no image has a rule, to
# one of the network that Azure proposes. UseDNS is off by default, so sshd uses the address as the host's name.
OUTSIDE = "203.0.113.9"
CONNECTION = "user=%(user)s,host=%(from)s,addr=%(from)s,laddr=10.0.0.4,lport=%(port)s"
ROUTING_DOMAIN = ",rdomain="  # a part of it since OpenSSH 7.7; older versions reject it
# `key`: the keyword in lower case, or empty if the line has another form; `text`: what follows it, or the whole line;
# `general`: whether it applies to everybody; `path` and `number`: where it is, or empty and 0 for an option of sshd's;
# `match`: the criteria of its Match block, and of those that include its file.
ALL = "all"  # the criterion of a block for everybody
Line = namedtuple("Line", "key text general path number match")
RUN_FOLDER = re.compile(r"[Mm]issing privilege separation directory: ((?:/var)?/run/[A-Za-z0-9_-]+)\Z")


def find_config(system: System) -> "Optional[str]":
    """The path of sshd's configuration; None if no OpenSSH server is configured. Raises GuestError."""
    options = find_options(system) or []
    if options[:1] == ["-f"]:
        return options[1]
    return next((path for path in PATHS if system.exists(path)), None)


def find_sshd(system: System) -> "Optional[str]":
    """The path of OpenSSH's server; None if there is none.

    If there are several, the configuration decides, as in Alpine's init script (aports, main/openssh/sshd.initd).
    Raises GuestError if the configuration cannot be read.
    """
    plain, pam, krb5 = map(system.find_program, SERVERS)
    said = first_of(walk(system)) if pam or krb5 else {}
    if krb5 and "yes" in [said.get(key, "").lower() for key in KERBEROS]:
        return krb5
    if pam and said.get("usepam", "").lower() == "yes":
        return pam
    return plain or pam or krb5


def settings(system: System, user: str = "") -> "Dict[str, str]":
    """Every setting that applies to `user`, by lower-case keyword; only those that are set, if sshd cannot be asked.

    `-G` (9.3 and later) needs no host keys, but ignores what a Match block sets for the user. Raises GuestError if the
    files cannot be read.
    """
    if user:
        try:
            return ask_settings(system, user)
        except GuestError:
            pass  # the files have to do: use `ask_settings` if a wrong answer would matter
    for options in (["-G"],) if user else (["-G"], ["-T"]):
        try:
            return parse_settings(ask_sshd(system, options))
        except GuestError:
            continue
    return first_of(walk(system))


def ask_settings(system: System, user: str) -> "Dict[str, str]":
    """The settings that sshd itself reports for `user`, connecting from outside. Raises GuestError if it cannot.

    The connection has every part: `sshd -T` fails if a Match line uses one that is missing.
    """
    whole = CONNECTION % {"user": user, "from": OUTSIDE, "port": find_port(system)}
    try:
        return parse_settings(ask_sshd(system, ["-T", "-C", whole + ROUTING_DOMAIN]))
    except GuestError as error:
        if "test mode specification" not in error.details.get("output", ""):
            raise
    return parse_settings(ask_sshd(system, ["-T", "-C", whole]))


def parse_settings(printed: str) -> "Dict[str, str]":
    """What sshd prints of its settings."""
    return first_of(line.partition(" ")[::2] for line in printed.split("\n"))


def find_port(system: System) -> str:
    """The port of the connection: 22 if sshd listens there, else its first one."""
    try:
        ports = find_ports(system) or [value for key, value in walk(system) if key == "port"]
    except GuestError:
        ports = []
    fit = [port for port in ports if is_digits(port, 5)]
    return "22" if "22" in fit or not fit else fit[0]


def ask_sshd(system: System, options: "List[str]") -> str:
    """What `sshd` prints for `options`. Raises GuestError with its error, or if there is no sshd to ask.

    sshd insists on a folder in a tmpfs, which its unit or script makes. We run earlier, so we make it.
    """
    sshd = find_sshd(system) if system.can_run else None
    if sshd is None:
        raise GuestError("no sshd to be asked")
    command = [sshd, *(find_options(system) or []), *options]
    try:
        return system.ask(command)
    except GuestError as error:
        missing = RUN_FOLDER.search(error.details.get("output", ""))
        if not missing:
            raise
        system.make_dirs(missing.group(1))
    return system.ask(command)


def first_of(pairs: "Iterator[Tuple[str, str]]") -> "Dict[str, str]":
    """The first value of each keyword, which is the one that counts; the lists of who may log in, and of the addresses,
    are added up."""
    found: "Dict[str, str]" = {}
    lists: "Dict[str, List[str]]" = {key: [] for key in ADDED_UP}
    for key, value in ((key.lower(), value.strip()) for key, value in pairs):
        if key in ADDED_UP:
            lists[key].append(value)
        found.setdefault(key, value)
    return dict(found, **{key: " ".join(values) for key, values in lists.items() if values})


def walk(system: System) -> "Iterator[Tuple[str, str]]":
    """(keyword, value) of every line that applies to everybody, in sshd's order, through all Includes.

    `Match` blocks are left out, except `Match all`.
    """
    return ((key, value) for key, value, general in walk_all(system) if general)


def walk_all(system: System) -> "Iterator[Tuple[str, str, bool]]":
    """(keyword, value, whether it applies to everybody) of every line, including those of Match blocks."""
    for line in walk_lines(system):
        if line.key not in ("", "match"):
            yield line.key, " ".join(arguments(line.text)), line.general


def walk_lines(system: System) -> "Iterator[Line]":
    """Every line that is not empty and no comment, in sshd's order."""
    for line in find_settings(system):
        match = LINE.match(line.strip(BLANKS))
        if match:
            yield Line(match.group(1).lower(), match.group(2), general=True, path="", number=0, match="")
    path = find_config(system)
    if path:
        yield from walk_file(system, path, [FILES_LIMIT, LINES_LIMIT])


def walk_file(
    system: System, path: str, left: "List[int]", depth: int = DEPTH_LIMIT, *, block: str = ""
) -> "Iterator[Line]":
    """The same for one file; `left` limits the files and lines in all."""
    lines = (system.read_text(path) or "").split("\n")
    left[:] = left[0] - 1, left[1] - len(lines)
    if min(left) < 0 or depth < 0:
        raise GuestError("sshd's configuration includes too many files", path=path)
    above = block  # a file included in a Match block belongs to that block, whatever it says itself
    for number, text in enumerate((line.strip(BLANKS) for line in lines), 1):
        match = LINE.match(text)
        if not match:
            if text and not text.startswith("#"):
                yield Line("", text, block in ("", ALL), path, number, block)
            continue
        key, value = match.group(1).lower(), match.group(2)
        if key == "match":
            own = value.strip(BLANKS)
            nested = [each for each in (above, own) if each.lower() != ALL]
            block = " ".join(nested).strip() or ALL
        yield Line(key, value, block in ("", ALL), path, number, block)
        if key == "include":
            for pattern in arguments(value):
                for included in matching(system, absolute(pattern)):
                    yield from walk_file(system, included, left, depth - 1, block=block)


def arguments(value: str) -> "List[str]":
    """The words of a value, with quoted words whole, up to a comment."""
    found: "List[str]" = []
    for quoted, word in re.findall(r'(?a)"([^"]*)"|(\S+)', value):
        if word.startswith("#") or len(found) == FILES_LIMIT:
            break
        found.append(quoted or word)
    return found


def absolute(pattern: str) -> str:
    """The path that an Include names: relative names are in /etc/ssh. One that is too long for a path becomes `/`."""
    if len(pattern) > LIMIT:
        return "/"
    return pattern if pattern.startswith("/") else "/etc/ssh/" + pattern


def matching(system: System, pattern: str) -> "List[str]":
    """The paths that match a shell pattern, sorted as in sshd. Raises GuestError if there are too many."""
    places = [""]
    for part in pattern.split("/")[1:]:
        if len(places) > PLACES_LIMIT:
            raise GuestError("a pattern matches too many files", pattern=pattern)
        if any(char in part for char in "*?["):
            places = [place + "/" + name for place in places for name in visible(system, place, part)]
        else:
            places = [place + "/" + part for place in places]
    return [place for place in places if system.exists(place) and not system.is_dir(place)]


def visible(system: System, folder: str, pattern: str) -> "List[str]":
    """The matching names in a folder; hidden ones only if the pattern begins with a dot too."""
    found = []
    for name in system.list(folder):
        system.spend(folder)  # matching a pattern takes longer than reading a name
        if matches(name, pattern) and (name[0] != "." or pattern.startswith(".")):
            found.append(name)
    return found


def includes(system: System, path: str) -> bool:
    """Would sshd read a file at `path`, because its configuration includes the folder?"""
    patterns = (word for key, value in walk(system) if key == "include" for word in value.split())
    return any(matches(path, absolute(pattern)) for pattern in patterns)
