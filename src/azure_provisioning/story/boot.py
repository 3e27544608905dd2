"""This boot: whether it is on Azure, for which VM, whether that is set up already, and its time limit."""

from .. import config
from ..azure.identity import EFI, identify
from ..console import Console
from ..door import lock
from ..door.system import System
from ..door.tree import Tree
from ..errors import GuestError
from ..init import notify
from .state import READY, State, same_vm, swap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Optional, Sequence

REPORT_RESERVE = 60.0  # seconds at the end of the deadline that are reserved for the report


class Boot:
    """The data that every stage of a boot uses."""

    def __init__(self, system: System, console: Console) -> None:
        self.system = system
        self.console = console
        self.started = system.monotonic()
        introduce(system)
        self.options, self.problems = config.load(system)
        self.on_azure, self.vm_id, self.evidence = identify(system, self.options.platform)
        self.state = State(system)
        self.forced = False  # run although the VM is set up already
        self.renamed = False  # did the running kernel's name change in this boot?
        self.reporting = False  # has the report of Ready begun?
        self.accepted = False  # has Azure accepted it?
        self.keeps_hook = False  # is the hook for the next boot, written by an `install` that this run waited for?

    @property
    def ends(self) -> float:
        """When (monotonic) this boot gives up, at any stage."""
        return self.started + self.options.deadline

    @property
    def report_from(self) -> float:
        """When (monotonic) it stops everything else to report the failure."""
        return self.ends - min(REPORT_RESERVE, self.options.deadline / 4)

    def is_done(self, fact: str) -> bool:
        """Is `fact` (such as READY) recorded for this VM?"""
        return self.state.has(fact, self.vm_id)

    @property
    def azure_id(self) -> "Optional[str]":
        """The id of this VM as Azure writes it, for everything that people and their programs see."""
        return write_as_azure(self.system, self.vm_id, self.state)

    def note_step(self, name: str, result: str, started: float, said: str = "") -> None:
        """Record for `status` the result of a step that began at `started` (monotonic), and the text of a warning."""
        self.state.note_step(name, result, self.system.monotonic() - started, started - self.started, said)

    def reread(self) -> None:
        """Read the state again, now that no other process writes it."""
        if not self.forced:
            self.state = State(self.system)

    def save(self) -> None:
        """Write the state. A machine that cannot store it is set up anyway."""
        try:
            self.state.save(self.system)
        except GuestError as error:
            self.console.warn("the state cannot be saved: %s" % error)

    def release(self) -> None:
        """Let the rest of the boot continue, if a manager waits for us."""
        try:
            notify.release_boot()
        except GuestError as error:
            self.console.warn(str(error))


def introduce(system: System) -> None:
    """Let the guest ask its init system with which words a service is started. Each question is answered once."""
    known: "Dict[object, Optional[List[str]]]" = {}

    def ask(system: System, names: "Sequence[str]", programs: "Sequence[str]") -> "Optional[List[str]]":
        from ..init.arguments import find_arguments

        if (names, programs) not in known:
            known[names, programs] = find_arguments(system, names, programs)
        return known[names, programs]

    system.ask_arguments = ask


def write_as_azure(tree: Tree, vm_id: "Optional[str]", state: State) -> "Optional[str]":
    """The id of the VM as in the portal: as IMDS wrote it before, else with the bytes that the firmware swaps.

    Generation 1 swaps those of the first three fields (WALinuxAgent issue 830, azure-sdk-for-python issue 4740).
    """
    known = state.azure_id
    if vm_id is None or (known and same_vm(known, vm_id)):
        return known or vm_id
    return vm_id if tree.exists(EFI) else swap(vm_id)


def begin(system: System, console: Console, *, force: bool = False) -> "Optional[Boot]":
    """This boot, if it has work to do; None if this is not Azure, or Azure has accepted Ready from this VM before.

    `force`: also if this is not Azure, or the VM is set up already.
    """
    boot = Boot(system, console)
    for problem in boot.problems:
        console.warn(problem)
    if boot.state.problem:
        console.warn("the state file is not usable (%s): saved as state.corrupt, and ignored" % boot.state.problem)
        try:
            boot.state.set_aside(system)
        except GuestError as error:
            console.warn(str(error))
    if force:
        boot.forced = True
        boot.state.forget_ends(boot.vm_id)
        return boot
    if not boot.on_azure:
        console.say("not on Azure, nothing to do (%s)" % boot.evidence)
    elif boot.is_done(READY):
        retire_left_over(boot)
    else:
        return boot
    boot.release()
    return None


def retire_left_over(boot: Boot) -> None:
    """Remove a hook that is still there after Ready was accepted, unless the options keep it."""
    if boot.options.every_boot:
        return
    from ..init import table

    try:
        if lock.take(boot.system, "run") is None:
            return  # an `install` is writing it
        for path in table.disable(boot.system):
            boot.console.say("the hook is off (%s): Ready was accepted at %s" % (path, boot.state.when(READY)))
    except GuestError as error:
        boot.console.warn(str(error))
