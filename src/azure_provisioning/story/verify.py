"""Verifies, before Ready, that the administrator can log in and become root: by effects, not by what was written.

A way to log in that is certainly shut, by sshd or by a plain fact of the files, is a failure only if no other is left.
"""

from ..door.budget import limited
from ..errors import GuestError
from ..records import Profile
from .boot import Boot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional

    from ..guest.login import Way

NOBODY = "nobody can log in"
OPTIONS = {"key": "ssh_keys", "password": "password"}  # the option that sets up each way


def verify(boot: Boot, profile: Profile, missing_password: str) -> None:
    """Remove what keeps the administrator out, if it is ours to change, then check. Raises GuestError, `nobody can log
    in`.

    `missing_password`: why there is no password, if Azure announced one.
    """
    started = boot.system.monotonic()
    boot.state.note_login({})
    if not boot.options.account or not (profile.user or profile.ssh_keys):
        return
    try:
        with limited(boot.system):
            ways = look(boot, profile)
            root = look_for_root(boot, profile) if boot.options.sudo and profile.user else None
    except GuestError as error:
        boot.note_step("login", "warning", started)
        boot.console.announce("warning: it cannot be determined who can log in: %s" % error)
        return
    ways = [excuse(boot, profile, way, missing_password) for way in ways]
    boot.state.note_login({way.name: str(way) for way in ways + ([root] if root else [])})
    try:
        warned = judge(boot, profile, ways)
    except GuestError:
        boot.note_step("login", "failed", started)
        raise
    warned = judge_root(boot, profile, ways, root) or warned
    boot.note_step("login", "warning" if warned else "ok", started)


def look(boot: Boot, profile: Profile) -> "List[Way]":
    """The ways to log in; empty without an SSH server. Raises GuestError."""
    from ..guest import login, sshd_options

    system, name = boot.system, profile.user
    if not name:
        return login.both("Azure names no administrator", works=None)  # a user's own disk may need none
    cleared = login.let_in(system, name)
    if cleared:
        boot.console.say("login: %s: %s" % (name, ", ".join(cleared)))
    ways, silent = login.find_ways(system, name, profile.ssh_keys if boot.options.ssh_keys else ())
    if silent and system.can_run:
        boot.console.announce(
            "warning: sshd does not report its settings for %s, so its files are read: %s" % (name, silent)
        )
    if ways and not sshd_options.are_known(system):
        boot.console.announce("warning: %s" % sshd_options.UNKNOWN)
    if not ways and not profile.ssh_keys and profile.password_login and not login.has_password(system, name):
        return login.both(login.LACKING, works=False)  # Azure announced one, and the serial console would accept it
    return ways


def look_for_root(boot: Boot, profile: Profile) -> "Way":
    """The way to become root. Raises GuestError."""
    from ..guest import login, privilege

    return login.Way("root", *privilege.find_right(boot.system, profile.user))


def excuse(boot: Boot, profile: Profile, way: "Way", missing_password: str) -> "Way":
    """The way with a better reason; if the options leave it to the image, it is not proven to be shut."""
    option = OPTIONS[way.name]
    if way.works:
        return way
    if not boot.options.wants(option):
        return way._replace(works=None, why="%s = no" % option)
    if way.name == "key" and not profile.ssh_keys:
        return way._replace(why="Azure gave none")
    if way.name == "password" and profile.password is None:
        return way._replace(why=missing_password or "Azure gave none")
    return way


def judge(boot: Boot, profile: Profile, ways: "List[Way]") -> bool:
    """Report the ways that are shut; returns whether that is a warning. Raises GuestError if no way is left."""
    name, console = profile.user or "the administrator", boot.console
    if not ways:
        console.say("login: no SSH server is in the image, so nothing is verified")
        return False
    asked = {"key": bool(profile.ssh_keys), "password": profile.password is not None}
    asked = {way: is_asked and boot.options.wants(OPTIONS[way]) for way, is_asked in asked.items()}
    works = [way.name for way in ways if way.works]
    shut = [way for way in ways if not way.works]
    if not works and all(way.works is False for way in ways) and boot.options.login == "require":
        raise GuestError(NOBODY, **{way.name: way.why for way in ways})
    failed = [way for way in shut if asked[way.name]] or ([] if works else shut)
    if failed and not works:
        whys = ["%s: %s" % (way.name, way.why) for way in failed]
        alone = {way.why for way in failed}
        console.announce(
            "warning: this image's sshd will not let %s in: %s"
            % (name, alone.pop() if len(alone) == 1 else "; ".join(whys))
        )
        return True
    for way in failed:
        console.announce("warning: %s cannot log in by %s: %s" % (name, way.name, way.why))
    console.say("login: %s by %s" % (name, " and ".join(works)))
    return bool(failed)


def judge_root(boot: Boot, profile: Profile, ways: "List[Way]", root: "Optional[Way]") -> bool:
    """Warn if the administrator cannot become root; returns whether it warned."""
    if root is None or root.works or (root.works is None and not boot.system.can_run):
        return False
    from ..guest.sudo_list import ASKS

    if root.why == ASKS and any(way.name == "password" and way.works for way in ways):
        return False  # there is a password to type
    doubt = "cannot become root" if root.works is False else "may not be able to become root"
    boot.console.announce("warning: %s %s: %s" % (profile.user, doubt, root.why))
    return True
