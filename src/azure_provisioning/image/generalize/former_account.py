"""Removes an account of the machine that becomes the image: its home, files kept for it elsewhere, its lines."""

import os
import re
import stat
from contextlib import suppress

from ...door.system import System
from ...door.text import read_bytes, read_text
from ...errors import GuestError, ProvisionError
from ...guest.account import NAME
from ...guest.accounts import (
    GROUP,
    GSHADOW,
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
    locked,
    uid_max,
    uid_min,
)
from ...guest.applets import find_applet, find_tool
from ...guest.privilege import DOAS_CONF, DOAS_FOLDER, find_includes, main_sudoers
from ...guest.stale_locks import clear_leftovers
from .former_keys import plan_keys
from .former_rules import is_idle, without_doas_rules, without_rules
from .plan import Plan, join
from .starters import note_starters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Set, Tuple

SUDO_FOLDERS = ("/etc/sudoers.d", "/usr/etc/sudoers.d")
# Folders in which other programs keep a file named after an account: mail, crontabs, and small notes.
KEPT = (
    "/var/mail",
    "/var/spool/mail",
    "/var/spool/cron/crontabs",
    "/var/spool/cron/tabs",
    "/var/spool/cron",
    "/var/spool/fcron",
    "/var/spool/incron",
    "/var/cron/tabs",
    "/etc/crontabs",
    "/var/lib/systemd/linger",
    "/var/lib/AccountsService/users",
    "/var/lib/sudo/lectured",
    "/var/db/sudo/lectured",
)
# Folders of at(1), on Debian, Fedora and SUSE. A job names only the uid, which the next administrator may have.
JOBS = ("/var/spool/cron/atjobs", "/var/spool/at", "/var/spool/atjobs")
JOB = re.compile(rb"#!/bin/sh\n# atrun uid=([0-9]+) ")
JOB_HEAD = 64  # bytes
FILES = (PASSWD, SHADOW, GROUP, GSHADOW, SUBUID, SUBGID)
BACKUP = "-"  # the shadow suite's ending for the previous version


def plan_account(plan: Plan, name: str) -> bool:
    """Remove the account `name` and everything of its own; False if it does not exist. Raises ProvisionError for a
    system account."""
    account = find_account(plan.system, name) if NAME.match(name) else None
    if account is None:
        return False
    first = uid_min(plan.system)
    if account.uid < first or account.uid == NOBODY:
        raise ProvisionError("a system account is not removed", name=name, uid=account.uid, uid_min=first)
    with plan.looking():
        if plan.system.exists(account.home) and not plan.is_own(account.home):
            plan.notes.append("the account %s stays: it can be removed when nothing is mounted in its home" % name)
            return True
    plan_home(plan, account)
    for folder in KEPT:
        plan.remove(join(folder, name))
    plan.remove("/var/spool/fcron/%s.orig" % name)  # the text of the other one
    plan_jobs(plan, account)
    plan_keys(plan, account)
    plan_privilege(plan, account)
    note_starters(plan, account)
    plan.add("remove the account %s (uid %d)" % (name, account.uid), lambda: remove_account(plan.system, account))
    return True


def people(system: System) -> "List[str]":
    """The names of people's accounts, as opposed to system accounts."""
    first, last = uid_min(system), uid_max(system)
    return [account.name for account in all_accounts(system) if first <= account.uid <= last]


# -- its own files ---------------------------------------------------------------------------------------------------


def plan_home(plan: Plan, account: Account) -> None:
    """Remove the home, unless another account uses it."""
    home = os.path.normpath(account.home)
    found = None
    with plan.looking():
        found = plan.system.stat(home, follow=False) if home.startswith("/") else None
    if found is None:
        return
    others = [other.home.rstrip("/") for other in all_accounts(plan.system) if other.name != account.name]
    owners = {account.uid, os.geteuid()} - {0}
    if home.count("/") < 2 or any((other + "/").startswith(home + "/") for other in others):
        plan.notes.append("the home %s stays: it is not %s's alone" % (home, account.name))
    elif stat.S_ISLNK(found.st_mode):
        plan.notes.append("%s is a link to %s, which stays" % (home, plan.system.readlink(home)))
        plan.remove(home)
    elif found.st_uid not in owners:
        plan.notes.append("the home %s stays: it belongs to uid %d" % (home, found.st_uid))
    else:
        plan.remove(home)


