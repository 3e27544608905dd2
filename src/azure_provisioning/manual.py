"""The man page and the completion for bash, made when the file is built, from the table that `--help` is made from."""

from typing import List

from . import __version__, config, reasons
from .image.rehearse.faults import FAULTS
from .story import state
from .usage import ABOUT, COMMON, EXITS, PROGRAM, VERBS, Option, Verb, explain, sentence, synopsis

NOTE = "made by the build, from the table that --help is made from"

# What a person may look for; all the others are in the README.
FILES = (
    (config.PATH, "options, if you write any; see the README"),
    ("/etc/azure-provisioning/ready.d/", "programs that must succeed before Ready is reported"),
    (state.PATH, "what is done for which VM"),
    ("/var/log/azure-provisioning.log", "the story of the last boots"),
)

DESCRIPTION = (
    ABOUT + " It is one file that is copied into an image, and that installs itself there. "
    "At the first boot of a VM it sets the machine up from what Azure knows of it (host name, administrator, SSH keys, "
    "password, customData), reports Ready, and takes itself out of the boot. It knows VMs apart: the same VM is set up "
    "once, and one that is made from its image is set up again.",
    "What was asked for is on standard output, and the story on standard error. No environment variable is obeyed but "
    "NO_COLOR.",
)

FAILURES = (
    "A boot that fails says so on the console, in a line that begins with FAILED. Its reason is also in the portal and "
    "in status; * stands for any text."
)


# -- man page --------------------------------------------------------------------------------------------------------


def man_page() -> str:
    """azure-provisioning(8), in the macros of man(7)."""
    lines = ['.\\" ' + NOTE]
    lines += ['.TH %s 8 "" "%s %s" "System Administration"' % (escape(PROGRAM.upper()), escape(PROGRAM), __version__)]
    lines += [".SH NAME", "%s \\- %s" % (escape(PROGRAM), escape(ABOUT[0].lower() + ABOUT[1:].rstrip(".")))]
    lines += [".SH SYNOPSIS", ".nf"]
    for verb in VERBS:
        lines += [escape(line[len("usage: ") :]) for line in synopsis(verb.name).split("\n")]
    lines += [".fi", ".SH DESCRIPTION"]
    for number, paragraph in enumerate(DESCRIPTION):
        lines += [".PP"] * bool(number) + [escape(paragraph)]
    lines.append(".SH VERBS")
    for verb in VERBS:
        lines += section(verb)
    lines.append(".SH OPTIONS")
    for name, says in COMMON[0]:
        lines += entry(name, says)
    lines.append(".SH EXIT STATUS")
    for code, says in EXITS:
        lines += entry(str(code), says)
    lines += [".SH DIAGNOSTICS", escape(FAILURES)]
    for each in (*reasons.ROWS, reasons.ANY):
        lines += entry(" / ".join(each.reasons), "%s. %s." % (sentence(each.means)[:-1], each.remedy))
    lines += [".SH REHEARSAL", "What " + escape("--fault") + " of rehearse takes:"]
    for name, fault in sorted(FAULTS.items()):
        lines += entry(name, "%s. The boot ends: %s" % (sentence(fault.says)[:-1], fault.ends))
    lines.append(".SH FILES")
    for path, says in FILES:
        lines += entry(path, says)
    return "\n".join(lines) + "\n"


def section(verb: Verb) -> List[str]:
    """What a verb is for, its options, and its examples."""
    lines = [".SS " + escape(verb.name), escape(sentence(verb.says))]
    for option in verb.options:
        lines += entry(option.head, explain(option))
    for line, says in verb.examples:
        lines += [
            ".PP",
            "Example: %s" % escape(says),
            ".PP",
            ".nf",
            ".RS 4",
            escape(PROGRAM + " " + line),
            ".RE",
            ".fi",
        ]
    return lines


def entry(term: str, says: str) -> List[str]:
    """A term and what it means."""
    return [".TP", "\\fB%s\\fR" % escape(term), escape(says)]


def escape(text: str) -> str:
    """Text that roff takes as it is: a dash that one can copy, and no line that begins with a macro."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    return "\\&" + text if text.startswith(".") else text


# -- completion ------------------------------------------------------------------------------------------------------

COMPLETION = """\
# Completion of azure-provisioning(8) for bash: %(note)s.
# shellcheck shell=bash

_azure_provisioning() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} verb="" words="" kind=-W line
    [ "$COMP_CWORD" -gt 1 ] && verb=${COMP_WORDS[1]}
    [ "$COMP_CWORD" -gt 2 ] && case "$verb ${COMP_WORDS[2]}" in
    %(pairs)s) verb="$verb ${COMP_WORDS[2]}" ;;
    esac
    case "$verb $before" in
    %(folders)s)
        kind=-d
        compopt -o filenames
        ;;
%(values)s
    *)
        case "$verb" in
%(options)s
        esac
        ;;
    esac
    COMPREPLY=()
    while IFS= read -r line; do
        COMPREPLY+=("$line")
    done < <(if [ "$kind" = -d ]; then compgen -d -- "$word"; else compgen -W "$words" -- "$word"; fi)
}

complete -F _azure_provisioning azure-provisioning
"""


def completion() -> str:
    """The completion for bash: verbs, their options, and the values that are known."""
    firsts = list(dict.fromkeys(verb.name.partition(" ")[0] for verb in VERBS))
    pairs = [verb.name for verb in VERBS if " " in verb.name]
    after = {"": firsts + [name for name, _ in COMMON[0]]}
    for name in pairs:
        first, _, second = name.partition(" ")
        after.setdefault(first, ["--help"]).insert(-1, second)
    folders, values = [], {}
    for verb in VERBS:
        after[verb.name] = [option.name for option in verb.options] + ["--help"]
        for option in verb.options:
            if option.value in ("DIR", "PREFIX"):
                folders.append("%s %s" % (verb.name, option.name))
            elif option.value:
                values["%s %s" % (verb.name, option.name)] = known_values(option)
    return COMPLETION % {
        "note": NOTE,
        "pairs": "|".join('"%s"' % name for name in pairs),
        "folders": "|".join('"%s"' % name for name in folders),
        "values": "\n".join(case(4, name, words) for name, words in values.items()),
        "options": "\n".join(case(8, name, words) for name, words in after.items()),
    }


def known_values(option: Option) -> List[str]:
    """What may follow an option, as far as we know."""
    return ["list", *sorted(FAULTS)] if option.name == "--fault" else list(option.words)


def case(indent: int, pattern: str, words: List[str]) -> str:
    """One line of a `case`."""
    return '%s"%s") words="%s" ;;' % (" " * indent, pattern, " ".join(words))
