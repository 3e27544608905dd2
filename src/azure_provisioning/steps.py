"""What is applied, in order: each step changes one thing of the guest, may be repeated, and says what it did.

A step that is switched off in the options, or has nothing to do, is not taken. The failure of a fatal step is reported
to Azure; that of another is a warning.
"""

from typing import Callable, NamedTuple, Tuple

from .boot import Boot
from .errors import GuestError
from .guest import hostname, hosts
from .records import Profile

TRIES, PAUSE = 3, 2.0  # a fatal step may fail for a reason that passes, such as a lock; seconds between tries


class Step(NamedTuple):
    """`take` returns what it did, in words, or "" if there was nothing to do."""

    name: str
    take: Callable[[Boot, Profile], str]
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
    return hostname.set_name(boot.system, name)


STEPS: Tuple[Step, ...] = (
    Step("hosts", set_hosts, fatal=False),
    Step("hostname", set_hostname, fatal=True),
)


def take_steps(boot: Boot, profile: Profile) -> None:
    """Take all of them. Raises the failure of a fatal one."""
    for step in STEPS:
        if getattr(boot.options, step.name):
            take(boot, step, profile)


def take(boot: Boot, step: Step, profile: Profile) -> None:
    """Take one step, if need be three times, and note for `status` how it went."""
    started = boot.system.monotonic()
    for left in reversed(range(TRIES if step.fatal else 1)):
        try:
            done = step.take(boot, profile)
        except GuestError as error:
            if left:
                boot.console.warn("%s: %s; trying again" % (step.name, error))
                boot.system.sleep(PAUSE)
                continue
            boot.note_step(step.name, "failed" if step.fatal else "warning", started)
            if step.fatal:
                raise
            boot.console.warn("%s: %s" % (step.name, error))
            return
        if done:
            boot.note_step(step.name, "ok", started)
            boot.console.say("%s: %s" % (step.name, done))
        return
