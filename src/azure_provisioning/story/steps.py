"""The steps of a boot in order: each changes one thing in the guest, can be repeated, and says what it did.

A step is skipped if the options switch it off, or if it has nothing to do. The failure of a fatal step is reported to
Azure; that of any other is a warning. A source that is gone (the DVD, at a second boot) never removes what is there.

There are three phases: `prepare` runs before sshd and without network, `apply` follows Azure's answer, `publish` comes
before the report. A step loads its module of `guest/` only when it has something to do, because loading takes most of
the time of a boot.
"""

from collections import namedtuple

from ..azure.description import timestamp
from ..door.budget import limited
from ..errors import GuestError, LastingError, SpentError
from ..guest import hostname, hosts
from ..records import NO_PROFILE, Profile
from .boot import Boot
from .state import FOLDER, data_fact

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Optional, Tuple

TRIES, PAUSE = 3, 2.0  # a fatal step may fail for a passing reason, such as a lock; seconds between tries


class Step(namedtuple("Step", "phase name take fatal tries")):
    """`take` returns what it did, in words, or "" if there was nothing to do."""

    __slots__ = ()

    phase: str
    name: str  # also the name of the option that switches it off
    take: "Callable[[Boot, Profile], str]"
    fatal: bool
    tries: int


def mix_entropy(boot: Boot, _profile: Profile) -> str:
    """Mix the random bytes that Azure gives each VM into the kernel's random pool."""
    from ..guest import entropy

    return entropy.mix_entropy(boot.system)


def renew_host_keys(boot: Boot, _profile: Profile) -> str:
    """New SSH host keys for this VM."""
    from ..guest import host_keys
    from ..init import table

    done = host_keys.renew_host_keys(boot.system, table.restart_command)
    # ssh-keygen does not call fsync: after a power cut now the keys would be empty, unnoticed.
    boot.system.sync()
    return done


def set_hosts(boot: Boot, profile: Profile) -> str:
    """`/etc/hosts`, before `/etc/hostname` loses the old name."""
    name, _ = hostname.choose_name(profile.names)
    old_name = (boot.system.read_text("/etc/hostname") or "").strip() or boot.system.hostname()
    return hosts.resolve_own_name(boot.system, name, old_name) if name else ""


def set_hostname(boot: Boot, profile: Profile) -> str:
    """The host name: the first usable one."""
    name, refused = hostname.choose_name(profile.names)
    for candidate in refused:
        boot.console.warn("%s is not usable as a host name" % ascii(candidate[:80]))
    if name is None:
        boot.console.warn("Azure gave no usable name: the image's own, %s, stays" % boot.system.hostname())
        return ""
    before = boot.system.hostname()
    done = hostname.set_name(boot.system, name)
    boot.renamed = boot.renamed or (boot.system.live and boot.system.hostname() != before)
    return done


def grow_root(boot: Boot, _profile: Profile) -> str:
    """Grow the root file system to the end of the OS disk."""
    if not boot.system.live:
        return ""
    from ..guest import root_disk

    return root_disk.grow_root(boot.system)


def make_account(boot: Boot, profile: Profile) -> str:
    """The administrator's account."""
    if not profile.user:
        return ""
    from ..guest import account

    return account.ensure_account(boot.system, profile.user)


def set_password(boot: Boot, profile: Profile) -> str:
    """The password, if the DVD has one."""
    if not profile.user or profile.password is None:
        return ""
    from ..guest import password

    return password.set_password(boot.system, profile.user, profile.password)


def authorize_keys(boot: Boot, profile: Profile) -> str:
    """The administrator's SSH keys."""
    if not profile.user or not profile.ssh_keys:
        return ""
    from ..guest import authorized_keys, sshd_config

    sshd = sshd_config.settings(boot.system, profile.user)  # only once, because it starts a program

    def warn(problem: str) -> None:
        boot.console.announce("warning: " + problem)

    return authorized_keys.authorize(boot.system, profile.user, profile.ssh_keys, sshd, warn)


def grant_privilege(boot: Boot, profile: Profile) -> str:
    """The right to become root."""
    if not profile.user:
        return ""
    from ..guest import privilege

    return privilege.grant(boot.system, profile.user)


def set_password_login(boot: Boot, profile: Profile) -> str:
    """Password logins in sshd. Switched off only after a key is on disk."""
    if profile.password_login is None or (not profile.password_login and not profile.ssh_keys):
        return ""
    from ..guest import sshd

    return sshd.set_password_login(boot.system, allowed=profile.password_login, name=profile.user)


