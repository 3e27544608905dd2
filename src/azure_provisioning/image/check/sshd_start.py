"""Does OpenSSH's server start at all: what it refuses in its configuration, and what it cannot do without.

The program itself has the list of keywords that it knows, as strings. So nothing has to be known here
about versions and what distros add.
"""

import re
from typing import Iterator, List, Tuple

from ...door.text import is_digits
from ...guest import sshd_config
from ...guest.accounts import GROUP, PASSWD
from ...guest.applets import find_applet
from ...guest.sshd_config import Line
from ...guest.sshd_options import find_options
from ..command import Command
from .finding import Finding, error, warning
from .sshd_lines import comment_out, place_of
from .subject import Image

ID = "sshd-config"
PROGRAM_LIMIT = 8 << 20  # bytes of sshd that are searched
STRINGS, MIXED = rb"[a-z0-9]{3,64}\0", rb"[A-Za-z0-9]{3,64}\0"  # since OpenSSH 10.6 its keywords are in mixed case
WELL_KNOWN = b"pubkeyauthentication\0"  # a program without it is none that can be understood, such as a script
CONFIGS = rb"(/[A-Za-z0-9_./+-]{1,200}/sshd_config)\0"
TEMPLATE = "/usr/share/openssh/sshd_config"  # Debian's, from which its package makes the configuration
SHOWN = 10  # refused lines
NOT_TO_BE_RUN = "/etc/ssh/sshd_not_to_be_run"  # honoured by the units and the script of Debian
# Options that are `yes` or `no` in every version and every build, since OpenSSH's servconf.c has had them.
SWITCHES = (
    "pubkeyauthentication", "passwordauthentication", "kbdinteractiveauthentication",
    "challengeresponseauthentication", "printmotd", "x11forwarding", "x11uselocalhost",
    "permittty", "strictmodes", "tcpkeepalive", "permitemptypasswords", "usedns",
    "hostbasedauthentication", "ignoreuserknownhosts", "allowagentforwarding", "disableforwarding",
    "permituserrc", "exposeauthinfo",
)  # fmt: skip
# The same with other words, in lower case.
CHOICES = {
    "permitrootlogin": "yes no prohibit-password without-password forced-commands-only",
    "addressfamily": "any inet inet6",
    "gatewayports": "yes no clientspecified",
    "allowtcpforwarding": "yes no all local remote",
    "compression": "yes no delayed",
    "loglevel": "silent quiet fatal error info verbose debug debug1 debug2 debug3",
    "syslogfacility": "daemon user auth authpriv local0 local1 local2 local3 local4 local5 local6 local7",
}
CRITERIA = (
    "all", "user", "group", "host", "address", "localaddress", "localport", "rdomain", "invalid-user", "version",
)  # fmt: skip
NO_CRITERIA = ("users", "groups")  # although the program has them as the ends of keywords
# Lists of algorithms, each with one that every program has which knows these lists.
ALGORITHMS = {"ciphers": b"aes128-ctr\0", "macs": b"hmac-sha2-256\0", "kexalgorithms": b"curve25519-sha256\0"}
ALGORITHM = re.compile(r"(?a)[a-z0-9][a-z0-9@.-]+\Z")
BEFORE_9_5, SINCE_8_7 = b"too many subsystems defined", b"invalid quotes"  # messages
COMMANDS = ("authorizedkeyscommand", "authorizedprincipalscommand")
# Options that no version accepts in a Match block.
GENERAL = (
    "port", "hostkey", "listenaddress", "addressfamily", "pidfile", "logingracetime", "syslogfacility",
    "printmotd", "strictmodes", "usedns", "tcpkeepalive", "ciphers", "macs", "kexalgorithms", "maxstartups",
)  # fmt: skip
USER = "sshd"  # of the process that talks to strangers, unless the program was built with one of OTHER_USERS
OTHER_USERS = (b"nobody\0", b"_sshd\0")
NEEDS_VALUE = b"no argument after keyword"  # of newer versions, whatever the keyword
NEEDS_USER = b"Privilege separation user %s does not exist"
ACCOUNTS = (PASSWD, "/usr/lib/passwd", "/var/lib/extrausers/passwd")  # the last two are read by NSS modules
DIRECTORIES = ("/etc/userdb", "/run/userdb", "/usr/lib/userdb")
UPDATED = "/etc/.updated"  # ConditionNeedsUpdate=/etc compares its time
SYSUSERS = ("/etc/sysusers.d/*.conf", "/usr/lib/sysusers.d/*.conf")


