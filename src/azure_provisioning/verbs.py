"""One function for each verb of the command line, which returns the exit code."""

import sys

from . import DIGEST
from .console import Console, printable
from .door.budget import USUAL, Budget
from .door.lock import wait_for_turn
from .door.system import System
from .door.text import lines_in
from .errors import ProvisionError, UsageError
from .output import show, width_of, write_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def bounded(root: str) -> System:
    """The guest at a root given by the user, with the usual limit on work."""
    from .image.root import open_root

    system = open_root(root)
    system.budget = Budget(USUAL)
    return system


def run_verb(console: Console, arguments: "argparse.Namespace") -> int:
    """`run` with the options on the command line."""
    from .story.run import run

    return run(console, detach=arguments.detach, force=arguments.force)


def install_verb(console: Console, arguments: "argparse.Namespace") -> int:
    """`install`: prints each changed path on stdout."""
    from .compiled import keep as compiled
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
    show(list(dict.fromkeys(system.touched)))
    if not system.touched:
        console.say("installed for %s already" % name)
    left = table.left_to_do(system)
    for what in left:
        console.warn(what)
    say_next(console, system, name, unfinished=bool(left))
    return 0


def say_next(console: Console, system: System, name: str, *, unfinished: bool) -> None:
    """Print what to do after `install`: on the machine that becomes the image, or for an image."""
    from .image import diskless
    from .image.command import Command, own

    root, before = system.root, "what the warning says; " if unfinished else ""
    if root == "/":
        console.say("Installed for %s." % name)
        steps = before, own("check"), own("generalize"), diskless.first(system)
        console.say("Next: %s%s; %s; %sthen power off and capture this machine." % steps)
        return
    option = ["--root", root]
    console.say("Installed for %s in %s." % (name, Command(root)))
    console.say("Next: %s%s; %s; then unmount it." % (before, own("check", *option), own("rehearse", *option)))


def uninstall_verb(console: Console, arguments: "argparse.Namespace") -> int:
    """`uninstall`: prints each removed path on stdout."""
    from .image.install.install import uninstall

    system = bounded(arguments.root)
    wait_for_turn(system, "uninstall", console.say)
    left = uninstall(system)
    show(system.touched)
    for what in left:
        console.warn(what)
    console.say("uninstalled" if system.touched else "nothing was installed")
    return 0


def status_verb(console: Console, arguments: "argparse.Namespace") -> int:
    """`status`; with --wait the exit code shows how it ended."""
    from .image.root import open_root
    from .story import status

    system = open_root(arguments.root)
    if arguments.wait:
        status.wait_for_end(system)
    system.budget = Budget(USUAL)
    found = status.read_status(system)
    system.budget.settle()
    if arguments.svg:
        write_file(arguments.svg, status.as_svg(found).encode("ascii"))
        console.say("the timeline is in %s" % arguments.svg)
    show(status.as_json(found).split("\n") if arguments.json else status.as_text(found, status.explain_unknown(system)))
    if not arguments.wait:
        return 0
    if not found["azure"] and found["state"] in ("running", "waiting"):  # an image has no firmware
        console.warn("did not wait: nothing shows that this is a VM on Azure")
        return 2
    if found["state"] in ("running", "waiting"):
        console.warn("Azure did not accept Ready in the time that a boot may take")
    return status.exit_code(str(found["state"]))


def generalize_verb(console: Console, arguments: "argparse.Namespace") -> int:
    """`generalize`: prints the plan on stderr, and each changed path on stdout."""
    from .image.generalize.generalize import generalize
    from .image.root import open_root

    system = open_root(arguments.root)
    ask = None if arguments.dry_run else lambda: None if arguments.yes else agree("Do all this to %s" % system.root)
    todo = []
    try:
        todo = generalize(
            system,
            console,
            ask,
            users=arguments.user,
            remove_agent=arguments.remove_agent,
            poweroff=arguments.poweroff,
            program=own_file() if DIGEST else b"",
        )
    finally:
        show(todo or list(dict.fromkeys(system.touched)))  # without duplicates
    if arguments.poweroff and not arguments.dry_run:
        console.say("powering off")
        system.power_off()
    return 0


