"""The command line: verbs, each one function that returns its exit code."""

import signal
import sys
from importlib import import_module

from . import DIGEST
from .console import Console, may_colour, paint, printable
from .door.budget import USUAL, Budget
from .door.lock import wait_for_turn
from .door.programs import pass_over
from .door.system import System
from .door.text import lines_in
from .errors import ProvisionError, UsageError
from .story.boot import begin

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import List, Tuple

# The signals that end a command before its time: a person, a supervisor, a terminal that closes, a limit.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGXCPU)
# What the story loads of Python's library as it goes: found missing here, before anything was changed.
LIBRARY = ("binascii", "fcntl", "fnmatch", "hashlib", "pyexpat", "socket", "struct", "typing")


def main(argv: "List[str]") -> int:
    """Run the command line `argv` (without the program's name); returns the exit code."""
    console = Console()
    for name in ENDING:
        if signal.getsignal(name) != signal.SIG_IGN:  # nohup(1) has a hangup ignored
            signal.signal(name, interrupt)
    try:
        if argv in (["run"], ["run", "--detach"]):  # a boot, which should not pay for argparse
            return run(console, detach="--detach" in argv)
        from . import usage

        arguments = usage.parse(argv)
        return int(VERBS[arguments.verb](console, arguments))
    except ProvisionError as error:
        console.announce(explain(error))
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        later = {"run": "; the next boot goes on from here", "generalize": "; run it again to go on from here"}
        console.announce("interrupted" + later.get(argv[0] if argv else "", ""))
        return 130


def explain(error: ProvisionError) -> str:
    """What failed, and what to do if a boot may fail for the same reason, and nothing better is known."""
    from . import reasons

    known = reasons.find_row(error.reason, error.details) is not reasons.ANY and not error.advice
    return reasons.with_remedy(error) if known else str(error)


def interrupt(_number: int, _frame: object) -> None:
    """Have what was begun be taken back or cleaned up, and let no second signal cut that short: a terminal that closes
    sends one itself, and its shell another."""
    for name in ENDING:
        if signal.getsignal(name) != signal.SIG_IGN:
            signal.signal(name, pass_over)  # unlike SIG_IGN not inherited by what is started meanwhile
    raise KeyboardInterrupt


def bounded(root: str) -> System:
    """The guest at a root that a person named, which a verb may do so much work with, and no more."""
    from .image.root import open_root

    system = open_root(root)
    system.budget = Budget(USUAL)
    return system


def run(console: Console, *, detach: bool, force: bool = False) -> int:
    """The story of a boot (see story/provision.py)."""
    from .story.provision import provision

    console.serial = True
    boot = begin(System(), console, force=force)
    if boot is None:
        return 0
    for name in LIBRARY:
        import_module(name)
    return provision(boot, detach=detach)


def run_verb(console: Console, arguments: "argparse.Namespace") -> int:
    """`run`, as a person says it."""
    return run(console, detach=arguments.detach, force=arguments.force)


def install_verb(console: Console, arguments: "argparse.Namespace") -> int:
    """`install`: each touched path on stdout."""
    from .compiled import keep as compiled
    from .image import diskless
    from .image.install.install import declaration, install

    program = own_file()
    if not arguments.prefix.startswith("/"):
        raise UsageError("--prefix is an absolute path inside DIR", prefix=arguments.prefix)
    system = bounded(arguments.root)
    text = declaration(system, arguments.init)
    if text is not None:
        show(lines_in(text))
        console.say("nothing was written: this system is made from a declaration; add this to it")
        return 0
    from .init import table

    wait_for_turn(system, "install", console.say)
    name = install(
        system,
        console,
        program,
        prefix=arguments.prefix,
        init_name=arguments.init,
        every_boot=arguments.every_boot,
        python=arguments.python,
    )
    compiled.keep(system, console, program)
    show(system.touched)
    if not system.touched:
        console.say("installed for %s already" % name)
    left = table.left_to_do(system)
    for what in left:
        console.warn(what)
    if left:
        console.say("installed for %s: the next boot uses this up if that is done before" % name)
    else:
        console.say("installed for %s: %s" % (name, diskless.next_step(system)))
    return 0


def uninstall_verb(console: Console, arguments: "argparse.Namespace") -> int:
    """`uninstall`: each removed path on stdout."""
    from .image.install.install import uninstall

    system = bounded(arguments.root)
    wait_for_turn(system, "uninstall", console.say)
    left = uninstall(system)
    show(system.touched)
    for what in left:
        console.warn(what)
    console.say("uninstalled" if system.touched else "nothing was installed")
    return 0


def status_verb(_console: Console, arguments: "argparse.Namespace") -> int:
    """`status`."""
    from .image.root import open_root
    from .story import status

    system = open_root(arguments.root)
    if arguments.wait:
        status.wait_for_end(system)
    system.budget = Budget(USUAL)
    found = status.read_status(system)
    system.budget.settle()
    show(status.as_json(found).split("\n") if arguments.json else status.as_text(found))
    return 0


