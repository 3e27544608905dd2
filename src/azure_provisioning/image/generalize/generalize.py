"""Turns the machine into an image: removes its identity, and makes the next boot a first boot.

Does what waagent's deprovision does and what that leaves out (WALinuxAgent, pa/deprovision/default.py), after asking.
"""

import os
import stat
from fnmatch import fnmatchcase

from ... import config
from ...console import Console
from ...door.budget import USUAL, Limits, limited
from ...door.labels import describe_missing
from ...door.lock import wait_for_turn
from ...door.system import System
from ...errors import GuestError, ProvisionError, UsageError
from ...guest.account import NAME
from ...guest.host_keys import DROPBEAR, DROPBEAR_KEYS, OPENSSH, OPENSSH_KEYS, find_others
from ...init import manifest, table
from ...story.boot import introduce
from .. import diskless
from ..command import Command
from ..install.install import install
from ..root import check_root
from ..whole import find_damage
from .agent import plan_agents, stop
from .former_account import people, plan_account
from .former_keys import note_keys
from .former_name import plan_former_name
from .histories import plan_histories
from .leases import plan_leases
from .logs import plan_logs
from .machine_id import plan_machine_id, plan_storage_ids
from .network_cards import plan_network_cards
from .own_data import plan_compiled, plan_decisions, plan_own_data, plan_state
from .plan import Change, Plan, join
from .random_seed import SERVICES, plan_random_seeds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, List, Optional, Sequence

PROGRAM_LIMIT = 16 << 20  # bytes
# Planning reads the homes of all accounts, and all logs.
PLANNING = Limits(4 * USUAL.steps, USUAL.size, 4 * USUAL.seconds)


def generalize(
    system: System,
    console: Console,
    agree: "Optional[Callable[[], None]]",
    *,
    users: "Sequence[str]" = (),
    remove_agent: bool = False,
    poweroff: bool = False,
    program: bytes = b"",
) -> "List[str]":
    """Print the plan, have the user `agree`, and carry it out; `system.touched` then lists what was changed.

    `agree` raises ProvisionError for no. Without it, the plan is returned, one change on each line. A change that fails
    is reported, and the others follow. Raises ProvisionError if any failed, and, before any change, if there is no
    Linux system or an account is a system account. `program` is the running file, if it is the built one. `poweroff`:
    the caller switches the machine off at once.
    """
    check_root(system)
    if poweroff and not system.live:
        raise UsageError("only the running machine can be powered off", root=system.root)
    if system.root == "/" and os.geteuid() != 0:
        raise ProvisionError("only root can generalize the machine that it runs on", advice="call it with sudo")
    system.in_place = False  # a file mounted on another does not belong to the image
    system.one_mount = system.root != "/"
    introduce(system)
    wait_for_turn(system, "generalize", console.say)  # before planning: a running first boot still writes files
    with limited(system, PLANNING) as budget:
        plan = make_plan(system, console, users, remove_agent=remove_agent, program=program)
        budget.settle()
    todo = ["will " + what for what in dict.fromkeys(change.what for change in plan.changes)]
    for line in todo if agree is not None else ():
        console.say(line)
    for note in plan.notes:
        console.say(note)
    for problem in plan.problems:
        console.warn(problem)
    failed = 0
    if agree is None:
        console.say("nothing was done: %d changes would be made" % len(todo))
        return todo
    if plan.changes:
        agree()
        failed = plan.carry_out(console)
        if poweroff:
            empty_logs(system, console)  # of what was written since: sudo, for one, logs the user's name
        system.sync()
    unlabelled = describe_missing(system, system.labels)
    if unlabelled:
        console.warn(unlabelled)
    if failed or plan.problems:
        raise ProvisionError(
            "this is not an image yet: %d changes failed" % (failed + len(plan.problems)),
            advice="see the warnings above, and run it again",
        )
    say_what_is_next(system, console, poweroff=poweroff)
    return []


def say_what_is_next(system: System, console: Console, *, poweroff: bool) -> None:
    """Print what to do next. Raises ProvisionError if that must happen before the machine is powered off."""
    left = table.left_to_do(system)
    for what in left:
        console.warn(what)
    if poweroff and (left or diskless.keep(system)):
        what = "see the warnings above" if left else diskless.first(system).rstrip(", ")
        raise ProvisionError("generalized, but not powered off: something is left to do", advice=what)
    if not table.find_hook(system)[1]:
        console.warn("generalized, but nothing is installed here that would set the next VM up: run `install`")
        return
    last = "unmount %s" % system.root
    if system.root == "/" or system.live:
        last = "capture this machine" if poweroff else "power off this machine and capture it"
    before = "what the warning says, then " if left else ""
    steps = before, diskless.first(system), last
    console.say("generalized: the next boot is a first boot. Next: %s%s%s" % steps)


