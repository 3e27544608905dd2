"""The administrator's account: created with the image's own tool, then completed by editing the files."""

import re
from typing import Callable, List, Optional, Sequence, Tuple

from ..door.system import System
from ..door.text import is_digits
from ..errors import GuestError, LastingError
from .accounts import (
    GROUP,
    GSHADOW,
    LOCKED,
    NOBODY,
    PASSWD,
    SHADOW,
    SUBGID,
    SUBUID,
    Account,
    Table,
    all_accounts,
    all_groups,
    find_account,
    find_group,
    is_id,
    locked,
    login_setting,
    password_field,
    set_password_field,
    uid_max,
    uid_min,
)
from .applets import find_applet, find_tool
from .home import ensure_home
from .stale_locks import clear_leftovers

GROUPS = ("wheel", "sudo", "adm", "systemd-journal")  # joined where they exist
SHELLS = ("/bin/bash", "/usr/bin/bash", "/bin/ash", "/bin/sh", "/run/current-system/sw/bin/bash")
NO_SHELLS = ("nologin", "false", "sync", "true")
SHELLS_LIST, USUAL_SHELLS = "/etc/shells", ("/bin/sh", "/bin/csh")  # getusershell(3): those count without the file
ASK_LIMIT, ASK_SECONDS = 500, 10.0  # how many numbers a directory is asked for, and the time limit for each
UNSUPPORTED = "unsupported admin username"
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\Z")  # what both Azure and useradd accept


def ensure_account(system: System, name: str) -> str:
    """Make sure that `name` is an account that accepts a key login; returns what was done.

    An existing account is completed, not replaced. Raises GuestError: `unsupported admin username` if the name is not
    valid or belongs to a system account, another reason if the files cannot be changed.
    """
    check_name(name)
    clear_leftovers(system)
    account = find_account(system, name)
    done = []
    new = account is None
    if account is None:
        done.append(create(system, name))
        account = find_account(system, name)
        if account is None:
            raise GuestError("the account does not exist after it was created", name=name)
    check_uid(system, account)
    with locked(system):
        done += complete(system, account)
    done.append(ensure_home(system, account, new=new))
    verify(system, name)
    return "%s: %s" % (name, ", ".join(filter(None, done)) or "already complete")


def check_name(name: str) -> None:
    """Raises GuestError for an invalid user name, and for root."""
    problem = ""
    if not NAME.match(name):
        problem = "1 to 64 letters, digits, dots, dashes and underscores are allowed, not beginning with a dot or dash"
    elif is_digits(name, len(name)):
        problem = "digits alone are a uid"
    elif name == "root":
        problem = "root is a system account"
    if problem:
        raise LastingError(UNSUPPORTED, name=ascii(name[:80])[1:-1], problem=problem)


def check_uid(system: System, account: Account) -> None:
    """Raises GuestError for a system account."""
    first = uid_min(system)
    if account.uid < first or account.uid == NOBODY:
        problem = "a system account has this name"
        raise LastingError(UNSUPPORTED, name=account.name, problem=problem, uid=account.uid, uid_min=first)


def verify(system: System, name: str) -> None:
    """Raises GuestError unless the files, read again, have an account that sshd lets in."""
    account = find_account(system, name)
    if account is None:
        raise GuestError("the account does not exist after it was created", name=name)
    if password_field(system, name) in LOCKED:
        raise GuestError("the account is still locked", name=name)
    if not system.is_dir(account.home):
        raise GuestError("the home folder is missing", name=name, path=account.home)


# -- made ------------------------------------------------------------------------------------------------------------


def create(system: System, name: str) -> str:
    """Create the account with the first of METHODS that works; returns which one. Raises GuestError with every failure.

    The tools create the account only. Groups, home and shadow field are completed afterwards in the same way for all.
    """
    failures: "List[str]" = []
    for title, method in METHODS:
        try:
            if method(system, name) and find_account(system, name):
                return "made by " + title if not failures else "made by %s (%s)" % (title, "; ".join(failures))
        except GuestError as error:
            failures.append(str(error))
            clear_leftovers(system)
            if find_account(system, name):  # the tool failed after it had created the account
                return "made by %s (%s)" % (title, "; ".join(failures))
    raise GuestError("the account cannot be made", name=name, tried="; ".join(failures))


