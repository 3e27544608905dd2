"""Our options file, and the user's ready gates."""

from typing import Iterator

from ...config import PATH
from ...door.text import read_bytes, words_in
from ...guest import gates
from ..command import Command
from .finding import Finding, error, ok, warning
from .rights import take_back
from .subject import Image

HEAD = 256  # bytes in which the kernel looks for the interpreter: linux/binfmts.h
CRLF = "its lines end with CRLF"
LATER = "/run/"  # what is there in the VM does not show in an image
PATIENCE = 20 * 60  # seconds after which Azure reboots a VM that is not Ready


def check_options(image: Image) -> "Iterator[Finding]":
    """A mistake is only a warning at a boot, but it is not what the user wanted."""
    for problem in image.problems:
        yield error("options", problem, image.edit(PATH))
    if image.options.deadline >= PATIENCE:
        message = "deadline = %d: Azure reboots a VM that is not Ready after %d s" % (image.options.deadline, PATIENCE)
        yield warning("options", message, image.edit(PATH))
    if not image.problems:
        yield ok("options", "no mistake in " + PATH if image.system.exists(PATH) else "the defaults")


def check_gates(image: Image) -> "Iterator[Finding]":
    """Gates in ready.d that would not run, or that others may change: Ready would not be reported."""
    found = gates.find_gates(image.system)
    folder = [gates.FOLDER] if image.system.exists(gates.FOLDER) else []  # who may write there may remove a gate
    dangers = {gates.find_danger(image.system, path): path for path in found or folder}
    for danger, path in dangers.items():
        if danger is None:
            continue
        message = danger.words + ": no gate would run there, and Ready would not be reported"
        yield error("ready-gates", message, take_back(image, danger, path))
    known = set(found)
    for name in image.system.list(gates.FOLDER):
        path = "%s/%s" % (gates.FOLDER, name)
        if path not in known and not name.startswith(".") and not name.endswith("~"):
            yield warning("ready-gates", "%s is not executable, and is not run" % path, image.allow_to_run(path))
    lame = [(path, problem) for path, problem in ((path, find_lameness(image, path)) for path in found) if problem]
    for path, problem in lame:
        message = "%s cannot be started, and Ready would not be reported: %s" % (path, problem)
        straight = Command("sed", "-i", r"s/\r$//").on(image.place(path))
        yield error("ready-gates", message, straight if problem == CRLF else image.edit(path))
    if found and not any(dangers) and not lame:
        yield ok("ready-gates", "before Ready: %s" % " ".join(path.rpartition("/")[2] for path in found))


def find_lameness(image: Image, path: str) -> str:
    """Why the kernel does not start a file, as execve(2) decides; empty if it does, or if that is unknown."""
    head = read_bytes(image.system, path, HEAD)
    if not head:
        return "it is empty"
    if b"\0" in head:
        return ""  # an ELF file, or a format that binfmt_misc may know
    line = head.split(b"\n")[0].decode("utf-8", "surrogateescape")
    if not line.startswith("#!"):
        return "it does not begin with #!"
    words = words_in(line[2:])
    if line.endswith("\r") and not (words[1:] and "perl" in words[0]):  # Perl accepts one after an option
        return CRLF
    if not words:
        return "its first line names no program"
    wanted = words[:2] if words[0].endswith("/env") and words[1:] and words[1][0] != "-" else words[:1]
    for name in wanted:
        if not name.startswith(LATER) and not image.system.find_program(name):
            exists = name.startswith("/") and image.system.exists(name)
            return "there is no %s%s" % (name, " that may be executed" if exists else "")
    return ""
