"""Can the home of a new account be made? What a boot would fail with, from the folders on the way."""

import os
import re
from typing import NamedTuple, Optional

from ...door.files import is_below
from ...errors import LoopError
from ...guest.applets import find_tool
from ...guest.key_login import resolve
from ..command import Command
from .disk import read_fstab
from .rights import SHARED
from .subject import Image

USUAL = "/home"
SETTINGS = "/etc/default/useradd"


class Problem(NamedTuple):
    """Why the home cannot be made, and the command that mends it."""

    message: str
    remedy: Command


def find_problem(image: Image) -> "Optional[Problem]":
    """The first problem; None if the home can be made, or if what is mounted later decides."""
    base = find_base(image)
    if not base.startswith("/"):
        return Problem("HOME=%s in %s is no path" % (base, SETTINGS), image.edit(SETTINGS))
    here = ""
    for part in base.strip("/").split("/"):
        here += "/" + part
        try:
            if image.system.is_dir(here):
                continue
        except LoopError:
            return Problem("%s is a link to itself" % here, afresh(image, here))
        if image.system.stat(here, follow=False) is None:
            break  # the boot makes it
        return of_entry(image, here)
    return of_mount(image, resolve(image.system, base))


def find_base(image: Image) -> str:
    """The folder of homes: useradd's setting, if that makes the account."""
    tool = find_tool(image.system, "useradd")
    found = re.findall(r"(?m)^HOME=[\"']?([^\"'\n]+)", image.active(SETTINGS)) if tool else []
    return found[-1].strip() if found else USUAL


def of_entry(image: Image, path: str) -> "Optional[Problem]":
    """The problem of a path that is neither missing nor a folder, or a link to one."""
    system = image.system
    if system.readlink(path) is None:
        place = image.place(path)
        return Problem("%s is not a folder" % path, Command("mv").on(place, place + ".old").then(made(image, path)))
    target = resolve(system, path)
    if any(line.point != "/" and is_below(target, line.point) for line in read_fstab(image)):
        return of_mount(image, target)
    link = "%s is a link to %s" % (path, target)
    if system.exists(target):
        return Problem(link + ", which is not a folder", afresh(image, path))
    above = os.path.dirname(target)
    if system.is_dir(above):
        return None  # the boot makes the target
    while not system.exists(above):
        above = os.path.dirname(above)
    if not system.is_dir(above):
        return Problem("%s, and %s is not a folder" % (link, above), afresh(image, path))
    shared = (target + "/").startswith(SHARED)
    make = afresh(image, path) if shared else Command("mkdir", "-p").on(image.place(target))
    return Problem(link + ", which is missing", make)


def of_mount(image: Image, path: str) -> "Optional[Problem]":
    """fstab mounts its file system read-only. What it has of `/` is another check's."""
    lines = [line for line in read_fstab(image) if is_below(path, line.point) and "noauto" not in line.options]
    last = max(lines, key=lambda line: len(line.point), default=None)
    if last is None or last.point == "/" or "ro" not in last.options:
        return None
    return Problem("%s is mounted read-only" % last.point, image.edit("/etc/fstab"))


def afresh(image: Image, path: str) -> Command:
    """The command that replaces a link by a folder."""
    return image.remove(path).then(made(image, path))


def made(image: Image, path: str) -> Command:
    """The command that makes a folder."""
    return Command("mkdir", "-m", "755").on(image.place(path, follow=False))