def find_problems(image: Image, sshd: str) -> "Iterator[Finding]":
    """Why this sshd does not start. What cannot be determined is not a finding."""
    program = image.system.read(sshd, limit=PROGRAM_LIMIT, head=True) or b""
    yield from of_marker(image)
    yield from of_config(image, program)
    yield from of_lines(image, program)
    yield from of_user(image, program)


def of_marker(image: Image) -> "Iterator[Finding]":
    """Debian's file by which an administrator says that sshd must not start."""
    if not image.system.exists(NOT_TO_BE_RUN):
        return
    services = image.services or {}
    texts = [image.text(services[name]) for name in ("ssh", "ssh.socket", "sshd", "sshd.socket") if name in services]
    if any(NOT_TO_BE_RUN in text for text in texts):
        message = "%s keeps the boot from starting sshd: nobody can log in" % NOT_TO_BE_RUN
        yield error(ID, message, image.remove(NOT_TO_BE_RUN))


def of_config(image: Image, program: bytes) -> "Iterator[Finding]":
    """sshd does not start without the file, even if all its lines are comments."""
    system = image.system
    options = find_options(system)
    if options is None:
        return
    paths = [path.decode("ascii") for path in re.findall(CONFIGS, program)]
    if options[:1] == ["-f"]:
        paths = [options[1]]
    if paths and not any(map(system.exists, paths)):
        made = Command("cp") if system.exists(TEMPLATE) and paths[0] in sshd_config.PATHS else Command("touch")
        files = ([TEMPLATE] if made == "cp" else []) + [paths[0]]
        remedy = made.on(*map(image.place, files))
        yield error(ID, "%s is missing: sshd does not start, and nobody can log in" % paths[0], remedy)


def of_lines(image: Image, program: bytes) -> "Iterator[Finding]":
    """The lines that sshd refuses."""
    known = find_keywords(program)
    lines = list(sshd_config.walk_lines(image.system))
    problems = [(line, find_mistake(line, known, program)) for line in lines]
    problems += find_pairs([line for line in lines if line.general], program)
    for line, problem in [pair for pair in problems if pair[1]][:SHOWN]:
        message = "%s: %s, so sshd does not start: nobody can log in" % (place_of(line), problem)
        yield error(ID, message, comment_out(image, [line]))


def find_keywords(program: bytes) -> bytes:
    """The program's strings in lower case, the keywords among them; empty if it cannot be understood."""
    for pattern in STRINGS, MIXED:
        known = b"".join(re.findall(pattern, program)).lower()
        if WELL_KNOWN in known:
            return known
    return b""


def find_pairs(lines: "List[Line]", program: bytes) -> "Iterator[Tuple[Line, str]]":
    """The lines for everybody that sshd refuses because of another that is there, or is not."""
    keys, subsystems = {line.key for line in lines}, set()
    for line in lines:
        values = sshd_config.arguments(line.text)
        if line.key == "subsystem" and BEFORE_9_5 in program:
            if values[:1] and values[0] in subsystems:
                yield line, "subsystem %s is defined twice" % ascii(values[0])[1:-1]
            subsystems.update(values[:1])
        if line.key in COMMANDS and values[:1] and values[0].lower() != "none" and line.key + "user" not in keys:
            yield line, "%s needs %suser" % (line.key, line.key)


def find_mistake(line: Line, known: bytes, program: bytes) -> str:
    """What sshd refuses in a line, for certain; empty if nothing.

    `known`: see find_keywords.
    """
    words = line.text.replace("=", " ").split()
    key = line.key or (words[0].strip('"').lower() if words else "=")
    if known and not (key.isalnum() and key.encode("utf-8", "replace") + b"\0" in known):
        return "%s is no keyword of this sshd" % ascii(key)[1:-1]
    if not line.key:  # some versions refuse every keyword without a value
        return "%s has no value" % key if len(words) == 1 and (NEEDS_VALUE in program or key in SWITCHES) else ""
    if SINCE_8_7 in program and has_open_quote(line.text):
        return "a quote does not end"
    if not line.general and key in GENERAL:
        return "%s must not be in a Match block" % key
    return find_wrong_value(key, sshd_config.arguments(line.text), known, program)


