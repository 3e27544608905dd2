"""The command line: one table, from which `--help`, the man page and the shell completion are generated.

The texts are our own, not argparse's, which differ between Pythons.
"""

import argparse
import sys
import textwrap
from contextlib import suppress
from typing import TYPE_CHECKING, Any, List, NamedTuple, Tuple

from . import __version__
from .console import printable
from .init.table import NAMES

if TYPE_CHECKING:
    from typing import NoReturn

PROGRAM = "azure-provisioning"
ABOUT = "Brings a Linux VM up on Azure without an agent."
WIDTH = 79  # columns of the help
TOPICS = ("options", "reasons", "checks", "files", "status")  # of `help`, besides the verbs


class Option(NamedTuple):
    """One option of a verb."""

    name: str  # "--root"
    says: str
    value: str = ""  # the name of its value: "DIR"; empty for a switch
    default: str = ""
    words: Tuple[str, ...] = ()  # the allowed values, if they are few
    needed: bool = False
    repeated: bool = False

    @property
    def head(self) -> str:
        """The option with its value: `--root DIR`."""
        return "%s %s" % (self.name, self.value) if self.value else self.name


class Verb(NamedTuple):
    """One row of the table; `verbs.VERBS` has its function, under the first word of `name`."""

    name: str  # "install"; "report ready" for one of several forms of `report`
    says: str  # the description, on one line
    options: Tuple[Option, ...]
    examples: Tuple[Tuple[str, str], ...]  # (the arguments, their effect)
    words: Tuple[str, ...] = ()  # the names of other arguments, any number of each


ROOT = Option("--root", "work on the image that is mounted at DIR; nothing in it is executed", "DIR", "/")

SVG = Option("--svg", "also write the timeline into FILE, as a picture", "FILE")

VERBS = (
    Verb(
        "run",
        "what the boot hook calls: set this VM up, report Ready, leave the boot",
        (
            Option("--detach", "return after the local part; a child waits for Azure"),
            Option("--force", "run even if this is not Azure, or the VM is set up already"),
        ),
        (("run", "at a boot; it does nothing outside Azure"),),
    ),
    Verb(
        "install",
        "copy this file into an image and have its next boot run it",
        (
            ROOT,
            Option("--prefix", "the file goes to PREFIX/sbin", "PREFIX", "/usr/local"),
            Option("--init", "the init system, if the detected one is wrong", "NAME", words=NAMES),
            Option("--every-boot", "keep the hook: images of this VM work at once"),
            Option("--python", "the interpreter's path inside DIR", "PATH"),
        ),
        (
            ("install", "on the machine that becomes the image: its next boot is the first boot"),
            ("install --root /mnt/image", "into an image that is mounted there"),
        ),
    ),
    Verb(
        "uninstall",
        "remove what install added; options and log stay",
        (ROOT,),
        (("uninstall --root /mnt/image", "the image is as it was before install"),),
    ),
    Verb(
        "generalize",
        "turn the machine into an image: remove its identity, and make the next boot a first boot",
        (
            ROOT,
            Option("--user", "also remove this account, with its home", "NAME", repeated=True),
            Option("--remove-agent", "also remove other agents, such as waagent and cloud-init"),
            Option("--poweroff", "then switch the machine off at once, before anything is written again"),
            Option("--dry-run", "only show what would be done"),
            Option("--yes", "do not ask"),
        ),
        (
            ("generalize", "shows what it will do, and asks; without a terminal it only shows"),
            ("generalize --user ann --poweroff", "on the machine itself, as ann, whose account is removed"),
            ("generalize --root /mnt/image --user ann --yes", "on a mounted image, without asking"),
        ),
    ),
    Verb(
        "check",
        "report whether a VM from this image would come up, and what is missing",
        (ROOT, Option("--all", "also list what is fine"), Option("--json", "for scripts")),
        (("check --root /mnt/image", "each problem, with its remedy; exit code 1 if it would not"),),
    ),
    Verb(
        "rehearse",
        "rehearse a first boot, with an Azure inside this command",
        (
            Option("--root", "the image at DIR, which is only read; without it, a small built-in one", "DIR"),
            Option("--fault", "a fault; `list` prints the names", "NAME", repeated=True),
            Option("--user", "the administrator's name", "NAME"),
            Option("--ssh-key", "the administrator's public keys, one on each line", "FILE", repeated=True),
            Option("--password-login", "a VM that is created with a password"),
            Option("--computer-name", "the VM's name", "NAME"),
            Option("--custom-data", "customData, as `az vm create` takes it", "FILE"),
            Option("--user-data", "userData, likewise", "FILE"),
            Option("--dvd", "an ovf-env.xml: the content of the provisioning DVD", "FILE"),
            Option("--no-diff", "do not show what would change"),
            Option("--diff", "write what would change into FILE", "FILE"),
            SVG,
        ),
        (
            ("rehearse --root /mnt/image", "requests, changes and a verdict; exit code 1 if a VM would fail"),
            ("rehearse --fault imds-silent --fault report-stale", "with faults"),
        ),
    ),
    Verb(
        "status",
        "show the state of this machine",
        (
            ROOT,
            Option("--json", "for scripts"),
            Option("--wait", "return when Azure accepted Ready (0), this boot failed (1) or will not report (2)"),
            SVG,
        ),
        (("status --wait", "in a login script: returns when the machine is set up"),),
    ),
    Verb(
        "collect",
        "collect the data for a bug report in one file: log, state, options, hook, findings; no secret",
        (ROOT, Option("--output", "the file, which only you may read", "FILE", "azure-provisioning-report.txt")),
        (("collect --root /mnt/disk", "from the disk of a VM that failed"),),
    ),
    Verb(
        "report ready",
        "only report that this VM is ready, and record it",
        (),
        (("report ready", "if you set the machine up by other means"),),
    ),
    Verb(
        "report failure",
        "only report that provisioning failed",
        (Option("--reason", "what the portal shows", "TEXT", needed=True),),
        (("report failure --reason 'no licence'", "the creation of the VM fails, with these words"),),
    ),
    Verb(
        "help",
        "the manual: of a VERB, or one of the topics: " + " ".join(TOPICS),
        (),
        (("help check", "as `check --help`"), ("help options", "all keys of /etc/azure-provisioning.conf")),
        ("TOPIC",),
    ),
    Verb("version", "which release this is", (), (("version", "as --version and -V"),)),
)

