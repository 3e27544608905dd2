"""The right to become root without a password, with sudo or doas: with both if the image has both."""

import os
import re
import stat

from ..door.rights import keeper
from ..door.system import System
from ..door.text import lines_in, read_text, words_in
from ..door.tree import ROOT
from ..errors import GuestError
from .block import end_with
from .sudo_list import TERMINAL, ask_sudo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional, Tuple

    Verdict = Tuple[Optional[bool], str]

SUDOS = ("sudo", "sudo-rs")
DOAS = "doas"
# What the file itself is called: also sudo.ws, an alternative of Debian, and opendoas. A link to another program, such
# as run0, is none.
OWN_NAMES = {"sudo": re.compile(r"sudo(?:[.-].*)?\Z"), DOAS: re.compile(r"(?:open)?doas(?:[.-].*)?\Z")}
# A fixed name, because sudo ignores files whose names contain a dot, and user names may contain one. The last of two
# matching rules counts, so this name sorts after others.
SUDO_FOLDER = "/etc/sudoers.d"
SUDO_RULE = SUDO_FOLDER + "/zz-azure-provisioning"
FORMER_RULE = SUDO_FOLDER + "/90-azure-provisioning"  # of older releases
CANDIDATE = SUDO_RULE + ".candidate"
SUDOERS = ("/etc/sudoers", "/usr/etc/sudoers")
SUDOERS_RS = "/etc/sudoers-rs"  # what sudo-rs reads instead, if it exists
SUDO_CONF = "/etc/sudo.conf"
# With its argument, the plugin reads another file: the first of the two since sudo 1.9.1, if it is listed.
PLUGINS, FILE_ARGUMENT = ("sudoers_audit", "sudoers_policy"), "sudoers_file=/"
INCLUDE = re.compile(r"(?m)^[ \t]*[#@]include(dir)?[ \t]+(?:\"([^\"\n]*)\"|([^ \t\r\n\"]+))[ \t\r]*$")
INCLUDES_LIMIT = 64  # files
# doas uses the last rule that matches. Alpine's reads the files of doas.d in order: ours must follow doas.conf.
DOAS_FOLDER = "/etc/doas.d"
DOAS_RULE = DOAS_FOLDER + "/zz-azure-provisioning.conf"
DOAS_CONF = "/etc/doas.conf"
DOAS_WORDS = ("permit", "deny", "as", "cmd", "args", "nopass", "persist", "nolog", "keepenv", "setenv")
PROGRAM_LIMIT = 8 << 20  # bytes of sudo or doas that are searched
ATTEMPT_SECONDS = 30.0
SHIM_LIMIT = 64 << 10  # of a script
WRAPPER = re.compile(rb"(?m)^[^#\n]*/sudo\b")  # a script that calls a sudo elsewhere
MENTION = rb"(?m)^[^#\n]*\b%s\b"
SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\Z")


def grant(system: System, name: str) -> str:
    """Let `name` become root without a password; returns by which program. Raises GuestError, also if there is none."""
    if not SAFE.match(name):
        raise GuestError("not a name for sudo or doas", name=ascii(name[:80]))
    done: "List[str]" = []
    problems: "List[GuestError]" = []
    for program, give in ((find_sudo(system), grant_sudo), (find_doas(system), grant_doas)):
        try:
            done += [give(system, program, name)] if program else []
        except GuestError as error:
            problems.append(error)
    if not done:
        raise problems[0] if problems else GuestError("neither sudo nor doas is installed", name=name)
    return ", ".join(done + [str(error) for error in problems])


def find_sudo(system: System) -> "Optional[str]":
    """The path of sudo; None if it is missing, or is a link or script for another program (Alpine's doas-sudo-shim)."""
    for path in filter(None, map(system.find_program, SUDOS)):
        script = read_script(system, path)
        if is_own(system, path, SUDOS[0], DOAS) and (not script or WRAPPER.search(script)):
            return path
    return None


def find_doas(system: System) -> "Optional[str]":
    """The path of doas; None if it is missing, or is a link to another program or a script that calls sudo."""
    path = system.find_program(DOAS)
    return path if path and is_own(system, path, DOAS, SUDOS[0]) else None


def is_own(system: System, path: str, name: str, other: str) -> bool:
    """Is the program at `path` the one of that name, and no script that has the `other`?"""
    if re.search(MENTION % other.encode(), read_script(system, path)):
        return False
    return bool(OWN_NAMES[name].match(system.chain(path)[-1].rpartition("/")[2]))


