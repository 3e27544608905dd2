"""The command line, and what ends a command early. A boot takes only this and story/run.py."""

import errno
import os
import signal

from . import BOOT_HOOK
from .console import Console
from .door.programs import pass_over
from .errors import ProvisionError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List

# The signals that end a command early: from a person, a supervisor, a closing terminal, a limit.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGXCPU)


def main(argv: "List[str]") -> int:
    """Run the command line `argv` (without the program's name); returns the exit code."""
    console = Console()
    for name in ENDING:
        if signal.getsignal(name) != signal.SIG_IGN:  # nohup(1) has a hangup ignored
            signal.signal(name, interrupt)
    root = "/"
    try:
        if argv in BOOT_HOOK:  # a boot, which does not need argparse
            from .story.run import run

            return run(console, detach="--detach" in argv)
        from . import usage, verbs

        arguments = usage.parse(argv)
        console.quiet, console.verbose = arguments.quiet, arguments.verbose
        root = getattr(arguments, "root", None) or "/"
        return int(verbs.VERBS[arguments.verb](console, arguments))
    except ProvisionError as error:
        name_host_path(error, root, argv)
        console.announce(explain(error))
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        later = {"run": "; the next boot continues", "generalize": "; run it again to continue"}
        console.announce("interrupted" + later.get(argv[0] if argv else "", ""))
        return 130


def explain(error: ProvisionError) -> str:
    """The error, with the remedy from the table if it has one and the error has no advice of its own."""
    from . import reasons

    known = reasons.find_row(error.reason, error.details) is not reasons.ANY and not error.advice
    return reasons.with_remedy(error) if known else str(error)


def name_host_path(error: ProvisionError, root: str, argv: "List[str]") -> None:
    """For an unprivileged user, add the path on the host to the error, and the command that has the right."""
    path, refused = error.details.get("path", ""), [os.strerror(number) for number in (errno.EACCES, errno.EPERM)]
    if os.geteuid() != 0 and error.details.get("error") in refused and path.startswith("/"):
        error.details["path"] = os.path.realpath(root).rstrip("/") + path
        from .image.command import Command, called

        error.advice = error.advice or "repeat it as root, or as the owner: %s" % Command("sudo", called(), *argv)


def interrupt(_number: int, _frame: object) -> None:
    """Have the work undone or cleaned up, and ignore a second signal meanwhile: a closing terminal sends one itself,
    and its shell another."""
    for name in ENDING:
        if signal.getsignal(name) != signal.SIG_IGN:
            signal.signal(name, pass_over)  # unlike SIG_IGN, programs that we start do not inherit it
    raise KeyboardInterrupt
