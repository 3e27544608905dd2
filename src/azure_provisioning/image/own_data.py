"""What we keep of the VM ourselves: all but what `install` wrote down and compiled, for the next boot."""

import stat

from ..azure.kvp import POOL
from ..init import manifest
from ..provision import LOG
from ..state import FOLDER, PATH
from .compiled import KEPT
from .plan import Plan, join


def plan_own_data(plan: Plan) -> None:
    """Remove what the user gave the VM along, and the log; empty what was told to its host."""
    for name, what in plan.look(FOLDER):
        path = join(FOLDER, name)
        if path in (PATH, manifest.PATH) or KEPT.match(path) or stat.S_ISDIR(what.st_mode):
            continue  # a folder in there is not ours
        plan.remove(path)
    plan.remove(LOG)
    with plan.looking():
        if plan.system.read(POOL, head=True):
            plan.empty(POOL)


def plan_state(plan: Plan) -> None:
    """Forget which VM this is. From then on the next boot is a first boot, whatever else is left undone."""
    plan.remove(PATH)