def read_script(system: System, path: str) -> bytes:
    """The text of a script, or what fits the limit; empty if it is another program."""
    head = system.read(path, limit=SHIM_LIMIT, head=True) or b""
    return head if head.startswith(b"#!") else b""


def find_right(system: System, name: str) -> "Verdict":
    """(can `name` become root without a password, why not), as sudo or doas answers or does; None: unknown."""
    sudo, doas = find_sudo(system), find_doas(system)
    if not sudo and not doas:
        return False, "neither sudo nor doas is installed"
    works, why = ask(system, sudo, name) if sudo else (False, "")
    if doas and not works:
        by_doas, problem = attempt(system, doas, name)
        works, why = (by_doas, problem) if by_doas or not sudo else (works, why)
    return works, why


# -- sudo ------------------------------------------------------------------------------------------------------------


def grant_sudo(system: System, sudo: str, name: str) -> str:
    """Write the rule, and make sure that sudo reads it and applies it. Raises GuestError if it does not.

    If a later rule still overrides it, the rule is added at the end of sudo's main configuration too.
    """
    rule = "%s ALL=(ALL) NOPASSWD:ALL\n" % sudo_user(name)
    if system.read_text(SUDO_RULE) != rule:
        check_sudoers(system, rule)
    system.unlink(CANDIDATE)  # what a killed run left
    main = find_sudoers(system, sudo)
    text = system.read_text(main) or ""
    if not reads_folder(system, main):
        if text and not text.endswith("\n"):
            text += "\n"
        text += "#includedir %s\n" % SUDO_FOLDER  # the form that every sudo reads
        main = SUDOERS[0] if main in SUDOERS else main
        system.write(main, text, mode=0o440)
    system.write(SUDO_RULE, rule, mode=0o440, owner=ROOT)
    system.unlink(FORMER_RULE)
    works, why = ask(system, sudo, name)
    if works is False and TERMINAL in why:
        freed = "Defaults:%s !requiretty\n%s" % (sudo_user(name), rule)
        check_sudoers(system, freed)
        system.write(SUDO_RULE, freed, mode=0o440, owner=ROOT)
        rule = freed  # since sudo 1.9.16 the last Defaults line counts, whichever user it names
        works, why = ask(system, sudo, name)
    if works is False:
        works, why = overrule(system, sudo, name, rule)
    if works is False:
        raise GuestError("sudo does not apply the rule", name=name, problem=why)
    return "%s may use sudo without a password" % name


def overrule(system: System, sudo: str, name: str, rule: str) -> "Verdict":
    """Put the rule after all others; returns what sudo then says. If it still says no, the file is restored."""
    main = find_sudoers(system, sudo)
    before = system.read_text(main) or ""
    system.write(main, end_with(before, rule), mode=0o440)
    visudo = system.find_program("visudo", "visudo-rs")
    valid = visudo is None or system.run([visudo, "-cf", main], check=False) == 0
    works, why = ask(system, sudo, name) if valid else (False, "visudo refuses the rule at the end of %s" % main)
    if not works:
        system.write(main, before, mode=0o440)
    return works, why


def ask(system: System, sudo: str, name: str) -> "Verdict":
    """(may `name` become root without a password, why not), as sudo lists it; if it does not, as an attempt shows."""
    if not system.can_run:
        return None, "nothing in an image is executed"
    works, why = ask_sudo(system, sudo, name)
    if works and not is_setuid(system, sudo):
        tried = attempt(system, sudo, name)
        return tried if tried[0] is False else (works, why)
    return attempt(system, sudo, name) if works is None else (works, why)


def is_setuid(system: System, program: str) -> bool:
    """Does a program run as root whoever starts it? Root can list rules with a sudo that does not."""
    found = system.stat(program)
    return found is not None and bool(found.st_mode & stat.S_ISUID) and found.st_uid in (0, keeper(system)[0])


def attempt(system: System, program: str, name: str) -> "Verdict":
    """(does sudo or doas let `name` run a command as root, why not), by running true(1) as `name`."""
    su, command = system.find_program("su"), [program, "-n", "true"]
    if not system.can_run or su is None:
        return None, "it cannot be tried"
    become = [su, "-s", "/bin/sh", "-c"]
    try:
        if system.run(become + ["true", name], ATTEMPT_SECONDS, check=False) != 0:
            return None, "su does not work for %s" % name
        code, printed = system.execute(become + [" ".join(command), name], ATTEMPT_SECONDS)
    except GuestError as error:
        return None, str(error)
    said = lines_in(printed.strip()) or ["exit code %d" % code]
    return code == 0, "" if code == 0 else said[-1][:200]


