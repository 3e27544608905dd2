"""The failures that the program expects. Anything else that is raised is a bug and ends with a traceback."""

TYPE_CHECKING = False  # here and in every module of a Ready VM's boot: `typing` alone would cost it 8 ms
if TYPE_CHECKING:
    from typing import Optional


class ProvisionError(Exception):
    """An expected failure.

    `reason` is a stable, lower-case phrase without a full stop: Azure, the console and `status` show it.
    `details` are the nouns and values of this one case. `advice` is what a person can do about it, or what a program of
    theirs said: the console and the log show it, and no file that everybody may read.
    """

    def __init__(self, reason: str, advice: str = "", **details: object) -> None:
        super().__init__(reason)
        self.reason = reason
        self.advice = advice
        self.details = {key: str(value) for key, value in details.items()}

    def without_advice(self) -> str:
        """The reason and its details, without the advice: what a file that everybody may read can hold."""
        details = ", ".join("%s=%s" % item for item in self.details.items())
        return "%s (%s)" % (self.reason, details) if details else self.reason

    def __str__(self) -> str:
        return "%s: %s" % (self.without_advice(), self.advice) if self.advice else self.without_advice()


class UsageError(ProvisionError):
    """The command line asks for something that does not exist: exit code 2."""


class Unreachable(ProvisionError):
    """Nobody answered: no route, refused, reset, or too slow. Worth another try."""


class BadReply(ProvisionError):
    """Somebody answered, but not usefully. Worth another try, after `retry_after` seconds if that is known.

    `said` is how the answer begins, which may be anybody's: for the log alone.
    """

    def __init__(self, reason: str, retry_after: "Optional[float]" = None, said: str = "", **details: object) -> None:
        super().__init__(reason, "", **details)
        self.retry_after = retry_after
        self.said = said


class GuestError(ProvisionError):
    """A file of the guest could not be read or written, or one of its commands failed."""


class SpentError(GuestError):
    """A program that runs once has failed: no later boot runs it again."""


class LoopError(GuestError):
    """Symlinks lead to one another for ever: whoever only wants to know what is there finds nothing."""


class LastingError(GuestError):
    """A failure that comes again however often it is tried: a value that is refused, a program's exit code."""
