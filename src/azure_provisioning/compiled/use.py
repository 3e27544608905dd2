"""Our modules as `install` has compiled them, for a boot to load: Python keeps that for its library, but not for a zip.

All of them are read at once and checked, so that a disk that spoils them, or a customData that removes them, costs a
boot no more than the time to compile. So do a file or a folder that others than root may write to: root would run what
they like. Another build or another Python looks elsewhere.
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

LIMIT = 4 << 20  # bytes; seven times what there is
SUM = 8  # bytes before all else: the checksum of what follows


def place(magic: bytes) -> str:
    """Where the modules of this build are, as a Python with this magic number compiled them."""
    return "/var/lib/azure-provisioning/boot-%s-%s" % (DIGEST, magic[:2].hex())


def pack(codes: "Dict[str, bytes]") -> bytes:
    """A file of marshalled code by module name, for `use`."""
    data = marshal.dumps(codes, 2)
    return checksum(data) + data


def checksum(data: bytes) -> bytes:
    """The CRC-32 of the data, in hexadecimal."""
    import binascii

    return b"%08x" % binascii.crc32(data)


def use(program: str) -> None:
    """Have what is kept for this Python be loaded, if it is there and whole, and all else from the `program`."""
    # importlib.util tells the magic number too, and takes 3 ms to load.
    magic = getattr(sys.modules.get("_frozen_importlib_external"), "MAGIC_NUMBER", None)
    if not DIGEST or not magic:
        return
    try:
        data = read(place(magic))
    except OSError:
        return
    if data[:SUM] == checksum(data[SUM:]):
        codes = marshal.loads(data[SUM:])  # noqa: S302 # only root writes there
        sys.meta_path.insert(0, Kept(codes, program))  # type: ignore[arg-type]


def read(path: str) -> bytes:
    """The content of a regular file that nobody but root, or who runs this, may write; empty for another.

    Raises OSError.
    """
    if not is_safe(os.lstat(os.path.dirname(path)), stat.S_IFDIR):
        return b""
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC), "rb") as file:
        return file.read(LIMIT) if is_safe(os.fstat(file.fileno()), stat.S_IFREG) else b""


def is_safe(found: "os.stat_result", kind: int) -> bool:
    """Is it of this kind, and may nobody else write to it?"""
    return stat.S_IFMT(found.st_mode) == kind and found.st_uid in (0, os.geteuid()) and not found.st_mode & 0o022


class Kept:
    """Finds and loads the modules that are kept; for any other one Python looks on, as without it."""

    def __init__(self, codes: "Dict[str, bytes]", program: str) -> None:
        self.codes = codes
        self.archive = program  # by the name that it has in the loader of zipimport, for whoever asks for our own file

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
        """Python's own kind will do."""
        return None

    def exec_module(self, module: "ModuleType") -> None:
        """Run the module's code."""
        name = module.__name__
        code = self.codes.get(name) or self.codes[name + ".__init__"]
        exec(marshal.loads(code), module.__dict__)  # noqa: S102, S302 # what install compiled of this very build
