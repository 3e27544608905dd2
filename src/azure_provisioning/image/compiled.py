"""What a boot loads of our modules, compiled: Python does that for its own library, and cannot keep it for a zip's."""

import importlib.util
import io
import marshal
import os
import re
import sys

from .. import DIGEST, compiled, state
from ..console import Console
from ..errors import GuestError
from ..init import manifest
from ..init.unit import SHELL
from ..system import System

KEPT = re.compile(re.escape(state.FOLDER) + r"/boot-\w+-\w+\.zip$")  # the program's digest, Python's magic number
PACKAGE = "azure_provisioning/"
AT_NO_BOOT = PACKAGE + "image/"  # what install, check and the like are made of
OLDEST_DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip can hold


def keep(system: System, console: Console, program: bytes) -> None:
    """Have the boots of the `program` that was installed (the bytes of the file that this runs from) compile nothing.

    Nothing is made for another Python than the one that runs this, which cannot compile for it, or where there is no
    room. What an older install left goes. Raises GuestError if it cannot be removed.
    """
    made = ""
    if any(is_this_python(system, python) for python in manifest.values(system, "python")):
        path = compiled(DIGEST, importlib.util.MAGIC_NUMBER)
        try:
            system.write(path, compile_modules(program), mode=0o644)
            made = path
        except ImportError:
            pass  # a small Python, which has no zipfile
        except GuestError as error:
            console.warn("each boot will compile our modules: %s" % error)
    for name in system.list(state.FOLDER):
        older = KEPT.match(state.FOLDER + "/" + name)
        if older and older.group() != made and not system.is_dir(older.group()):
            system.unlink(older.group())


def is_this_python(system: System, python: str) -> bool:
    """Is the guest's Python of the same release as this one? Told by names, because nothing in an image is executed."""
    if python == SHELL:
        return False
    names = [re.search(r"/python(\d\.\d+)$", step) for step in system.chain(python)]
    told = {match.group(1) for match in names if match}
    if not told:
        return system.live and system.path(python) == os.path.realpath(sys.executable)
    return told == {"%d.%d" % sys.version_info[:2]}


def compile_modules(program: bytes) -> bytes:
    """An archive of the modules that are in the program, as PEP 552 has it: to be believed without their source.

    Raises ImportError if this Python cannot make one.
    """
    import zipfile

    # Python 3.6 knows two words after the magic number, when the source was changed and its size; then came flags.
    header = importlib.util.MAGIC_NUMBER + (bytes(8) if sys.version_info < (3, 7) else b"\1" + bytes(11))
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(program)) as whole, zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in whole.namelist():
            if name.startswith(PACKAGE) and name.endswith(".py") and not name.startswith(AT_NO_BOOT):
                code = compile(whole.read(name), name, "exec", dont_inherit=True)
                archive.writestr(zipfile.ZipInfo(name + "c", OLDEST_DATE), header + marshal.dumps(code))
    return buffer.getvalue()
