"""Why a boot is still waiting, for people: said once for each new reason, and every 30 s on the console."""

from ..errors import BadReply, ProvisionError
from .boot import Boot

NOTICE_SECONDS = 30.0


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
            said = error.said if isinstance(error, BadReply) else ""
            self.boot.console.say("waiting for %s: %s%s" % (self.awaited, error, " and said: " + said if said else ""))
        self.reason = str(error)
