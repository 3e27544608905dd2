"""Can the administrator become root: is there a sudo or doas, and does it accept its own files?"""

import re
import stat
from typing import Iterator

from ...door.rights import Danger, find_dangers, keeper
from ...door.text import lines_in
from ...guest import privilege
from ..command import Command
from .finding import Finding, ok, warning
from .rights import take_back
from .sshd_lines import COMMENT
from .subject import Image

ID = "privilege"
# What a line of sudoers begins with that is no rule for a user, and so needs no equals sign.
OTHER_LINES = re.compile(r"Defaults|[@#]include|#")


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
        problems = [*of_program(image, program), *look(image, program)] if program else []
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
    for name in system.list(folder):
        path = "%s/%s" % (folder, name)
        if "." in name or name.endswith("~") or path == privilege.SUDO_RULE or system.is_dir(path):
            continue
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
