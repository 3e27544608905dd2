"""Compiles the modules that a boot loads, and stores the result in the guest (see use.py)."""

import importlib.util
import io
import marshal
import os
import re
import sys
from typing import Dict, List

from .. import DIGEST
from ..console import Console
from ..door.rights import find_writer, keeper
from ..door.system import System
from ..door.tree import ROOT
from ..errors import GuestError
from ..init import manifest
from ..init.unit import SHELL
from ..story import state
from . import use

KEPT = re.compile(re.escape(state.FOLDER) + r"/boot-[0-9a-f]+-[0-9a-f]+$")  # the digest, Python's magic number
PACKAGE = "azure_provisioning/"
AT_NO_BOOT = PACKAGE + "image/"  # modules of install, check and the like


def keep(system: System, console: Console, program: bytes) -> None:
    """Compile the modules of the installed `program` (the bytes of the running file), so that no boot has to.

    The result is for the running release of Python only, which cannot compile for another. Files of an older install
    are removed. A failure is only a warning: a boot works without them.
    """
    made = ""
    try:
        if DIGEST and any(is_this_python(system, python) for python in manifest.values(system, "python")):
            path = own_path()
            system.write(path, use.pack(compile_modules(program)), mode=0o644, owner=ROOT)
            made = path
    except ImportError:
        pass  # a minimal Python without zipfile
    except GuestError as error:
        console.warn("each boot will compile our modules: %s" % error)
    try:
        for older in find_kept(system):
            if older != made:
                system.unlink(older)
    except GuestError as error:
        console.warn("compiled modules of an older install stay, and no boot uses them: %s" % error)


def find_kept(system: System) -> "List[str]":
    """The files that a boot could take for the result of `install`."""
    paths = [state.FOLDER + "/" + name for name in system.list(state.FOLDER)]
    return [path for path in paths if KEPT.match(path) and not system.is_dir(path)]


def own_path() -> str:
    """The path of the modules of this build, compiled by this Python."""
    return use.path_for(importlib.util.MAGIC_NUMBER)


def is_genuine(system: System, path: str, program: bytes) -> bool:
    """Is it exactly what this Python compiles from the `program` (the bytes of the running file), and writable by root
    only? The output of another Python cannot be told from a planted file. Raises GuestError.
    """
    found = system.stat(path, follow=False)
    if not DIGEST or path != own_path() or found is None or find_writer(found, keeper(system)):
        return False
    try:
        return system.read(path, limit=use.LIMIT) == use.pack(compile_modules(program))
    except ImportError:
        return False  # a minimal Python without zipfile


def is_this_python(system: System, python: str) -> bool:
    """Is the guest's Python of this release? Judged by file names, because nothing in an image is executed."""
    if python == SHELL:
        return False
    names = [re.search(r"[/-]python(\d\.\d+)$", step) for step in system.chain(python)]
    releases = {match.group(1) for match in names if match}
    if not releases:
        return system.live and system.path(python) == os.path.realpath(sys.executable)
    return releases == {"%d.%d" % sys.version_info[:2]}


def compile_modules(program: bytes) -> "Dict[str, bytes]":
    """{module: its marshalled code} from the bytes of the built file. Raises ImportError if this Python has no
    zipfile."""
    import zipfile

    # Attested images need the same bytes each time; before 3.11 the newer formats depend on the state of memory.
    version = 2 if sys.version_info < (3, 11) else marshal.version
    codes = {}
    with zipfile.ZipFile(io.BytesIO(program)) as whole:
        for name in whole.namelist():
            if name.startswith(PACKAGE) and name.endswith(".py") and not name.startswith(AT_NO_BOOT):
                code = compile(whole.read(name), name, "exec", dont_inherit=True)
                codes[name[: -len(".py")].replace("/", ".")] = marshal.dumps(code, version)
    return codes
