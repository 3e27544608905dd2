"""Can the administrator become root: is there a sudo or doas, and does it accept its own files?"""

import re
import stat
from typing import Iterator, List

from ...door.rights import Danger, find_dangers, keeper
from ...door.text import lines_in
from ...guest import pam_access, privilege
from ...guest.pam_access import NSSWITCH
from ..command import Command
from .finding import Finding, ok, warning
from .rights import take_back
from .sshd_lines import COMMENT
from .subject import Image

ID = "privilege"
# What a line of sudoers begins with that is no rule for a user, and so needs no equals sign.
OTHER_LINES = re.compile(r"Defaults|[@#]include|#")
# For everybody; `Defaults:joe` is for one user.
TARGET = re.compile(r"(?m)^[ \t]*Defaults[ \t]+(?:[^#\n]*,)?[ \t]*runas_default[ \t]*=[ \t]*\"?([^\s,\"]+)")
ROOTS = ("root", "#0")


def check_privilege(image: Image) -> "Iterator[Finding]":
    """sudo or doas."""
    if not image.options.sudo:
        return
    system = image.system
    sudo, doas = privilege.find_sudo(system), privilege.find_doas(system)
    if not sudo and not doas:
        yield warning(ID, "neither sudo nor doas: the administrator cannot become root", image.add("sudo"))
        return
    able = []
    for program, look in ((sudo, of_sudoers), (doas, of_doas)):
        looks = (of_program, look, of_pam)
        problems = [problem for each in looks for problem in each(image, program)] if program else []
        yield from problems
        able += [program] if program and not problems else []
    if sudo in able:
        yield from of_folder(image, sudo or "")
    if able:
        yield ok(ID, "the administrator becomes root by %s" % " and ".join(filter(None, able)))


def of_program(image: Image, program: str) -> "Iterator[Finding]":
    """The bit and the owner that make it run as root. Copies that ordinary users made often lack them.

    For a script the kernel ignores the bit: the program that it calls has it.
    """
    if privilege.is_setuid(image.system, program) or privilege.read_script(image.system, program):
        return
    place = image.place(program)
    owner = Command("chown", "%d:%d" % keeper(image.system)).on(place)  # this clears the bit
    message = "%s does not run as root: it must belong to root and have the setuid bit" % program
    yield warning(ID, message, owner.then(Command("chmod", "u+s").on(place)))


def of_sudoers(image: Image, sudo: str) -> "Iterator[Finding]":
    """sudo refuses to work at all if others can write to its configuration."""
    path = privilege.find_sudoers(image.system, sudo)
    for danger in find_writers(image, path):
        yield warning(ID, "%s: sudo lets nobody become root" % danger.words, take_back(image, danger, path))
    yield from of_sources(image, path)
    yield from of_target(image, path)


def of_sources(image: Image, path: str) -> "Iterator[Finding]":
    """A sudo that was built with SSSD or LDAP reads its files only if nsswitch.conf(5) says so; others ignore that."""
    for number, line in enumerate(lines_in(image.text(NSSWITCH)), 1):
        key, mark, rest = line.partition("#")[0].strip().lower().partition(":")
        if key != "sudoers" or not mark:
            continue
        sources = rest.split()
        if "files" not in sources and {"sss", "ldap"} & set(sources):
            message = "%s, line %d, has no files: it cannot be determined whether sudo reads %s"
            yield warning(ID, message % (NSSWITCH, number, path), image.edit_lines(NSSWITCH, [number], "s/:/: files/"))
        return  # the first line counts


def of_target(image: Image, main: str) -> "Iterator[Finding]":
    """The user that commands run as, if none is named: the last of these lines counts."""
    files, folders = privilege.find_includes(image.system, main)
    files += [path for folder in folders for path in read_by_sudo(image, folder)]
    found = [(path, target) for path in files for target in TARGET.findall(image.text(path))]
    if found and found[-1][1] not in ROOTS:
        message = "%s: by runas_default sudo runs commands as %s: only `sudo -u root` makes the administrator root"
        yield warning(ID, message % found[-1], image.edit(found[-1][0]))


def read_by_sudo(image: Image, folder: str) -> "List[str]":
    """The files of an included folder that sudo reads, in its order."""
    paths = [folder + "/" + name for name in image.system.list(folder) if "." not in name and not name.endswith("~")]
    return [path for path in paths if path != privilege.SUDO_RULE and not image.system.is_dir(path)]


def of_pam(image: Image, program: str) -> "Iterator[Finding]":
    """PAM is asked about the account even if no password is needed."""
    name = privilege.DOAS if program.endswith(privilege.DOAS) else privilege.SUDOS[0]
    line, sure = pam_access.find_other(image.system, name)
    if line:
        problem = "PAM lets nobody use %s" if sure else "it cannot be determined whether PAM lets anybody use %s"
        yield warning(ID, "%s: %s" % (line, problem % name), image.edit(line.partition(": ")[0]))


def of_doas(image: Image, _doas: str) -> "Iterator[Finding]":
    """The same for doas. A boot corrects the mode of the file that it writes to, but not the owner."""
    if image.system.is_dir(privilege.DOAS_FOLDER) and privilege.knows_folder(image.system):
        return
    path = privilege.DOAS_CONF
    for danger in find_writers(image, path):
        if danger.who.startswith("the user"):
            yield warning(ID, "%s: doas lets nobody become root" % danger.words, take_back(image, danger, path))


def find_writers(image: Image, path: str) -> "Iterator[Danger]":
    """Who else may write to the file itself; root's own group may, to sudo."""
    for danger in find_dangers(image.system, path):
        found = image.system.stat(danger.path)
        if found is None or stat.S_ISDIR(found.st_mode):
            continue
        groups = ["the group %d" % number for number in (0, keeper(image.system)[1])]
        if danger.who not in groups:
            yield danger


def of_folder(image: Image, sudo: str) -> "Iterator[Finding]":
    """The files that sudo includes: it ignores one that others can write to, and a line that it does not understand."""
    system, folder = image.system, privilege.SUDO_FOLDER
    if not privilege.reads_folder(system, privilege.find_sudoers(system, sudo)):
        return
    for path in read_by_sudo(image, folder):
        for danger in find_writers(image, path):
            yield warning(ID, "%s: sudo ignores the file" % danger.words, take_back(image, danger, path))
        for number in find_mistakes(image.text(path)):
            message = "%s, line %d, has no equals sign: sudo ignores the line, older versions refuse to work"
            yield warning(ID, message % (path, number), image.edit_lines(path, [number], COMMENT))


def find_mistakes(text: str) -> "Iterator[int]":
    """The numbers of the lines that are certainly no rule: rules and aliases have an equals sign."""
    before = ""
    for number, line in enumerate(lines_in(text), 1):
        words = line.strip()
        whole = not words.endswith("\\") and not before.endswith("\\")
        if words and whole and "=" not in words and not OTHER_LINES.match(words):
            yield number
        before = words