QUIET = ("-q, --quiet", "only warnings and errors on stderr")
VERBOSE = ("-v, --verbose", "all findings, and the time before each line")
# The options without a verb, and after one.
COMMON = (
    (
        ("-h, --help", "this text; after a verb: more about it"),
        QUIET,
        VERBOSE,
        ("-V, --version", "which release this is"),
    ),
    (("-h, --help", "this text"), QUIET, VERBOSE),
)

EXITS = (
    (0, "done, or nothing to do (also: not on Azure)"),
    (1, "an expected failure, or one that `check` or `rehearse` foresees; one line says what, and what to do"),
    (2, "usage error, or --root names no image; `status --wait`: no boot will report from here"),
    (3, "a bug; the traceback is on stderr"),
    (130, "interrupted"),
)


def parse(argv: List[str]) -> argparse.Namespace:
    """The parsed arguments; `verb` selects the function. Exits with 2 for a usage error."""
    top = parser()
    firsts = list(dict.fromkeys(verb.name.partition(" ")[0] for verb in VERBS))
    known = [name for names, _ in COMMON[0] for name in names.split(", ")]
    first = next((word for word in argv if word not in known), None)
    if first is not None and first not in firsts:
        if first.startswith("-"):
            top.error("no verb before %s%s" % (first, nearest(first, known)))
        top.error("there is no verb %r%s" % (first, nearest(first, firsts)))
    found, rest = top.parse_known_args(argv)
    if rest:
        name = " ".join(filter(None, (found.verb, getattr(found, "outcome", None))))
        Whole(prog="%s %s" % (PROGRAM, name)).error(explain_rest(chosen(name)[0], rest[0]))
    return found


def explain_rest(verb: Verb, text: str) -> str:
    """Why an argument is not valid, with a suggestion."""
    if text.startswith("-"):
        options = [option.name for option in verb.options] + ["--help", "--quiet", "--verbose"]
        return "%s has no option %s%s" % (verb.name, text, nearest(text.partition("=")[0], options))
    if ROOT in verb.options:
        return "%r is not an option; name an image by --root %s" % (text, text)
    return "%s takes no argument: %r" % (verb.name, text)


def nearest(text: str, known: List[str]) -> str:
    """`; did you mean X?` for a word that is similar to a known one; else empty."""
    from difflib import get_close_matches

    found = get_close_matches(text, known, 1)
    return "; did you mean %s?" % found[0] if found else ""


