"""SSH keys outside of homes: those of an account that is removed, and those that stay."""

import stat

from ...guest.accounts import Account, all_accounts
from ..command import Command
from ..key_files import find_copied, find_ownerless, find_patterns, has_keys, key_files
from .plan import Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List


def plan_keys(plan: Plan, account: Account) -> None:
    """Remove the files of keys that only this account has: the next account of its name would share them."""
    with plan.looking():
        patterns = find_patterns(plan.system)
        others = [other for other in all_accounts(plan.system) if other.name != account.name]
        shared = {path for other in others for path in key_files(other, patterns)}
        for path in key_files(account, patterns):
            found = plan.system.stat(path, follow=False)
            if path in shared and has_keys(plan.system, path):
                plan.notes.append("the keys in %s stay: it is not %s's alone" % (path, account.name))
            elif path not in shared and found is not None and stat.S_ISREG(found.st_mode):
                plan.remove(path)


def note_keys(plan: Plan) -> None:
    """Name the files whose keys a new account gets."""
    stay: "List[str]" = []
    with plan.looking():
        patterns = find_patterns(plan.system)
        stay = find_copied(plan.system, patterns) + find_ownerless(plan.system, patterns)
    for path in stay:
        with plan.looking():
            remedy = Command("rm").on(plan.system.path(path, follow=False))
            plan.notes.append("the keys in %s stay, for new accounts: %s removes them" % (path, remedy))
