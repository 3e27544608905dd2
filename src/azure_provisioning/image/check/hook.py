"""Is our boot hook in the image, and would its init system start it at the next boot?"""

from typing import Iterator, Tuple

from ... import DIGEST
from ...door.system import System
from ...door.text import read_text, words_in
from ...errors import GuestError
from ...init import manifest, table
from ...init.detection import find_base
from ...init.systems import runit, systemd
from ..whole import digest_of, find_damage
from . import command_line
from .finding import Finding, error, ok, warning
from .subject import Image


def check_init(image: Image) -> "Iterator[Finding]":
    """Is there an init system for which we have a hook?"""
    if image.init in table.NAMES:
        yield ok("init", "the image boots with %s" % image.init)
    elif image.init is None:
        yield error("init", "no init system was found", image.ours("install", "--init", "NAME"))
    else:
        yield error("init", "the image boots with %s, for which there is no hook" % image.init)
    programs = [words_in(line.rpartition(":")[2])[:1] for line in image.active("/etc/inittab").split("\n")]
    called = next((words[0] for words in programs if words and words[0].endswith("/openrc")), "")
    if called and image.init != "openrc" and not image.system.is_program(called):
        message = "/etc/inittab calls %s, which is missing: the boot starts none of its services" % called
        yield warning("init", message, image.add("openrc"))


def check_hook(image: Image) -> "Iterator[Finding]":
    """Is the hook installed, enabled, and reached by the boot?"""
    system, remedy = image.system, image.ours("install")
    name, links = table.find_hook(system)
    own = table.load(image.init).links(system) if image.init in table.NAMES else []
    if own:
        name, links = image.init, own
    if name is None:
        yield error("hook", "not installed: no boot would set a VM up", remedy)
        return
    if not links:
        yield error("hook", "the hook for %s is there, but %s" % (name, why_not(system, name)), remedy)
        return
    # Debian's runit runs LSB scripts too, but a service directory that was asked for is also right there.
    chosen = name == "runit" and find_base(system) == "runit"
    if name != image.init and image.init in table.NAMES and not chosen:
        yield error("hook", "the hook is for %s, but the image boots with %s" % (name, image.init), remedy)
        return
    obstacles = list(table.load(name).unreached(system, links))
    for obstacle in obstacles:
        yield (error if obstacle.sure else warning)("hook", obstacle.message, image.mend(obstacle.remedy))
    prevented = why_prevented(image) if name == "systemd" else ""
    if prevented:
        yield error("hook", "the kernel's command line %s" % prevented)
    elif not any(obstacle.sure for obstacle in obstacles):
        yield ok("hook", "%s starts it: %s" % (name, links[0]))


def why_prevented(image: Image) -> str:
    """What the kernel's command line does, if systemd then does not start the hook; else empty."""
    target = command_line.find_target(image.system)
    if target in ("rescue.target", "emergency.target"):
        return "asks for %s, which starts no services" % target
    masked = systemd.NAME in command_line.find_masked(image.system)
    return "masks the hook" if masked else ""


def why_not(system: System, name: str) -> str:
    """Why the init system called `name` starts no hook, although it is there."""
    mask = systemd.find_mask(system) if name == "systemd" else None
    if mask:
        return "it is masked: %s" % mask
    down = name == "runit" and runit.entries(system)
    return "its file `down` keeps it from being started" if down else "nothing starts it"


def check_program(image: Image) -> "Iterator[Finding]":
    """Does the file that the hook runs exist, undamaged?"""
    name, links = table.find_hook(image.system)
    if not links:
        return  # check_hook has reported it
    for path in find_command(image.system, links[0])[1:]:
        try:
            data = image.system.read(path, limit=16 << 20)
        except GuestError as problem:
            yield error("program", "the file that the hook runs cannot be read: %s" % problem, image.ours("install"))
            return
        if data is None:
            yield error("program", "the file that the hook runs is missing: %s" % path, image.ours("install"))
            continue
        damage = find_damage(data)
        if damage:
            yield error("program", "%s, which the hook runs: %s" % (path, damage), image.ours("install"))
        else:
            build = "this build" if digest_of(data) == DIGEST else "build " + digest_of(data)
            other = ", and this is " + DIGEST if DIGEST not in ("", digest_of(data)) else ""
            yield ok("program", "the hook runs %s, undamaged and of %s%s" % (path, build, other))


def find_command(system: System, link: str) -> "Tuple[str, str]":
    """(interpreter, program) that the hook at `link` runs; from the record of `install` if the hook does not say."""
    words = read_text(system, link + "/run" if system.is_dir(link) else link).split()
    settings = dict(word.split("=", 1) for word in words if word.startswith(("PYTHON=/", "PROGRAM=/")))
    if len(settings) == 2:
        return settings["PYTHON"], settings["PROGRAM"]
    for index in range(len(words) - 4):  # ExecStart=PYTHON -I -S PROGRAM run
        python, program = words[index].rpartition("=")[2], words[index + 3]
        if words[index + 1 : index + 3] == ["-I", "-S"] and words[index + 4] == "run" and python.startswith("/"):
            return python, program
    known = [manifest.values(system, key) or [""] for key in ("python", "program")]
    return known[0][0], known[1][0]