def find_sudoers(system: System, sudo: str) -> str:
    """The path of the file that this sudo reads first."""
    other, has_rs = chosen_sudoers(system), system.exists(SUDOERS_RS)
    if other or has_rs:  # only then it matters whether it is sudo-rs, which does not read sudo.conf
        is_rs = SUDOERS_RS.encode() in (system.read(sudo, limit=PROGRAM_LIMIT, head=True) or b"")
        if is_rs and has_rs:
            return SUDOERS_RS
        if other and not is_rs:
            return other
    return next((path for path in SUDOERS if system.exists(path)), SUDOERS[0])


def main_sudoers(system: System) -> "List[str]":
    """The paths of every file that some sudo reads first."""
    return [path for path in (*SUDOERS, SUDOERS_RS, chosen_sudoers(system)) if path]


def chosen_sudoers(system: System) -> str:
    """The file that sudo.conf(5) sets in place of the usual one; empty if it sets none."""
    lines = [words_in(line) for line in lines_in(read_text(system, SUDO_CONF))]
    plugins = [words for words in lines if len(words) > 2 and words[0].lower() == "plugin"]
    found = [
        word.partition("=")[2].partition(":")[0]
        for name in PLUGINS
        for words in plugins
        if words[1] == name
        for word in words[3:]
        if word.startswith(FILE_ARGUMENT)
    ]
    return found[0] if found else ""


def sudo_user(name: str) -> str:
    """The name as sudoers takes it literally: unquoted, capitals alone are an alias, and ALL is everybody."""
    return '"%s"' % name if re.match(r"[A-Z][A-Z0-9_]*\Z", name) else name


def check_sudoers(system: System, rule: str) -> None:
    """Raises GuestError if visudo rejects the rule: a bad file would break sudo for everybody."""
    visudo = system.find_program("visudo", "visudo-rs")
    if visudo is None or not system.can_run:
        return
    try:
        system.write(CANDIDATE, rule, mode=0o440, owner=ROOT)  # the dot keeps sudo from reading it
        if system.run([visudo, "-cf", CANDIDATE], check=False) != 0:
            system.run([visudo, "-cf", CANDIDATE])  # the first may have been killed, which proves nothing
    finally:
        system.unlink(CANDIDATE)


def reads_folder(system: System, main: str) -> bool:
    """Does sudo's configuration include its folder?"""
    return SUDO_FOLDER in find_includes(system, main)[1]


def find_includes(system: System, main: str) -> "Tuple[List[str], List[str]]":
    """(the files, the folders) that sudo reads, from its main configuration on. `#includedir` is not a comment.

    A relative path is one in the folder of the file that has it.
    """
    files, folders = [main], []
    for path in files:
        for found in INCLUDE.finditer(read_text(system, path)):
            target = os.path.normpath(os.path.join(os.path.dirname(path), found.group(2) or found.group(3) or "."))
            if found.group(1):
                folders.append(target)
            elif target not in files and len(files) < INCLUDES_LIMIT:
                files.append(target)
    return files, folders


# -- doas ------------------------------------------------------------------------------------------------------------


def grant_doas(system: System, doas: str, name: str) -> str:
    """Add the rule to the file that this doas reads, which must belong to root and end with a newline.

    Raises GuestError if doas does not apply it.
    """
    if name in DOAS_WORDS:
        raise GuestError("not a name for doas", name=name)
    rule = "permit nopass %s\n" % name
    if system.is_dir(DOAS_FOLDER) and knows_folder(system):
        system.write(DOAS_RULE, rule, mode=0o600, owner=ROOT)
    else:
        old = system.stat(DOAS_CONF)
        lines = lines_in(system.read_text(DOAS_CONF) or "")
        kept = [line for line in lines if words_in(line) != rule.split()]  # it must be there once, as the last line
        mode = 0o600 if old is None else stat.S_IMODE(old.st_mode) & 0o755  # doas refuses a file others may write
        system.write(DOAS_CONF, "".join(line + "\n" for line in kept) + rule, mode=mode)
    works, why = attempt(system, doas, name)
    if works is False:
        raise GuestError("doas does not apply the rule", name=name, problem=why)
    return "%s may use doas without a password" % name


def knows_folder(system: System) -> bool:
    """Does this doas read /etc/doas.d? Alpine's does, and then reads nothing else. Others do not have that folder."""
    program = system.find_program("doas")
    return program is not None and DOAS_FOLDER.encode() in (system.read(program, limit=PROGRAM_LIMIT, head=True) or b"")
