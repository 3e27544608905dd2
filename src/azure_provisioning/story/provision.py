"""THE STORY of a first boot:

identify -> prepare -> (release the boot) -> wait -> fetch -> apply -> verify -> remember configured -> gates -> report
-> remember ready -> disable. `boot.begin` has identified the VM when this starts.
"""

from contextlib import suppress

from .. import __version__
from ..agents import find_agents
from ..azure.description import describe_failure, timestamp
from ..azure.transport import LONGEST_PAUSE
from ..door import lock
from ..errors import BadReply, GuestError, LastingError, ProvisionError, SpentError
from ..guest import gates
from ..records import Instance, Outcome, Profile
from .boot import Boot
from .fetch import fetch, name_proxy_agent, wait_for_azure
from .lasting import find_mismatch
from .report import report, report_ready, write_to_pool
from .state import CONFIGURED, PREPARED, READY, same_vm
from .steps import take_steps
from .verify import verify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, List, Optional, Tuple, TypeVar

    from ..azure.ovf import Media

    Result = TypeVar("Result")

LOG = "/var/log/azure-provisioning.log"
LOG_LIMIT = 256 << 10  # bytes


def provision(boot: Boot, *, detach: bool = False) -> int:
    """Set up this VM and report it; returns the exit code. With `detach` a child continues and this returns."""
    begun, trouble = catch(lambda: take_turn(boot))
    others, turn = begun or ([], None)
    boot.release()  # before any trouble is reported: the boot never waits for Azure
    if others:
        return leave(boot, "another agent would provision this VM", "nothing was done: " + "; ".join(others))
    if detach and not boot.system.detach():
        return 0
    code = None
    if trouble is None:
        code, trouble = catch(lambda: set_up(boot, turn))
    return fail(boot, trouble) if trouble is not None else code or 0


def catch(act: "Callable[[], Result]") -> "Tuple[Optional[Result], Optional[Exception]]":
    """(what `act` returned, what it raised instead): one of the two broad handlers, so that `fail` reports bugs too."""
    try:
        return act(), None
    except Exception as error:  # noqa: BLE001 # a bug is reported too
        return None, error


def take_turn(boot: Boot) -> "Tuple[List[str], Optional[lock.Turn]]":
    """(other provisioning agents, the lock or None if another process has it). With the lock, the local part is
    done."""
    others = find_agents(boot.system)
    turn = None if others else lock.take(boot.system, "run")
    if turn is not None:
        boot.reread()  # another run may have ended since
        prepare(boot)
    return others, turn


def set_up(boot: Boot, turn: "Optional[lock.Turn]") -> int:
    """From `wait` to `disable`; returns the exit code. Raises the error to report as this boot's failure."""
    if turn is not None:
        lock.sign(boot.system, turn, "run")
    elif not wait_for_turn(boot):
        return 0
    if not boot.is_done(CONFIGURED):
        wait_for_azure(boot)
        instance, dvd = fetch(boot)
        pool = instance.pool or (dvd.pool if dvd else "")
        if pool:
            why = "this VM is pre-provisioned (%s): nothing is applied to it" % pool
            return leave(boot, why, why)
        take_identity(boot, instance)
        if not boot.is_done(CONFIGURED) and not boot.is_done(READY):
            apply(boot, instance, dvd)
            remember(boot, CONFIGURED)
    if not boot.is_done(READY):
        pass_gates(boot)
        load_rest(boot)
        report_ready(boot)
        remember(boot, READY)
    disable(boot)
    if boot.accepted:
        tell_end(boot)
    return 0


# -- prepare ---------------------------------------------------------------------------------------------------------


def prepare(boot: Boot) -> None:
    """The local part, before sshd starts: from here on the state is about this VM. Short, and without network."""
    if boot.system.root == "/":
        boot.console.keep_log(LOG, LOG_LIMIT, "---- %s, VM %s ----" % (__version__, boot.azure_id or "unknown"))
    if not boot.vm_id:
        return  # without an id from the firmware it is unknown whose the host keys are
    if not boot.state.is_about(boot.vm_id):
        boot.state.adopt(boot.vm_id)
        boot.save()
    if boot.is_done(PREPARED) or not boot.system.live:
        return
    if take_steps(boot, "prepare"):  # else the next boot tries again
        boot.state.note(PREPARED, timestamp(boot.system.time()))
        boot.save()


