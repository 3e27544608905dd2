"""The words that a boot gives the program of a service: what its unit or script says, and the settings beside that.

Scripts are read and not run: where one does more than those of the known distros, there is no answer.
"""

import re

from ..door.system import System
from ..door.text import read_text
from . import table
from .detection import find_init

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Optional, Sequence, Tuple

ASSIGNMENT = re.compile(r"(?am)^[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)=(.*)$")
SETTINGS = re.compile(r"/etc/(?:default|conf\.d|sysconfig|crypto-policies)/[\w./-]+")  # files that a script reads
VARIABLE = re.compile(r"(?a)\$(?:\{(\w+)\}|(\w+))")
# What the scripts of distros call what they give sshd or dropbear, and the file that they have it read.
WORDS = (
    "SSHD_OPTS", "SSHD_OPTIONS", "SSHD_ARGS", "OPTIONS", "OPTS", "sshd_args", "command_args",
    "DROPBEAR_EXTRA_ARGS", "DROPBEAR_OPTS", "DROPBEAR_ARGS",
)  # fmt: skip
FILES, FOLDER = ("cfgfile", "SSHD_CONFIG"), "SSHD_CONFDIR"
WORD = re.compile(r"""(?:[^\s"'\\]|\\.|"(?:\\.|[^"\\])*"|'[^']*')+""")
QUOTED = re.compile(r"""\"((?:\\.|[^"\\])*)"|'([^']*)'|\\(.)""")
ENDS = re.compile(r"[;|&<>()]|\d+>")  # of a command in a script
TAKES_VALUE = re.compile(r"-[A-Za-z46]*[CEbcfghkopu]\Z")  # of sshd's options
STARTERS = ("--exec", "-x", "--startas", "-a")  # of start-stop-daemon, which has the service's own words after `--`


def find_arguments(system: System, names: "Sequence[str]", programs: "Sequence[str]") -> "Optional[List[str]]":
    """The words after the program, which has one of `programs` for a name, of the first service of `names` that a boot
    starts. None if they cannot be determined; none if no boot is known to start it. Raises GuestError."""
    if find_init(system) in ("systemd", "nixos"):  # what it starts in all takes long to find out
        from .systems import systemd

        for name in names:
            if systemd.links(system, name) and systemd.find_unit(system, systemd.unit_name(name)):
                return of_unit(system, name, programs)
    services = table.find_services(system) or {}
    name = next((name for name in names if name in services), "")
    path = services.get(name, "")
    if not path:
        return []
    if path.rpartition("/")[0].endswith((".wants", ".requires")):
        return of_unit(system, name, programs)
    return of_script(system, name, path, programs)


# -- systemd ---------------------------------------------------------------------------------------------------------


def of_unit(system: System, name: str, programs: "Sequence[str]") -> "Optional[List[str]]":
    """The same of a unit, its drop-ins and files of variables; of a socket's service, which may be a template."""
    from .systems import systemd

    unit = systemd.unit_name(name)
    if unit.endswith(".socket"):
        own = systemd.unit_name(unit[: -len(".socket")])
        unit = own.replace(".service", "@.service") if systemd.accepts(system, unit) else own
    starts: "List[str]" = []
    given: "Dict[str, str]" = {}
    files: "List[str]" = []
    for key, value in systemd.unit_settings(system, unit):
        if key == "ExecStart":
            starts = [*starts, value] if value else []
        elif key == "EnvironmentFile":
            files = [*files, value.lstrip("-")] if value else []
        elif key == "Environment":
            given.update(word.partition("=")[::2] for word in split(value) or [])
    for path in files:
        given.update(assigned(system, path))
    for start in starts:
        words = split(start) or [""]
        if words[0].lstrip("@-:+!").rpartition("/")[2] in programs:
            return expand(words[1:], given)
    return None if starts else []


# -- scripts ---------------------------------------------------------------------------------------------------------


