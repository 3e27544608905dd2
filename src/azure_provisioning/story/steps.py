"""What is applied, in order: each step changes one thing of the guest, may be repeated, and says what it did.

A step that is switched off in the options, or has nothing to do, is not taken. The failure of a fatal step is reported
to Azure; that of another is a warning. A source that is gone (the DVD, at a second boot) never erases what is there.

A step loads its part of `guest/` when it has something to do: loading takes most of the time of a boot.
"""

from collections import namedtuple

from ..azure.description import timestamp
from ..door.budget import limited
from ..errors import GuestError
from ..guest import hostname, hosts
from ..records import Profile
from .boot import Boot
from .state import FOLDER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Optional, Tuple

TRIES, PAUSE = 3, 2.0  # a fatal step may fail for a reason that passes, such as a lock; seconds between tries


class Step(namedtuple("Step", "name take fatal")):
    """`take` returns what it did, in words, or "" if there was nothing to do."""

    __slots__ = ()

    name: str
    take: "Callable[[Boot, Profile], str]"
    fatal: bool


def set_hosts(boot: Boot, profile: Profile) -> str:
    """`/etc/hosts`, while `/etc/hostname` still tells the old name."""
    name, _ = hostname.choose_name(profile.names)
    old_name = (boot.system.read_text("/etc/hostname") or "").strip() or boot.system.hostname()
    return hosts.resolve_own_name(boot.system, name, old_name) if name else ""


def set_hostname(boot: Boot, profile: Profile) -> str:
    """The name: the first that is of use."""
    name, refused = hostname.choose_name(profile.names)
    for candidate in refused:
        boot.console.warn("%s makes no host name" % ascii(candidate[:80]))
    if name is None:
        boot.console.warn("Azure told no usable name: the image's own, %s, stays" % boot.system.hostname())
        return ""
    before = boot.system.hostname()
    done = hostname.set_name(boot.system, name)
    boot.renamed = boot.renamed or (boot.system.live and boot.system.hostname() != before)
    return done


def grow_root(boot: Boot, _profile: Profile) -> str:
    """The root file system, up to the end of the OS disk."""
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
    from ..guest import authorized_keys, sshd_access, sshd_config

    sshd = sshd_config.settings(boot.system, profile.user)  # asked once: it starts a program

    def warn(problem: str) -> None:
        boot.console.announce("warning: " + problem)

    done = authorized_keys.authorize(boot.system, profile.user, profile.ssh_keys, sshd, warn)
    obstacle = sshd_access.find_obstacle(boot.system, profile.user, sshd)
    if obstacle:
        boot.console.announce("warning: this image's sshd will not let %s in: %s" % (profile.user, obstacle))
    return done


def grant_privilege(boot: Boot, profile: Profile) -> str:
    """The right to become root."""
    if not profile.user:
        return ""
    from ..guest import privilege

    return privilege.grant(boot.system, profile.user)


def set_password_login(boot: Boot, profile: Profile) -> str:
    """Whether sshd takes passwords. Off only after a key is on disk."""
    if profile.password_login is None or (not profile.password_login and not profile.ssh_keys):
        return ""
    from ..guest import sshd

    return sshd.set_password_login(boot.system, profile.password_login)


def keep_custom_data(boot: Boot, profile: Profile) -> str:
    """customData, from the DVD, which Azure takes away after Ready."""
    if profile.custom_data is None and profile.promises_custom_data and "custom_data_at" not in boot.state.facts:
        raise GuestError("failure to read customData while hasCustomData=true")
    return keep_data(boot, "custom_data", "customData", profile.custom_data)


def keep_user_data(boot: Boot, profile: Profile) -> str:
    """userData, from IMDS."""
    return keep_data(boot, "user_data", "userData", profile.user_data)


def keep_data(boot: Boot, option: str, name: str, data: "Optional[bytes]") -> str:
    """Keep the data for this VM, and run it if the options say so: at least once until its exit is recorded."""
    facts = boot.state.facts
    if data is None and option + "_at" not in facts:
        return ""
    from ..guest import custom_data

    done = "kept from an earlier boot"
    if data is not None:
        done = custom_data.save_data(boot.system, FOLDER + "/" + name, data)
        facts[option + "_at"] = timestamp(boot.system.time())
        boot.save()
    if getattr(boot.options, option) != "run" or not boot.system.live:
        return done
    if option + "_exit" not in facts:
        code, lines = custom_data.run_data(boot.system, FOLDER + "/" + name)
        for line in lines:
            boot.console.say("%s: %s" % (name, line))
        facts[option + "_exit"] = str(code)
        boot.save()
    if facts[option + "_exit"] != "0":
        raise GuestError("%s failed" % name, code=facts[option + "_exit"])
    return done + ", and run"


STEPS: "Tuple[Step, ...]" = (
    Step("hosts", set_hosts, fatal=False),
    Step("hostname", set_hostname, fatal=True),
    Step("grow_root", grow_root, fatal=False),
    Step("account", make_account, fatal=True),
    Step("password", set_password, fatal=True),
    Step("ssh_keys", authorize_keys, fatal=True),
    Step("sudo", grant_privilege, fatal=False),
    Step("password_login", set_password_login, fatal=False),
    Step("custom_data", keep_custom_data, fatal=True),
    Step("user_data", keep_user_data, fatal=True),
)


def take_steps(boot: Boot, profile: Profile) -> None:
    """Take all of them. Raises the failure of a fatal one."""
    for step in STEPS:
        if boot.options.wants(step.name):
            take(boot, step, profile)


def take(boot: Boot, step: Step, profile: Profile) -> None:
    """Take one step, if need be three times, and note for `status` how it went."""
    started = boot.system.monotonic()
    for left in reversed(range(TRIES if step.fatal else 1)):
        try:
            with limited(boot.system):
                done = step.take(boot, profile)
        except GuestError as error:
            if left:
                boot.console.warn("%s: %s; trying again" % (step.name, error))
                boot.system.sleep(PAUSE)
                continue
            boot.note_step(step.name, "failed" if step.fatal else "warning", started)
            if step.fatal:
                error.details["step"] = step.name
                raise
            boot.console.warn("%s: %s" % (step.name, error))
            return
        if done:
            boot.note_step(step.name, "ok", started)
            boot.console.say("%s: %s" % (step.name, done))
        return
