"""THE STORY of a first boot:

identify -> prepare -> (release the boot) -> wait -> fetch -> apply -> remember configured -> report -> remember ready
-> disable. `boot.begin` has identified the VM when this starts.
"""

import signal
from typing import Tuple

from .azure import imds, wireserver
from .azure.description import describe_failure, timestamp
from .azure.transport import FIRST_PAUSE, LONGEST_PAUSE, Peer, is_reachable, persist
from .boot import LOCK, Boot
from .errors import GuestError, ProvisionError, Unreachable
from .init import rivals, table
from .records import Instance, Profile
from .state import FOLDER, State
from .steps import take_steps

FETCH_SECONDS = 300.0  # for IMDS to give a usable answer, once the network is up
NOTICE_SECONDS = 30.0  # between two lines on the console that say what is awaited
LOG = "/var/log/azure-provisioning.log"
LOG_LIMIT = 256 << 10  # bytes


def provision(boot: Boot, *, detach: bool = False) -> int:
    """Bring this VM up and report it; returns the exit code. With `detach` a child goes on and this returns."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    others = rivals.find_rivals(boot.system)
    if others:
        boot.release()
        boot.console.announce("nothing was done: " + "; ".join(others))
        return 1

    lock = boot.system.lock(LOCK)
    if lock is not None:
        prepare(boot)
    boot.release()
    if detach and not boot.system.detach():
        return 0
    if lock is None and not wait_for_other_run(boot):
        return 0

    try:
        if not boot.is_done("configured_at"):
            wait_for_azure(boot)
            instance = fetch(boot)
            if instance.pool:
                boot.console.announce("this VM is pre-provisioned (%s): nothing is applied to it" % instance.pool)
                return 1
            take_identity(boot, instance)
            if not boot.is_done("ready_at"):
                apply(boot, instance)
                remember(boot, "configured_at")
        if not boot.is_done("ready_at"):
            report(boot, "", boot.ends)
            remember(boot, "ready_at")
    except ProvisionError as error:
        return fail(boot, error)
    except Exception as error:
        fail(boot, ProvisionError("unhandled exception", exception=repr(error)))
        raise
    disable(boot)
    boot.console.announce("Azure accepted Ready after %.1f s" % (boot.system.monotonic() - boot.started))
    return 0


# -- prepare ---------------------------------------------------------------------------------------------------------


def prepare(boot: Boot) -> None:
    """The local part, which holds back sshd: from here on the state is about this VM. No network, over in a moment."""
    if boot.system.root == "/":
        boot.console.keep_log(LOG, LOG_LIMIT)
    if boot.vm_id and not boot.state.is_about(boot.vm_id):
        boot.state.adopt(boot.vm_id)
        save(boot)


def wait_for_other_run(boot: Boot) -> bool:
    """Wait until the run that holds the lock is over. True if there is work left for this one."""
    boot.console.say("another run is at work: waiting for it")
    while boot.system.monotonic() < boot.ends:
        if boot.system.lock(LOCK) is not None:
            boot.state = State(boot.system)
            return not boot.is_done("ready_at")
        boot.system.sleep(LONGEST_PAUSE)
    boot.console.say("the other run is still at work: leaving it to that one")
    return False


# -- wait, fetch -----------------------------------------------------------------------------------------------------


class Patience:
    """Says why the boot is still waiting: each new reason once, and every 30 s a line on the console."""

    def __init__(self, boot: Boot, awaited: str) -> None:
        self.boot = boot
        self.awaited = awaited
        self.since = self.last = boot.system.monotonic()
        self.reason = ""

    def __call__(self, error: ProvisionError) -> None:
        """Hear of a failed try."""
        now = self.boot.system.monotonic()
        if now - self.last >= NOTICE_SECONDS:
            self.last = now
            self.boot.console.announce("waiting for %s since %d s: %s" % (self.awaited, now - self.since, error))
        elif str(error) != self.reason:
            self.boot.console.say("waiting for %s: %s" % (self.awaited, error))
        self.reason = str(error)


def peers(boot: Boot) -> "Tuple[Peer, Peer]":
    """(IMDS, WireServer)."""
    return Peer("IMDS", *boot.options.imds), Peer("WireServer", *boot.options.wireserver)


def wait_for_azure(boot: Boot) -> None:
    """Return as soon as IMDS or the WireServer takes a connection.

    Raises Unreachable when it is time to give up. No target of any init system says that there is a lease, so we ask.
    """
    system, notice, pause = boot.system, Patience(boot, "the network"), FIRST_PAUSE
    while True:
        for peer in peers(boot):
            left = boot.report_from - system.monotonic()
            if left > 0 and is_reachable(system, peer, left):
                return
        missing = Unreachable(
            "no answer from Azure",
            advice="is there a DHCP lease and a route to %s?" % boot.options.wireserver[0],
            seconds=int(system.monotonic() - boot.started),
        )
        if system.monotonic() + pause >= boot.report_from:
            raise missing
        notice(missing)
        system.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)


def fetch(boot: Boot) -> Instance:
    """What IMDS knows of this VM. Raises the last failure when it has had its time."""
    imds_peer, _ = peers(boot)
    now = boot.system.monotonic()
    until = min(now + min(FETCH_SECONDS, boot.options.deadline / 3), boot.report_from)
    return persist(
        boot.system,
        lambda seconds: imds.fetch_instance(boot.system, imds_peer, seconds),
        until,
        Patience(boot, "IMDS"),
    )


def take_identity(boot: Boot, instance: Instance) -> None:
    """Without an id from the firmware this VM goes by the one that IMDS told."""
    if boot.vm_id is None:
        boot.vm_id = instance.vm_id
        boot.state.adopt(boot.vm_id)


# -- apply -------------------------------------------------------------------------------------------------------------


def apply(boot: Boot, instance: Instance) -> None:
    """Make the guest what Azure says it is: no network. Raises the failure of a fatal step."""
    if not instance.has_profile and boot.state.facts.get("previous_vm_id"):
        boot.console.say("Azure has no profile for this VM, and its disk was set up before: it is left as it is")
        return
    kind = boot.system.volatile(FOLDER)
    if kind:
        boot.console.warn("%s is on a %s, which forgets: the next boot will set this VM up again" % (FOLDER, kind))
    take_steps(boot, make_profile(instance))
    boot.system.sync()


def make_profile(instance: Instance) -> Profile:
    """What this VM is to become."""
    return Profile(
        names=tuple(name for name in (instance.computer_name, instance.resource_name) if name),
        user=instance.user,
        password=None,
        ssh_keys=instance.ssh_keys,
        password_login=instance.password_login,
        custom_data=None,
        promises_custom_data=instance.promises_custom_data,
        user_data=instance.user_data,
    )


# -- remember, report, disable ---------------------------------------------------------------------------------------


def remember(boot: Boot, fact: str) -> None:
    """Note that `fact` is true of this VM, now. If that cannot be kept, the next boot does the work again."""
    if not boot.vm_id:
        boot.console.warn("this VM has no id: that it is set up cannot be remembered")
        return
    boot.state.adopt(boot.vm_id)
    boot.state.forget_error()
    boot.state.facts[fact] = timestamp(boot.system.time())
    save(boot)


def save(boot: Boot) -> None:
    """Write the state. A machine that cannot keep it is set up all the same."""
    try:
        boot.state.save(boot.system)
    except GuestError as error:
        boot.console.warn("what is done cannot be remembered: %s" % error)


def report(boot: Boot, problem: str, until: float) -> None:
    """Report Ready, or NotReady with a `problem`. Raises the last failure if Azure accepts no report in time."""
    wireserver.report_health(
        boot.system, peers(boot)[1:], problem, until, boot.console.say, Patience(boot, "the WireServer")
    )


def fail(boot: Boot, error: ProvisionError) -> int:
    """Tell of a failure everywhere it can be told: state, Azure, console. The hook stays for the next boot."""
    boot.state.note_error(error, timestamp(boot.system.time()), boot.system.boot_id())
    save(boot)
    if not boot.is_done("configured_at"):  # else the failure is that of the report itself
        try:
            report(boot, describe_failure(error, boot.vm_id, boot.system.time()), boot.ends)
        except ProvisionError as second:
            boot.console.warn("the failure could not be reported: %s" % second)
    boot.console.announce("FAILED: %s. The next boot tries again" % error)
    return 1


def disable(boot: Boot) -> None:
    """Take the hook out of the boot. That it cannot be is a warning: the state already protects."""
    if boot.options.every_boot:
        return
    try:
        for link in table.disable(boot.system):
            boot.console.say("removed %s" % link)
    except GuestError as error:
        boot.console.warn("the boot hook could not be removed: %s" % error)
