"""Our options file, and the user's ready gates."""

from typing import Iterator

from ...config import PATH
from ...guest import gates
from .finding import Finding, error, ok, warning
from .rights import take_back
from .subject import Image

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
    if found and not any(dangers):
        yield ok("ready-gates", "before Ready: %s" % " ".join(path.rpartition("/")[2] for path in found))