def of_script(system: System, name: str, path: str, programs: "Sequence[str]") -> "Optional[List[str]]":
    """The same of a script, or another description with the command in a line."""
    text = re.sub(r"\\\n", " ", read_text(system, path))
    files = SETTINGS.findall("\n".join(line for line in text.split("\n") if not line.lstrip().startswith("#")))
    files += [folder + name for folder in re.findall(r"(/etc/(?:default|sysconfig)/)[\"']?\$", text)]  # by its own name
    if re.match(r"#!.*/(?:openrc-run|runscript)\b", text):
        files.append("/etc/conf.d/" + name)
    if re.match(r"#!.*/invoke-run\b", text):  # Debian's runit
        files.append("/etc/default/" + name)
    if path.endswith("/run"):
        files.append(path[: -len("run")] + "conf")
    given: "Dict[str, str]" = {}
    for settings in files:
        given.update(assigned(system, settings))
    words = of_variables(text, given)
    for line in text.split("\n"):
        found = of_line(line, programs, given)
        words = None if words is None or found is None else words + found
    return words


def of_variables(text: str, given: "Dict[str, str]") -> "Optional[List[str]]":
    """What the variables are for that a script is known to give sshd, if its settings assign them."""
    words: "List[str]" = []
    for name in WORDS:
        if name in given and re.search(r"\b%s\b" % name, text):
            found = expand(["$" + name], given)
            if found is None:
                return None
            words += found
    paths = [given[name] for name in FILES if given.get(name) and name in text]
    if given.get(FOLDER) and FOLDER in text:
        paths.append(given[FOLDER] + "/sshd_config")
    if paths and set(paths[0]) & set("$`"):
        return None
    return words + ["-f", paths[0]] if paths else words


def of_line(line: str, programs: "Sequence[str]", given: "Dict[str, str]") -> "Optional[List[str]]":
    """The options that are in a line itself. Those of a variable are not: it may be one for options of all kinds."""
    words = split(line) if any(program in line for program in programs) else []
    names = [word.rpartition("/")[2] for word in words or []]
    place = next((place for place, name in enumerate(names) if name in programs), -1)
    if not words or place < 0 or line.lstrip().startswith("#"):
        return []
    rest = words[place + 1 :]
    if place and words[place - 1] in STARTERS:
        rest = rest[rest.index("--") + 1 :] if "--" in rest else []
    found: "List[str]" = []
    for word, is_value in own_words(rest):
        if not set(word) & set("$`"):
            found.append(word)
        elif is_value or word.startswith("-"):
            known = expand([word], given)
            if not known:
                return None
            found += known
    return found


def own_words(words: "Sequence[str]") -> "List[Tuple[str, bool]]":
    """The options of a command, each with whether it is the value of the one before, up to what is none."""
    found: "List[Tuple[str, bool]]" = []
    is_value = False
    for word in words:
        if word == "--" or ENDS.match(word) or not (is_value or word.startswith(("-", "$"))):
            break
        found.append((word, is_value))
        is_value = not is_value and TAKES_VALUE.match(word) is not None
    return found


# -- words -----------------------------------------------------------------------------------------------------------


def split(text: str) -> "Optional[List[str]]":
    """The words, without the quotes; None for a quote that does not end."""
    if WORD.sub("", text).strip():
        return None
    return [QUOTED.sub(unquote, word) for word in WORD.findall(text)]


def unquote(match: "re.Match[str]") -> str:
    """What is in quotes, or after a backslash."""
    double, single, escaped = match.groups()
    return re.sub(r"\\(.)", r"\1", double) if double is not None else escaped if single is None else single


def assigned(system: System, path: str) -> "Dict[str, str]":
    """The variables that a file of settings assigns, without the quotes around the whole."""
    found = {}
    for name, value in ASSIGNMENT.findall(read_text(system, path)):
        quoted = QUOTED.match(value) if value[:1] in ("'", '"') else None
        found[name] = unquote(quoted) if quoted else value.partition(" #")[0].strip()
    return found


def expand(words: "Sequence[str]", given: "Dict[str, str]") -> "Optional[List[str]]":
    """The words with the variables' values; one that is a variable alone becomes the words in it. None if a value takes
    a shell to be known."""
    found: "List[str]" = []
    for word in words:
        alone = re.match(r"\$(\w+)\Z", word)
        whole = VARIABLE.sub(lambda match: given.get(match.group(1) or match.group(2), ""), word)
        values = split(whole) if alone else [whole]
        if values is None or any(set(value) & set("$`") for value in values):
            return None
        found += values
    return found
