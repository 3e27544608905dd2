"""What we keep of the VM ourselves: all but what `install` wrote down and compiled, for the next boot."""

import stat
from functools import partial

from ...azure.kvp import POOL
from ...compiled.keep import KEPT, is_genuine, keep, own_place
from ...console import Console
from ...guest.block import without_block
from ...guest.privilege import SUDOERS, SUDOERS_RS
from ...guest.sshd import DROP_IN
from ...guest.sshd_config import PATHS, find_config
from ...init import manifest
from ...story.provision import LOG
from ...story.state import FOLDER
from ...story.state import PATH as STATE
from .plan import Plan, join


def plan_own_data(plan: Plan) -> None:
    """Remove what the user gave the VM along, and the log; empty what was told to its host."""
    for name, what in plan.look(FOLDER):
        path = join(FOLDER, name)
        if path in (STATE, manifest.PATH) or KEPT.match(path) or stat.S_ISDIR(what.st_mode):
            continue  # a folder in there is not ours
        plan.remove(path)
    plan.remove(LOG)
    with plan.looking():
        if plan.system.read(POOL, head=True):
            plan.empty(POOL)


def plan_decisions(plan: Plan) -> None:
    """Remove what Azure decided for this VM: whether sshd takes passwords, and who comes last in sudo's rules.

    A boot of the next VM finds out whether these are needed. Our own file of rules for sudo or doas stays until then,
    for whoever is at work here with sudo: that boot writes it anew, for its own administrator.
    """
    plan.remove(DROP_IN)
    own = None
    with plan.looking():
        own = find_config(plan.system)
    for path in dict.fromkeys([*PATHS, *([own] if own else []), *SUDOERS, SUDOERS_RS]):
        plan.rewrite(path, without_block)


def plan_compiled(plan: Plan, console: Console, program: bytes) -> None:
    """Remove what boots would load in place of our modules, unless it is what `program` compiles to.

    That is the file that this runs from; empty for a checkout, which can neither prove nor disprove anything.
    """
    if not program:
        return
    for name, what in plan.look(FOLDER):
        path = join(FOLDER, name)
        if not KEPT.match(path) or stat.S_ISDIR(what.st_mode):
            continue
        with plan.looking():
            if stat.S_ISREG(what.st_mode) and is_genuine(plan.system, path, program):
                continue
        plan.remove(path)
        if path == own_place():
            plan.add("compile our modules anew", partial(keep, plan.system, console, program))


def plan_state(plan: Plan) -> None:
    """Forget which VM this is. From then on the next boot is a first boot, whatever else is left undone."""
    plan.remove(STATE)
