"""Messages about why a boot is still waiting: one for each new reason, and one every 30 s on the console."""

from ..errors import BadReply, GuestError, ProvisionError
from .boot import Boot

NOTICE_SECONDS = 30.0


class Patience:
    """Logs why the boot is still waiting: each new reason once, and a line on the console every 30 s."""

    def __init__(self, boot: Boot, awaited: str) -> None:
        self.boot = boot
        self.awaited = awaited
        self.since = self.last = boot.system.monotonic()
        self.reason = ""

    def __call__(self, error: ProvisionError) -> None:
        """Called for each failed try."""
        now = self.boot.system.monotonic()
        if now - self.last >= NOTICE_SECONDS:
            self.last = now
            words = (self.awaited, now - self.since, error, self.way())
            self.boot.console.announce("still waiting for %s after %d s: %s%s" % words)
        elif str(error) != self.reason:
            said = error.said if isinstance(error, BadReply) else ""
            said = self.way() + (" and said: " + said if said else "")
            self.boot.console.say("waiting for %s: %s%s" % (self.awaited, error, said))
        self.reason = str(error)

    def way(self) -> str:
        """The network card in use, if there are several: Azure answers only on the first card of a VM."""
        from ..door.routes import card_to, read_routes

        system = self.boot.system
        try:
            if len({route.card for route in read_routes(system)}) < 2:
                return ""
            address = (self.boot.options.imds if self.awaited == "IMDS" else self.boot.options.wireserver)[0]
            return " (%s goes over %s)" % (address, card_to(system, address) or "no card")
        except GuestError:
            return ""
