"""Waits for the network, and fetches what Azure has about this VM: from IMDS and from the provisioning DVD."""

from ..azure import imds
from ..azure.transport import LONGEST_PAUSE, Peer, persist, reach
from ..config import Options
from ..errors import BadReply, GuestError, ProvisionError, Unreachable
from ..records import Instance
from .boot import Boot
from .patience import Patience
from .report import wireservers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional, Tuple

    from ..azure.ovf import Media

FETCH_SECONDS = 300.0  # for a usable answer from IMDS, after the network is up
MEDIA_SECONDS = 60.0  # for the DVD to appear, if only the DVD has something that is needed


def imds_peer(boot: Boot) -> Peer:
    """IMDS, at the address in the options."""
    return Peer("IMDS", *boot.options.imds)


def wait_for_azure(boot: Boot) -> None:
    """Return as soon as IMDS or the WireServer accepts a connection.

    Raises Unreachable at the time limit. No init system has a target that means "there is a lease", so we try.
    """
    system, started = boot.system, boot.system.monotonic()
    missing = Unreachable("no answer from Azure")

    def knock(_seconds: float) -> None:
        for peer in [imds_peer(boot), *wireservers(boot)]:
            left = boot.report_from - system.monotonic()
            if left <= 0:
                break
            try:
                return reach(system, peer, left)
            except Unreachable as error:
                missing.details.update(error.details)
        from ..door.network import describe_network  # most boots do not need it

        network = describe_network(system)
        if network:
            missing.details["network"] = network
        raise missing

    try:
        persist(system, knock, boot.report_from, Patience(boot, "the network"))
    except Unreachable:
        boot.note_step("wait", "failed", started)
        missing.details["seconds"] = str(int(system.monotonic() - boot.started))
        raise
    boot.note_step("wait", "ok", started)


def fetch(boot: Boot) -> "Tuple[Instance, Optional[Media]]":
    """The facts from IMDS and the DVD; one of the two is enough. Raises IMDS's last error if there is neither."""
    system, started = boot.system, boot.system.monotonic()
    until = min(started + min(FETCH_SECONDS, boot.options.deadline / 3), boot.report_from)
    notice = Patience(boot, "IMDS")

    def ask(seconds: float) -> Instance:
        return imds.fetch_instance(system, imds_peer(boot), seconds, notice)

    try:
        instance = persist(system, ask, until, notice)
    except (Unreachable, BadReply) as error:
        dvd = read_dvd(boot)
        if dvd is None:
            boot.note_step("fetch", "failed", started)
            raise
        note_proxy_agent(boot, dvd)
        name_proxy_agent(boot, error)
        boot.console.warn("%s; using the provisioning DVD only" % error)
        instance = Instance.from_json({"compute": {"name": dvd.hostname}})
    else:
        dvd = read_dvd(boot) if is_dvd_needed(boot.options, instance) else None
    began = system.monotonic()
    until = min(began + MEDIA_SECONDS, boot.report_from)
    is_left_alone = boot.state.is_of_former_vm and not instance.has_profile  # a VM made from a specialised disk
    while dvd is None and is_dvd_awaited(boot.options, instance) and system.live and not is_left_alone:
        if system.monotonic() >= until:
            what = "the password or the customData" if instance.user else "the administrator"
            boot.console.warn("no DVD in %d s, and %s is on it" % (until - began, what))
            break
        system.sleep(LONGEST_PAUSE)
        dvd = read_dvd(boot, quiet=True)
    boot.note_step("fetch", "ok", started)
    note_proxy_agent(boot, dvd)
    return instance, dvd


def name_proxy_agent(boot: Boot, error: ProvisionError) -> None:
    """Add to a 401 or 403 that the DVD announces a proxy agent, which should have signed our requests."""
    if error.details.get("http_code") not in ("401", "403"):
        return
    if not boot.state.awaits_proxy_agent:
        dvd = read_dvd(boot, quiet=True)
        note_proxy_agent(boot, dvd)
    if boot.state.awaits_proxy_agent:
        error.details["ProvisionGuestProxyAgent"] = "true"


def note_proxy_agent(boot: Boot, dvd: "Optional[Media]") -> None:
    """Record that the DVD announces a proxy agent: at a later boot the DVD is gone."""
    if dvd is not None and dvd.proxy_agent:
        boot.state.note_proxy_agent()


def is_dvd_needed(options: Options, instance: Instance) -> bool:
    """Can the DVD have something that an option needs, or that IMDS did not report? If not, it is not mounted."""
    wanted = options.wants("account", "password", "ssh_keys", "password_login", "custom_data")
    return wanted or not instance.computer_name or instance.pool is None


def is_dvd_awaited(options: Options, instance: Instance) -> bool:
    """Does an option need something that Azure announced and only the DVD has?"""
    user = options.wants("account") and not instance.user
    password = options.wants("password") and instance.password_login is True
    return user or password or (options.wants("custom_data") and instance.promises_custom_data)


def read_dvd(boot: Boot, *, quiet: bool = False) -> "Optional[Media]":
    """The DVD's content or None; logs a line that says where it was read, or why there is none."""
    from ..azure import media  # not loaded if nothing on it is needed

    try:
        dvd, why = media.read_media(boot.system)
    except (BadReply, GuestError) as error:
        dvd, why = None, str(error)
    if not quiet:
        boot.console.say("DVD: read from %s" % why if dvd else "no provisioning DVD (%s); using IMDS only" % why)
    for problem in dvd.problems if dvd else ():
        boot.console.warn("DVD: %s" % problem)
    return dvd
