"""Leave to become root without a password, by sudo or doas: by both where the image has both."""

import re
import stat

from ..door.system import System
from ..door.text import lines_in, words_in
from ..door.tree import ROOT
from ..errors import GuestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional

# A fixed name, because sudo ignores files whose names contain a dot, and user names may.
SUDO_RULE = "/etc/sudoers.d/90-azure-provisioning"
CANDIDATE = SUDO_RULE + ".candidate"
SUDOERS = ("/etc/sudoers", "/usr/etc/sudoers")
# doas takes the last rule that matches, and Alpine's reads the files of doas.d in order: ours must follow doas.conf.
DOAS_FOLDER = "/etc/doas.d"
DOAS_RULE = DOAS_FOLDER + "/zz-azure-provisioning.conf"
DOAS_CONF = "/etc/doas.conf"
DOAS_WORDS = ("permit", "deny", "as", "cmd", "args", "nopass", "persist", "nolog", "keepenv", "setenv")
DOAS_LIMIT = 4 << 20  # bytes of the program that are searched
SHIM_LIMIT = 64 << 10  # of a script
SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\Z")


def grant(system: System, name: str) -> str:
    """Let `name` become root without a password; returns by what. Raises GuestError, also if nothing here can do it."""
    if not SAFE.match(name):
        raise GuestError("not a name for sudo or doas", name=ascii(name[:80]))
    done: "List[str]" = []
    problems: "List[GuestError]" = []
    for program, give in ((find_sudo(system), grant_sudo), (system.find_program("doas"), grant_doas)):
        try:
            done += [give(system, name)] if program else []
        except GuestError as error:
            problems.append(error)
    if not done:
        raise problems[0] if problems else GuestError("neither sudo nor doas is installed", name=name)
    return ", ".join(done + [str(error) for error in problems])


def find_sudo(system: System) -> "Optional[str]":
    """The program that is sudo; None if there is none, or what is called so leads to doas (Alpine's doas-sudo-shim)."""
    path = system.find_program("sudo")
    if path is None or system.chain(path)[-1].endswith("/doas"):
        return None
    head = system.read(path, limit=SHIM_LIMIT, head=True) or b""
    return None if head.startswith(b"#!") and re.search(rb"(?m)^[^#]*\bdoas\b", head) else path


# -- sudo ------------------------------------------------------------------------------------------------------------


def grant_sudo(system: System, name: str) -> str:
    """Write the rule, after visudo has read it, and see to it that sudo reads its folder."""
    rule = "%s ALL=(ALL) NOPASSWD:ALL\n" % sudo_user(name)
    if system.read_text(SUDO_RULE) != rule:
        check_sudoers(system, rule)
    system.unlink(CANDIDATE)  # what a killed run left
    if not reads_folder(system):
        main = next((path for path in SUDOERS if system.exists(path)), SUDOERS[0])
        text = system.read_text(main) or ""
        if text and not text.endswith("\n"):
            text += "\n"
        system.write(SUDOERS[0], text + "#includedir /etc/sudoers.d\n", mode=0o440)  # the form that every sudo reads
    system.write(SUDO_RULE, rule, mode=0o440, owner=ROOT)
    return "sudo for %s" % name


def sudo_user(name: str) -> str:
    """The name as sudoers takes it literally: capitals alone are an alias there, and ALL is everybody."""
    return '"%s"' % name if re.match(r"[A-Z][A-Z0-9_]*\Z", name) else name


def check_sudoers(system: System, rule: str) -> None:
    """Raises GuestError if visudo is there and does not like the rule: a bad file would end sudo for everybody."""
    visudo = system.find_program("visudo")
    if visudo is None or not system.can_run:
        return
    try:
        system.write(CANDIDATE, rule, mode=0o440, owner=ROOT)  # the dot keeps sudo from reading it
        if system.run([visudo, "-cf", CANDIDATE], check=False) != 0:
            system.run([visudo, "-cf", CANDIDATE])  # the first may have been killed, which says nothing of the rule
    finally:
        system.unlink(CANDIDATE)


def reads_folder(system: System) -> bool:
    """Does sudoers include its folder? `#includedir` is no comment."""
    text = next(filter(None, (system.read_text(path) for path in SUDOERS)), "")
    return bool(re.search(r"(?m)^[ \t]*[#@]includedir[ \t]+\"?/etc/sudoers\.d/?\"?[ \t\r]*$", text))


# -- doas ------------------------------------------------------------------------------------------------------------


def grant_doas(system: System, name: str) -> str:
    """Add the rule where this doas looks for it; every file of its must be root's and end with a newline."""
    if name in DOAS_WORDS:
        raise GuestError("not a name for doas", name=name)
    rule = "permit nopass %s\n" % name
    if system.is_dir(DOAS_FOLDER) and knows_folder(system):
        system.write(DOAS_RULE, rule, mode=0o600, owner=ROOT)
        return "doas for %s" % name
    old = system.stat(DOAS_CONF)
    lines = lines_in(system.read_text(DOAS_CONF) or "")
    kept = [line for line in lines if words_in(line) != rule.split()]  # it must be the last, and once
    mode = 0o600 if old is None else stat.S_IMODE(old.st_mode) & 0o755  # doas refuses what others may write
    system.write(DOAS_CONF, "".join(line + "\n" for line in kept) + rule, mode=mode)
    return "doas for %s" % name


def knows_folder(system: System) -> bool:
    """Does this doas read /etc/doas.d? Alpine's does, and then nothing else; others have never heard of it."""
    program = system.find_program("doas")
    return program is not None and DOAS_FOLDER.encode() in (system.read(program, limit=DOAS_LIMIT, head=True) or b"")
