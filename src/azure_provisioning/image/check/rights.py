"""Files of ours that root runs or reads at a boot: may anybody else change them?"""

from typing import Iterator, Tuple

from ... import config
from ...compiled.keep import find_kept
from ...door.rights import Danger, find_dangers, keeper
from ...guest import privilege, sshd
from ...init import manifest, table
from ...init.unit import SHELL
from ...story import state
from ..command import Command
from .finding import Finding, error, warning
from .hook import find_command
from .interpreter import find_version, prefix_of
from .subject import Image

SHARED = ("/dev/", "/proc/", "/run/", "/sys/", "/tmp/", "/var/tmp/")  # noqa: S108 # nothing is written there


def check_rights(image: Image) -> "Iterator[Finding]":
    """The owner and the mode of each of our files, and of every folder above it."""
    seen = set()
    for name, path in files(image):
        for danger in find_dangers(image.system, path):
            if danger.path in seen:
                continue
            seen.add(danger.path)
            level = warning if danger.slight or name == "options" else error
            remedy = take_back(image, danger, path)
            if not remedy and name in ("hook", "program"):
                remedy = image.ours("install")  # replaces the link
            yield level(name, danger.words + ": a boot uses it as root", remedy)


def files(image: Image) -> "Iterator[Tuple[str, str]]":
    """(id of the finding, path) of the existing files, in the order of a boot."""
    system = image.system
    name, links = table.find_hook(system)
    if name:
        for path in table.load(name).files(system):
            yield "hook", path
    python, program = find_command(system, links[0]) if links else ("", "")
    for path in [program, *manifest.values(system, "program"), *find_kept(system)]:
        yield "program", path
    for path in [python, *manifest.values(system, "python")]:
        yield "python", path
        version = find_version(system, path) if path and path != SHELL else None
        if version:  # each boot imports modules from there as root
            yield "python", "%s/lib/python%s/os.py" % (prefix_of(system, path), version)
    yield "hook", manifest.PATH
    yield "options", config.PATH
    for path in (state.PATH, state.FOLDER + "/customData", state.FOLDER + "/userData"):
        yield "state", path
    for path in (privilege.SUDO_RULE, privilege.DOAS_RULE):
        yield "privilege", path
    yield "sshd-config", sshd.DROP_IN


def take_back(image: Image, danger: Danger, path: str) -> Command:
    """The command that leaves write access to root only.

    Empty if `path` leads into a folder that everybody uses, or that may be the host's in a mounted image.
    """
    if (danger.path + "/").startswith(SHARED) and not path.startswith("/run/"):
        return Command()
    place = image.place(danger.path)
    command = Command("chmod", "go-w").on(place)
    if danger.who.startswith("the user"):
        command = Command("chown", "%d:%d" % keeper(image.system)).on(place).then(command)
    return command
