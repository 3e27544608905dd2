"""Histories of what people typed on the machine that becomes the image: commands, and the secrets in them."""

from ...guest.accounts import all_accounts
from .plan import Plan

ROOT_HOME = "/root"
FILES = (
    ("", (".*_history", ".history", ".zhistory", ".histfile", ".viminfo", ".lesshst")),  # .bash_history, .ash_history
    ("/.local/share/fish", ("*_history",)),
    ("/.config/fish", ("*_history",)),
    ("/.bash_sessions", ("*",)),
)


def plan_histories(plan: Plan) -> None:
    """Remove the histories of every account. A link to /dev/null, which disables a history, stays."""
    homes = [ROOT_HOME]
    with plan.looking():
        homes += [account.home for account in all_accounts(plan.system)]
    for home in sorted(set(homes)):
        if home.startswith("/") and is_there(plan, home):
            for folder, patterns in FILES:
                for path in plan.files((home.rstrip("/") + folder) or "/", *patterns):
                    plan.remove(path)


def is_there(plan: Plan, home: str) -> bool:
    """Does the home exist? Many system accounts name one that does not."""
    with plan.looking():
        return plan.system.is_dir(home)
    return False