def keep_custom_data(boot: Boot, profile: Profile) -> str:
    """customData, from the DVD, which Azure removes after Ready."""
    if profile.custom_data is None and profile.promises_custom_data and not boot.is_done(data_fact("custom_data")):
        raise GuestError("failure to read customData while hasCustomData=true")
    return keep_data(boot, "custom_data", "customData", profile.custom_data)


def keep_user_data(boot: Boot, profile: Profile) -> str:
    """userData, from IMDS."""
    return keep_data(boot, "user_data", "userData", profile.user_data)


def keep_data(boot: Boot, option: str, name: str, data: "Optional[bytes]") -> str:
    """Store the data for this VM, and run it if the options say so, until an exit code is recorded."""
    if data is None and not boot.is_done(data_fact(option)):
        return ""
    from ..guest import custom_data

    done = "kept from an earlier boot"
    if data is not None:
        done = custom_data.save_data(boot.system, FOLDER + "/" + name, data)
        boot.state.note(data_fact(option), timestamp(boot.system.time()))
        boot.save()
    if getattr(boot.options, option) != "run":
        return done
    if not boot.system.live:
        custom_data.refuse_data(boot.system, FOLDER + "/" + name)
        return done + ", and not run: nothing in an image is executed"
    lines = ["it ran in an earlier boot"]
    if boot.state.exit_code(option) is None:
        code, lines = custom_data.run_data(boot.system, FOLDER + "/" + name)
        for line in lines:
            boot.console.say("%s: %s" % (name, line))
        boot.state.note_exit(option, code)
        boot.save()
    if boot.state.exit_code(option) != "0":
        last = ([line for line in lines if line.strip()] or ["it printed nothing"])[-1]
        raise SpentError("%s failed" % name, last.strip()[:200], code=boot.state.exit_code(option))
    return done + ", and run"


def publish_name(boot: Boot, _profile: Profile) -> str:
    """The new name, to the DHCP server that gave the lease."""
    if not boot.renamed:
        return ""
    from ..guest import dns

    return dns.publish_name(boot.system, boot.system.hostname())


STEPS: "Tuple[Step, ...]" = (
    Step("prepare", "entropy", mix_entropy, fatal=False, tries=1),
    Step("prepare", "host_keys", renew_host_keys, fatal=False, tries=TRIES),
    Step("apply", "hosts", set_hosts, fatal=False, tries=1),
    Step("apply", "hostname", set_hostname, fatal=True, tries=TRIES),
    Step("apply", "grow_root", grow_root, fatal=False, tries=1),
    Step("apply", "account", make_account, fatal=True, tries=TRIES),
    Step("apply", "password", set_password, fatal=True, tries=TRIES),
    Step("apply", "ssh_keys", authorize_keys, fatal=True, tries=TRIES),
    Step("apply", "sudo", grant_privilege, fatal=False, tries=1),
    Step("apply", "password_login", set_password_login, fatal=False, tries=1),
    Step("apply", "custom_data", keep_custom_data, fatal=True, tries=TRIES),
    Step("apply", "user_data", keep_user_data, fatal=True, tries=TRIES),
    Step("publish", "publish_name", publish_name, fatal=False, tries=1),
)


def take_steps(boot: Boot, phase: str, profile: Profile = NO_PROFILE) -> bool:
    """Take the steps of one phase; True if none failed. Raises the error of a fatal one."""
    done = [take(boot, step, profile) for step in STEPS if step.phase == phase and is_wanted(boot, step)]
    return all(done)


def is_wanted(boot: Boot, step: Step) -> bool:
    """Do the options want it? With `host_keys = keep` no keys are made."""
    return boot.options.wants(step.name) and (step.name, boot.options.host_keys) != ("host_keys", "keep")


def take(boot: Boot, step: Step, profile: Profile) -> bool:
    """Take one step, with all its tries, and record the result for `status`. True if it did not fail."""
    started = boot.system.monotonic()
    for left in reversed(range(step.tries)):
        try:
            with limited(boot.system):
                done = step.take(boot, profile)
        except GuestError as error:
            if left and not isinstance(error, (LastingError, SpentError)):
                boot.console.warn("%s: %s; trying again" % (step.name, error))
                boot.system.sleep(PAUSE)
                continue
            boot.note_step(step.name, "failed" if step.fatal else "warning", started, error.without_advice())
            if step.fatal:
                error.details["step"] = step.name
                raise
            boot.console.warn("%s: %s" % (step.name, error))
            return False
        if done:
            boot.note_step(step.name, "ok", started)
            boot.console.say("%s: %s" % (step.name, done))
        break
    return True