def by_useradd(system: System, name: str) -> bool:
    """The shadow suite. An interrupted useradd leaves a group of that name, with which useradd fails without -g."""
    tool = find_tool(system, "useradd")
    if not system.can_run or tool is None:
        return False
    group = ["-g", name] if find_group(system, name) else []
    system.run([tool, "-M", "-s", choose_shell(system)] + group + [name])
    return True


def by_adduser(system: System, name: str) -> bool:
    """Only busybox's adduser: Debian's asks questions."""
    tool = find_applet(system, "adduser")
    if not system.can_run or tool is None:
        return False
    group = ["-G", name] if find_group(system, name) else []
    system.run([tool, "-D", "-H", "-h", "/home/" + name, "-s", choose_shell(system)] + group + [name])
    return True


def by_files(system: System, name: str) -> bool:
    """Edits the files. passwd comes last: without its line there is no account, and the next run starts over."""
    with locked(system):
        group = find_group(system, name)
        uid = free_id(system, group.gid if group else None)
        gid = group.gid if group else uid
        if group is None:
            add_group(system, name, gid)
        shadow = Table(system, SHADOW)
        shadow.lines = [line for line in shadow.lines if not line.startswith(name + ":")]  # of a deleted account
        shadow.save(system)
        set_password_field(system, name, "*")
        passwd = Table(system, PASSWD)
        password = "x" if shadow.present else "*"
        passwd.put([name, password, str(uid), str(gid), "", "/home/" + name, choose_shell(system)])
        if not passwd.save(system):
            raise GuestError("no accounts file", path=PASSWD)
    return True


METHODS: "Tuple[Tuple[str, Callable[[System, str], bool]], ...]" = (
    ("useradd", by_useradd),
    ("busybox adduser", by_adduser),
    ("editing the files", by_files),
)


def free_id(system: System, wanted: "Optional[int]") -> int:
    """A uid for a new user: the gid of its group if that exists, else the first number that neither table uses.

    The tables do not list users of a directory service, whose files would then belong to this user too. The guest's own
    getent lists them.
    """
    uids = {account.uid for account in all_accounts(system)}
    taken = uids | {group.gid for group in all_groups(system)}
    first, last = uid_min(system), uid_max(system)
    if wanted is not None and first <= wanted <= last and wanted not in uids and not is_known(system, "passwd", wanted):
        return wanted
    asked = 0
    for number in range(first, last + 1):
        if number in taken:
            continue
        asked += 1
        if asked > ASK_LIMIT:
            break
        if not is_known(system, "passwd", number) and not is_known(system, "group", number):
            return number
    raise GuestError("no uid is free", first=first, last=last)


def is_known(system: System, database: str, number: int) -> bool:
    """Does the name service (nsswitch.conf(5)) know this uid or gid? If a directory does not answer: no."""
    getent = system.find_program("getent") if system.can_run else None
    try:
        return getent is not None and system.run([getent, database, str(number)], ASK_SECONDS, check=False) == 0
    except GuestError:
        return False


def add_group(system: System, name: str, gid: int) -> None:
    """Add a line to group, and to gshadow if it exists."""
    shadow_group(system, name)
    group = Table(system, GROUP)
    group.put([name, "x", str(gid), ""])
    group.save(system)


def shadow_group(system: System, name: str) -> bool:
    """Add a line to gshadow if it exists: an interrupted useradd writes it last. True if that changed anything."""
    gshadow = Table(system, GSHADOW)
    if gshadow.find(name) is None:
        gshadow.put([name, "!", "", ""])
        return gshadow.save(system)
    return False


def add_subordinates(system: System, name: str) -> bool:
    """Add the subordinate ids that containers of `name` may use, as useradd does. The other tools, and an interrupted
    useradd, do not. True if that changed anything. Without the files, no user has such ids."""
    changed = False
    for path, kind in ((SUBUID, "UID"), (SUBGID, "GID")):
        table = Table(system, path)
        first, count = sub_setting(system, kind, "MIN", 100000), sub_setting(system, kind, "COUNT", 65536)
        if not count or any(fields[0] == name for fields in table.rows()):
            continue
        taken = [fields for fields in table.rows() if len(fields) > 2 and is_id(fields[1]) and is_id(fields[2])]
        first = max([first] + [int(fields[1]) + int(fields[2]) for fields in taken])
        if first + count - 1 <= sub_setting(system, kind, "MAX", 600100000):
            table.put([name, str(first), str(count)])
            changed = table.save(system) or changed
    return changed