def plan_jobs(plan: Plan, account: Account) -> None:
    """Remove the account's jobs of at(1), unless another account has its uid."""
    if any(other.uid == account.uid and other.name != account.name for other in all_accounts(plan.system)):
        return
    for folder in JOBS:
        for path in plan.files(folder, "*"):
            with plan.looking():
                job = JOB.match(read_bytes(plan.system, path, JOB_HEAD))
                if job and int(job.group(1)) == account.uid:
                    plan.remove(path)


def plan_privilege(plan: Plan, account: Account) -> None:
    """Remove the rules of the account and its own group for sudo and doas; a file without other rules is removed."""

    groups: "Set[str]" = set()
    with plan.looking():
        groups = own_groups(plan.system, account)
    members = ["%" + name for name in groups] + (["%%#%d" % account.gid] if groups else [])

    def sudo(text: str) -> str:
        return without_rules(text, account.name, account.uid, members)

    def doas(text: str) -> str:
        own = [account.name, str(account.uid)] + [":" + name for name in groups]
        for name in own + ([":%d" % account.gid] if groups else []):
            text = without_doas_rules(text, name)
        return text

    mains, folders = find_sudo_rules(plan)
    for change, whole, below in ((sudo, mains, folders), (doas, [DOAS_CONF], [DOAS_FOLDER])):
        for path in whole + [path for folder in below for path in plan.files(folder, "*")]:
            with plan.looking():
                text = read_text(plan.system, path)
                if change(text) == text:
                    continue
                if path not in whole and is_idle(change(text)):
                    plan.remove(path)
                else:
                    plan.rewrite(path, change)


def find_sudo_rules(plan: Plan) -> "Tuple[List[str], List[str]]":
    """(the files, the folders) with rules of sudo: the usual ones, and what they include."""
    files: "List[str]" = []
    folders = [*SUDO_FOLDERS]
    with plan.looking():
        for main in main_sudoers(plan.system):
            more = find_includes(plan.system, main)
            files += more[0]
            folders += more[1]
    return list(dict.fromkeys(files)), list(dict.fromkeys(folders))


# -- its lines -------------------------------------------------------------------------------------------------------


def remove_account(system: System, account: Account) -> None:
    """Remove the account with the guest's own tool, then what the tool leaves, by editing the files.

    Without force: if the tool refuses because the account is in use, perhaps by our caller, the files are edited.
    """
    if system.can_run:
        clear_leftovers(system)
        userdel, deluser = find_tool(system, "userdel"), find_applet(system, "deluser")
        tool = userdel or deluser
        before = {path: system.read(path) for path in FILES}
        if tool:
            with suppress(GuestError):
                system.run([tool, account.name])
        system.touched += [path for path in FILES if system.read(path) != before[path]]
    with locked(system):
        own = own_groups(system, account)
        for ending in (BACKUP, ""):
            for path in (SUBUID, SUBGID, SHADOW):
                drop_lines(
                    system, path + ending, {account.name, str(account.uid)} if path != SHADOW else {account.name}
                )
            for path in (GSHADOW, GROUP):
                drop_lines(system, path + ending, own)
                leave_groups(system, path + ending, account.name)
        for ending in (BACKUP, ""):  # last: without this line the account is gone, and a retry would find nothing
            drop_lines(system, PASSWD + ending, {account.name})


def own_groups(system: System, account: Account) -> "Set[str]":
    """The group that was created with the account, unless others use it."""
    shared = any(other.gid == account.gid and other.name != account.name for other in all_accounts(system))
    return {
        group.name
        for group in all_groups(system)
        if group.name == account.name
        and group.gid == account.gid
        and not shared
        and set(group.members) <= {account.name}
    }


def drop_lines(system: System, path: str, names: "Set[str]") -> None:
    """Remove the lines about these names from a file."""
    table = Table(system, path)
    kept = [line for line in table.lines if line.split(":")[0] not in names]
    if kept != table.lines:
        table.lines = kept
        table.save(system)


def leave_groups(system: System, path: str, name: str) -> None:
    """Remove a name from the members of every group, and in gshadow from the administrators."""
    table = Table(system, path)
    before = list(table.lines)
    for index, fields in enumerate(table.rows()):
        for place in (2, 3) if path.startswith(GSHADOW) else (3,):
            members = fields[place].split(",") if len(fields) > place else []
            if name in members:
                fields[place] = ",".join(member for member in members if member != name)
                table.lines[index] = ":".join(fields)
    if table.lines != before:
        table.save(system)
