"""Completion of the command line for bash, zsh and fish, generated at build time from the table of verbs.

The built file does not contain this module.
"""

from typing import Dict, List

from .image.rehearse.faults import FAULTS
from .usage import COMMON, PROGRAM, TOPICS, VERBS, Option, explain

NOTE = "made by the build, from the tables that --help is made from"
ENDINGS = ("bash", "zsh", "fish")
FOLDERS = ("DIR", "PREFIX")  # option values that are folders

BASH = """\
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
    %(files)s)
        kind=-f
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
    done < <(if [ "$kind" != -W ]; then compgen "$kind" -- "$word"; else compgen -W "$words" -- "$word"; fi)
}

complete -F _azure_provisioning azure-provisioning
"""


def completion(shell: str) -> str:
    """The completion for one of ENDINGS: verbs, their options, and known values."""
    return {"bash": bash, "zsh": zsh, "fish": fish}[shell]()


def bash() -> str:
    """The completion for bash."""
    firsts = list(dict.fromkeys(verb.name.partition(" ")[0] for verb in VERBS))
    pairs = [verb.name for verb in VERBS if " " in verb.name]
    after = {"": firsts + long_names(0)}
    for name in pairs:
        first, _, second = name.partition(" ")
        after.setdefault(first, []).append(second)
    after["help"] = topics()
    folders, files, values = [], [], {}
    for verb in VERBS:
        after.setdefault(verb.name, [])
        after[verb.name] += [option.name for option in verb.options] + long_names(1)
        for option in verb.options:
            if option.value in FOLDERS:
                folders.append("%s %s" % (verb.name, option.name))
            elif option.value == "FILE":
                files.append("%s %s" % (verb.name, option.name))
            elif option.value:
                values["%s %s" % (verb.name, option.name)] = known_values(option)
    return BASH % {
        "note": NOTE,
        "pairs": "|".join('"%s"' % name for name in pairs),
        "folders": "|".join('"%s"' % name for name in folders),
        "files": "|".join('"%s"' % name for name in files),
        "values": "\n".join(case(4, name, words) for name, words in values.items()),
        "options": "\n".join(case(8, name, words) for name, words in after.items()),
    }


def long_names(place: int) -> List[str]:
    """The long options without a verb (0), or after one (1)."""
    return [names.split(", ")[-1] for names, _ in COMMON[place]]


def topics() -> List[str]:
    """The arguments of `help`."""
    return list(dict.fromkeys(verb.name.partition(" ")[0] for verb in VERBS)) + list(TOPICS)


def known_values(option: Option) -> List[str]:
    """The known values of an option."""
    return ["list", *sorted(FAULTS)] if option.name == "--fault" else list(option.words)


def case(indent: int, pattern: str, words: List[str]) -> str:
    """One line of a `case`."""
    return '%s"%s") words="%s" ;;' % (" " * indent, pattern, " ".join(words))


ZSH = """\
#compdef azure-provisioning
# Completion of azure-provisioning(8) for zsh: %(note)s.

_azure_provisioning() {
    local -a verbs
    verbs=(
%(verbs)s
    )
    if ((CURRENT == 2)); then
        _describe -t commands verb verbs
        _arguments -s %(top)s
        return
    fi
    local verb=$words[2]
    shift words
    ((CURRENT--))
    if [[ $verb == report && CURRENT -gt 2 ]]; then
        verb="report $words[2]"
        shift words
        ((CURRENT--))
    fi
    case $verb in
%(cases)s
    esac
}

_azure_provisioning "$@"
"""


def zsh() -> str:
    """The completion for zsh."""
    verbs = ["        %s" % quoted("%s:%s" % (name, says)) for name, says in first_words().items()]
    cases = []
    for verb in VERBS:
        specs = [zsh_option(option) for option in verb.options] + [quoted(spec) for spec in common_specs(1)]
        if verb.words:
            specs.append(quoted("*:topic:(%s)" % " ".join(topics())))
        listed = " \\\n            ".join(specs)
        cases.append("    %s)\n        _arguments -s %s\n        ;;" % (quoted(verb.name), listed))
    outcomes = " ".join(verb.name.partition(" ")[2] for verb in VERBS if verb.name.startswith("report "))
    cases.append("    report)\n        _values outcome %s\n        ;;" % outcomes)
    return ZSH % {
        "note": NOTE,
        "verbs": "\n".join(verbs),
        "top": " ".join(quoted(spec) for spec in common_specs(0)),
        "cases": "\n".join(cases),
    }


def first_words() -> "Dict[str, str]":
    """The first word of each verb, with its description."""
    found: "Dict[str, str]" = {}
    for verb in VERBS:
        found.setdefault(verb.name.partition(" ")[0], verb.says)
    return found


def common_specs(place: int) -> List[str]:
    """The common options, in the syntax of `_arguments`."""
    return [
        "(%s)%s[%s]" % (" ".join(names.split(", ")), name, brackets(says))
        for names, says in COMMON[place]
        for name in names.split(", ")
    ]


def zsh_option(option: Option) -> str:
    """An option in the syntax of `_arguments`."""
    spec = "%s%s[%s]" % ("*" if option.repeated else "", option.name, brackets(option.says))
    if option.value in FOLDERS:
        spec += ":%s:_files -/" % option.value
    elif option.value == "FILE":
        spec += ":%s:_files" % option.value
    elif option.value:
        spec += ":%s:(%s)" % (option.value, " ".join(known_values(option)))
    return quoted(spec)


def brackets(text: str) -> str:
    """A text inside the brackets of `_arguments`."""
    return text.replace("[", "(").replace("]", ")").replace(":", "\\:")


def quoted(text: str) -> str:
    """A text in single quotes for zsh, bash or fish, without any quotes of its own."""
    return "'%s'" % text.replace("'", "")


def fish() -> str:
    """The completion for fish."""
    lead = "complete -c %s" % PROGRAM
    lines = ["# Completion of azure-provisioning(8) for fish: %s." % NOTE, lead + " -f"]
    for name, says in first_words().items():
        lines.append("%s -n __fish_use_subcommand -a %s -d %s" % (lead, name, quoted(says)))
    for names, says in COMMON[0]:
        short, name = names.split(", ")
        only = " -n __fish_use_subcommand" if name == "--version" else ""
        lines.append("%s%s -s %s -l %s -d %s" % (lead, only, short[1:], name[2:], quoted(says)))
    for verb in VERBS:
        first, _, second = verb.name.partition(" ")
        if second:
            seen = "__fish_seen_subcommand_from %s; and not __fish_seen_subcommand_from ready failure" % first
            lines.append("%s -n %s -a %s -d %s" % (lead, quoted(seen), second, quoted(verb.says)))
        seen = "; and ".join("__fish_seen_subcommand_from " + word for word in verb.name.split())
        for option in verb.options:
            lines.append("%s -n %s -l %s%s" % (lead, quoted(seen), option.name[2:], fish_option(option)))
        if verb.words:
            lines.append("%s -n %s -a %s" % (lead, quoted(seen), quoted(" ".join(topics()))))
    return "\n".join(lines) + "\n"


def fish_option(option: Option) -> str:
    """The value and the description of an option."""
    says = " -d %s" % quoted(explain(option) if not option.words else option.says)
    if option.value in FOLDERS:
        return " -x -a '(__fish_complete_directories)'" + says
    if option.value == "FILE":
        return " -r -F" + says
    if option.value:
        return " -x -a %s%s" % (quoted(" ".join(known_values(option))), says)
    return says