class Whole(argparse.ArgumentParser):
    """A parser without abbreviated options: a later release could give an abbreviation another meaning."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> "NoReturn":
        """As in argparse: usage and message on stderr, exit code 2. The message may quote an argument."""
        super().error(printable(message))

    def format_help(self) -> str:
        """The text of `--help`."""
        return help_text(self.prog[len(PROGRAM) + 1 :])

    def _print_message(self, message: str, file: Any = None) -> None:
        """Ignore write errors: those of stdout are found at the final flush, those of stderr cannot be reported."""
        with suppress(OSError):
            (file or sys.stderr).write(message)

    def format_usage(self) -> str:
        """The usage before an error message."""
        return synopsis(self.prog[len(PROGRAM) + 1 :])


def parser() -> Whole:
    """The parser, with a sub-command for each verb."""
    top = Whole(prog=PROGRAM)
    top.add_argument("-V", "--version", action="version", version=version())
    add_common(top, default=False)
    groups = {"": top.add_subparsers(dest="verb", metavar="VERB", parser_class=Whole)}
    for verb in VERBS:
        group, _, name = verb.name.rpartition(" ")
        if group not in groups:
            outer = groups[""].add_parser(group, prog="%s %s" % (PROGRAM, group))
            groups[group] = outer.add_subparsers(dest="outcome", metavar="OUTCOME", parser_class=Whole)
        inner = groups[group].add_parser(name, prog="%s %s" % (PROGRAM, verb.name))
        add_common(inner, default=argparse.SUPPRESS)
        for option in verb.options:
            add(inner, option)
        for positional in verb.words:
            inner.add_argument(positional.lower(), nargs="*")
    for found in groups.values():
        found.required = True  # 3.6: no keyword for it
    return top


def add_common(parser: argparse.ArgumentParser, *, default: object) -> None:
    """Add the common options. The parser of a verb keeps the values given before the verb."""
    parser.add_argument("-q", "--quiet", action="store_true", default=default)
    parser.add_argument("-v", "--verbose", action="store_true", default=default)


def version() -> str:
    """The line that `version` prints."""
    return "%s %s" % (PROGRAM, __version__)


def add(inner: argparse.ArgumentParser, option: Option) -> None:
    """Add an option of a verb."""
    if not option.value:
        inner.add_argument(option.name, action="store_true")
    elif option.repeated:
        inner.add_argument(option.name, action="append", default=[], type=word)
    else:
        inner.add_argument(
            option.name, default=option.default or None, choices=option.words or None, required=option.needed, type=word
        )


def word(text: str) -> str:
    """The value of an option. An empty one is refused: it is mostly an unset variable in a script."""
    if not text.strip():
        raise argparse.ArgumentTypeError("expected one argument, and it is empty")
    if "\0" in text:
        raise argparse.ArgumentTypeError("a NUL in the argument")
    return text


# -- the texts -------------------------------------------------------------------------------------------------------


def chosen(words: str) -> List[Verb]:
    """The verbs that match a command line beginning with `words`; all of them if it is empty."""
    return [verb for verb in VERBS if not words or (verb.name + " ").startswith(words + " ")]


def synopsis(words: str) -> str:
    """The `usage:` lines for `words`."""
    if not words:
        return "usage: %s VERB [OPTION...]\n" % PROGRAM
    lines: List[str] = []
    for verb in chosen(words):
        lead = ("       " if lines else "usage: ") + "%s %s" % (PROGRAM, verb.name)
        parts = [spell(option) for option in verb.options] + ["[%s...]" % name for name in verb.words]
        lines += wrap(lead, parts, len(lead) + 1)
    return "\n".join(lines) + "\n"


def spell(option: Option) -> str:
    """An option in a synopsis: `[--root DIR]`."""
    text = option.head if option.needed else "[%s]" % option.head
    return text + "..." if option.repeated else text


def wrap(lead: str, words: List[str], indent: int) -> List[str]:
    """The words after `lead`, in lines of limited width; no word is broken."""
    lines = [lead]
    for word in words:
        if len(lines[-1]) + 1 + len(word) > WIDTH:
            lines.append(" " * (indent - 1))
        lines[-1] += " " + word
    return lines


def help_text(words: str) -> str:
    """The text that `--help` prints after `words`."""
    verbs = chosen(words)
    parts = [synopsis(words)]
    if len(verbs) == 1:
        parts.append("".join(line + "\n" for line in textwrap.wrap(sentence(verbs[0].says), WIDTH)))
    else:
        parts += [ABOUT + "\n"] if not words else []
        parts.append("Verbs:\n" + rows([(verb.name, verb.says) for verb in verbs]))
    options = [(option.head, explain(option)) for verb in verbs for option in verb.options if words]
    parts.append("Options:\n" + rows(options + list(COMMON[bool(words)])))
    examples = [example for verb in verbs for example in verb.examples[: None if words else 1]]
    parts.append("Examples:\n" + "".join("    %s %s\n        %s\n" % ((PROGRAM,) + example) for example in examples))
    if not words:
        parts.append("Exit codes:\n" + rows([(str(code), says) for code, says in EXITS]))
    return "\n".join(parts)


def sentence(says: str) -> str:
    """A description as a sentence of its own."""
    return says[0].upper() + says[1:] + "."


def explain(option: Option) -> str:
    """The description of an option, with its values."""
    text = option.says
    if option.words:
        text += "; one of: " + " ".join(option.words)
    return text + " (default: %s)" % option.default if option.default else text


def rows(pairs: List[Tuple[str, str]]) -> str:
    """Two columns."""
    width = max(len(left) for left, _ in pairs) + 2
    text = ""
    for left, right in pairs:
        lead = "    " + left.ljust(width)
        text += textwrap.fill(right, WIDTH, initial_indent=lead, subsequent_indent=" " * len(lead)) + "\n"
    return text
