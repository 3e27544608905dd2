"""Our own data about the VM, except what `install` recorded and compiled, which the next boot needs."""

import stat
from functools import partial

from ...azure.kvp import POOL
from ...compiled.keep import KEPT, is_genuine, keep, own_path
from ...console import Console
from ...guest.block import without_block
from ...guest.privilege import main_sudoers
from ...guest.sshd import DROP_IN
from ...guest.sshd_config import PATHS, find_config
from ...init import manifest
from ...story.provision import LOG
from ...story.state import FOLDER
from ...story.state import PATH as STATE
from .plan import Plan, join


def plan_own_data(plan: Plan) -> None:
    """Remove the data from the user and the log; empty the pool with the report to the host."""
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
    """Remove what Azure decided for this VM: password logins, and the last rule of sudoers.

    The first boot of the next VM adds them again if they are needed. Our own file of sudo or doas rules stays until
    then, for the person who works here with sudo: that boot rewrites it for its own administrator.
    """
    plan.remove(DROP_IN)
    paths = [*PATHS]
    with plan.looking():
        own = find_config(plan.system)
        paths += ([own] if own else []) + main_sudoers(plan.system)
    for path in dict.fromkeys(paths):
        plan.rewrite(path, without_block)


def plan_compiled(plan: Plan, console: Console, program: bytes) -> None:
    """Remove the compiled modules, unless they are exactly what `program` compiles to.

    `program` is the running file; empty for a checkout, with which they cannot be compared.
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
        if path == own_path():
            plan.add("compile our modules again", partial(keep, plan.system, console, program))


def plan_state(plan: Plan) -> None:
    """Forget which VM this is. From then on the next boot is a first boot, whatever else fails."""
    plan.remove(STATE)