def generalize_verb(console: Console, arguments: "argparse.Namespace") -> int:
    """`generalize`: what it will do on stderr, each touched path on stdout."""
    from .image.generalize.generalize import generalize
    from .image.root import open_root

    system = open_root(arguments.root)
    try:
        generalize(
            system,
            console,
            lambda: None if arguments.yes else agree("Do all this to %s" % system.root),
            users=arguments.user,
            remove_agent=arguments.remove_agent,
            program=own_file() if DIGEST else b"",
        )
    finally:
        show(list(dict.fromkeys(system.touched)))  # some more than once
    return 0


def agree(question: str) -> None:
    """Ask the person at the terminal. Raises ProvisionError for no, and if nobody is there."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ProvisionError("nothing was done: there is no terminal to ask at", advice="--yes goes on without asking")
    sys.stderr.write(printable(question) + "? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise ProvisionError("nothing was done")


def check_verb(console: Console, arguments: "argparse.Namespace") -> int:
    """`check`: the findings on stdout."""
    from .image.check import check
    from .image.root import open_root

    findings = check.check(open_root(arguments.root))
    if arguments.json:
        show(check.as_json(findings).split("\n"))
    else:
        show(check.as_text(findings), check.COLOURS)
    console.say(check.summary(findings))
    return 1 if check.would_fail(findings) else 0


def report_verb(console: Console, arguments: "argparse.Namespace") -> int:
    """`report ready` and `report failure`: for people who configure the machine by other means."""
    from .azure.description import describe_failure
    from .story.boot import Boot
    from .story.provision import remember
    from .story.report import report

    system = System()
    wait_for_turn(system, "report", console.say)
    boot = Boot(system, console)
    if not boot.on_azure:
        raise ProvisionError("not on Azure, nobody to report to (%s)" % boot.told_by)
    if arguments.outcome == "failure":
        report(boot, describe_failure(ProvisionError(arguments.reason), boot.azure_id, boot.system.time()), boot.ends)
    else:
        report(boot, "", boot.ends)
        remember(boot, "ready_at")
    return 0


def rehearse_verb(console: Console, arguments: "argparse.Namespace") -> int:
    """`rehearse`: the story on stderr; requests and diff on stdout."""
    from .image.rehearse.faults import FAULTS, describe_faults
    from .image.rehearse.rehearse import become_root, rehearse
    from .image.root import open_root

    if "list" in arguments.fault:
        show(describe_faults())
        return 0
    unknown = [name for name in arguments.fault if name not in FAULTS]
    if unknown:
        raise UsageError("no such fault", advice="`rehearse --fault list` prints the names", fault=unknown[0])
    program = own_file()
    if arguments.root is not None:
        open_root(arguments.root)
        become_root(own_path(), sys.argv[1:])
    code, lines = rehearse(program, console, tuple(arguments.fault), arguments.root)
    show(lines, (("+", "32"), ("-", "31"), ("@@", "36")))  # green, red, cyan
    return code


VERBS = {
    "run": run_verb,
    "install": install_verb,
    "uninstall": uninstall_verb,
    "status": status_verb,
    "generalize": generalize_verb,
    "check": check_verb,
    "report": report_verb,
    "rehearse": rehearse_verb,
}


def show(lines: "List[str]", colours: "Tuple[Tuple[str, str], ...]" = ()) -> None:
    """The lines that were asked for, on stdout, whatever encoding that has. Raises ProvisionError.

    What is in them is mostly not ours: each stays one line, and drives no terminal. Tabs stay. A reader that has gone,
    such as `head`, has what it wanted.
    """
    colours = colours if may_colour(sys.stdout) else ()
    try:
        for line in lines:
            plain = "\t".join(map(printable, line.split("\t"))).encode("ascii", "backslashreplace").decode("ascii")
            sys.stdout.write(paint(plain, colours) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        return
    except OSError as error:
        raise ProvisionError("failure to write to stdout", error=error.strerror) from error


def own_file() -> bytes:
    """The bytes of the file that this runs from. Raises ProvisionError if they are damaged: no image gets those."""
    from .image.whole import find_damage

    path = own_path()
    with open(path, "rb") as file:
        program = file.read()
    damage = find_damage(program)
    if damage:
        raise ProvisionError("nothing was done with this file: %s" % damage, advice="get the file anew", path=path)
    return program


def own_path() -> str:
    """Where on this machine the file is that this runs from. Raises ProvisionError for a checkout."""
    archive = getattr(__loader__, "archive", None)  # type: ignore[name-defined] # set by zipimport
    if archive is None:
        raise ProvisionError(
            "only the built file can install itself", advice="run build_zipapp.py, then dist/azure-provisioning"
        )
    return str(archive)
