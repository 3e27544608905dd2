#!/usr/bin/env python3
"""Builds dist/azure-provisioning: one executable file, byte for byte the same for the same tree.

Stored and not compressed, because small Pythons have no zlib; names sorted and times fixed, because people attest it.
Before the archive is what a shell makes of the file: the choice of a Python, and the essential without one.
"""

import hashlib
import io
import os
import sys
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = "azure_provisioning"
SCRIPTS = ("head.sh", "essential.sh")  # of src; the latter ends the script, so that no shell sees the archive
DIGEST = b'\nDIGEST = ""'  # the line of the package that tells one build from another
OLDEST_DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip can hold


def main() -> int:
    """Build, and say what was built. 2: called with what it does not know."""
    if sys.argv[1:]:
        print(__doc__, file=sys.stderr)
        return 2
    target = os.path.join(HERE, "dist", "azure-provisioning")
    data = build(HERE)
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


def build(top: str) -> bytes:
    """The file's bytes, made from the checkout at `top`."""
    buffer = io.BytesIO()
    for name in SCRIPTS:  # first, so that the offsets in the archive count them
        with open(os.path.join(top, "src", name), "rb") as script:
            buffer.write(script.read())
    members, digest = {}, hashlib.sha256(buffer.getvalue())
    for name, path in sorted(contents(top)):
        with open(path, "rb") as file:
            members[name] = file.read()
        digest.update(b"%s %d\n%s" % (name.encode("ascii"), len(members[name]), members[name]))
    package = PACKAGE + "/__init__.py"
    members[package] = members[package].replace(DIGEST, DIGEST[:-1] + digest.hexdigest()[:16].encode("ascii") + b'"')
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            add(archive, name, content)
    return buffer.getvalue()


def add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Add a file in a form that depends on nothing but its name and content."""
    entry = zipfile.ZipInfo(name, OLDEST_DATE)
    entry.create_system = 3  # Unix, also where this is not
    entry.external_attr = 0o100644 << 16
    archive.writestr(entry, content)


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