def agree(question: str) -> None:
    """Ask the user at the terminal. Raises ProvisionError for no, and without a terminal."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ProvisionError("nothing was done: there is no terminal to ask at", advice="--yes goes on without asking")
    sys.stderr.write(printable(question) + "? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise ProvisionError("nothing was done")


def check_verb(console: Console, arguments: "argparse.Namespace") -> int:
    """`check`: prints the findings on stdout."""
    from .image.check import check
    from .image.root import open_root

    findings = check.check(open_root(arguments.root))
    if arguments.json:
        show(check.as_json(findings).split("\n"))
    else:
        show(
            check.as_text(findings, width_of(sys.stdout), everything=arguments.all or arguments.verbose), check.COLOURS
        )
    console.say(check.summary(findings))
    return 1 if check.would_fail(findings) else 0


def report_verb(console: Console, arguments: "argparse.Namespace") -> int:
    """`report ready` and `report failure`: for people who configure the machine by other means."""
    from .azure.description import describe_failure
    from .records import SUCCESS, Outcome
    from .story.boot import Boot
    from .story.provision import remember
    from .story.report import report
    from .story.run import must_be_root

    system = System()
    must_be_root(system, "report for this VM")
    wait_for_turn(system, "report", console.say)
    boot = Boot(system, console)
    if not boot.on_azure:
        raise ProvisionError("not on Azure, so there is nothing to report to (%s)" % boot.evidence)
    if arguments.outcome == "failure":
        line = describe_failure(ProvisionError(arguments.reason), boot.azure_id, boot.system.time())
        report(boot, Outcome(line), boot.ends)
    else:
        report(boot, SUCCESS, boot.ends)
        remember(boot, "ready_at")
    return 0


def rehearse_verb(console: Console, arguments: "argparse.Namespace") -> int:
    """`rehearse`: prints the story on stderr, requests and diff on stdout."""
    from .image.rehearse.case import read_case
    from .image.rehearse.faults import FAULTS, describe_faults
    from .image.rehearse.rehearse import become_root, rehearse
    from .image.root import open_root
    from .story.timeline import as_svg

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
    case = read_case(arguments)
    done = rehearse(program, console, tuple(arguments.fault), arguments.root, case)
    if arguments.svg:
        picture = as_svg(arguments.root or "an image of its own", done.spans(), [done.verdict.text])
        write_file(arguments.svg, picture.encode("ascii"))
    if arguments.diff:
        write_file(arguments.diff, "".join(line + "\n" for line in done.changes).encode("utf-8", "surrogateescape"))
    show(done.lines(with_diff=not (arguments.no_diff or arguments.diff)), (("+", "32"), ("-", "31"), ("@@", "36")))
    return done.verdict.code


def collect_verb(console: Console, arguments: "argparse.Namespace") -> int:
    """`collect`: writes a file for a bug report."""
    from .image.collect import collect
    from .image.root import open_root

    lines = collect(open_root(arguments.root))
    write_file(arguments.output, "".join(line + "\n" for line in lines).encode("ascii", "backslashreplace"), own=True)
    console.say("%s: look through it before you attach it to a report" % arguments.output)
    return 0


def help_verb(_console: Console, arguments: "argparse.Namespace") -> int:
    """`help`: prints the manual of the program, of a verb, or of a topic."""
    from . import topics, usage

    words = " ".join(arguments.topic)
    lines = lines_in(usage.help_text(words)) if usage.chosen(words) else []
    if words in usage.TOPICS:  # `status` is both
        lines += [""] * bool(lines) + topics.topic(words, width_of(sys.stdout))
    show(lines)
    if not lines:
        names = [verb.name for verb in usage.VERBS] + list(usage.TOPICS)
        raise UsageError("there is no help on %r%s" % (words, usage.nearest(words, names)))
    return 0


def version_verb(_console: Console, _arguments: "argparse.Namespace") -> int:
    """`version`."""
    from .usage import version

    show([version()])
    return 0


VERBS = {
    "run": run_verb,
    "install": install_verb,
    "uninstall": uninstall_verb,
    "status": status_verb,
    "generalize": generalize_verb,
    "check": check_verb,
    "report": report_verb,
    "rehearse": rehearse_verb,
    "collect": collect_verb,
    "help": help_verb,
    "version": version_verb,
}


def own_file() -> bytes:
    """The content of the running file. Raises ProvisionError if it is damaged: no image may get it then."""
    from .image.whole import find_damage

    path = own_path()
    with open(path, "rb") as file:
        program = file.read()
    damage = find_damage(program)
    if damage:
        raise ProvisionError("nothing was done with this file: %s" % damage, advice="get the file again", path=path)
    return program


def own_path() -> str:
    """The path on the host of the running file. Raises ProvisionError for a checkout."""
    archive = getattr(__loader__, "archive", None)  # type: ignore[name-defined] # set by zipimport
    if archive is None:
        raise ProvisionError(
            "only the built file can install itself", advice="run build_zipapp.py, then dist/azure-provisioning"
        )
    return str(archive)
