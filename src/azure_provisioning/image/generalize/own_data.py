"""Our own data about the VM, except what `install` recorded and compiled, which the next boot needs."""

import stat
from functools import partial

from ...azure.kvp import POOL
from ...compiled.keep import KEPT, is_genuine, keep, own_place
from ...console import Console
from ...guest.sshd import DROP_IN
from ...init import manifest
from ...story.provision import LOG
from ...story.state import FOLDER, PATH
from .plan import Plan, join


def plan_own_data(plan: Plan) -> None:
    """Remove the data from the user and the log; empty the pool with the report to the host."""
    for name, what in plan.look(FOLDER):
        path = join(FOLDER, name)
        if path in (PATH, manifest.PATH) or KEPT.match(path) or stat.S_ISDIR(what.st_mode):
            continue  # folders in there are not ours
        plan.remove(path)
    plan.remove(LOG)
    plan.remove(DROP_IN)  # Azure decides about password logins for each VM
    with plan.looking():
        if plan.system.read(POOL, head=True):
            plan.empty(POOL)


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
        if path == own_place():
            plan.add("compile our modules again", partial(keep, plan.system, console, program))


def plan_state(plan: Plan) -> None:
    """Forget which VM this is. From then on the next boot is a first boot, whatever else fails."""
    plan.remove(PATH)
