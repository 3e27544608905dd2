"""The man pages, generated at build time from the tables behind `--help` and `help TOPIC`.

The built file does not contain this module.
"""

from typing import List

from . import __version__, config
from .image.rehearse.faults import FAULTS
from .topics import LEADS, TABLES, list_settings
from .usage import ABOUT, COMMON, EXITS, PROGRAM, VERBS, Verb, explain, sentence, synopsis

NOTE = "made by the build, from the tables that --help is made from"
# Sections of azure-provisioning(8) that are also topics of `help`.
SECTIONS = (("reasons", "DIAGNOSTICS"), ("checks", "CHECKS"), ("status", "STATUS"), ("files", "FILES"))

DESCRIPTION = (
    ABOUT + " It is one file that you copy into an image, where it installs itself. "
    "At the first boot of a VM it sets up the machine with the data that Azure has (host name, administrator, SSH "
    "keys, password, customData), reports Ready, and disables its boot hook. It distinguishes VMs: each VM is set up "
    "once, and a VM made from its image is set up again.",
    "Results go to standard output, messages to standard error. NO_COLOR is the only environment variable that is "
    "obeyed.",
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
    for name, title in SECTIONS:
        lines += [".SH " + title, escape(LEADS[name])]
        for term, says in TABLES[name]():
            lines += entry(term, says)
    lines += [".SH REHEARSAL", "The faults that " + escape("--fault") + " of rehearse accepts:"]
    for name, fault in sorted(FAULTS.items()):
        lines += entry(name, "%s. The boot ends: %s" % (sentence(fault.says)[:-1], fault.ends))
    lines += [".SH SEE ALSO", "\\fB%s\\fR(5)" % escape(PROGRAM + ".conf")]
    return "\n".join(lines) + "\n"


def man_page_of_options() -> str:
    """azure-provisioning.conf(5)."""
    name = PROGRAM + ".conf"
    lines = ['.\\" ' + NOTE]
    lines += ['.TH %s 5 "" "%s %s" "File Formats"' % (escape(name.upper()), escape(PROGRAM), __version__)]
    lines += [".SH NAME", "%s \\- options of a first boot" % escape(name)]
    lines += [".SH SYNOPSIS", escape(config.PATH), ".SH DESCRIPTION"]
    lines += [escape(LEADS["options"]), ".PP", "A line that begins with # is a comment. All keys are optional."]
    lines += [".SH OPTIONS"]
    for row in list_settings():
        lines += entry("%s = %s" % (row.key, row.default), "%s Values: %s." % (sentence(row.says), row.values))
    lines += [".SH EXAMPLE", ".nf", ".RS 4"]
    lines += [escape("%s = %s" % (row.key, row.example)) for row in list_settings()]
    lines += [".RE", ".fi", ".SH SEE ALSO", "\\fB%s\\fR(8)" % escape(PROGRAM)]
    return "\n".join(lines) + "\n"


def section(verb: Verb) -> List[str]:
    """The description of a verb, its options, and its examples."""
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
    """A term with its description."""
    return [".TP", "\\fB%s\\fR" % escape(term), escape(says)]


def escape(text: str) -> str:
    """Text for roff: dashes can be copied, and no line begins with a macro."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    return "\\&" + text if text.startswith(".") else text