def wait_for_turn(boot: Boot) -> bool:
    """Wait until the other run or command releases the lock. True if there is work left for this run."""
    holder = lock.find_holder(boot.system)
    other = "run" if holder is None or holder.verb == "run" else "`%s`" % holder.verb
    boot.console.say("another %s is running: waiting for it" % other)
    while boot.system.monotonic() < boot.ends:
        turn = lock.take(boot.system, "run")
        if turn is not None:
            return go_on_after(boot, turn.before.verb if turn.before else "run")
        boot.system.sleep(LONGEST_PAUSE)
    boot.console.say("the other %s is still running: leaving the work to it" % other)
    return False


def go_on_after(boot: Boot, verb: str) -> bool:
    """Continue after the command that held the lock. True if it left work for this run."""
    if verb in ("uninstall", "generalize"):
        boot.console.say("`%s` ran meanwhile: the machine stays as it left it" % verb)
        return False
    boot.keeps_hook = verb == "install"
    boot.reread()
    prepare(boot)  # another run may have died before this
    return not boot.is_done(READY)


def take_identity(boot: Boot, instance: Instance) -> None:
    """Without an id from the firmware, use the one from IMDS. If the two differ, only warn.

    Other clouds may have firmware that we do not know. But the answer may also come from somebody else.
    """
    if boot.vm_id is None:
        boot.vm_id = instance.vm_id
        boot.state.adopt(boot.vm_id)
    differs = bool(boot.vm_id and instance.vm_id) and not same_vm(boot.vm_id or "", instance.vm_id or "")
    boot.state.note_imds_id(instance.vm_id or "", differs=differs)
    if differs:
        boot.console.announce("warning: IMDS has the VM id %s, the firmware %s" % (instance.vm_id, boot.vm_id))


# -- apply -----------------------------------------------------------------------------------------------------------


def apply(boot: Boot, instance: Instance, dvd: "Optional[Media]") -> None:
    """Configure the guest as Azure asks, without network. Raises the error of a fatal step."""
    if not instance.has_profile and dvd is None and boot.state.is_of_former_vm:
        boot.console.say("Azure has no profile for this VM, and its disk was set up before: it is left as it is")
        return
    forgotten = find_mismatch(boot.system.volatile)
    if forgotten:
        boot.console.announce("warning: " + forgotten)
    profile = make_profile(instance, dvd)
    if boot.state.former_user:
        boot.console.warn("the account %s belongs to another VM, and stays" % boot.state.former_user)
    take_steps(boot, "apply", profile)
    if profile.user:
        boot.state.note_user(profile.user)
    missing_password = ""
    if profile.password_login and profile.password is None:
        missing_password = "none on the provisioning DVD" if dvd else "no provisioning DVD"
    verify(boot, profile, missing_password)
    boot.system.sync()


def make_profile(instance: Instance, dvd: "Optional[Media]") -> Profile:
    """The settings for this VM: from IMDS first, and from the DVD if IMDS does not have them."""
    names = (instance.computer_name, dvd.hostname if dvd else "", instance.resource_name)
    login = instance.password_login
    if login is None and dvd:
        login = dvd.password_login
    return Profile(
        names=tuple(name for name in names if name),
        user=instance.user or (dvd.user if dvd else ""),
        password=dvd.password if dvd else None,
        ssh_keys=instance.ssh_keys or (dvd.ssh_keys if dvd else ()),
        password_login=login,
        custom_data=dvd.custom_data if dvd else None,
        promises_custom_data=instance.promises_custom_data or bool(dvd and dvd.promises_custom_data),
        user_data=instance.user_data,
    )


# -- remember, report, disable ---------------------------------------------------------------------------------------


def remember(boot: Boot, fact: str) -> None:
    """Record that `fact` is true of this VM now. If that cannot be stored, the next boot repeats the work."""
    if not boot.vm_id:
        boot.console.warn("this VM has no id, so its state cannot be saved")
        return
    boot.state.adopt(boot.vm_id)
    boot.state.forget_error()
    boot.state.note(fact, timestamp(boot.system.time()))
    boot.save()