def make_plan(
    system: System, console: Console, users: "Sequence[str]", *, remove_agent: bool, program: bytes = b""
) -> Plan:
    """All changes in order. Raises ProvisionError if an account may not be removed.

    Host keys and accounts go last, when a reboot is a first boot already. So an interrupted run leaves a machine that
    you can log in to.
    """
    plan = Plan(system)
    leaving = Plan(system)
    missing = [name for name in sorted(set(users)) if not plan_account(leaving, name)]
    purged = plan_agents(plan, take_out=remove_agent)
    plan_leases(plan)
    plan_network_cards(plan)
    seeds = len(plan.changes)
    plan_random_seeds(plan)
    if system.live and plan.changes[seeds:]:
        what = "stop the services that store a random seed"
        plan.changes.insert(seeds, Change(what, lambda: stop(system, SERVICES)))
    plan_former_name(plan)
    plan_machine_id(plan)
    plan_storage_ids(plan)
    plan_own_data(plan)
    plan_compiled(plan, console, program)
    plan_logs(plan)
    if purged:
        plan.add("empty the logs that the package manager will have written", lambda: empty_logs(system, console))
    plan_histories(plan)
    plan_hook(plan, console)
    plan_state(plan)
    plan_host_keys(plan)
    plan_decisions(plan)
    plan.changes += leaving.changes
    plan.notes += leaving.notes
    plan.problems += leaving.problems
    # If nothing else is left to do, an earlier run has removed the account. Else its name is wrong.
    lines = plan.problems if plan.changes else plan.notes
    lines += ["there is no account %s" % ascii(name)[1:-1] for name in missing]
    with plan.looking():
        for name in people(system):
            if name not in users:
                remedy = ": %s removes it" % Command("--user", name) if NAME.match(name) else ""
                plan.notes.append("the account %s stays, with its keys and password%s" % (name, remedy))
    note_keys(plan)
    return plan


def empty_logs(system: System, console: Console) -> None:
    """Empty the logs that were written since the plan was made."""
    later = Plan(system)
    with limited(system, PLANNING):
        plan_logs(later)
    later.carry_out(console)


def plan_hook(plan: Plan, console: Console) -> None:
    """Enable the hook again after a boot has disabled it."""
    with plan.looking():
        recorded = dict(manifest.read(plan.system))
        if "program" in recorded and "init" in recorded and not table.find_hook(plan.system)[1]:
            plan.add("enable the boot hook for " + recorded["init"], lambda: enable_again(plan.system, console))


def enable_again(system: System, console: Console) -> None:
    """Repeat the installation in the same way. Raises ProvisionError."""
    recorded = dict(manifest.read(system))
    path, python = recorded.get("program", ""), recorded.get("python", "")
    program = system.read(path, limit=PROGRAM_LIMIT)
    if program is None:
        raise GuestError("the installed program is missing", path=path)
    damage = find_damage(program)
    if damage:
        raise GuestError("the installed program is damaged: %s" % damage, path=path)
    done = system.touched
    try:
        install(
            system,
            console,
            program,
            prefix=os.path.dirname(os.path.dirname(path)),
            init_name=recorded.get("init"),
            python=python if system.is_program(python) else None,
        )
        done = done + system.touched
    finally:
        system.touched = done


def plan_host_keys(plan: Plan) -> None:
    """Remove the host keys of SSH servers; the next boot makes new ones."""
    if config.load(plan.system)[0].host_keys == "keep":
        plan.notes.append("the SSH host keys stay, as %s says" % config.PATH)
        return
    for folder, pattern in ((OPENSSH, OPENSSH_KEYS), (DROPBEAR, DROPBEAR_KEYS)):
        for name, what in plan.look(folder):
            if fnmatchcase(name, pattern) and not stat.S_ISDIR(what.st_mode):
                plan.remove(join(folder, name))
    with plan.looking():
        for path in find_others(plan.system):  # keys elsewhere, from sshd's HostKey lines
            plan.remove(path)
            plan.remove(path + ".pub")
