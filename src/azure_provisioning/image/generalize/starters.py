"""Files of others that start something as an account: what that is for is not known, so they stay."""

import re
from fnmatch import fnmatchcase

from ...door.text import BLANKS, LINE_LIMIT, lines_in, read_text
from ...guest.accounts import Account
from ...init import table
from .plan import Plan, join

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

CRON = r"(?:@\w+|\S+(?:[ \t]+\S+){4})[ \t]+%s[ \t]"
AUTOLOGIN = r".*(?:-a|--autologin)[ \t=]*%s(?:[ \t\"']|\Z)"
UNIT = r"(?:Socket)?User[ \t]*=[ \t]*%s\Z"
# In scripts: start-stop-daemon, runuser, sudo, chpst; su and s6-setuidgid; OpenRC's setting.
SCRIPT = r".*(?:[ \t](?:-u|-c|--user|--chuid)[ \t=]+|\b(?:su|setuidgid)[ \t]+(?:-l?[ \t]+)?|command_user=[\"']?)" \
    r"%s(?:[:\"' \t]|\Z)"  # fmt: skip
# (a folder, the names in it, what such a line has). `/*` at the end stands for each folder in there.
STARTERS = (
    ("/etc", "crontab", CRON),
    ("/etc/cron.d", "*", CRON),
    ("/etc", "inittab", AUTOLOGIN),
    ("/etc/conf.d", "agetty*", AUTOLOGIN),
    ("/etc/systemd/system", "*getty*", AUTOLOGIN),
    ("/etc/systemd/system", "*", UNIT),
    ("/usr/local/lib/systemd/system", "*", UNIT),
    ("/etc", "rc.local", SCRIPT),
    ("/etc/rc.d", "rc.local", SCRIPT),
    ("/etc/local.d", "*.start", SCRIPT),
    ("/etc/init.d", "*", SCRIPT),
    ("/etc/conf.d", "*", SCRIPT),
    ("/etc/sv/*", "run", SCRIPT),
    ("/etc/s6/sv/*", "run", SCRIPT),
)


def note_starters(plan: Plan, account: Account) -> None:
    """Name the files that start something as the account, by its name or uid."""
    who = r"(?:%s|%d)" % (re.escape(account.name), account.uid)
    rows = [row for name in table.NAMES for row in getattr(table.load(name), "RUNNING_AS", ())]
    for folder, pattern, form in (*STARTERS, *rows):
        wanted = re.compile(form % who)
        for path in find_files(plan, folder, pattern):
            with plan.looking():
                lines = (line.strip(BLANKS)[:LINE_LIMIT] for line in lines_in(read_text(plan.system, path)))
                if any(wanted.match(line) for line in lines if not line.startswith("#")):
                    plan.notes.append("%s stays, and still names the account %s" % (path, account.name))


def find_files(plan: Plan, folder: str, pattern: str) -> "Iterator[str]":
    """The files of these names, and the drop-ins for them."""
    if folder.endswith("/*"):
        for name, _ in plan.look(folder[:-2]):
            yield from plan.files(join(folder[:-2], name), pattern)
        return
    yield from plan.files(folder, pattern)
    for below, _ in plan.look(folder):
        if fnmatchcase(below, pattern + ".d"):
            yield from plan.files(join(folder, below), "*.conf")