def pass_gates(boot: Boot) -> None:
    """Publish the name, and run the user's own gates. Raises the error of a gate."""
    take_steps(boot, "publish")
    environment = {
        "AZURE_VM_ID": boot.azure_id or "",
        "AZURE_HOSTNAME": (boot.system.read_text("/etc/hostname") or "").strip(),
        "AZURE_ADMIN_USER": boot.state.user,
    }
    for name in gates.find_passed_over(boot.system):
        boot.console.announce("warning: the ready gate %s is not executable, and is skipped: chmod +x" % name)
    for gate in gates.find_gates(boot.system):
        started, name = boot.system.monotonic(), gate.rpartition("/")[2]
        try:
            said = gates.pass_gate(boot.system, gate, environment)
        except GuestError as error:
            boot.note_step("gate-" + name, "failed", started, error.without_advice())
            raise
        boot.note_step("gate-" + name, "ok", started)
        boot.console.say("%s: %s" % (name, said))


def leave(boot: Boot, reason: str, line: str) -> int:
    """End without a report: this VM is not ours to set up, or not yet. Recorded for `status --wait`."""
    boot.state.adopt(boot.vm_id)
    catch(lambda: note_failure(boot, ProvisionError(reason)))
    boot.console.announce(line)
    return 1


def fail(boot: Boot, trouble: Exception) -> int:
    """Report a failure to the state, the pool, Azure and the console. The hook stays for the next boot.

    If one of them fails, even because of a bug of ours, the others still follow. A bug is raised after that; it has
    `reported` if Azure knows of the failure or has accepted Ready: otherwise the shell reports it (see __main__.py).
    """
    error = ProvisionError("unhandled exception", exception=repr(trouble))
    if isinstance(trouble, ProvisionError):
        error = trouble
    catch(lambda: name_proxy_agent(boot, error))
    line = describe_failure(error, boot.azure_id, boot.system.time())
    catch(lambda: note_failure(boot, error))
    catch(lambda: write_to_pool(boot, line))
    unreported = None if boot.reporting else catch(lambda: report_failure(boot, line))[1]
    catch(lambda: show_failure(boot, error))
    bug = unreported if error is trouble else trouble
    if bug is None:
        return 1
    bug.reported = boot.accepted or (unreported is None and not boot.reporting)  # type: ignore[attr-defined]
    raise bug


def note_failure(boot: Boot, error: ProvisionError) -> None:
    """Record why this boot failed, for `status`."""
    boot.state.note_error(error, timestamp(boot.system.time()), boot.system.boot_id())
    boot.save()


def report_failure(boot: Boot, line: str) -> None:
    """Report NotReady, until Azure accepts it or the deadline is over."""
    try:
        report(boot, Outcome(line), boot.ends)
    except ProvisionError as error:
        boot.console.warn("the failure could not be reported: %s" % error)


def show_failure(boot: Boot, error: ProvisionError) -> None:
    """Show the failure on the console, with a remedy."""
    from ..reasons import with_remedy

    said = error.said if isinstance(error, BadReply) else ""
    if said:
        boot.console.say("the answer was: %s" % said)
    again = "The next boot tries again"
    if boot.accepted:
        again = "Azure had accepted Ready before"
    elif isinstance(error, SpentError):
        again = "No boot runs it again"
    elif isinstance(error, LastingError):
        again = "The next boot would fail the same way"
    boot.console.announce("FAILED: %s. %s" % (with_remedy(error), again))


def load_rest(boot: Boot) -> None:
    """Load the modules that are needed after the report of Ready: then none of them can be missing or unreadable."""
    from ..init import table

    if boot.system.live:
        from ..guest import host_keys  # noqa: F401
    with suppress(GuestError):  # `disable` reports it
        table.recorded(boot.system)


def disable(boot: Boot) -> None:
    """Disable the hook for later boots. A failure is only a warning: the state already prevents a second run."""
    if boot.options.every_boot or boot.keeps_hook:
        return
    from ..init import table

    try:
        for path in table.disable(boot.system):
            boot.console.say("the hook is off (%s)" % path)
    except GuestError as error:
        boot.console.warn("the boot hook could not be removed: %s" % error)


def tell_end(boot: Boot) -> None:
    """Report success on the console, with the host keys for checking a first login."""
    if boot.system.live:
        from ..guest import host_keys

        try:
            for line in host_keys.fingerprints(boot.system):
                boot.console.announce("host key %s" % line)
        except GuestError as error:
            boot.console.warn(str(error))
    boot.console.announce("Azure accepted Ready after %.1f s" % boot.system.passed(boot.started))
