"""The errors that the program expects. Any other exception is a bug and ends with a traceback."""

TYPE_CHECKING = False  # as in every module of a settled boot: loading `typing` would cost 8 ms
if TYPE_CHECKING:
    from typing import Optional


class ProvisionError(Exception):
    """An expected failure.

    `reason` is a stable, lower-case phrase without a full stop: Azure, the console and `status` show it. `details` are
    the names and values of this case. `advice` is a remedy, or the output of a user's program: the console and the log
    show it, but no file that everybody may read has it.
    """

    def __init__(self, reason: str, advice: str = "", **details: object) -> None:
        super().__init__(reason)
        self.reason = reason
        self.advice = advice
        self.details = {key: str(value) for key, value in details.items()}

    def without_advice(self) -> str:
        """The reason and its details without the advice, for a file that everybody may read."""
        details = ", ".join("%s=%s" % item for item in self.details.items())
        return "%s (%s)" % (self.reason, details) if details else self.reason

    def __str__(self) -> str:
        return "%s: %s" % (self.without_advice(), self.advice) if self.advice else self.without_advice()


class UsageError(ProvisionError):
    """The command line asks for something that does not exist: exit code 2."""


class Unreachable(ProvisionError):
    """No answer: no route, refused, reset, or too slow. Worth another try."""


class BadReply(ProvisionError):
    """An answer that cannot be used. Worth another try, after `retry_after` seconds if known.

    `said` is the start of the answer, from an unknown sender: only for the log.
    """

    def __init__(self, reason: str, retry_after: "Optional[float]" = None, said: str = "", **details: object) -> None:
        super().__init__(reason, "", **details)
        self.retry_after = retry_after
        self.said = said


class GuestError(ProvisionError):
    """A file of the guest could not be read or written, or one of its commands failed."""


class SpentError(GuestError):
    """A program that runs only once has failed: no later boot runs it again."""


class LoopError(GuestError):
    """A loop of symlinks: code that only checks for a file treats it as missing."""


class LastingError(GuestError):
    """A failure that a retry does not help: an invalid value, or a program's exit code."""
