"""The guest's accounts, read from its files: passwd, group, shadow. The module `pwd` would read the host's.

Lines that are not understood survive every edit unchanged.
"""

import re
from contextlib import ExitStack, contextmanager
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

from ..door.system import System
from ..door.text import is_digits, lines_in, words_in
from ..errors import GuestError
from .holders import wake_holders

PASSWD, GROUP, SHADOW, GSHADOW = "/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow"
SUBUID, SUBGID = "/etc/subuid", "/etc/subgid"
LOGIN_DEFS = "/etc/login.defs"
USERADD = "/etc/default/useradd"
NEVER = "99999"  # days that a password is valid by default
LOCK = "/etc/.pwd.lock"  # lckpwdf(3), which the shadow tools take too
LOCK_SECONDS = 30.0
LOOK_SECONDS = 1.0  # how long a lock is waited for before its holder is examined
UID_MIN, UID_MAX = 1000, 60000  # unless login.defs says otherwise
NOBODY = 65534
ID_LIMIT = 1 << 32
WIDTHS = {PASSWD: 7, GROUP: 3}  # fields that a valid line has at least
LOCKED = ("!", "!!", "!*")  # what the tools write for "no password"; without PAM, sshd then refuses keys too


class Account(NamedTuple):
    """A line of passwd."""

    name: str
    password: str
    uid: int
    gid: int
    gecos: str
    home: str
    shell: str


class Group(NamedTuple):
    """A line of group."""

    name: str
    gid: int
    members: Tuple[str, ...]


class Table:
    """One of the files, for editing: lines of fields that start with a name."""

    def __init__(self, system: System, path: str) -> None:
        self.path = path
        self.width = WIDTHS.get(path, 2)
        self.present = system.exists(path)
        self.lines = lines_in(system.read_text(path) or "")

    def rows(self) -> "Iterator[List[str]]":
        """The fields of every line."""
        return (line.split(":") for line in self.lines)

    def find(self, name: str) -> "Optional[List[str]]":
        """The fields of the first line about `name`, as in the C library; None if there is none."""
        return next((fields for fields in self.rows() if fields[0] == name and len(fields) >= self.width), None)

    def put(self, fields: "List[str]") -> None:
        """Replace the first line about the same name, or add one before `+`, where NIS begins."""
        line = ":".join(fields)
        for index, old in enumerate(self.rows()):
            if old[0] == fields[0] and len(old) >= self.width:
                self.lines[index] = line
                return
        end = next((index for index, old in enumerate(self.lines) if old.startswith("+")), len(self.lines))
        self.lines.insert(end, line)

    def save(self, system: System) -> bool:
        """Write the file, if it exists; True if that changed anything. Raises GuestError."""
        return self.present and system.write(self.path, "".join(line + "\n" for line in self.lines))


@contextmanager
def locked(system: System) -> "Iterator[None]":
    """Keep the distro's own tools from editing at the same time. Raises GuestError if the lock is not free in time."""
    ends = system.monotonic() + LOCK_SECONDS
    with ExitStack() as held:
        while True:
            began = system.monotonic()
            try:
                held.enter_context(system.lock_record(LOCK, LOOK_SECONDS))
                break
            except GuestError:
                if system.monotonic() >= ends or system.monotonic() < began + LOOK_SECONDS:
                    raise  # the time is up; or the lock was refused at once, and would be again
            wake_holders(system, LOCK)
        yield


def all_accounts(system: System) -> "List[Account]":
    """Every valid line of passwd."""
    found = []
    for fields in Table(system, PASSWD).rows():
        if len(fields) >= 7 and fields[0] and is_id(fields[2]) and is_id(fields[3]):
            name, password, uid, gid, gecos, home, shell = fields[:7]
            found.append(Account(name, password, int(uid), int(gid), gecos, home, shell))
    return found


