"""Our modules as `install` compiled them, for a boot to load: Python has no such cache for modules in a zip.

The whole file is read at once and checked. If it is damaged, or a customData removed it, the boot only takes the time
to compile. The same goes for a file or folder that others than root may write to: root would run their code. Another
build or another Python uses another path.
"""

import marshal
import os
import stat
import sys

from .. import DIGEST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Dict, Optional

LIMIT = 4 << 20  # bytes; seven times the real size
SUM = 8  # bytes at the start: the checksum of the rest


def path_for(magic: bytes) -> str:
    """The path of the modules of this build, compiled by a Python with this magic number."""
    return "/var/lib/azure-provisioning/boot-%s-%s" % (DIGEST, magic[:2].hex())


def pack(codes: "Dict[str, bytes]") -> bytes:
    """The content of a file for `use`: marshalled code by module name."""
    data = marshal.dumps(codes, 2)
    return checksum(data) + data


def checksum(data: bytes) -> bytes:
    """The CRC-32 of the data, in hexadecimal."""
    import binascii

    return b"%08x" % binascii.crc32(data)


def use(program: str) -> None:
    """Load the stored modules if they are there for this Python and undamaged, and all others from the `program`."""
    # importlib.util has the magic number too, but takes 3 ms to load.
    magic = getattr(sys.modules.get("_frozen_importlib_external"), "MAGIC_NUMBER", None)
    if not DIGEST or not magic:
        return
    try:
        data = read(path_for(magic))
    except OSError:
        return
    if data[:SUM] == checksum(data[SUM:]):
        codes = marshal.loads(data[SUM:])  # noqa: S302 # only root writes there
        sys.meta_path.insert(0, Kept(codes, program))  # type: ignore[arg-type]


def read(path: str) -> bytes:
    """The content of a regular file that only root or the running user may write to; empty for any other.

    Raises OSError.
    """
    if not is_safe(os.lstat(os.path.dirname(path)), stat.S_IFDIR):
        return b""
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC), "rb") as file:
        return file.read(LIMIT) if is_safe(os.fstat(file.fileno()), stat.S_IFREG) else b""


def is_safe(found: "os.stat_result", kind: int) -> bool:
    """Is it of this type, and may nobody else write to it?"""
    return stat.S_IFMT(found.st_mode) == kind and found.st_uid in (0, os.geteuid()) and not found.st_mode & 0o022


class Kept:
    """Finds and loads the stored modules; Python searches on for any other."""

    def __init__(self, codes: "Dict[str, bytes]", program: str) -> None:
        self.codes = codes
        self.archive = program  # the name that zipimport's loader has, for callers that ask for our own file

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> object:
        """The module's spec, or None."""
        package = name + ".__init__" in self.codes
        if not package and name not in self.codes:
            return None
        spec = type(sys.__spec__)(name, self, origin=self.archive, is_package=package)  # type: ignore[arg-type]
        if package:
            spec.submodule_search_locations = [self.archive + "/" + name.replace(".", "/")]
        return spec

    def create_module(self, _spec: object) -> "Optional[ModuleType]":
        """None: Python's default module is right."""
        return None

    def exec_module(self, module: "ModuleType") -> None:
        """Run the module's code."""
        name = module.__name__
        code = self.codes.get(name) or self.codes[name + ".__init__"]
        exec(marshal.loads(code), module.__dict__)  # noqa: S102, S302 # what install compiled of this very build