def find_wrong_value(key: str, values: "List[str]", known: bytes, program: bytes) -> str:
    """The same about the words after the keyword."""
    if not values:
        return ""
    value = values[0].lower()
    if key in SWITCHES and value not in ("yes", "no"):
        return "%s is neither yes nor no" % key
    if key in CHOICES and value not in CHOICES[key].split():
        return "%s %s is not one of: %s" % (key, ascii(value)[1:-1], CHOICES[key])
    if (key in SWITCHES or key in CHOICES) and len(values) > 1:
        return "%s has more than one value" % key
    if key == "port" and not is_digits(value, 5) and not value.isalpha():
        return "%s is no port" % ascii(value)[1:-1]
    if key == "match":
        word = value.partition("=")[0]
        end = word.encode("utf-8", "replace") + b"\0"
        if word not in CRITERIA and known and (word in NO_CRITERIA or end not in known):
            return "%s is no criterion of Match" % ascii(word)[1:-1]
    if key in ALGORITHMS and ALGORITHMS[key] in program and value[0] != "-":
        for name in values[0].lstrip("+^").split(","):
            if ALGORITHM.match(name) and not name.startswith("gss-") and name.encode() + b"\0" not in program:
                return "%s has %s, which this sshd does not know" % (key, name)
    return ""


def has_open_quote(text: str) -> bool:
    """Does a quote in the words before a comment not end? As in argv_split of OpenSSH's misc.c."""
    quote, in_word, place = "", False, 0
    while place < len(text):
        char = text[place]
        if char == "#" and not in_word:
            break
        in_word = bool(quote) or char not in " \t"
        if char == "\\" and text[place + 1 : place + 2] in ("'", '"', "\\"):
            place += 1
        elif quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        place += 1
    return bool(quote)


def of_user(image: Image, program: bytes) -> "Iterator[Finding]":
    """The user of the process that talks to those who are not logged in."""
    system = image.system
    if NEEDS_USER not in program or any(name in program for name in OTHER_USERS):
        return
    if any(re.search("(?m)^%s:" % USER, image.text(path)) for path in ACCOUNTS):
        return
    if any(system.exists("%s/%s.user" % (folder, USER)) for folder in DIRECTORIES):
        return
    message = "the user %s is missing: sshd does not start, and nobody can log in" % USER
    rules = [path for pattern in SYSUSERS for path in sshd_config.matching(system, pattern)]
    ruled = any(re.search(r"(?m)^[ \t]*u!?[ \t]+%s[ \t]" % USER, image.text(path)) for path in rules)
    maker = Command("systemd-sysusers") if ruled and system.find_program("systemd-sysusers") else make_user(image)
    if ruled and may_run_sysusers(image):
        yield warning(ID, message + ", unless the boot starts systemd-sysusers", image.inside(maker))
    else:
        yield error(ID, message, image.inside(maker))


def may_run_sysusers(image: Image) -> bool:
    """May the boot make users by sysusers.d? systemd does if /usr is newer than the last update of /etc."""
    if image.init == "systemd":
        updated, usr = image.system.stat(UPDATED), image.system.stat("/usr")
        return updated is None or usr is None or usr.st_mtime > updated.st_mtime
    return image.services is None or image.starts("*sysusers*") is not None


def make_user(image: Image) -> Command:
    """The command that makes the user; empty without a tool for it."""
    shell = next(filter(image.system.exists, ("/usr/sbin/nologin", "/sbin/nologin")), "/bin/false")
    grouped = bool(re.search("(?m)^%s:" % USER, image.text(GROUP)))
    if image.system.find_program("useradd"):
        return Command("useradd", "-r", "-d", "/run/sshd", "-s", shell, *(["-g", USER] if grouped else []), USER)
    if find_applet(image.system, "adduser"):
        group = ["-G", USER] if grouped else []
        return Command("adduser", "-S", "-D", "-H", "-h", "/var/empty", "-s", shell, *group, USER)
    return Command()