def find_account(system: System, name: str) -> "Optional[Account]":
    """The account of that name; None if there is none. Raises GuestError if passwd cannot be read."""
    return next((account for account in all_accounts(system) if account.name == name), None)


def all_groups(system: System) -> "List[Group]":
    """Every valid line of group."""
    found = []
    for fields in Table(system, GROUP).rows():
        if len(fields) >= 3 and fields[0] and is_id(fields[2]):
            members = fields[3].split(",") if len(fields) > 3 else []
            found.append(Group(fields[0], int(fields[2]), tuple(member for member in members if member)))
    return found


def find_group(system: System, name: str) -> "Optional[Group]":
    """The group of that name; None if there is none. Raises GuestError if the file cannot be read."""
    return next((group for group in all_groups(system) if group.name == name), None)


def is_id(text: str) -> bool:
    """Is this a number that the kernel accepts as a uid or gid?"""
    return bool(re.match(r"[0-9]{1,10}\Z", text)) and int(text) < ID_LIMIT - 1


def login_setting(system: System, key: str) -> str:
    """The value of `key` in login.defs; empty if it is not set or there is no such file (Alpine, busybox)."""
    try:
        lines = (system.read_text(LOGIN_DEFS) or "").split("\n")
    except GuestError:
        return ""
    values = [words[1] for words in (words_in(line) for line in lines) if len(words) > 1 and words[0] == key]
    return values[-1] if values else ""


def new_days(system: System) -> "List[str]":
    """The fields of shadow after the day of the last change, as useradd sets them; the account never expires."""
    lines = (system.read_text(USERADD) or "").split("\n")
    inactive = [line.partition("=")[2].strip() for line in lines if line.startswith("INACTIVE=")] or [""]
    found = [login_setting(system, key) for key in ("PASS_MIN_DAYS", "PASS_MAX_DAYS", "PASS_WARN_AGE")] + inactive[-1:]
    return [day if is_digits(day, 9) else usual for day, usual in zip(found, ("0", NEVER, "7", ""))] + ["", ""]


def uid_min(system: System) -> int:
    """The first uid of a person's account: those below are system accounts."""
    value = login_setting(system, "UID_MIN")
    return int(value) if is_id(value) and int(value) > 0 else UID_MIN


def uid_max(system: System) -> int:
    """The last uid for a person's account."""
    value = login_setting(system, "UID_MAX")
    return int(value) if is_id(value) and int(value) >= uid_min(system) else max(UID_MAX, uid_min(system) + 1000)


def password_field(system: System, name: str) -> str:
    """The password field of `name`, from shadow or else passwd; empty if there is none."""
    fields = Table(system, SHADOW).find(name) or Table(system, PASSWD).find(name) or ["", ""]
    return fields[1]


def password_fields(system: System) -> "Dict[str, str]":
    """The same for every name, with each file read once."""
    found = {}
    for path in (PASSWD, SHADOW):
        table = Table(system, path)
        for fields in reversed(list(table.rows())):  # the first of two lines about a name counts
            if len(fields) >= table.width:
                found[fields[0]] = fields[1]
    return found


def set_password_field(system: System, name: str, value: str) -> bool:
    """Set the password field of `name`; True if that changed anything. Call it while `locked`.

    The field is in shadow if there is one. The day of the change is recorded, but never as 0, which would force a new
    password at the next login: a machine without a clock starts in 1970. Raises GuestError.
    """
    day = int(system.time() // 86400)
    today = str(day) if day > 0 else ""
    shadow, passwd = Table(system, SHADOW), Table(system, PASSWD)
    changed = False
    line = passwd.find(name)
    if shadow.present:
        fields = shadow.find(name)
        if fields is None:
            fields = [name, value, today] + new_days(system)
        elif fields[1] != value:
            fields[1:3] = [value, today]
        shadow.put(fields)
        changed = shadow.save(system)
        value = "x"
    if line is not None and line[1] != value:
        line[1] = value
        passwd.put(line)
        changed = passwd.save(system) or changed
    return changed