def sub_setting(system: System, kind: str, what: str, default: int) -> int:
    """A number that login.defs sets for subordinate ids."""
    value = login_setting(system, "SUB_%s_%s" % (kind, what))
    return int(value) if is_id(value) else default


def choose_shell(system: System) -> str:
    """An installed shell, preferably one that is listed: dropbear and su require that."""
    listed = listed_shells(system)
    there = [shell for shell in SHELLS if system.is_program(shell)]
    others = [shell for shell in listed if system.is_program(shell) and is_shell(shell)]
    best = [shell for shell in there if shell in listed] + others + there
    if not best:
        raise GuestError("no shell", tried=" ".join(SHELLS))
    return best[0]


def listed_shells(system: System) -> "Sequence[str]":
    """The shells of /etc/shells."""
    text = system.read_text(SHELLS_LIST)
    return USUAL_SHELLS if text is None else [line.strip() for line in text.split("\n") if line.startswith("/")]


def list_shell(system: System, shell: str) -> bool:
    """Add a shell to /etc/shells if no installed one is in there; True if that changed anything. Raises GuestError."""
    if any(system.is_program(listed) and is_shell(listed) for listed in listed_shells(system)):
        return False
    text = system.read_text(SHELLS_LIST) or ""
    return system.write(SHELLS_LIST, text + ("\n" if text and not text.endswith("\n") else "") + shell + "\n")


def is_shell(path: str) -> bool:
    """Is this a shell for interactive use?"""
    return path.rpartition("/")[2] not in NO_SHELLS


# -- completed -------------------------------------------------------------------------------------------------------


def complete(system: System, account: Account) -> "List[str]":
    """Add what the account lacks of group, groups, ids, password field and shell; returns what was added."""
    done = []
    if all(group.gid != account.gid for group in all_groups(system)):
        if find_group(system, account.name):
            raise GuestError("the account's group is missing, and its name is taken", name=account.name)
        add_group(system, account.name, account.gid)
        done.append("group made")
    elif shadow_group(system, account.name):
        done.append("gshadow completed")
    if add_subordinates(system, account.name):
        done.append("subordinate ids added")
    joined = join_groups(system, account.name)
    if joined:
        done.append("joined " + " ".join(joined))
    if password_field(system, account.name) in LOCKED + ("x",):  # "x" if shadow has no line for it
        if set_password_field(system, account.name, "*"):
            done.append("unlocked for keys")
    if not system.is_program(account.shell) or not is_shell(account.shell):
        passwd = Table(system, PASSWD)
        fields = passwd.find(account.name) or []
        fields[6] = choose_shell(system)
        passwd.put(fields)
        passwd.save(system)
        done.append("shell %s" % fields[6])
        account = account._replace(shell=fields[6])
    try:
        done += ["%s listed" % account.shell] if list_shell(system, account.shell) else []
    except GuestError as error:  # only dropbear and su need it
        done.append("%s not listed: %s" % (account.shell, error))
    return done


def join_groups(system: System, name: str) -> "List[str]":
    """Make `name` a member of those of GROUPS that exist; returns which are new."""
    group, gshadow = Table(system, GROUP), Table(system, GSHADOW)
    joined = []
    for wanted in GROUPS:
        if add_member(group, wanted, name):
            joined.append(wanted)
        add_member(gshadow, wanted, name)
    gshadow.save(system)
    group.save(system)
    return joined


def add_member(table: Table, group: str, name: str) -> bool:
    """Add `name` to the members of `group`; False if the group does not exist or already has it."""
    fields = table.find(group)
    if fields is None:
        return False
    fields += [""] * (4 - len(fields))
    members = [member for member in fields[3].split(",") if member]
    if name in members:
        return False
    fields[3] = ",".join(members + [name])
    table.put(fields)
    return True
