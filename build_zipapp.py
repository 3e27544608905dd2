#!/usr/bin/env python3
"""Builds dist/azure-provisioning: one executable file, byte for byte the same for the same tree.

Stored and not compressed, because small Pythons have no zlib; names sorted and times fixed, because people attest it.
Before the archive is what a shell makes of the file: the choice of a Python, and the essential without one.

    build_zipapp.py [--compiled]

With --compiled the modules that a boot loads are also in it as the Python that builds would compile them at each start.
Only the same release of Python uses them, 3.7 or newer; any other one, and any shell, finds what is always there.
"""

import hashlib
import io
import os
import py_compile
import sys
import tempfile
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = "azure_provisioning"
SCRIPTS = ("head.sh", "essential.sh")  # of src; the latter ends the script, so that no shell sees the archive
AT_NO_BOOT = PACKAGE + "/image/"  # what install, check and the like are made of
OLDEST_DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip can hold


def main() -> int:
    """Build, and say what was built. 2: called with what it does not know, or cannot do."""
    if sys.argv[1:] not in ([], ["--compiled"]):
        print(__doc__, file=sys.stderr)
        return 2
    if len(sys.argv) > 1 and sys.version_info < (3, 7):
        print("--compiled needs Python 3.7 or newer", file=sys.stderr)
        return 2
    target = os.path.join(HERE, "dist", "azure-provisioning")
    data = build(HERE, compiled=len(sys.argv) > 1)
    write(target, data)
    for ending, text in companions(HERE, data).items():
        write(target + ending, text.encode("ascii"), mode=0o644)
    print("%s: %d bytes" % (os.path.relpath(target), len(data)))
    return 0


def companions(top, data):
    # type: (str, bytes) -> dict[str, str]
    """What is released and packaged beside the file: ending to text. Made from what the file itself says."""
    sys.dont_write_bytecode = True
    sys.path.insert(0, os.path.join(top, "src"))
    from azure_provisioning import manual

    digest = "%s  azure-provisioning\n" % hashlib.sha256(data).hexdigest()  # as `sha256sum -c` takes it
    return {".sha256": digest, ".8": manual.man_page(), ".bash": manual.completion()}


def build(top: str, compiled: bool = False) -> bytes:
    """The file's bytes, made from the checkout at `top`; `compiled`: for this Python also as it compiles them."""
    buffer = io.BytesIO()
    for name in SCRIPTS:  # first, so that the offsets in the archive count them
        with open(os.path.join(top, "src", name), "rb") as script:
            buffer.write(script.read())
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, path in sorted(contents(top)):
            with open(path, "rb") as file:
                add(archive, name, file.read())
            if compiled and name.endswith(".py") and name.startswith(PACKAGE) and not name.startswith(AT_NO_BOOT):
                add(archive, name + "c", byte_code(name, path))
    return buffer.getvalue()


def add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Add a file in a form that depends on nothing but its name and content."""
    entry = zipfile.ZipInfo(name, OLDEST_DATE)
    entry.create_system = 3  # Unix, also where this is not
    entry.external_attr = 0o100644 << 16
    archive.writestr(entry, content)


def byte_code(name: str, path: str) -> bytes:
    """A module as this Python compiles it, in the form of PEP 552 that is believed without a look at the source."""
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    with tempfile.TemporaryDirectory() as scratch:
        made = os.path.join(scratch, "module.pyc")
        py_compile.compile(path, cfile=made, dfile=name, doraise=True, invalidation_mode=unchecked)
        with open(made, "rb") as file:
            return file.read()


def contents(top):
    # type: (str) -> list[tuple[str, str]]
    """(name in the archive, path) of every module and every unit; the package's __main__ is the archive's.

    Not the recipes: they are for a build machine that has the checkout, and `install` writes none of them.
    """
    source = os.path.join(top, "src")
    found = []
    for folder in (os.path.join(source, PACKAGE), os.path.join(top, "units")):
        base = source if folder.startswith(source) else top
        for here, folders, names in os.walk(folder):
            if here == os.path.join(top, "units"):
                folders[:] = [name for name in folders if name != "recipes"]
            for name in names:
                path = os.path.join(here, name)
                if (base == source and not name.endswith(".py")) or name.startswith(".") or name.endswith("~"):
                    continue
                inside = os.path.relpath(path, base).replace(os.sep, "/")
                found.append(("__main__.py" if inside == PACKAGE + "/__main__.py" else inside, path))
    return found


def write(target: str, data: bytes, mode: int = 0o755) -> None:
    """Put a file in place in one step."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    spare = target + ".new"
    with open(spare, "wb") as file:
        file.write(data)
    os.chmod(spare, mode)
    os.replace(spare, target)


if __name__ == "__main__":
    sys.exit(main())
